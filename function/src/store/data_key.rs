//! The keys that what is kept is encrypted with. Each is 32 random bytes, kept in the store itself, wrapped by the master key, which is not in the store. So what is written need
//! not be written anew when the master key changes, and a new data key can be had at any time: values say which one they are encrypted with.
//!
//! Without a master key they lie in the store as they are: then what is kept is bound to its owner and its place, and nothing more is won against who has the store.

use std::sync::{Arc, Mutex, PoisonError};

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{damaged, failed};
use crate::{
    ident,
    nn::internal,
    ports::KeyValue,
    wire::{ApiError, error::ErrorType},
};

/// Where they are kept.
pub(super) const DATA_KEYS: &str = "data-key/";
/// Says which one is used for what is written.
const NEWEST: &str = "data-key/newest";
const NONCE: usize = 12;
const TAG: usize = 16;
/// Bytes that encryption adds.
pub(super) const OVERHEAD: usize = NONCE + TAG;

/// The number of a data key, which has the time in it at which it was made.
pub(super) type Id = [u8; 16];

/// AES-256-GCM with one key.
pub(super) struct Cipher(Aes256Gcm);

impl Cipher {
    fn new(key: &[u8; 32]) -> Self {
        Self(Aes256Gcm::new(key.into()))
    }

    /// A random nonce, the bytes encrypted, and the tag, which is over `bound` as well.
    pub(super) fn seal(&self, bound: &[u8], plain: &[u8]) -> Result<Vec<u8>, ApiError> {
        let mut nonce = [0; NONCE];
        fill(&mut nonce)?;
        let sealed = self.0.encrypt(Nonce::from_slice(&nonce), Payload { msg: plain, aad: bound });
        let sealed = sealed.map_err(|_| internal("What is to be kept cannot be encrypted."))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// What [`Self::seal`] was given; `None` where a bit of it, or of what it is bound to, is another.
    pub(super) fn open(&self, bound: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE)?;
        self.0.decrypt(Nonce::from_slice(nonce), Payload { msg: sealed, aad: bound }).ok()
    }
}

/// A data key.
#[derive(Clone)]
pub(super) struct DataKey {
    pub(super) id: Id,
    pub(super) cipher: Arc<Cipher>,
}

/// Data keys that were unwrapped already.
#[derive(Default)]
pub(crate) struct DataKeys(Mutex<Opened>);

#[derive(Default)]
struct Opened {
    newest: Option<DataKey>,
    all: Vec<DataKey>,
}

impl std::fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKeys(…)")
    }
}

/// A data key as it is kept.
#[derive(Serialize, Deserialize)]
struct Record {
    /// In base64; encrypted where there is a master key.
    key: String,
    /// A mark of the master key; none where the key lies as it is.
    master: Option<String>,
}

/// What wraps data keys.
pub(super) struct Master {
    cipher: Cipher,
    mark: String,
}

impl Master {
    /// Reads the setting: 32 bytes in base64, or nothing.
    pub(super) fn read(text: &str) -> Result<Option<Self>, ApiError> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let bytes =
            bytes.ok_or_else(|| unusable("the setting 'master_key' is not 32 bytes in base64: make one with `openssl rand -base64 32`"))?;
        let hash = Sha256::new().chain_update("hearth master key").chain_update(bytes).finalize();
        Ok(Some(Self { cipher: Cipher::new(&bytes), mark: hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect() }))
    }
}

/// The data keys of a store.
pub(super) struct Ring<'a, K> {
    pub(super) store: &'a K,
    pub(super) master: Option<Master>,
    pub(super) opened: &'a DataKeys,
}

impl<K: KeyValue> Ring<'_, K> {
    /// The one to encrypt with; it is made where there is none.
    pub(super) async fn newest(&self) -> Result<DataKey, ApiError> {
        if let Some(key) = self.locked().newest.clone() {
            return Ok(key);
        }
        let named = self.store.get(NEWEST).await.map_err(failed)?;
        let key = match named {
            Some(name) => self.of(parse(&name).ok_or_else(|| damaged("the name of the newest data key is no name"))?).await?,
            None => self.make().await?,
        };
        self.locked().newest = Some(key.clone());
        Ok(key)
    }

    /// The one of a number.
    pub(super) async fn of(&self, id: Id) -> Result<DataKey, ApiError> {
        if let Some(key) = self.locked().all.iter().find(|key| key.id == id) {
            return Ok(key.clone());
        }
        let path = path(id);
        let value = self
            .store
            .get(&path)
            .await
            .map_err(failed)?
            .ok_or_else(|| unusable("a data key that something is encrypted with is gone from the store"))?;
        let record: Record = serde_json::from_slice(&value).map_err(|_| damaged("a data key's record is of another format"))?;
        let bytes = self.unwrap(&path, &record)?;
        if record.master.is_none() && self.master.is_some() {
            // There is a master key now: from here on it lies bare no more.
            self.write(id, &bytes).await?;
        }
        Ok(self.remember(id, &bytes))
    }

    /// Makes another, which is the newest from now on.
    pub(super) async fn make(&self) -> Result<DataKey, ApiError> {
        let (mut bytes, mut id) = ([0; 32], [0; 16]);
        fill(&mut bytes)?;
        fill(&mut id[8..])?;
        id[..8].copy_from_slice(&ident::nanoseconds().to_be_bytes());
        self.write(id, &bytes).await?;
        self.store.set(NEWEST, name(id).into_bytes()).await.map_err(failed)?;
        let key = self.remember(id, &bytes);
        self.locked().newest = Some(key.clone());
        Ok(key)
    }

    /// The numbers of all, the oldest first.
    pub(super) async fn all(&self) -> Result<Vec<Id>, ApiError> {
        let keys = self.store.keys(DATA_KEYS).await.map_err(failed)?;
        Ok(keys.iter().filter_map(|key| parse(&key.as_bytes()[DATA_KEYS.len()..])).collect())
    }

    /// Removes one that nothing is encrypted with.
    pub(super) async fn remove(&self, id: Id) -> Result<(), ApiError> {
        self.store.delete(&path(id)).await.map_err(failed)
    }

    /// Wraps one with another master key.
    pub(super) async fn rewrap(&self, id: Id, with: &Self) -> Result<(), ApiError> {
        let path = path(id);
        let Some(value) = self.store.get(&path).await.map_err(failed)? else { return Ok(()) };
        let record: Record = serde_json::from_slice(&value).map_err(|_| damaged("a data key's record is of another format"))?;
        // It was wrapped anew before, by a run that broke off.
        if with.master.as_ref().is_some_and(|master| record.master.as_ref() == Some(&master.mark)) {
            return Ok(());
        }
        with.write(id, &self.unwrap(&path, &record)?).await
    }

    fn unwrap(&self, path: &str, record: &Record) -> Result<[u8; 32], ApiError> {
        let kept = STANDARD.decode(&record.key).map_err(|_| damaged("a data key's record is of another format"))?;
        let bytes = match (&record.master, &self.master) {
            (None, _) => Some(kept),
            (Some(mark), Some(master)) if *mark == master.mark => master.cipher.open(path.as_bytes(), &kept),
            (Some(mark), _) => {
                return Err(unusable(&format!(
                    "what is kept here is encrypted under a master key with the mark {mark}, which is not the one in the setting 'master_key'"
                )));
            }
        };
        bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| damaged("a data key does not open: its record was changed"))
    }

    async fn write(&self, id: Id, bytes: &[u8; 32]) -> Result<(), ApiError> {
        let path = path(id);
        let kept = match &self.master {
            Some(master) => master.cipher.seal(path.as_bytes(), bytes)?,
            None => bytes.to_vec(),
        };
        let record = Record { key: STANDARD.encode(kept), master: self.master.as_ref().map(|master| master.mark.clone()) };
        let value = serde_json::to_vec(&record).map_err(|error| internal(format!("A data key cannot be written: {error}.")))?;
        self.store.set(&path, value).await.map_err(failed)
    }

    fn remember(&self, id: Id, bytes: &[u8; 32]) -> DataKey {
        let key = DataKey { id, cipher: Arc::new(Cipher::new(bytes)) };
        self.locked().all.push(key.clone());
        key
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Opened> {
        self.opened.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(id: Id) -> String {
    format!("{:032x}", u128::from_be_bytes(id))
}

fn path(id: Id) -> String {
    format!("{DATA_KEYS}{}", name(id))
}

fn parse(name: &[u8]) -> Option<Id> {
    let name = std::str::from_utf8(name).ok().filter(|name| name.len() == 32)?;
    u128::from_str_radix(name, 16).ok().map(u128::to_be_bytes)
}

/// When a data key was made, in Unix nanoseconds.
pub(super) fn made(id: Id) -> u64 {
    let [time @ .., _, _, _, _, _, _, _, _] = id;
    u64::from_be_bytes(time)
}

fn fill(bytes: &mut [u8]) -> Result<(), ApiError> {
    getrandom::fill(bytes).map_err(|error| internal(format!("The system gives no random numbers: {error}.")))
}

/// 503: whoever runs the service has to do something.
fn unusable(why: &str) -> ApiError {
    let message = format!("What this service keeps cannot be read or written: {why}.");
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorType::Unavailable, message).code("store_locked")
}
