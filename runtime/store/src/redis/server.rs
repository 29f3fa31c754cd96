//! The connections to a Redis: kept open while it is there, and not asked for at every call while it is not.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use redis::{Client, Connection, ErrorKind, RedisError, RedisResult, ServerErrorKind};

use crate::{RedisUrl, StoreError};

/// How long connecting may take, and how long each answer.
const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(2);
/// Connections that are kept open; more are made when more are needed.
const IDLE_MAX: usize = 16;
/// How long it is left alone after it could not be reached: first, and at most.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

pub(crate) struct Server {
    name: String,
    client: Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    down: Option<Down>,
}

struct Down {
    until: Instant,
    pause: Duration,
    reason: String,
}

/// What became of a call.
pub(super) enum Failure {
    /// It is away, or as good as.
    Unreachable(StoreError),
    /// It answered, with an error.
    Refused(StoreError),
}

impl Failure {
    pub(super) fn error(self) -> StoreError {
        match self {
            Self::Unreachable(error) | Self::Refused(error) => error,
        }
    }
}

impl Server {
    pub(crate) fn new(url: &RedisUrl) -> Result<Self, StoreError> {
        if url.is_encrypted() {
            // The client takes the process' provider of cryptography; this is the one that Hearth has. Whoever set one before has the same.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = Client::open(url.connection())
            .map_err(|error| StoreError::Address(format!("the address of Redis cannot be used: {}", error.category())))?;
        Ok(Self { name: url.to_string(), client, state: Mutex::default() })
    }

    /// Whether it answers.
    pub(crate) fn ping(&self) -> Result<(), StoreError> {
        self.call(true, |connection| redis::cmd("PING").query::<String>(connection)).map(drop).map_err(Failure::error)
    }

    /// Asks with one of the connections. A connection that was closed while it was not used is noticed by its first call, which is then made again on a fresh one; but only a
    /// call that may be made twice.
    pub(super) fn call<T>(&self, twice: bool, mut ask: impl FnMut(&mut Connection) -> RedisResult<T>) -> Result<T, Failure> {
        let idle = {
            let mut state = self.state();
            if let Some(down) = state.down.as_ref().filter(|down| Instant::now() < down.until) {
                return Err(Failure::Unreachable(self.error(format!("cannot be reached: {}", down.reason))));
            }
            state.idle.pop()
        };
        if let Some(mut connection) = idle {
            match ask(&mut connection) {
                Err(error) if is_unreachable(&error) => {
                    // The others are as old as this one.
                    self.state().idle.clear();
                    if !twice {
                        return Err(Failure::Unreachable(
                            self.error(format!("broke off, and whether it was done is not known: {}", describe(&error))),
                        ));
                    }
                }
                done => return self.finish(connection, done),
            }
        }
        match self.connect() {
            Ok(mut connection) => {
                let done = ask(&mut connection);
                self.finish(connection, done)
            }
            Err(error) => Err(self.lost(&error)),
        }
    }

    fn connect(&self) -> RedisResult<Connection> {
        let connection = self.client.get_connection_with_timeout(CONNECT)?;
        connection.set_read_timeout(Some(ANSWER))?;
        connection.set_write_timeout(Some(ANSWER))?;
        Ok(connection)
    }

    fn finish<T>(&self, connection: Connection, done: RedisResult<T>) -> Result<T, Failure> {
        match done {
            Err(error) if is_unreachable(&error) => Err(self.lost(&error)),
            done => {
                let mut state = self.state();
                if state.down.take().is_some() {
                    tracing::warn!("Redis at {} is back", self.name);
                }
                if state.idle.len() < IDLE_MAX {
                    state.idle.push(connection);
                }
                drop(state);
                done.map_err(|error| Failure::Refused(self.error(format!("refuses: {}", describe(&error)))))
            }
        }
    }

    /// Leaves it alone for a while, each time longer.
    fn lost(&self, error: &RedisError) -> Failure {
        let reason = describe(error);
        let mut state = self.state();
        // Once for each time that it goes away.
        if state.down.is_none() {
            tracing::warn!("Redis at {} cannot be reached: {reason}", self.name);
        }
        let now = Instant::now();
        let pause = match &state.down {
            // Another call failed at the same time: that is one failure, not two.
            Some(down) if now < down.until => None,
            Some(down) => Some((down.pause * 2).min(PAUSE_MAX)),
            None => Some(PAUSE),
        };
        if let Some(pause) = pause {
            state.down = Some(Down { until: now + pause, pause, reason: reason.clone() });
        }
        Failure::Unreachable(self.error(format!("cannot be reached: {reason}")))
    }

    pub(super) fn error(&self, reason: String) -> StoreError {
        StoreError::Redis { server: self.name.clone(), reason }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it is not there, or there and not ready, so that what can do without it should.
fn is_unreachable(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly, TryAgain};
    match error.kind() {
        ErrorKind::Io | ErrorKind::AuthenticationFailed | ErrorKind::Parse => true,
        ErrorKind::Server(kind) => matches!(kind, BusyLoading | ClusterDown | MasterDown | ReadOnly | TryAgain),
        _ => error.is_unrecoverable_error(),
    }
}

/// What it said; no command and no password is in it.
fn describe(error: &RedisError) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::AuthenticationFailed, _) => "the password is wrong, or there is none".to_owned(),
        (ErrorKind::Server(_), Some(detail)) => format!("{} {detail}", error.code().unwrap_or_default()),
        _ => error.to_string(),
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.name)
    }
}
