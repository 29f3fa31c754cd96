//! A handler whose every answer a test steers, a server around it on a free port, and a client of raw bytes.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hearth_server::{BoxError, Handler, Options, Peer, RequestBody, ServeError, bind, serve};
use http::{Request, Response};
use http_body::Frame;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Mutex, mpsc, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

/// How long a test waits for what must happen.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Counts what is alive now.
#[derive(Clone)]
pub(crate) struct Alive(pub(crate) Arc<watch::Sender<usize>>);

impl Alive {
    pub(crate) fn enter(&self) -> AliveGuard {
        self.0.send_modify(|n| *n += 1);
        AliveGuard(self.clone())
    }

    pub(crate) fn count(&self) -> usize {
        *self.0.borrow()
    }

    pub(crate) async fn becomes(&self, count: usize) {
        let mut watch = self.0.subscribe();
        timeout(SOON, watch.wait_for(|n| *n == count))
            .await
            .unwrap_or_else(|_| panic!("still {} alive, not {count}", *self.0.borrow()))
            .unwrap();
    }
}

pub(crate) struct AliveGuard(Alive);

impl Drop for AliveGuard {
    fn drop(&mut self) {
        self.0.0.send_modify(|n| *n -= 1);
    }
}

/// A body whose chunks a test sends: a text is a chunk, `None` a panic.
pub(crate) struct TestBody {
    chunks: mpsc::UnboundedReceiver<Option<&'static str>>,
    /// Of a body that is known whole.
    whole: Option<&'static str>,
    _alive: AliveGuard,
}

impl http_body::Body for TestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(text) = self.whole.take() {
            return Poll::Ready(Some(Ok(Frame::data(text.into()))));
        }
        self.chunks.poll_recv(cx).map(|chunk| chunk.map(|text| Ok(Frame::data(text.expect("panicked on purpose").into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.whole.is_none() && self.chunks.is_closed() && self.chunks.is_empty()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.whole.map_or_else(http_body::SizeHint::default, |text| http_body::SizeHint::with_exact(text.len() as u64))
    }
}

pub(crate) struct TestHandler {
    alive: Alive,
    streams: Mutex<mpsc::UnboundedReceiver<mpsc::UnboundedReceiver<Option<&'static str>>>>,
    pub(crate) peers: AtomicUsize,
}

impl Handler for TestHandler {
    type Body = TestBody;

    async fn handle(&self, request: Request<RequestBody>) -> Response<TestBody> {
        let alive = self.alive.enter();
        if request.extensions().get::<Peer>().is_some() {
            self.peers.fetch_add(1, Ordering::Relaxed);
        }
        let closed = mpsc::unbounded_channel().1;
        let (chunks, whole) = match request.uri().path() {
            "/stream" => (self.streams.lock().await.recv().await.expect("the test sent a stream"), None),
            "/panic" => panic!("panicked on purpose"),
            "/hang" => std::future::pending().await,
            "/health" => (closed, Some("ok")),
            _ => (closed, Some("hello")),
        };
        Response::new(TestBody { chunks, whole, _alive: alive })
    }
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) handler: Arc<TestHandler>,
    /// Handlers and bodies that are alive.
    pub(crate) alive: Alive,
    streams: mpsc::UnboundedSender<mpsc::UnboundedReceiver<Option<&'static str>>>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Server {
    pub(crate) async fn start(options: Options) -> Self {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let alive = Alive(Arc::new(watch::Sender::new(0)));
        let (streams, receiver) = mpsc::unbounded_channel();
        let handler = Arc::new(TestHandler { alive: alive.clone(), streams: Mutex::new(receiver), peers: AtomicUsize::new(0) });
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let task = tokio::spawn(serve(listener, handler.clone(), shutdown, options));
        Self { address, handler, alive, streams, stop: Some(stop), task }
    }

    /// The chunks of the next answer to `/stream`; it ends when they are dropped.
    pub(crate) fn next_stream(&self) -> mpsc::UnboundedSender<Option<&'static str>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.streams.send(receiver).unwrap();
        sender
    }

    pub(crate) fn stop(&mut self) {
        self.stop.take().expect("stopped once").send(()).unwrap();
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    pub(crate) async fn ended(self) {
        timeout(SOON, self.task).await.expect("the server ends").unwrap().unwrap();
    }

    pub(crate) async fn connect(&self) -> Client {
        Client { socket: TcpStream::connect(self.address).await.unwrap(), buffer: Vec::new() }
    }

    /// The status of one request on a connection of its own.
    pub(crate) async fn status(&self, path: &str) -> u16 {
        let mut client = self.connect().await;
        client.get(path).await;
        client.response().await.0
    }
}

pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    pub(crate) buffer: Vec<u8>,
}

impl Client {
    pub(crate) async fn send(&mut self, bytes: &str) {
        self.socket.write_all(bytes.as_bytes()).await.unwrap();
    }

    pub(crate) async fn get(&mut self, path: &str) {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
    }

    /// Reads up to and including `mark`.
    pub(crate) async fn until(&mut self, mark: &str) -> String {
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|window| window == mark.as_bytes()) {
                let rest = self.buffer.split_off(at + mark.len());
                return String::from_utf8(std::mem::replace(&mut self.buffer, rest)).unwrap();
            }
            let mut chunk = [0; 4096];
            let read = timeout(SOON, self.socket.read(&mut chunk)).await.unwrap_or_else(|_| panic!("{mark:?} never came")).unwrap();
            assert!(read > 0, "closed before {mark:?}, after {:?}", String::from_utf8_lossy(&self.buffer));
            self.buffer.extend_from_slice(&chunk[..read]);
        }
    }

    /// The head of a response: its status, and all of it in lower case.
    pub(crate) async fn head(&mut self) -> (u16, String) {
        let head = self.until("\r\n\r\n").await.to_ascii_lowercase();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head)
    }

    /// A response with a content-length: status, head, body.
    pub(crate) async fn response(&mut self) -> (u16, String, String) {
        let (status, head) = self.head().await;
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .unwrap_or_else(|| panic!("no length in {head}"))
            .parse()
            .unwrap();
        let body = self.exactly(length).await;
        (status, head, body)
    }

    /// So many bytes of text.
    pub(crate) async fn exactly(&mut self, length: usize) -> String {
        while self.buffer.len() < length {
            let mut chunk = [0; 4096];
            let read = timeout(SOON, self.socket.read(&mut chunk)).await.expect("the body comes").unwrap();
            assert!(read > 0, "closed in the middle of a body");
            self.buffer.extend_from_slice(&chunk[..read]);
        }
        let rest = self.buffer.split_off(length);
        String::from_utf8(std::mem::replace(&mut self.buffer, rest)).unwrap()
    }

    /// What comes until the server closes; a reset counts as closing.
    pub(crate) async fn rest(&mut self) -> String {
        String::from_utf8_lossy(&self.bytes().await).into_owned()
    }

    /// As [`Self::rest`], of any bytes.
    pub(crate) async fn bytes(&mut self) -> Vec<u8> {
        let mut rest = std::mem::take(&mut self.buffer);
        let _ = timeout(SOON, self.socket.read_to_end(&mut rest)).await.expect("the server closes the connection");
        rest
    }
}
