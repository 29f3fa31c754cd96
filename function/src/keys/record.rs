//! A key as it is kept, and as it is told.

use serde::{Deserialize, Serialize};

/// What a key lets its holder do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All that the others let, and what is for whoever runs the service.
    Admin,
    /// Whatever makes a model compute, and what is kept of it; and all that is read.
    Chat,
    /// See which models there are, and what its holder has kept.
    Read,
}

impl Scope {
    /// Whether this lets its holder do what needs `needed`.
    pub(super) fn lets(self, needed: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Chat => needed != Self::Admin,
            Self::Read => needed == Self::Read,
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Admin => "admin",
            Self::Chat => "chat",
            Self::Read => "read",
        })
    }
}

impl std::str::FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let scopes = [Self::Admin, Self::Chat, Self::Read];
        scopes.into_iter().find(|scope| scope.to_string() == text).ok_or_else(|| format!("'{text}' is no scope: use admin, chat or read"))
    }
}

/// What a key's holder may use at most; `None` is as much as the service's settings say for all keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Requests a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// Tokens a minute, of prompts and answers together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u32>,
    /// Answers at the same time, of one model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<u32>,
}

/// A key to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct New {
    /// What people call it, 1 to 100 characters.
    pub name: String,
    /// At least one.
    pub scopes: Vec<Scope>,
    /// Names of the models that it is for; none is all.
    pub models: Vec<String>,
    /// What its holder may use.
    pub limits: Limits,
    /// Unix second from which it is no good any more.
    pub expires: Option<u64>,
}

/// A key as people may see it: all but the secret's hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Key {
    /// 32 hexadecimal digits.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it lets its holder do.
    pub scopes: Vec<Scope>,
    /// Names of the models that it is for; none is all.
    pub models: Vec<String>,
    /// What its holder may use.
    pub limits: Limits,
    /// Unix second in which it was made.
    pub created: u64,
    /// Unix second from which it is no good any more.
    pub expires: Option<u64>,
    /// Unix second in which it was revoked.
    pub revoked: Option<u64>,
    /// Unix second of its last use, to about a minute.
    pub last_used: Option<u64>,
}

/// A key as it is kept, under [`key`]. When it was used last is kept beside it ([`used_key`]): were it within, a request could undo a revocation that happens at its time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) salt: String,
    /// Of the secret, with the salt.
    pub(super) hash: String,
    pub(super) scopes: Vec<Scope>,
    #[serde(default)]
    pub(super) models: Vec<String>,
    #[serde(default)]
    pub(super) limits: Limits,
    pub(super) created: u64,
    #[serde(default)]
    pub(super) expires: Option<u64>,
    #[serde(default)]
    pub(super) revoked: Option<u64>,
}

/// Where records are kept.
pub(super) const RECORDS: &str = "key/";

pub(super) fn key(id: &str) -> String {
    format!("{RECORDS}{id}")
}

pub(super) fn used_key(id: &str) -> String {
    format!("key-used/{id}")
}

impl Record {
    pub(super) fn told(self, id: String, last_used: Option<u64>) -> Key {
        let Self { name, scopes, models, limits, created, expires, revoked, .. } = self;
        Key { id, name, scopes, models, limits, created, expires, revoked, last_used }
    }
}

/// The time of a last use as it is kept.
pub(super) fn read_used(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}
