//! One connection: HTTP/1.1 or HTTP/2 as the client opens it, its timeouts, and the streams that end with it.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hyper::{Request, body::Incoming, rt::Executor, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{net::TcpStream, sync::watch, task::JoinSet, time::sleep_until};

use crate::{
    Handler, Peer,
    admit::{self, Activity, Shared},
    metrics::http::Here,
    socket::{self, Link, Tasks},
};

/// Streams of one HTTP/2 connection at once.
const STREAMS: u32 = 128;
/// How often a silent HTTP/2 client is asked whether it is still there.
const PING: Duration = Duration::from_secs(20);
/// How long a client may take to close a connection that idled.
const CLOSING: Duration = Duration::from_secs(1);

/// Serves `socket` until the client goes, it idles too long, or `drain` turns true and its last response has ended; then, what became WebSockets until these end.
pub(crate) async fn run<H: Handler>(socket: TcpStream, peer: SocketAddr, shared: Arc<Shared<H>>, drain: watch::Receiver<bool>) {
    // A token is a few bytes and must leave at once, not wait for the acknowledgement of the one before.
    let _ = socket.set_nodelay(true);
    let _here = Here::connection();
    let link = Arc::new(Link { shared, activity: Activity::new(), drain: drain.clone(), tasks: Tasks::default() });
    serve(socket, peer, &link, drain).await;
    link.tasks.ended().await;
}

async fn serve<H: Handler>(socket: TcpStream, peer: SocketAddr, link: &Arc<Link<H>>, mut drain: watch::Receiver<bool>) {
    let (options, activity) = (&link.shared.options, &link.activity);
    let streams = Streams::default();
    let mut builder = Builder::new(streams.clone());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(options.header_timeout).max_buf_size(options.header_bytes.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .max_concurrent_streams(STREAMS)
        .enable_connect_protocol()
        .max_header_list_size(u32::try_from(options.header_bytes).unwrap_or(u32::MAX));
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        let link = Arc::clone(link);
        async move {
            let shared = Arc::clone(&link.shared);
            let answer = async |request: Request<Incoming>| {
                let Ok(response) = match socket::asks(&request) {
                    true => socket::open(link, request).await,
                    false => admit::answer(Arc::clone(&link.shared), Arc::clone(&link.activity), request.map(Into::into)).await,
                };
                response
            };
            Ok::<_, Infallible>(admit::observed(&shared, request, answer).await)
        }
    });
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(socket), service));
    let mut idle = pin!(idles(activity, options.idle));
    let (mut draining, mut closing) = (false, false);
    let ended = loop {
        tokio::select! {
            ended = connection.as_mut() => break ended,
            // An error means that the server's end was dropped: it is going down as well.
            _ = drain.wait_for(|drain| *drain), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
            () = idle.as_mut() => {
                if closing {
                    return;
                }
                tracing::debug!(%peer, "closing a connection without requests");
                closing = true;
                connection.as_mut().graceful_shutdown();
                // HTTP/2's closing takes the client's part in it; one that takes none is not waited for.
                idle.set(idles(activity, options.idle + CLOSING));
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

/// Resolves when no request was in flight for `limit`.
async fn idles(activity: &Activity, limit: Duration) {
    loop {
        let until = match activity.idle_since() {
            Some(since) if since.elapsed() >= limit => return,
            Some(since) => since + limit,
            None => Instant::now() + limit,
        };
        sleep_until(until.into()).await;
    }
}

/// Runs the streams of one HTTP/2 connection, and stops those that are left when the connection has gone: on the runtime's own executor they would outlive it.
#[derive(Clone, Default)]
struct Streams(Arc<Mutex<JoinSet<()>>>);

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while set.try_join_next().is_some() {}
        let stream: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            stream.await;
        });
        set.spawn(stream);
    }
}
