//! A handler that says who asked and reads what is sent, and a server around it.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use hearth_server::{BoxError, Handler, Options, Peer, RequestBody, Secure, bind, serve};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::common::{Alive, AliveGuard, Client};

/// One text, or chunks without an end.
pub(crate) enum TestBody {
    Whole(Option<String>),
    Endless { _alive: AliveGuard },
}

impl http_body::Body for TestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(match &mut *self {
            Self::Whole(text) => text.take().map(|text| Ok(Frame::data(text.into()))),
            Self::Endless { .. } => Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 16 * 1024])))),
        })
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Whole(text) => http_body::SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Endless { .. } => http_body::SizeHint::default(),
        }
    }
}

struct TestHandler(Alive);

impl Handler for TestHandler {
    type Body = TestBody;

    async fn handle(&self, request: Request<RequestBody>) -> Response<TestBody> {
        let whole = |status: StatusCode, text: String| {
            let mut response = Response::new(TestBody::Whole(Some(text)));
            *response.status_mut() = status;
            response
        };
        match request.uri().path() {
            "/who" => {
                let (Peer(peer), Secure(secure)) =
                    (request.extensions().get::<Peer>().unwrap(), request.extensions().get::<Secure>().unwrap());
                whole(StatusCode::OK, format!("{peer} {secure}"))
            }
            "/upload" => {
                let _alive = self.0.enter();
                match request.into_body().collect().await {
                    Ok(body) => whole(StatusCode::OK, format!("read {}", body.to_bytes().len())),
                    Err(error) => whole(StatusCode::BAD_REQUEST, error.to_string()),
                }
            }
            "/endless" => Response::new(TestBody::Endless { _alive: self.0.enter() }),
            _ => whole(StatusCode::OK, "hello".to_owned()),
        }
    }
}

/// A server that stops when it is dropped.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    /// Uploads and endless answers under way.
    pub(crate) alive: Alive,
    task: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl World {
    pub(crate) async fn start(options: Options) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), options).await
    }

    pub(crate) async fn start_at(address: SocketAddr, options: Options) -> Self {
        let listener = bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let alive = Alive(Arc::new(watch::Sender::new(0)));
        let handler = Arc::new(TestHandler(alive.clone()));
        let task = tokio::spawn(async move { serve(listener, handler, std::future::pending(), options).await.unwrap() });
        Self { address, alive, task }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client { socket: TcpStream::connect(self.address).await.unwrap(), buffer: Vec::new() }
    }

    /// The status of a request on a connection of its own.
    pub(crate) async fn status(&self) -> u16 {
        let mut client = self.connect().await;
        client.get("/").await;
        client.response().await.0
    }

    /// From another address of this machine.
    pub(crate) async fn connect_from(&self, address: &str) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(address.parse::<IpAddr>().unwrap(), 0)).unwrap();
        Client { socket: socket.connect(self.address).await.unwrap(), buffer: Vec::new() }
    }
}

/// A folder that goes with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("hearth-network-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Replaces a file, as tools that renew certificates do.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let (path, new) = (self.0.join(name), self.0.join(format!("{name}.new")));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &path).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
