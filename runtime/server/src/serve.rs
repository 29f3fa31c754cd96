//! The accept loop and the drain.

use std::{future::Future, io, pin::pin, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{Handler, Options, admit::Shared, connection, metrics, notify, refuse};

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
    shutdown: impl Future<Output = ()>,
    options: Options,
) -> Result<(), ServeError> {
    let (connections, refusals) = (Arc::new(Semaphore::new(options.connections)), Arc::new(Semaphore::new(REFUSALS)));
    let (requests, sockets) = (Arc::new(Semaphore::new(options.requests)), Arc::new(Semaphore::new(options.sockets)));
    let (stop, stopping) = watch::channel(false);
    let (cut, cuts) = watch::channel(false);
    let shared = Arc::new(Shared { handler, requests, sockets, options, stopping, cut: cuts });
    let _upkeep = Aborted(tokio::spawn(async { tokio::join!(metrics::upkeep(), notify::watchdog()) }).abort_handle());
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
        if let Ok(permit) = Arc::clone(&connections).try_acquire_owned() {
            let connection = connection::run(socket, peer, Arc::clone(&shared), draining.clone());
            tasks.spawn(async move {
                connection.await;
                drop(permit);
            });
        } else if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
            metrics::http::refused("connections");
            tracing::warn!(%peer, limit = shared.options.connections, "refused a connection: as many as the limit are open");
            tasks.spawn(async move {
                refuse::connection(socket).await;
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

/// A task that ends with its owner.
struct Aborted(tokio::task::AbortHandle);

impl Drop for Aborted {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether a failed accept says something about one client only.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
