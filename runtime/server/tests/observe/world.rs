//! A handler that tells what it did as the function does, and the log that its server writes.

use std::{
    io::Write,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, Once, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hearth_server::{BoxError, Handler, Options, RequestBody, ServeError, bind, serve};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use serde_json::Value;
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::common::{Client, SOON};

/// A body that a test sends: data, trailers or an error.
pub(crate) struct Sent(mpsc::UnboundedReceiver<Result<Frame<Bytes>, &'static str>>);

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx).map_err(Into::into)
    }
}

pub(crate) type Pieces = mpsc::UnboundedSender<Result<Frame<Bytes>, &'static str>>;

pub(crate) fn data(text: &'static str) -> Result<Frame<Bytes>, &'static str> {
    Ok(Frame::data(text.into()))
}

pub(crate) fn trailers(fields: &[(&'static str, &'static str)]) -> Result<Frame<Bytes>, &'static str> {
    Ok(Frame::trailers(map(fields)))
}

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

/// Of an answer that is known whole.
const TOLD: &[(&str, &str)] = &[
    ("hearth-log-key", "0011"),
    ("hearth-log-model", "smollm2"),
    ("hearth-log-operation", "chat"),
    ("hearth-log-route", "/v1/chat/completions"),
    ("hearth-log-prompt-tokens", "12"),
    ("hearth-log-cached-tokens", "4"),
    ("hearth-log-completion-tokens", "7"),
    ("hearth-log-ttft-ms", "31.25"),
    ("hearth-log-finish", "stop"),
];

struct Teller {
    /// The bodies of the next answers to `/stream` and `/lines`.
    streams: tokio::sync::Mutex<mpsc::UnboundedReceiver<Sent>>,
}

impl Handler for Teller {
    type Body = Sent;

    async fn handle(&self, request: Request<RequestBody>) -> Response<Sent> {
        let (pieces, body) = mpsc::unbounded_channel();
        let mut response = Response::new(Sent(body));
        let headers = response.headers_mut();
        headers.insert("x-seen-id", request.headers()["x-request-id"].clone());
        match request.uri().path() {
            "/whole" => {
                headers.extend(map(TOLD));
                pieces.send(data("{}")).unwrap();
            }
            path @ ("/stream" | "/lines") => {
                let stream = self.streams.lock().await.recv().await.expect("the test sent a stream");
                headers.extend(map(&[("hearth-log-model", "smollm2"), ("hearth-log-route", "/stream")]));
                headers.insert(
                    "content-type",
                    HeaderValue::from_static(if path == "/stream" { "text/event-stream" } else { "application/x-ndjson" }),
                );
                return response.map(|_| stream);
            }
            "/hang" => std::future::pending().await,
            "/panic" => panic!("panicked on purpose"),
            "/refused" => *response.status_mut() = StatusCode::TOO_MANY_REQUESTS,
            _ => pieces.send(data("handler")).unwrap(),
        }
        response
    }
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    streams: mpsc::UnboundedSender<Sent>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Server {
    pub(crate) async fn start(options: Options) -> Self {
        listen();
        hearth_server::metrics::install(&[("hearth_test_seconds", &[0.1, 1.0])]);
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (streams, receiver) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let handler = Arc::new(Teller { streams: receiver.into() });
        let task = tokio::spawn(serve(listener, handler, shutdown, options));
        Self { address, streams, stop: Some(stop), task }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client { socket: TcpStream::connect(self.address).await.unwrap(), buffer: Vec::new() }
    }

    /// What is sent here is the body of the next stream; it ends when this is dropped.
    pub(crate) fn next_stream(&self) -> Pieces {
        let (pieces, body) = mpsc::unbounded_channel();
        self.streams.send(Sent(body)).unwrap();
        pieces
    }

    /// All of the answer to a request that closes its connection.
    pub(crate) async fn ask(&self, path: &str, fields: &str) -> String {
        let mut client = self.connect().await;
        client.send(&format!("GET {path} HTTP/1.1\r\nhost: test:80\r\nconnection: close\r\n{fields}\r\n")).await;
        client.rest().await
    }

    pub(crate) fn stop(&mut self) {
        self.stop.take().expect("stopped once").send(()).unwrap();
    }

    pub(crate) async fn ended(self) {
        timeout(SOON, self.task).await.expect("the server ends").unwrap().unwrap();
    }
}

/// The log of all servers of this process.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn listen() {
    static BEGIN: Once = Once::new();
    BEGIN
        .call_once(|| tracing_subscriber::fmt().json().flatten_event(true).with_max_level(tracing::Level::INFO).with_writer(|| Log).init());
}

/// The access lines of a request so far.
pub(crate) fn lines(id: &str) -> Vec<Value> {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let log = String::from_utf8(log).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["target"] == "access" && line["request_id"] == id).collect()
}

/// The one access line of a request, once it is there; and that no other comes.
pub(crate) async fn line(id: &str) -> Value {
    let found = async {
        while lines(id).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, found).await.unwrap_or_else(|_| panic!("no access line for {id}"));
    tokio::time::sleep(Duration::from_millis(30)).await;
    let mut lines = lines(id);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

/// The value of a field of a head.
pub(crate) fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.split("\r\n\r\n").next()?.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}
