//! The accept loop and the drain.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    Handler, Options,
    admit::{Activity, Shared},
    body::Answers,
    connection,
    limits::Places,
    metrics, notify,
};

/// Connections over the limit that are told so at once; beyond this many they are only closed.
const REFUSALS: usize = 64;
/// Failures of accept in a row, each followed by a pause, that are taken for the end of the listener.
const FAILURES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);
/// How long a last word may take to leave, and spans to be sent.
const LAST: Duration = Duration::from_secs(2);

/// Why a server ended that nobody had asked to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener takes no connections any more.
    #[error("cannot accept connections: {0}. If it says too many open files, raise the limit (ulimit -n)")]
    Accept(#[source] io::Error),
}

/// Serves `handler` on `listener` until `shutdown` resolves; then takes no further connection, lets the responses under way end within `options.drain`, tells what is left
/// that it is cut and does so, and returns.
///
/// # Errors
/// [`ServeError`] when the listener fails for good.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    handler: Arc<H>,
    shutdown: impl Future<Output = ()> + Send,
    options: Options,
) -> Result<(), ServeError> {
    run(listener, handler, pin!(shutdown), options).await
}

/// As a box, for the code of a bare future is made where it is polled, in each crate that serves.
fn run<'a>(
    listener: TcpListener,
    handler: Arc<dyn Answers>,
    shutdown: Pin<&'a mut (dyn Future<Output = ()> + Send)>,
    options: Options,
) -> BoxFuture<'a, Result<(), ServeError>> {
    Box::pin(accept(listener, handler, shutdown, options))
}

async fn accept(
    listener: TcpListener,
    handler: Arc<dyn Answers>,
    shutdown: Pin<&mut (dyn Future<Output = ()> + Send)>,
    options: Options,
) -> Result<(), ServeError> {
    let (places, refusals) = (Places::new(options.connections, options.connections_per_address), Arc::new(Semaphore::new(REFUSALS)));
    let mut upkeep = JoinSet::new();
    if let Some(tls) = options.tls.clone() {
        upkeep.spawn(async move { tls.keep().await });
    }
    upkeep.spawn(metrics::upkeep());
    upkeep.spawn(notify::watchdog());
    let (stop, stopping) = watch::channel(false);
    let (cut, cuts) = watch::channel(false);
    let shared = Arc::new(Shared::new(handler, options, stopping, cuts));
    let (drain, draining) = watch::channel(false);
    let mut tasks = JoinSet::new();
    // The end that was asked for, and the notice that is given of it.
    let shutdown = async {
        shutdown.await;
        let Options { notice, drain, .. } = shared.options;
        notify::stopping(notice + drain + 3 * LAST);
        let _ = stop.send(true);
        sleep(notice).await;
    };
    let mut shutdown = pin!(shutdown);
    let mut failures = 0;
    loop {
        let accepted = tokio::select! {
            () = shutdown.as_mut() => break,
            Some(_) = tasks.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_the_clients(&error) => continue,
            Err(error) => {
                failures += 1;
                tracing::warn!(%error, "cannot accept a connection");
                if failures >= FAILURES {
                    return Err(ServeError::Accept(error));
                }
                // Out of files or memory: a connection that ends gives some back.
                tokio::select! {
                    () = shutdown.as_mut() => break,
                    () = sleep(PAUSE) => continue,
                }
            }
        };
        failures = 0;
        let activity = Activity::new();
        // The connections of a proxy are those of its many clients.
        let address = (!shared.options.trusts(peer.ip())).then_some(peer.ip());
        if let Some(place) = places.take(address, &activity) {
            tasks.spawn(connection::run(socket, peer, place, activity, Arc::clone(&shared), draining.clone()));
        } else if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
            let Options { connections, connections_per_address, .. } = shared.options;
            metrics::http::refused("connections");
            tracing::warn!(%peer, connections, connections_per_address, "refused a connection: as many as the limits are open and busy");
            let shared = Arc::clone(&shared);
            tasks.spawn(async move {
                connection::refuse(socket, &shared.options).await;
                drop(permit);
            });
        }
    }
    drop(listener);
    let _ = drain.send(true);
    if timeout(shared.options.drain, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!(connections = tasks.len(), "cut what was still open after {:?} of draining", shared.options.drain);
        let _ = cut.send(true);
        if timeout(LAST, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
            tasks.shutdown().await;
        }
    }
    if let Some(traces) = &shared.options.observe.traces {
        traces.flush(LAST).await;
    }
    Ok(())
}

/// Whether a failed accept says something about one client only.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
