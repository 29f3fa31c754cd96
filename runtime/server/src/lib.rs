//! The listener: HTTP/1.1 and HTTP/2, TLS, WebSocket, limits on clients, signals and drain; logs, metrics and traces of all requests; for any [`Handler`]. And the way to
//! other servers: [`Outgoing`].
//!
//! Used by `hearth-host` and the native binary. Does not know what a chat is.

use std::{future::Future, net::SocketAddr};

use bytes::Bytes;

mod admit;
mod args;
mod bind;
mod body;
mod connection;
mod exposure;
mod health;
mod holder;
mod limits;
pub mod log;
pub mod metrics;
pub mod notify;
mod observe;
mod options;
mod outgoing;
mod refuse;
mod request;
mod serve;
mod signal;
pub mod socket;
pub mod tls;
mod trace;

pub use args::ServerArgs;
pub use bind::{BindError, bind};
pub use exposure::{ExposureError, exposure};
pub use limits::{Network, NetworkError, Secure};
pub use observe::{LogFile, LogFormat, Observe, ObserveArgs};
pub use options::{Options, SocketOptions};
pub use outgoing::{Outgoing, OutgoingBody, OutgoingError, OutgoingTimeouts};
pub use request::{BodyError, RequestBody};
pub use serve::{ServeError, serve};
pub use signal::shutdown_signal;
pub use tls::{Tls, TlsError};
pub use trace::{TraceError, Traces};

/// A boxed error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What answers requests.
pub trait Handler: Send + Sync + 'static {
    /// The response's body. Dropped when the client goes away: that is how a request is cancelled.
    type Body: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;

    /// Answers one request. The request's extensions hold the client's [`Peer`] address, and whether its way is encrypted ([`Secure`]). A panic becomes a 500 and the server lives on.
    fn handle(&self, request: http::Request<RequestBody>) -> impl Future<Output = http::Response<Self::Body>> + Send;
}

/// The client's address, in the extensions of each request: the other end of the connection, or what a trusted proxy there says it is, with port 0 where it names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);
