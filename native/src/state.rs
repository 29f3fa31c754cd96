//! The folder for what outlives a server, and the store in it.

use std::{
    future::Future,
    path::{Path, PathBuf},
};

use anyhow::Context;
use hearth_store::{DEFAULT, FILE_NAME, Kept, RedisUrl, Store};

use crate::{
    cli::{ServeArgs, state_dir},
    ports::KeyValue,
};

/// The file of the store in a folder.
pub(crate) fn store_file(folder: &Path) -> PathBuf {
    folder.join(FILE_NAME)
}

/// Opens the store of a service: in Redis where there is one, which need not be there at the moment, else in the state folder.
///
/// # Errors
/// When the folder or the file cannot be made, or is in use or damaged; when the address is none of Redis.
pub(crate) fn open(args: &ServeArgs) -> anyhow::Result<Kept> {
    let Some(url) = &args.redis_url else { return open_at(&state_dir(args.state_dir.clone())?) };
    Ok(Kept::redis(&RedisUrl::parse(url.reveal())?)?)
}

/// Opens the store in a folder.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_at(folder: &Path) -> anyhow::Result<Kept> {
    Kept::folder(folder).context("keys, responses and conversations cannot be kept (--state-dir says where, --no-store keeps none)")
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
