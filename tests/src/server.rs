//! A server process of one shape, started as a user starts it and ended with the test.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use crate::{request, root};

/// The two shapes that every behaviour must hold in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The handler linked into the server.
    Native,
    /// The handler as a WASI component in the host.
    Wasm,
}

impl Shape {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Native, Self::Wasm];
}

/// What is around a server's process.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// A program that becomes the server, and what it is given before the server's own command line.
    pub wrapper: Vec<String>,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
    /// The manifest of a host's application; without one that of this repository.
    pub manifest: Option<PathBuf>,
    /// Where it keeps what outlives it; without one a folder of its own.
    pub state: Option<PathBuf>,
    /// Where it listens; without one on a free port of the loopback.
    pub address: Option<SocketAddr>,
    /// A file for all that it prints; without one that is shown, as far as it is about errors.
    pub output: Option<PathBuf>,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    command: Command,
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts `shape` with `model` (a file) on a free port of the loopback and waits until it is healthy.
    ///
    /// # Panics
    /// When it does not become healthy within two minutes.
    pub fn start(shape: Shape, model: &Path, flags: &[&str]) -> Self {
        let server = Self::start_unready(shape, model, flags);
        server.wait();
        server
    }

    /// Kills the server (SIGKILL), starts it again as it was started, and waits until it is healthy.
    ///
    /// # Panics
    /// When it does not become healthy within two minutes.
    pub fn restart(&mut self) {
        self.kill();
        self.start_again();
        self.wait();
    }

    /// Ends the server by SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks the server to end (SIGTERM) and waits until it has, after the answers under way.
    ///
    /// # Panics
    /// When it has not within a minute, or ends otherwise than well.
    pub fn end(&mut self) {
        let asked = Command::new("kill").arg(self.pid().to_string()).status();
        assert!(asked.is_ok_and(|status| status.success()), "kill");
        let deadline = Instant::now() + Duration::from_secs(60);
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("its status") {
                break status;
            }
            assert!(Instant::now() < deadline, "{:?} does not end", self.command);
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "{:?} ends with {status}", self.command);
    }

    /// Starts the server as it was started before, without waiting.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        self.child = self.command.spawn().expect("the server starts");
    }

    /// Waits until it is healthy.
    ///
    /// # Panics
    /// When it does not become healthy within two minutes.
    pub fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !request(self.address, "GET", "/health", None).is_ok_and(|response| response.status == 200) {
            assert!(Instant::now() < deadline, "{:?} did not become healthy", self.command);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts `shape` without waiting.
    ///
    /// # Panics
    /// When its binary has not been built.
    pub fn start_unready(shape: Shape, model: &Path, flags: &[&str]) -> Self {
        Self::start_amid(&Surroundings::default(), shape, model, flags)
    }

    /// Starts `shape` in such surroundings, without waiting.
    ///
    /// # Panics
    /// When its binary has not been built.
    pub fn start_amid(surroundings: &Surroundings, shape: Shape, model: &Path, flags: &[&str]) -> Self {
        Self::spawn(surroundings, shape, Some(model), flags)
    }

    /// The same without a model of its own.
    ///
    /// # Panics
    /// When its binary has not been built.
    pub fn start_without_model(surroundings: &Surroundings, shape: Shape, flags: &[&str]) -> Self {
        Self::spawn(surroundings, shape, None, flags)
    }

    fn spawn(surroundings: &Surroundings, shape: Shape, model: Option<&Path>, flags: &[&str]) -> Self {
        let address = surroundings.address.unwrap_or_else(free_address);
        let binary = binary(match shape {
            Shape::Native => "hearth",
            Shape::Wasm => "trigger-nn-http",
        });
        let mut command = match surroundings.wrapper.split_first() {
            Some((wrapper, arguments)) => {
                let mut command = Command::new(wrapper);
                command.args(arguments).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        command.envs(surroundings.environment.iter().cloned());
        match shape {
            Shape::Native => command.arg("serve"),
            Shape::Wasm => command.arg("--from").arg(surroundings.manifest.clone().unwrap_or_else(|| root().join("spin.toml"))),
        };
        let state = surroundings.state.clone().unwrap_or_else(|| scratch(address.port()));
        command.arg("--state-dir").arg(state).args(["--listen", &address.to_string()]);
        if let Some(model) = model {
            command.arg("--model").arg(model);
        }
        command.args(flags);
        if !flags.contains(&"--device") {
            command.args(["--device", "cpu"]);
        }
        command.stdout(Stdio::null());
        if let Some(path) = &surroundings.output {
            let file = File::options().create(true).append(true).open(path).expect("a file for what it prints");
            command.stderr(file.try_clone().expect("the same file")).stdout(file);
        }
        Self::of(command, address)
    }

    /// Starts `command`, which will listen on `address`, without waiting.
    ///
    /// # Panics
    /// When it does not start.
    pub fn of(mut command: Command, address: SocketAddr) -> Self {
        let child = command.stdin(Stdio::null()).spawn().expect("the server starts");
        Self { command, child, address }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a client of `shape`'s server to its end, as [`succeeded`] wants it; its standard output.
///
/// # Panics
/// When it does not start, or fails.
pub fn succeed(shape: Shape, client: &mut Command) -> String {
    let output = client.output().unwrap_or_else(|error| panic!("{}: {error}", client.get_program().display()));
    succeeded(shape, &output)
}

/// Shows what a client of `shape`'s server said, which must have come to a good end; its standard output.
///
/// # Panics
/// When it failed: with all that it said.
pub fn succeeded(shape: Shape, output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shape:?}: {said}\n{}", String::from_utf8_lossy(&output.stderr));
    eprintln!("{shape:?}: {said}");
    said
}

/// A built binary of the workspace.
///
/// # Panics
/// When it is missing.
pub fn binary(name: &str) -> PathBuf {
    let path = root().join("target/debug").join(name);
    assert!(path.exists(), "{} is missing: `cargo xtask test` builds it", path.display());
    path
}

/// An address of the loopback whose port nobody holds at the moment.
///
/// # Panics
/// When there is none.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

fn scratch(port: u16) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("hearth-test-{}-{port}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a scratch folder");
    folder
}
