//! A Redis of the test's own, from Debian's packages.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{Scratch, free_address, listens, skip};

/// A running Redis that keeps each write before it acknowledges it, in plain bytes.
#[derive(Debug)]
pub struct Redis {
    folder: Scratch,
    port: u16,
    password: String,
    process: Option<Child>,
}

impl Redis {
    /// Starts one that wants this password (an empty one for none); `None` where there is no Redis, which is said.
    ///
    /// # Panics
    /// When it does not take connections within 20 seconds.
    pub fn start(password: &str) -> Option<Self> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            skip("redis-server is missing; `cargo xtask test` fetches it");
            return None;
        }
        let mut redis = Self { folder: Scratch::new("redis"), port: free_address().port(), password: password.to_owned(), process: None };
        redis.restart();
        Some(redis)
    }

    /// Its address, with the password.
    pub fn url(&self) -> String {
        let login = if self.password.is_empty() { String::new() } else { format!(":{}@", self.password) };
        format!("redis://{login}127.0.0.1:{}", self.port)
    }

    /// The folder of its files.
    pub fn folder(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts it again with what it kept.
    ///
    /// # Panics
    /// When it does not take connections within 20 seconds.
    pub fn restart(&mut self) {
        let data = self.folder();
        fs::create_dir_all(&data).expect("a folder");
        let log = fs::File::create(self.folder.join("log")).expect("a log");
        // Not by its arguments, where every user would see the password.
        let configuration = format!(
            "bind 127.0.0.1\nport {}\nappendonly yes\nappendfsync always\nrdbcompression no\nrequirepass \"{}\"\ndir {}\n",
            self.port,
            self.password,
            data.display()
        );
        let configuration = self.folder.write("redis.conf", &configuration);
        self.process = Some(Command::new("redis-server").arg(configuration).stdout(log).spawn().expect("redis-server starts"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while !listens(([127, 0, 0, 1], self.port).into()) {
            let log = fs::read_to_string(self.folder.join("log"));
            assert!(Instant::now() < deadline, "Redis does not take connections: {log:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
