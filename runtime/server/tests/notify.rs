//! What systemd hears of a service, on a real socket: from a process of its own, this test's binary run again.
#![cfg(unix)]

mod common;

use std::{
    os::unix::net::UnixDatagram,
    process::{Child, Command},
    time::{Duration, Instant},
};

use common::{SOON, Server};
use hearth_server::{Options, notify};

const CHILD: &str = "HEARTH_TEST_NOTIFY_CHILD";

/// Not a test of its own: what the child runs.
#[tokio::test]
async fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let signal = hearth_server::shutdown_signal();
    let mut server = Server::start(Options::default()).await;
    notify::ready("serving\non a test's port");
    signal.await;
    server.stop();
    server.ended().await;
}

fn start(socket: &str, watchdog: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, "1")
        .env("NOTIFY_SOCKET", socket)
        .env("WATCHDOG_USEC", watchdog)
        .env_remove("WATCHDOG_PID")
        .spawn()
        .unwrap()
}

fn hear(socket: &UnixDatagram, what: &str) -> String {
    let begun = Instant::now();
    let mut bytes = [0; 4096];
    while begun.elapsed() < SOON {
        let length = socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{what} never came: {error}"));
        let state = String::from_utf8(bytes[..length].to_vec()).unwrap();
        if state.lines().any(|line| line == what) {
            return state;
        }
    }
    panic!("{what} never came");
}

fn service(socket: &UnixDatagram, name: &str) {
    socket.set_read_timeout(Some(SOON)).unwrap();
    let mut child = start(name, "100000");
    assert_eq!(hear(socket, "READY=1"), "READY=1\nSTATUS=serving on a test's port");
    let begun = Instant::now();
    for _ in 0..3 {
        hear(socket, "WATCHDOG=1");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "twice in each period");
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let stopping = hear(socket, "STOPPING=1");
    assert!(stopping.contains("\nEXTEND_TIMEOUT_USEC=36000000"), "{stopping}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn ready_alive_and_stopping_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    service(&UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap());
}

#[cfg(target_os = "linux")]
#[test]
fn the_socket_may_be_abstract() {
    use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};
    let name = format!("hearth-notify-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    service(&socket, &format!("@{name}"));
}
