//! Signals, sent to a process of its own: this test's binary, run again as the server.
#![cfg(unix)]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

const CHILD: &str = "HEARTH_TEST_SIGNAL_CHILD";

/// Not a test of its own: what the children run. Ends as a server does that drains for a minute.
#[tokio::test]
async fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let mut signal = Box::pin(hearth_server::shutdown_signal());
    assert!(futures::poll!(signal.as_mut()).is_pending());
    println!("\nlistening");
    signal.await;
    println!("\ndraining");
    let mut line = String::new();
    // The parent closes standard input when the drain shall end.
    tokio::task::spawn_blocking(move || std::io::stdin().read_line(&mut line)).await.unwrap().unwrap();
    std::process::exit(0);
}

struct Server(Child, BufReader<std::process::ChildStdout>);

impl Server {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self(child, output);
        server.says("listening");
        server
    }

    fn says(&mut self, word: &str) {
        let mut line = String::new();
        while line.trim() != word {
            line.clear();
            assert!(self.1.read_line(&mut line).unwrap() > 0, "ended before {word:?}");
        }
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.0.id().to_string()]).status().unwrap().success());
    }

    fn exit(mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

#[test]
fn signals_within_a_second_are_one() {
    let mut server = Server::start();
    for signal in ["-INT", "-TERM", "-TERM"] {
        server.signal(signal);
    }
    server.says("draining");
    server.signal("-INT");
    std::thread::sleep(Duration::from_millis(200));
    drop(server.0.stdin.take());
    assert_eq!(server.exit(), Some(0), "the drain was not cut short");
}

#[test]
fn a_later_signal_ends_at_once() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let mut server = Server::start();
        server.signal("-TERM");
        server.says("draining");
        std::thread::sleep(Duration::from_millis(1300));
        let _kept_open = server.0.stdin.take();
        server.signal(signal);
        assert_eq!(server.exit(), Some(code));
    }
}
