//! The signals that end a server.

use std::time::{Duration, Instant};

/// Signals this soon after the first are the same wish: a terminal and a parent that passes its own signals on send two or three within milliseconds.
const ONE_WISH: Duration = Duration::from_secs(1);

/// Resolves at the first SIGINT or SIGTERM. From then on further ones within a second are ignored, and a later one ends the process at once with the exit code that a
/// shell shows for the signal (130, 143): the way out for a person who does not want to wait for the drain.
#[cfg(unix)]
pub async fn shutdown_signal() {
    use tokio::signal::unix::{SignalKind, signal};

    let (mut interrupt, mut terminate) = match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(interrupt), Ok(terminate)) => (interrupt, terminate),
        (Err(error), _) | (_, Err(error)) => {
            // Without handlers the signals still end the process, only without a drain.
            tracing::warn!(%error, "cannot listen for signals");
            return std::future::pending().await;
        }
    };
    let mut next = async move || {
        tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        }
    };
    next().await;
    let first = Instant::now();
    tokio::spawn(async move {
        loop {
            let code = next().await;
            if first.elapsed() > ONE_WISH {
                tracing::warn!("ended at once by a second signal");
                std::process::exit(code);
            }
        }
    });
}

/// Resolves at the first Ctrl-C. A further one more than a second later ends the process at once.
#[cfg(not(unix))]
pub async fn shutdown_signal() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::warn!(%error, "cannot listen for Ctrl-C");
        return std::future::pending().await;
    }
    let first = Instant::now();
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if first.elapsed() > ONE_WISH {
                std::process::exit(130);
            }
        }
    });
}
