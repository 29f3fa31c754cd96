//! Requests to other servers over HTTP/1.1, with TLS by the authorities that this machine trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others; where there are none, Mozilla's).
//!
//! A chat is long, and the way to who computes it is asked for again with each: no connection is kept, but TLS sessions are.

use std::{
    error::Error as _,
    io::ErrorKind,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, BodyStream, StreamBody, combinators::UnsyncBoxBody};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::BoxError;

/// Sends requests. Clones share what is read once: the authorities.
#[derive(Debug, Clone, Default)]
pub struct Outgoing(Arc<OnceLock<Option<ClientConfig>>>);

/// How long an exchange may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutgoingTimeouts {
    /// To connect.
    pub connect: Duration,
    /// From then until the answer's head is there.
    pub first_byte: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
}

/// Why there is no answer, or no more of it; without the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum OutgoingError {
    #[error("it refuses connections")]
    Refused,
    #[error("it takes no connection in time")]
    ConnectTimeout,
    #[error("it cannot be reached")]
    Unreachable,
    #[error("TLS with it fails: see its certificate")]
    Tls,
    #[error("TLS cannot be set up here")]
    NoTls,
    #[error("it does not answer in time")]
    FirstByteTimeout,
    #[error("nothing more came from it in time")]
    IdleTimeout,
    #[error("the connection to it broke off")]
    Broken,
}

/// The body of an answer. Dropping it ends the exchange.
pub type OutgoingBody = UnsyncBoxBody<Bytes, OutgoingError>;

impl Outgoing {
    /// Sends a request, whose address is whole, and returns once the answer's head is there. Dropping the future ends the exchange. Redirects are answers like any other.
    ///
    /// # Errors
    /// [`OutgoingError`]
    pub async fn send<B>(&self, request: Request<B>, timeouts: OutgoingTimeouts) -> Result<Response<OutgoingBody>, OutgoingError>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    {
        let config = self.0.get_or_init(tls).clone().ok_or(OutgoingError::NoTls)?;
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(timeouts.connect));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        let answer = tokio::time::timeout(timeouts.connect.saturating_add(timeouts.first_byte), client.request(request)).await;
        let response = answer.map_err(|_| OutgoingError::FirstByteTimeout)?.map_err(|error| reason(&error))?;
        Ok(response.map(|body| pieces(body, timeouts.idle)))
    }
}

fn tls() -> Option<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let (trusted, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if trusted == 0 {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
    Some(builder.ok()?.with_root_certificates(roots).with_no_client_auth())
}

/// A body each of whose pieces may be waited for so long.
fn pieces(body: hyper::body::Incoming, idle: Duration) -> OutgoingBody {
    let frames = stream::unfold(Some(BodyStream::new(body)), move |body| async move {
        let mut body = body?;
        match tokio::time::timeout(idle, futures::StreamExt::next(&mut body)).await {
            Ok(Some(Ok(frame))) => Some((Ok(frame), Some(body))),
            Ok(Some(Err(_))) => Some((Err(OutgoingError::Broken), None)),
            Ok(None) => None,
            Err(_) => Some((Err(OutgoingError::IdleTimeout), None)),
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

fn reason(error: &Error) -> OutgoingError {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<std::io::Error>() {
            match cause.kind() {
                ErrorKind::ConnectionRefused => return OutgoingError::Refused,
                ErrorKind::TimedOut => return OutgoingError::ConnectTimeout,
                _ if is_of_tls(cause) => return OutgoingError::Tls,
                _ => {}
            }
        }
        source = cause.source();
    }
    if error.is_connect() { OutgoingError::Unreachable } else { OutgoingError::Broken }
}

/// Whether TLS is what failed: its error lies within others.
fn is_of_tls(error: &std::io::Error) -> bool {
    let Some(inner) = error.get_ref() else { return false };
    inner.is::<rustls::Error>() || inner.downcast_ref::<std::io::Error>().is_some_and(is_of_tls)
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use http_body_util::Full;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    const LONG: Duration = Duration::from_secs(60);

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test);
    }

    /// Sends a request to a server that reads it and then does as `script` says.
    async fn send<F>(timeouts: OutgoingTimeouts, script: impl FnOnce(TcpStream) -> F) -> Result<Response<OutgoingBody>, OutgoingError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let request = Request::post(format!("http://{}/v1/nn/large", listener.local_addr().unwrap())).header("x-hearth-hops", "1");
        let outgoing = Outgoing::default();
        let answer = outgoing.send(request.body(Full::new(Bytes::from_static(b"{\"a\":1}"))).unwrap(), timeouts);
        let (answer, ()) = tokio::join!(answer, async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut read = Vec::new();
            while !read.ends_with(b"{\"a\":1}") {
                assert!(socket.read_buf(&mut read).await.unwrap() > 0, "{}", String::from_utf8_lossy(&read));
            }
            let text = String::from_utf8(read).unwrap().to_ascii_lowercase();
            assert!(text.starts_with("post /v1/nn/large http/1.1\r\n") && text.contains("\r\nhost: 127.0.0.1:"), "{text}");
            assert!(text.contains("\r\nx-hearth-hops: 1\r\n") && text.contains("\r\ncontent-length: 7\r\n"), "{text}");
            tokio::spawn(script(socket));
        });
        answer
    }

    fn timeouts(first_byte: Duration, idle: Duration) -> OutgoingTimeouts {
        OutgoingTimeouts { connect: LONG, first_byte, idle }
    }

    /// The next piece of data; `None` at the end.
    async fn next(body: &mut OutgoingBody) -> Option<Result<Bytes, OutgoingError>> {
        Some(body.frame().await?.map(|frame| frame.into_data().expect("data")))
    }

    #[test]
    fn pieces_come_as_they_are_sent_and_a_cut_is_an_error() {
        run(async {
            let (step, mut steps) = tokio::sync::mpsc::channel::<()>(1);
            let answer = send(timeouts(LONG, LONG), |mut socket| async move {
                socket.write_all(HEAD.as_bytes()).await.unwrap();
                for piece in ["4\r\none\n\r\n", "4\r\ntwo\n\r\n"] {
                    socket.write_all(piece.as_bytes()).await.unwrap();
                    steps.recv().await;
                }
            });
            let mut body = answer.await.unwrap().into_body();
            // The second is not sent before the first is here.
            assert_eq!(next(&mut body).await.unwrap().unwrap(), "one\n");
            step.send(()).await.unwrap();
            assert_eq!(next(&mut body).await.unwrap().unwrap(), "two\n");
            step.send(()).await.unwrap();
            let error = next(&mut body).await.unwrap().unwrap_err();
            assert_eq!(error, OutgoingError::Broken);
            assert!(next(&mut body).await.is_none());
        });
    }

    #[test]
    fn who_says_nothing_is_not_waited_for() {
        run(async {
            let short = Duration::from_millis(50);
            let hang = |socket: TcpStream| async move {
                let _held = socket;
                std::future::pending::<()>().await;
            };
            let waits = OutgoingTimeouts { connect: short, first_byte: short, idle: LONG };
            assert_eq!(send(waits, hang).await.map(|_| ()), Err(OutgoingError::FirstByteTimeout));
            let answer = send(timeouts(LONG, short), |mut socket| async move {
                socket.write_all(format!("{HEAD}4\r\none\n\r\n").as_bytes()).await.unwrap();
                std::future::pending::<()>().await;
            });
            let mut body = answer.await.unwrap().into_body();
            assert_eq!(next(&mut body).await.unwrap().unwrap(), "one\n");
            let error = next(&mut body).await.unwrap().unwrap_err();
            assert_eq!(error, OutgoingError::IdleTimeout);
        });
    }

    #[test]
    fn whoever_drops_the_body_ends_the_exchange() {
        run(async {
            let (gone, ended) = tokio::sync::oneshot::channel();
            let answer = send(timeouts(LONG, LONG), |mut socket| async move {
                socket.write_all(format!("{HEAD}4\r\none\n\r\n").as_bytes()).await.unwrap();
                let mut rest = Vec::new();
                let _ = socket.read_to_end(&mut rest).await;
                let _ = gone.send(());
            });
            let mut body = answer.await.unwrap().into_body();
            assert_eq!(next(&mut body).await.unwrap().unwrap(), "one\n");
            drop(body);
            tokio::time::timeout(LONG, ended).await.expect("the connection is closed").unwrap();
        });
    }

    #[test]
    fn what_fails_before_there_is_a_connection_is_told_apart() {
        run(async {
            let empty = || Full::new(Bytes::new());
            let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
            let request = Request::get(format!("http://{address}/")).body(empty()).unwrap();
            let outgoing = Outgoing::default();
            assert_eq!(outgoing.send(request, timeouts(LONG, LONG)).await.map(|_| ()), Err(OutgoingError::Refused));
            // What speaks no TLS is found out.
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let request = Request::get(format!("https://{}/", listener.local_addr().unwrap())).body(empty()).unwrap();
            let (answer, ()) = tokio::join!(outgoing.send(request, timeouts(LONG, LONG)), async {
                let (mut socket, _) = listener.accept().await.unwrap();
                socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            });
            assert_eq!(answer.map(|_| ()), Err(OutgoingError::Tls));
        });
    }
}
