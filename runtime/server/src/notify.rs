//! What systemd is told of a service (sd_notify(3)): that it is ready, that it stops, that it lives. Datagrams to the socket that `NOTIFY_SOCKET` names, and nothing where none
//! is named.

use std::{env, time::Duration};

/// Whether systemd runs this process as a service that tells when it is ready.
pub(crate) fn is_service() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty())
}

/// Tells systemd that the service is ready, with a line for `systemctl status`.
pub fn ready(status: &str) {
    send(&format!("READY=1\nSTATUS={}", status.replace('\n', " ")));
}

/// Tells it that the service stops, and how long that may take.
pub(crate) fn stopping(patience: Duration) {
    send(&format!("STOPPING=1\nSTATUS=finishing the answers under way\nEXTEND_TIMEOUT_USEC={}", patience.as_micros()));
}

/// Tells it that the service lives, as often as it wants to hear it, for as long as this is polled: a runtime that hangs says nothing.
pub(crate) async fn watchdog() {
    let Some(period) = period(env::var("WATCHDOG_USEC").ok(), env::var("WATCHDOG_PID").ok(), std::process::id()) else {
        return std::future::pending().await;
    };
    let mut interval = tokio::time::interval(period / 2);
    loop {
        interval.tick().await;
        send("WATCHDOG=1");
    }
}

/// How often it wants to hear it, if it does, and from this process.
fn period(usec: Option<String>, pid: Option<String>, own: u32) -> Option<Duration> {
    if pid.is_some_and(|pid| pid.parse() != Ok(own)) {
        return None;
    }
    Some(Duration::from_micros(usec?.parse().ok()?)).filter(|period| *period >= Duration::from_millis(2))
}

fn send(state: &str) {
    let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return };
    if let Err(error) = datagram(&name, state.as_bytes()) {
        tracing::warn!(%error, "systemd cannot be told of the service's state");
    }
}

#[cfg(unix)]
fn datagram(name: &std::ffi::OsStr, state: &[u8]) -> std::io::Result<()> {
    use std::os::unix::{ffi::OsStrExt, net::UnixDatagram};

    let socket = UnixDatagram::unbound()?;
    // A receiver that is full is no reason to wait.
    socket.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    if let Some(name) = name.as_bytes().strip_prefix(b"@") {
        let address = <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)?;
        return socket.send_to_addr(state, &address).map(drop);
    }
    socket.send_to(state, std::path::Path::new(name)).map(drop)
}

#[cfg(not(unix))]
fn datagram(_name: &std::ffi::OsStr, _state: &[u8]) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_of_one_process() {
        let of = |usec: Option<&str>, pid: Option<&str>| period(usec.map(str::to_owned), pid.map(str::to_owned), 7);
        assert_eq!(of(Some("3000000"), None), Some(Duration::from_secs(3)));
        assert_eq!(of(Some("3000000"), Some("7")), Some(Duration::from_secs(3)));
        for (usec, pid) in
            [(None, None), (Some("0"), None), (Some("soon"), None), (Some("3000000"), Some("8")), (Some("3000000"), Some("x"))]
        {
            assert_eq!(of(usec, pid), None, "{usec:?} {pid:?}");
        }
    }
}
