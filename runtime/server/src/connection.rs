//! One connection: TLS where it is asked for, HTTP/1.1 or HTTP/2 as the client opens it, its timeouts, and the streams that end with it.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{
    Version,
    header::{HOST, STRICT_TRANSPORT_SECURITY},
};
use hyper::{Request, body::Incoming, rt::Executor, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::{sleep_until, timeout},
};
use tokio_util::either::Either;

use crate::{
    Options, Peer, RequestBody, Secure,
    admit::{self, Activity, Shared},
    limits::{self, Owed, Paced, Place, Watched},
    metrics::http::Here,
    refuse,
    request::Asked,
    socket::{self, Link, Tasks},
    tls::{self, Stream},
};

/// The least that the largest head may be, in bytes: the parser wants as much.
const LEAST_HEAD: usize = 8192;
/// Streams of one HTTP/2 connection at once.
const STREAMS: u32 = 128;
/// How often a silent HTTP/2 client is asked whether it is still there.
const PING: Duration = Duration::from_secs(20);
/// How long a client may take to close a connection that idled.
const CLOSING: Duration = Duration::from_secs(1);
/// As long, where the place is another's already.
const LEAVING: Duration = Duration::from_millis(250);
/// How long a client that is refused may take for a handshake.
const REFUSING: Duration = Duration::from_secs(1);

/// Serves `socket` until the client goes, it idles too long or its place is needed, or `drain` turns true and its last response has ended; then, what became WebSockets
/// until these end.
pub(crate) async fn run(
    socket: TcpStream,
    peer: SocketAddr,
    place: Place,
    activity: Arc<Activity>,
    shared: Arc<Shared>,
    drain: watch::Receiver<bool>,
) {
    // A token is a few bytes and must leave at once, not wait for the acknowledgement of the one before.
    let _ = socket.set_nodelay(true);
    let _here = Here::connection();
    let link = Arc::new(Link { shared, activity, drain: drain.clone(), tasks: Tasks::default() });
    let mut draining = drain.clone();
    let stream = tokio::select! {
        opened = timeout(link.shared.options.header_timeout, open(socket, &link.shared.options, false)) => opened.ok().flatten(),
        () = place.evicted.asked() => None,
        _ = draining.wait_for(|drain| *drain) => None,
    };
    if let Some(stream) = stream {
        serve(stream, peer, &place, &link, drain).await;
        link.tasks.ended().await;
    }
}

/// Tells a client that there is no place for its connection.
pub(crate) async fn refuse(socket: TcpStream, options: &Options) {
    if let Ok(Some(stream)) = timeout(REFUSING, open(socket, options, true)).await {
        refuse::connection(stream).await;
    }
}

/// The stream that HTTP is spoken over; `None` where the client does not get that far.
async fn open(socket: TcpStream, options: &Options, refusing: bool) -> Option<Stream> {
    let watch = |socket| Watched::new(socket, options.write_timeout);
    match &options.tls {
        Some(tls) => tls.accept(socket, refusing, watch).await,
        None => Some(Either::Left(watch(socket))),
    }
}

/// What a request's head takes, in bytes of HTTP/1.1.
fn head_bytes<B>(request: &Request<B>) -> usize {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let line = request.method().as_str().len() + target + " HTTP/1.1  ".len();
    request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": ".len()).sum::<usize>() + line
}

async fn serve(stream: Stream, peer: SocketAddr, place: &Place, link: &Arc<Link>, mut drain: watch::Receiver<bool>) {
    let (options, activity) = (&link.shared.options, &link.activity);
    let streams = Streams { set: Arc::default(), limit: options.write_timeout };
    let mut builder = Builder::new(streams.clone());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_buf_size(options.header_bytes.max(LEAST_HEAD))
        .max_headers(options.headers);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .max_concurrent_streams(STREAMS)
        .enable_connect_protocol()
        .max_header_list_size(u32::try_from(options.header_bytes).unwrap_or(u32::MAX));
    let encrypted = matches!(stream, Either::Right(_));
    let service = service_fn(|mut request: Request<Incoming>| {
        let (client, said) = limits::client(peer, request.headers(), &options.trusted_proxies);
        let secure = said.unwrap_or(Secure(encrypted));
        request.extensions_mut().insert(Peer(client));
        request.extensions_mut().insert(secure);
        let only_tls = secure.0 && options.tls.as_ref().is_none_or(tls::Tls::is_trusted) && tls::hsts::applies(&request);
        let link = Arc::clone(link);
        async move {
            let shared = Arc::clone(&link.shared);
            // As the client sent them: what is observed of a request is put among them.
            let too_many = request.headers().len() > shared.options.headers;
            let hosts = request.headers().get_all(HOST).iter().count();
            let misses_host = hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11);
            // The parser's bound is that of its buffer, which takes up to twice as much where it comes at once.
            let too_large = head_bytes(&request) > shared.options.header_bytes.max(LEAST_HEAD);
            let asked = Asked::of(&request);
            let (parts, body) = request.into_parts();
            let (body, rest) = RequestBody::incoming(body, &shared.options);
            let request = Request::from_parts(parts, body);
            let answer = async |request: Request<RequestBody>| {
                let options = &link.shared.options;
                let Ok(response) = if too_many {
                    Ok(refuse::headers(options.headers))
                } else if misses_host {
                    Ok(refuse::host())
                } else if too_large {
                    Ok(refuse::head(options.header_bytes.max(LEAST_HEAD)))
                } else if socket::asks(&request) {
                    socket::open(Arc::clone(&link), request).await
                } else {
                    admit::answer(Arc::clone(&link.shared), Arc::clone(&link.activity), request).await
                };
                response
            };
            let mut response = admit::observed(&shared, request, answer).await;
            rest.settle(&asked, &mut response).await;
            if only_tls {
                response.headers_mut().entry(STRICT_TRANSPORT_SECURITY).or_insert(tls::hsts::VALUE);
            }
            Ok::<_, Infallible>(response.map(Owed::new))
        }
    });
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
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
            () = place.evicted.asked(), if !closing => {
                tracing::debug!(%peer, "closing a connection without requests: its place is needed");
                closing = true;
                connection.as_mut().graceful_shutdown();
                let idled = activity.idle_since().map_or(Duration::ZERO, |since| since.elapsed());
                idle.set(idles(activity, idled + LEAVING));
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

/// Runs the streams of one HTTP/2 connection, ends those whose clients do not take their answers, and stops those that are left when the connection has gone: on the
/// runtime's own executor they would outlive it.
#[derive(Clone)]
struct Streams {
    set: Arc<Mutex<JoinSet<()>>>,
    limit: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        while set.try_join_next().is_some() {}
        set.spawn(Paced::new(stream, self.limit));
    }
}
