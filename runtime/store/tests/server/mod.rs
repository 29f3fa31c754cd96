//! A Redis of the test's own.

// Each test uses some of it.
#![allow(dead_code)]

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub(crate) struct Redis {
    folder: PathBuf,
    port: u16,
    encrypted: bool,
    options: Vec<String>,
    process: Option<Child>,
}

impl Redis {
    pub(crate) fn start(name: &str, options: &[&str]) -> Self {
        Self::begin(name, options, false)
    }

    /// One that is reached over TLS alone.
    pub(crate) fn start_with_tls(name: &str, key: &Path, certificate: &Path) -> Self {
        let (key, certificate) = (key.to_str().unwrap(), certificate.to_str().unwrap());
        let files = ["--tls-key-file", key, "--tls-cert-file", certificate, "--tls-ca-cert-file", certificate, "--tls-auth-clients", "no"];
        Self::begin(name, &files, true)
    }

    fn begin(name: &str, options: &[&str], encrypted: bool) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("redis-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut redis =
            Self { folder, port, encrypted, options: options.iter().map(|option| (*option).to_owned()).collect(), process: None };
        redis.restart();
        redis
    }

    /// Its address, with `user:password@` or nothing.
    pub(crate) fn url(&self, login: &str) -> String {
        format!("redis{}://{login}127.0.0.1:{}", if self.encrypted { "s" } else { "" }, self.port)
    }

    pub(crate) fn restart(&mut self) {
        let log = fs::File::create(self.folder.join("log")).unwrap();
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", if self.encrypted { "--tls-port" } else { "--port" }, &self.port.to_string()])
            .args(if self.encrypted { &["--port", "0"][..] } else { &[] })
            .arg("--dir")
            .arg(&self.folder)
            .args(&self.options)
            .stdout(log)
            .stderr(Stdio::inherit())
            .spawn()
            .expect("redis-server runs: `cargo xtask test` installs it, or apt-get install redis-server");
        self.process = Some(process);
        let start = Instant::now();
        while !listens(self.port) {
            assert!(start.elapsed() < Duration::from_secs(20), "{}", fs::read_to_string(self.folder.join("log")).unwrap());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it as a service manager does: it saves what it holds.
    pub(crate) fn stop(&mut self) {
        assert_eq!(self.cli(&["SAVE"]), "OK");
        self.kill();
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// What its own client says.
    pub(crate) fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(arguments).output().expect("redis-cli runs");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether someone listens there. To call a free port may give it to the call itself, which then talks to itself and keeps the port from whom it waits for.
fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok_and(|socket| socket.local_addr().is_ok_and(|own| own.port() != port))
}
