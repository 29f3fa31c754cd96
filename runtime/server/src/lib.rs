//! The listener: sockets, HTTP/1.1 and HTTP/2, connection limits, signals and drain; generic over any [`Handler`].
//!
//! Used by `hearth-host` and the native binary. Does not know what a chat is.

use std::future::Future;

use bytes::Bytes;

/// A boxed error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What answers requests.
pub trait Handler: Send + Sync + 'static {
    /// The response's body. Dropped when the client goes away: that is how a request is cancelled.
    type Body: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;

    /// Answers one request.
    fn handle(&self, request: http::Request<hyper::body::Incoming>) -> impl Future<Output = http::Response<Self::Body>> + Send;
}
