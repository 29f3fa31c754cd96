//! Making, listing, changing and revoking keys, for the command line.

use super::{
    record::{self, Key, Limits, New, RECORDS, Record, Scope, read_used, used_key},
    secret::{self, Secret, digits, is_hex},
};
use crate::{
    ident,
    ports::{KeyValue, KeyValueError},
};

/// Why a key cannot be made, listed, changed or revoked. No secret is in it.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// There is no key of this id.
    #[error("there is no key {0}: the ids are in the list of keys")]
    NotFound(String),
    /// The key was revoked.
    #[error("the key {0} was revoked, and stays so: make another")]
    Revoked(String),
    /// What was asked for cannot be.
    #[error("{0}")]
    Invalid(String),
    /// There are keys already.
    #[error("there are keys already: the first ones are made once; make another by its name")]
    NotEmpty,
    /// A record is not what this version writes.
    #[error("the record of the key {0} cannot be read: it is damaged, or of a later version")]
    Damaged(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] KeyValueError),
    /// What is kept cannot be read or encrypted.
    #[error("{0}")]
    Kept(String),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
}

/// A key that was just made, or has a new secret: the only time that its secret is known.
#[derive(Debug, Clone)]
pub struct Created {
    /// The key.
    pub key: Key,
    /// The client secret, 64 hexadecimal digits: with the id as the user, the password of Basic.
    pub secret: Secret,
    /// Both in one text, `hearth-ID-SECRET`: for Bearer and `x-api-key`.
    pub token: Secret,
}

impl Created {
    fn new(key: Key, secret: String) -> Self {
        Self { token: Secret::new(format!("hearth-{}-{secret}", key.id)), key, secret: Secret::new(secret) }
    }
}

/// Makes a key.
///
/// # Errors
/// [`KeysError`]
pub async fn create<K: KeyValue>(store: &K, new: New) -> Result<Created, KeysError> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(KeysError::Invalid("a key's name has 1 to 100 characters and no line breaks".into()));
    }
    if new.scopes.is_empty() {
        return Err(KeysError::Invalid("a key needs a scope: admin, chat or read".into()));
    }
    if new.expires.is_some_and(|expires| expires <= ident::now()) {
        return Err(KeysError::Invalid("the key would be over before it is made: give a time to come".into()));
    }
    let (id, salt, secret) = (digits::<16>()?, digits::<16>()?, digits::<32>()?);
    let record = Record {
        name: name.to_owned(),
        hash: secret::hash(&salt, &secret),
        salt,
        scopes: new.scopes,
        models: new.models,
        limits: new.limits,
        created: ident::now(),
        expires: new.expires,
        revoked: None,
    };
    write(store, &id, &record).await?;
    Ok(Created::new(record.told(id, None), secret))
}

/// All keys, the oldest first.
///
/// # Errors
/// [`KeysError`]
pub async fn list<K: KeyValue>(store: &K) -> Result<Vec<Key>, KeysError> {
    let mut keys = Vec::new();
    for path in store.keys(RECORDS).await? {
        let id = path[RECORDS.len()..].to_owned();
        // It was removed meanwhile.
        let Some(record) = read(store, &id).await? else { continue };
        let used = store.get(&used_key(&id)).await?.as_deref().and_then(read_used);
        keys.push(record.told(id, used));
    }
    keys.sort_by(|left, right| (left.created, &left.id).cmp(&(right.created, &right.id)));
    Ok(keys)
}

/// Gives a key another secret; the old one is no good from now on. What its holder has kept stays theirs, as the id stays.
///
/// # Errors
/// [`KeysError`]
pub async fn rotate<K: KeyValue>(store: &K, id: &str) -> Result<Created, KeysError> {
    let mut record = find(store, id).await?;
    if record.revoked.is_some() {
        return Err(KeysError::Revoked(id.to_owned()));
    }
    let secret = digits::<32>()?;
    record.salt = digits::<16>()?;
    record.hash = secret::hash(&record.salt, &secret);
    write(store, id, &record).await?;
    Ok(Created::new(record.told(id.to_owned(), None), secret))
}

/// Makes a key no good for ever. Its record stays, so that it is known whose what was kept is. Done again it changes nothing.
///
/// # Errors
/// [`KeysError`]
pub async fn revoke<K: KeyValue>(store: &K, id: &str) -> Result<Key, KeysError> {
    let mut record = find(store, id).await?;
    if record.revoked.is_none() {
        record.revoked = Some(ident::now());
        write(store, id, &record).await?;
    }
    Ok(record.told(id.to_owned(), None))
}

/// Makes the first keys: `admin`, `service` (to chat) and `read-only`.
///
/// # Errors
/// [`KeysError`], [`KeysError::NotEmpty`] where there is a key already.
pub async fn init<K: KeyValue>(store: &K) -> Result<Vec<Created>, KeysError> {
    if !store.keys(RECORDS).await?.is_empty() {
        return Err(KeysError::NotEmpty);
    }
    let mut made = Vec::new();
    for (name, scope) in [("admin", Scope::Admin), ("service", Scope::Chat), ("read-only", Scope::Read)] {
        let new = New { name: name.into(), scopes: vec![scope], models: Vec::new(), limits: Limits::default(), expires: None };
        made.push(create(store, new).await?);
    }
    Ok(made)
}

async fn find<K: KeyValue>(store: &K, id: &str) -> Result<Record, KeysError> {
    read(store, id).await?.ok_or_else(|| KeysError::NotFound(id.to_owned()))
}

/// The record of an id; `None` where there is none, as for whatever is no id.
pub(super) async fn read<K: KeyValue>(store: &K, id: &str) -> Result<Option<Record>, KeysError> {
    if !is_hex(id, 32) {
        return Ok(None);
    }
    let Some(value) = store.get(&record::key(id)).await? else { return Ok(None) };
    serde_json::from_slice(&value).map(Some).map_err(|_| KeysError::Damaged(id.to_owned()))
}

async fn write<K: KeyValue>(store: &K, id: &str, record: &Record) -> Result<(), KeysError> {
    let value = serde_json::to_vec(record).map_err(|error| KeysError::Invalid(error.to_string()))?;
    Ok(store.set(&record::key(id), value).await?)
}
