//! A handler with a socket, a server around it, and clients of the socket.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use hearth_server::{BoxError, Handler, Options, Peer, RequestBody, ServeError, bind, serve};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::{Mutex, mpsc, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use crate::common::{Alive, AliveGuard, Client, SOON};

/// A body: whole, or chunks that a test sends (`None` is a panic), or one chunk again and again.
pub(crate) enum TestBody {
    Whole(Option<String>),
    Steered { chunks: mpsc::UnboundedReceiver<Option<String>>, _alive: AliveGuard },
    Endless { polls: Arc<AtomicUsize>, _alive: AliveGuard },
}

impl http_body::Body for TestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let chunk = match &mut *self {
            Self::Whole(text) => text.take().map(Bytes::from),
            Self::Steered { chunks, .. } => {
                let Poll::Ready(chunk) = chunks.poll_recv(cx) else { return Poll::Pending };
                chunk.map(|chunk| chunk.expect("panicked on purpose").into())
            }
            Self::Endless { polls, .. } => {
                polls.fetch_add(1, Ordering::Relaxed);
                Some(format!("data: {{\"piece\":\"{}\"}}\n\n", "x".repeat(10_000)).into())
            }
        };
        Poll::Ready(chunk.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Whole(text) => http_body::SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            _ => http_body::SizeHint::default(),
        }
    }
}

/// A request that the handler got, and the answer to it.
pub(crate) struct Asked {
    pub(crate) headers: HeaderMap,
    pub(crate) peer: Option<Peer>,
    pub(crate) body: Value,
    chunks: mpsc::UnboundedSender<Option<String>>,
}

impl Asked {
    /// Sends events whose data is `{"piece": {"text": …}}`.
    pub(crate) fn say(&self, text: &str) {
        self.send(&format!("data: {}\n\n", json!({"piece": {"role": "r", "text": text}})));
    }

    pub(crate) fn send(&self, chunk: &str) {
        self.chunks.send(Some(chunk.to_owned())).expect("the answer is read");
    }

    pub(crate) fn panic(&self) {
        self.chunks.send(None).expect("the answer is read");
    }

    pub(crate) fn done(self) {
        self.send("data: [DONE]\n\n");
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.chunks.is_closed()
    }
}

pub(crate) struct TestHandler {
    alive: Alive,
    asked: mpsc::UnboundedSender<Asked>,
    polls: Arc<AtomicUsize>,
}

impl Handler for TestHandler {
    type Body = TestBody;

    async fn handle(&self, request: Request<RequestBody>) -> Response<TestBody> {
        let alive = self.alive.enter();
        let (parts, body) = request.into_parts();
        let whole = |status: u16, body: Value| {
            let mut response = Response::new(TestBody::Whole(Some(body.to_string())));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response.headers_mut().insert("content-type", "application/json".parse().unwrap());
            response
        };
        let events = |body: TestBody| {
            let mut response = Response::new(body);
            response.headers_mut().insert("content-type", "Text/Event-Stream; charset=utf-8".parse().unwrap());
            response
        };
        match (&parts.method, parts.uri.path()) {
            (&Method::GET, "/ws") => {
                whole(426, json!({"error": {}, "websocket": {"post": "/chat?x=1", "history": "turns", "delta": "/piece"}}))
            }
            (&Method::GET, "/page") => whole(200, json!({"page": 1})),
            (&Method::GET, "/old") => whole(426, json!({"error": {"message": "use something newer"}})),
            (&Method::POST, "/chat") => {
                assert_eq!(parts.uri.query(), Some("x=1"));
                let bytes = body.collect().await.unwrap().to_bytes();
                let body: Value =
                    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&bytes)));
                match body["do"].as_str() {
                    Some("refuse") => {
                        let mut response =
                            whole(body["status"].as_u64().unwrap() as u16, json!({"error": {"message": "refused", "code": "c"}}));
                        response.headers_mut().insert("retry-after", "7".parse().unwrap());
                        response
                    }
                    Some("junk") => Response::builder().status(500).body(TestBody::Whole(Some("<html>".to_owned()))).unwrap(),
                    Some("whole") => whole(200, json!({"piece": "x"})),
                    Some("panic") => panic!("panicked on purpose"),
                    Some("endless") => events(TestBody::Endless { polls: self.polls.clone(), _alive: alive }),
                    Some("echo") => {
                        let text = body["turns"].as_array().unwrap().len();
                        events(TestBody::Whole(Some(format!("data: {{\"piece\":{{\"text\":\"{text}\"}}}}\n\ndata: [DONE]\n\n"))))
                    }
                    _ => {
                        let (chunks, receiver) = mpsc::unbounded_channel();
                        let _ = self.asked.send(Asked { headers: parts.headers, peer: parts.extensions.get().copied(), body, chunks });
                        events(TestBody::Steered { chunks: receiver, _alive: alive })
                    }
                }
            }
            _ => whole(404, json!({"error": {"message": "nothing here"}})),
        }
    }
}

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    /// Handlers and streamed bodies that are alive.
    pub(crate) alive: Alive,
    /// How often an endless body was asked for more.
    pub(crate) polls: Arc<AtomicUsize>,
    asked: Mutex<mpsc::UnboundedReceiver<Asked>>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), ServeError>>,
}

impl World {
    pub(crate) async fn start(options: Options) -> Self {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let alive = Alive(Arc::new(watch::Sender::new(0)));
        let polls = Arc::new(AtomicUsize::new(0));
        let (sender, asked) = mpsc::unbounded_channel();
        let handler = Arc::new(TestHandler { alive: alive.clone(), asked: sender, polls: polls.clone() });
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move {
            let _ = stopped.await;
        };
        let task = tokio::spawn(serve(listener, handler, shutdown, options));
        Self { address, alive, polls, asked: Mutex::new(asked), stop: Some(stop), task }
    }

    /// The next request that the handler gets.
    pub(crate) async fn asked(&self) -> Asked {
        timeout(SOON, self.asked.lock().await.recv()).await.expect("the handler is asked").unwrap()
    }

    pub(crate) fn stop(&mut self) {
        self.stop.take().expect("stopped once").send(()).unwrap();
    }

    pub(crate) async fn ended(self) {
        timeout(SOON, self.task).await.expect("the server ends").unwrap().unwrap();
    }

    pub(crate) async fn client(&self) -> Client {
        Client { socket: TcpStream::connect(self.address).await.unwrap(), buffer: Vec::new() }
    }

    pub(crate) async fn socket(&self) -> Socket {
        self.socket_with("").await
    }

    /// A socket whose opening has further headers, each line with its end.
    pub(crate) async fn socket_with(&self, headers: &str) -> Socket {
        let mut client = self.client().await;
        client.send(&opening("/ws", &self.address.to_string(), headers)).await;
        let (status, head) = client.head().await;
        assert_eq!(status, 101, "{head}");
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
        Socket(WebSocketStream::from_raw_socket(client.socket, Role::Client, None).await)
    }
}

/// The request that opens a socket.
pub(crate) fn opening(path: &str, host: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// The client's end of a socket.
pub(crate) struct Socket(pub(crate) WebSocketStream<TcpStream>);

impl Socket {
    pub(crate) async fn send(&mut self, message: Value) {
        self.frame(Message::text(message.to_string())).await;
    }

    pub(crate) async fn open(&mut self, id: &str, body: Value) {
        self.send(json!({"type": "open", "id": id, "body": body})).await;
    }

    pub(crate) async fn frame(&mut self, frame: Message) {
        timeout(SOON, self.0.send(frame)).await.expect("the server reads").unwrap();
    }

    /// The next frame; pings are answered on the way.
    pub(crate) async fn next(&mut self) -> Message {
        timeout(SOON, self.0.next()).await.expect("a frame comes").expect("the socket is open").expect("a fine frame")
    }

    /// The next message.
    pub(crate) async fn heard(&mut self) -> Value {
        loop {
            match self.next().await {
                Message::Text(text) => return serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?} in place of a message"),
            }
        }
    }

    /// Messages until the one that ends the turn of `id`, that included.
    pub(crate) async fn turn(&mut self, id: &str) -> Vec<Value> {
        let mut heard = Vec::new();
        loop {
            let message = self.heard().await;
            let ends = message["id"] == id && message["type"] != "event";
            heard.push(message);
            if ends {
                return heard;
            }
        }
    }

    /// What is sent in answer to `ping`: all that came before it, which is expected to be nothing.
    pub(crate) async fn is_quiet(&mut self) {
        self.send(json!({"type": "ping"})).await;
        assert_eq!(self.heard().await, json!({"type": "pong"}));
    }

    /// The code and reason that the server closes with, after any messages.
    pub(crate) async fn closed(mut self) -> (u16, String) {
        loop {
            if let Message::Close(frame) = self.next().await {
                let frame = frame.expect("a reason");
                // The server waits for the client's part, and the connection ends.
                let rest = timeout(SOON, async { while self.0.next().await.is_some_and(|frame| frame.is_ok()) {} });
                rest.await.expect("the connection ends");
                return (frame.code.into(), frame.reason.to_string());
            }
        }
    }
}
