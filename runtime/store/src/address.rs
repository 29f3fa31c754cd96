//! Where Redis is: an address that may hold a password, and therefore never shows.

use std::{fmt, path::Path};

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use crate::StoreError;

/// Bytes of a file with an address at most.
const FILE_MAX: u64 = 4096;

/// The address of a Redis: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, `rediss://…` with TLS, `unix:///PATH`. What is printed of it is the host and the port.
#[derive(Clone)]
pub struct RedisUrl(ConnectionInfo);

impl RedisUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// [`StoreError::Address`]
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        let form = "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or rediss:// for TLS";
        // What the parser says may hold what was typed.
        url.trim().into_connection_info().map(Self).map_err(|_| StoreError::Address(format!("the address of Redis has the form {form}")))
    }

    /// Reads an address from the first line of a file.
    ///
    /// # Errors
    /// [`StoreError::Address`]
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        let refuse = |reason: String| StoreError::Address(format!("the file {} with the address of Redis {reason}", path.display()));
        let size = std::fs::metadata(path).map_err(|error| refuse(format!("cannot be read: {error}")))?.len();
        if size > FILE_MAX {
            return Err(refuse(format!("has {size} bytes; an address has at most {FILE_MAX}")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        Self::parse(text.lines().next().unwrap_or_default()).map_err(|error| refuse(format!("holds none: {error}")))
    }

    /// The address that a program was given: `flag` from its command line or the environment variable `variable`, or `file`. A command line can be read by every user of the
    /// machine, so that one with a password there is refused.
    ///
    /// # Errors
    /// [`StoreError::Address`]
    pub fn given(flag: Option<&str>, file: Option<&Path>, variable: &str) -> Result<Option<Self>, StoreError> {
        match (flag, file) {
            (Some(_), Some(_)) => Err(StoreError::Address("--redis-url and --redis-url-file exclude each other".to_owned())),
            (None, None) => Ok(None),
            (None, Some(path)) => Self::read(path).map(Some),
            (Some(url), None) => {
                let parsed = Self::parse(url)?;
                let from_environment = std::env::var(variable).is_ok_and(|value| value == url);
                if parsed.0.redis_settings().password().is_some() && !from_environment {
                    return Err(StoreError::Address(format!(
                        "--redis-url holds a password, which every user of this machine sees in the list of processes: put the address into a file for \
                         --redis-url-file, or into the environment variable {variable}"
                    )));
                }
                Ok(Some(parsed))
            }
        }
    }

    /// Its parts, for the client.
    pub(crate) fn connection(&self) -> ConnectionInfo {
        self.0.clone()
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self.0.addr(), ConnectionAddr::TcpTls { .. })
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.addr())
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}
