//! Another data key, another master key: what is kept is written anew under the one, the data keys under the other. A little of it happens with some of the requests
//! ([`some`]); the command line does all at once.
//!
//! A value is read, encrypted and set again, and in between its owner may delete it. So a deletion leaves a note, which is looked for after the writing: whichever comes
//! last, what was deleted is gone.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{
    SIZES,
    data_key::{self, DataKeys, Master, Ring},
    failed,
    place::{Place, ROOTS},
    value,
};
use crate::{ident, keys::KeysError, ports::KeyValue, wire::ApiError};

/// Values that are looked at with one request.
const AT_ONCE: usize = 32;
/// Nanoseconds after which nobody writes with a data key any more that is not the newest.
const SETTLED: u64 = 60 * 60 * 1_000_000_000;
/// How far it has come.
const PROGRESS: &str = "data-key/progress";
/// What was deleted.
pub(super) const DELETED: &str = "deleted/";

/// What [`rotate_data_key`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotated {
    /// Values that were written anew.
    pub renewed: usize,
    /// Values that cannot be read, which were left as they are.
    pub unreadable: usize,
    /// Data keys that nothing is encrypted with any more, and that were removed.
    pub removed: usize,
}

#[derive(Default, Serialize, Deserialize)]
struct Progress {
    /// The data key that all is to be under.
    newest: String,
    /// All up to this key is.
    after: String,
    done: bool,
}

/// Makes another data key and writes all that is kept anew under it, beside a running server or without one. `master` is the setting `master_key`.
///
/// # Errors
/// [`KeysError::Kept`] and [`KeysError::Store`]; then it can be run again.
pub async fn rotate_data_key<K: KeyValue>(store: &K, master: &str) -> Result<Rotated, KeysError> {
    all(store, master).await.map_err(|error| KeysError::Kept(error.message))
}

async fn all<K: KeyValue>(store: &K, master: &str) -> Result<Rotated, ApiError> {
    let opened = DataKeys::default();
    let ring = Ring { store, master: Master::read(master)?, opened: &opened };
    let newest = ring.make().await?;
    let mut rotated = Rotated { renewed: 0, unreadable: 0, removed: 0 };
    let mut used = HashSet::from([newest.id]);
    for path in paths(store).await? {
        match renew(&ring, &path).await {
            Ok(renewed) => rotated.renewed += usize::from(renewed),
            // A store that fails is another matter than a value that is damaged.
            Err(error) if error.code == Some("store_failed") => return Err(error),
            Err(_) => rotated.unreadable += 1,
        }
        used.extend(store.get(&path).await.map_err(failed)?.as_deref().and_then(value::data_key));
    }
    for id in ring.all().await? {
        if !used.contains(&id) && data_key::made(id).saturating_add(SETTLED) < ident::nanoseconds() {
            ring.remove(id).await?;
            rotated.removed += 1;
        }
    }
    Ok(rotated)
}

/// Wraps all data keys with another master key. What is kept stays as it is. A running server has to be started again with the new one.
///
/// # Errors
/// [`KeysError::Kept`]; then it can be run again.
pub async fn rewrap_data_keys<K: KeyValue>(store: &K, from: &str, to: &str) -> Result<usize, KeysError> {
    let opened = DataKeys::default();
    let rewrapped = async {
        let (from, to) =
            (Ring { store, master: Master::read(from)?, opened: &opened }, Ring { store, master: Master::read(to)?, opened: &opened });
        let ids = from.all().await?;
        for id in &ids {
            from.rewrap(*id, &to).await?;
        }
        Ok::<_, ApiError>(ids.len())
    };
    rewrapped.await.map_err(|error| KeysError::Kept(error.message))
}

/// Writes a few values anew under the newest data key, where there are any that are not.
pub(super) async fn some<K: KeyValue>(ring: &Ring<'_, K>) -> Result<(), ApiError> {
    let id = ring.newest().await?.id;
    let newest = format!("{:032x}", u128::from_be_bytes(id));
    let kept = ring.store.get(PROGRESS).await.map_err(failed)?;
    let mut progress: Progress = kept.and_then(|kept| serde_json::from_slice(&kept).ok()).unwrap_or_default();
    if progress.newest != newest {
        progress = Progress { newest, ..Progress::default() };
    } else if progress.done {
        return Ok(());
    }
    let mut paths = paths(ring.store).await?;
    paths.retain(|path| *path > progress.after && may_be_older(path, id));
    progress.done = paths.len() <= AT_ONCE;
    for path in paths.into_iter().take(AT_ONCE) {
        if let Err(error) = renew(ring, &path).await
            && error.code == Some("store_failed")
        {
            return Err(error);
        }
        progress.after = path;
    }
    ring.store.set(PROGRESS, serde_json::to_vec(&progress).unwrap_or_default()).await.map_err(failed)
}

/// The store's keys of all that is kept for somebody, sorted.
async fn paths<K: KeyValue>(store: &K) -> Result<Vec<String>, ApiError> {
    let mut paths = Vec::new();
    for root in ROOTS {
        paths.extend(store.keys(root).await.map_err(failed)?);
    }
    Ok(paths)
}

/// Whether what lies there may be under another data key than the newest: it was not made after that, and does not go by itself.
fn may_be_older(path: &str, newest: data_key::Id) -> bool {
    let Place { key, .. } = Place::of(path);
    let name = key.rsplit('/').next().and_then(|name| name.split('-').next()).unwrap_or_default();
    !key.starts_with(SIZES) && !key.starts_with("cache/") && (!ident::is_secret(name) || ident::time_of(name) <= data_key::made(newest))
}

/// Returns whether something was written.
async fn renew<K: KeyValue>(ring: &Ring<'_, K>, path: &str) -> Result<bool, ApiError> {
    let Some(value) = ring.store.get(path).await.map_err(failed)? else { return Ok(false) };
    let Some(renewed) = value::renew(ring, &Place::of(path), &value).await? else { return Ok(false) };
    ring.store.set(path, renewed).await.map_err(failed)?;
    if ring.store.get(&deleted(path)).await.map_err(failed)?.is_some() {
        ring.store.delete(path).await.map_err(failed)?;
    }
    Ok(true)
}

/// Where it is noted that something was deleted.
pub(super) fn deleted(path: &str) -> String {
    format!("{DELETED}{path}")
}
