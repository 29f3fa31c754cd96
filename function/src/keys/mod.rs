//! Keys: who may ask what. Records over the KeyValue port, which the command line makes, lists, changes and revokes ([`create`], [`list`], [`rotate`], [`revoke`], [`init`]), and
//! the check of each request against them. A secret is known here only between its making and its hash, or within the request that brings it: no record, error or log has it.
//!
//! A key's id is public: it is in logs, and what its holder keeps is kept under it. Whoever holds a record cannot make a key of it.

mod caller;
mod credential;
mod manage;
mod record;
mod secret;
mod verify;

pub use caller::Caller;
pub use credential::{Credential, Malformed};
pub use manage::{Created, KeysError, create, init, list, revoke, rotate};
pub use record::{Key, Limits, New, Scope};
pub use secret::Secret;

pub use crate::store::{Rotated, rewrap_data_keys, rotate_data_key};

pub(crate) use verify::{Need, authenticate, forbidden};
