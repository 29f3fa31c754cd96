//! The handshake on a socket.

use std::sync::Arc;

use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::either::Either;

use super::{Tls, acme::ACME_TLS};
use crate::{limits::Watched, refuse};

/// A connection's bytes, without TLS or with it.
pub(crate) type Stream = Either<Watched, Box<TlsStream<Watched>>>;

/// What the first byte of a TLS connection is (RFC 8446, 5.1: a record of the handshake).
const HANDSHAKE: u8 = 22;

impl Tls {
    /// Shakes hands. `None` where there is nothing more to do with the connection: it failed, spoke no TLS, or only came to check a domain.
    ///
    /// With `refusing` the client is only to be told to go, for which there is HTTP/1.1 alone.
    pub(crate) async fn accept(&self, socket: TcpStream, refusing: bool, watch: impl FnOnce(TcpStream) -> Watched) -> Option<Stream> {
        let mut first = [0];
        if socket.peek(&mut first).await.ok()? == 0 {
            return None;
        }
        if first[0] != HANDSHAKE {
            // A method of HTTP begins with a capital letter.
            if first[0].is_ascii_uppercase() {
                refuse::plain(socket).await;
            }
            return None;
        }
        let config = if refusing { &self.0.refusing } else { &self.0.config };
        let mut stream = match TlsAcceptor::from(Arc::clone(config)).accept(watch(socket)).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%error, "a TLS handshake failed");
                return None;
            }
        };
        if stream.get_ref().1.alpn_protocol() == Some(ACME_TLS) {
            let _ = stream.shutdown().await;
            return None;
        }
        Some(Either::Right(Box::new(stream)))
    }
}
