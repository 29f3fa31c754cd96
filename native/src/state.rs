//! The folder for what outlives a server, and the store in it.

use std::{
    future::Future,
    path::{Path, PathBuf},
};

use anyhow::Context;
use hearth_store::{DEFAULT, Store};

use crate::{
    cli::{ServeArgs, state_dir},
    ports::KeyValue,
};

/// The file of the store in a folder. Its name and the store's are the plugin's, so that the two shapes can take over from each other.
pub(crate) fn store_file(folder: &Path) -> PathBuf {
    folder.join("key-value.redb")
}

/// Opens the store of a service.
///
/// # Errors
/// When its folder or file cannot be made, or is in use or damaged.
pub(crate) fn open(args: &ServeArgs) -> anyhow::Result<Store> {
    open_at(&state_dir(args.state_dir.clone())?)
}

/// Opens the store in a folder.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_at(folder: &Path) -> anyhow::Result<Store> {
    Store::open(store_file(folder))
        .context("keys, responses and conversations cannot be kept (--state-dir says where, --no-store keeps none)")
}

/// What is durable in it, for the handler's own functions.
///
/// # Errors
/// None that a label which is known to be good can have.
pub(crate) fn records(store: &Store) -> anyhow::Result<KeyValue> {
    Ok(KeyValue::new(Some(store.namespace(DEFAULT)?)))
}

/// Does what the handler's functions do over the store, from a command.
///
/// # Errors
/// When no thread can be had.
pub(crate) fn blocking<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().build()?.block_on(work))
}
