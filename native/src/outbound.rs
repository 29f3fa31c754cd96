//! The handler's port for other servers: HTTP/1.1, with TLS by the authorities that browsers trust.

use std::{error::Error as _, io::ErrorKind, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::stream;
use hearth_function::ports::{self, Incoming, OutboundError, Timeouts};
use http::{Request, Response};
use http_body_util::{BodyExt, BodyStream, Full};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// Sends requests. A chat is long, and the way to it is asked for again with each: no connection is kept, but TLS sessions are.
#[derive(Debug)]
pub(crate) struct Outbound(Option<ClientConfig>);

impl Default for Outbound {
    fn default() -> Self {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
        Self(builder.ok().map(|builder| builder.with_root_certificates(roots).with_no_client_auth()))
    }
}

impl ports::Outbound for Outbound {
    async fn send(&self, request: Request<Bytes>, timeouts: Timeouts) -> Result<Response<Incoming>, OutboundError> {
        let Some(config) = self.0.clone() else { return Err(failed("TLS cannot be set up here")) };
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(timeouts.connect));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        let answer = client.request(request.map(Full::new));
        let answer = tokio::time::timeout(timeouts.connect.saturating_add(timeouts.first_byte), answer).await;
        let response = answer.map_err(|_| failed("it does not answer in time"))?.map_err(|error| failed(reason(&error)))?;
        Ok(response.map(|body| pieces(body, timeouts.idle)))
    }
}

/// A body's pieces, each of which may be waited for so long.
fn pieces(body: hyper::body::Incoming, idle: Duration) -> Incoming {
    let body = BodyStream::new(body.map_err(|_| failed("the connection to it broke off")));
    Box::pin(stream::unfold(Some(body), move |body| async move {
        let mut body = body?;
        loop {
            let piece = match tokio::time::timeout(idle, futures::StreamExt::next(&mut body)).await {
                Ok(piece) => piece?,
                Err(_) => Err(failed("nothing more came from it in time")),
            };
            match piece.map(http_body::Frame::into_data) {
                Ok(Ok(data)) => return Some((Ok(data), Some(body))),
                Ok(Err(_)) => {}
                Err(error) => return Some((Err(error), None)),
            }
        }
    }))
}

fn failed(message: &str) -> OutboundError {
    OutboundError { message: message.to_owned() }
}

/// Why there is no answer, without the address.
fn reason(error: &Error) -> &'static str {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<std::io::Error>() {
            match cause.kind() {
                ErrorKind::ConnectionRefused => return "it refuses connections",
                ErrorKind::TimedOut => return "it takes no connection in time",
                _ => {}
            }
            if is_of_tls(cause) {
                return "TLS with it fails: see its certificate";
            }
        }
        source = cause.source();
    }
    if error.is_connect() { "it cannot be reached" } else { "the connection to it broke off" }
}

/// Whether TLS is what failed: its error lies within others.
fn is_of_tls(error: &std::io::Error) -> bool {
    let Some(inner) = error.get_ref() else { return false };
    inner.is::<rustls::Error>() || inner.downcast_ref::<std::io::Error>().is_some_and(is_of_tls)
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use futures::StreamExt;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::{ports::Outbound as _, *};

    const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    const LONG: Duration = Duration::from_secs(60);

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test);
    }

    /// Sends a request to a server that reads it and then does as `script` says.
    async fn send<F>(timeouts: Timeouts, script: impl FnOnce(TcpStream) -> F) -> Result<Response<Incoming>, OutboundError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let request = Request::post(format!("http://{}/v1/nn/large", listener.local_addr().unwrap())).header("x-hearth-hops", "1");
        let outbound = Outbound::default();
        let answer = outbound.send(request.body(Bytes::from_static(b"{\"a\":1}")).unwrap(), timeouts);
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

    fn timeouts(first_byte: Duration, idle: Duration) -> Timeouts {
        Timeouts { connect: LONG, first_byte, idle }
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
            assert_eq!(body.next().await.unwrap().unwrap(), "one\n");
            step.send(()).await.unwrap();
            assert_eq!(body.next().await.unwrap().unwrap(), "two\n");
            step.send(()).await.unwrap();
            let error = body.next().await.unwrap().unwrap_err();
            assert!(error.message.contains("broke off"), "{error}");
            assert!(body.next().await.is_none());
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
            let waits = Timeouts { connect: short, first_byte: short, idle: LONG };
            let error = send(waits, hang).await.map(|_| ()).unwrap_err();
            assert!(error.message.contains("in time"), "{error}");
            let answer = send(timeouts(LONG, short), |mut socket| async move {
                socket.write_all(format!("{HEAD}4\r\none\n\r\n").as_bytes()).await.unwrap();
                std::future::pending::<()>().await;
            });
            let mut body = answer.await.unwrap().into_body();
            assert_eq!(body.next().await.unwrap().unwrap(), "one\n");
            let error = body.next().await.unwrap().unwrap_err();
            assert!(error.message.contains("in time"), "{error}");
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
            assert_eq!(body.next().await.unwrap().unwrap(), "one\n");
            drop(body);
            tokio::time::timeout(LONG, ended).await.expect("the connection is closed").unwrap();
        });
    }

    #[test]
    fn where_nobody_listens_it_is_said_without_the_address() {
        run(async {
            let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
            let request = Request::get(format!("http://{address}/")).body(Bytes::new()).unwrap();
            let error = Outbound::default().send(request, timeouts(LONG, LONG)).await.map(|_| ()).unwrap_err();
            assert_eq!(error.message, "it refuses connections");
            // What speaks no TLS is found out.
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let request = Request::get(format!("https://{}/", listener.local_addr().unwrap())).body(Bytes::new()).unwrap();
            let outbound = Outbound::default();
            let (answer, ()) = tokio::join!(outbound.send(request, timeouts(LONG, LONG)), async {
                let (mut socket, _) = listener.accept().await.unwrap();
                socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            });
            let error = answer.map(|_| ()).unwrap_err();
            assert!(error.message.contains("TLS"), "{error}");
        });
    }
}
