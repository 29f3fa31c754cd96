//! The binary with a weights folder of its own, a hub that a test steers, and small files that pass for models.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The model's file; without it the test is skipped loudly, and fails in CI.
pub(crate) fn model() -> Option<String> {
    let folder = std::env::var_os("HEARTH_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-data"), PathBuf::from);
    let path = folder.join("smollm2.gguf");
    if path.exists() {
        return Some(path.to_str().unwrap().to_owned());
    }
    assert!(std::env::var_os("CI").is_none(), "skipped in CI: {} is missing", path.display());
    eprintln!("SKIPPED: {} is missing; `cargo xtask test` fetches it", path.display());
    None
}

/// The binary in a folder of its own, which is also its home.
pub(crate) fn at_home(home: &Home, arguments: &[&str]) -> Command {
    let folder = home.path("home");
    fs::create_dir_all(&folder).unwrap();
    let mut command = home.hearth(arguments);
    command.current_dir(&folder).env("HOME", &folder).env_remove("HEARTH_STATE_DIR");
    command
}

/// A weights folder, and a folder for commands that goes before all others on `PATH`.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("models")).unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn models(&self, name: &str) -> PathBuf {
        self.path("models").join(name)
    }

    /// The binary, with nothing of the environment that could lead a test outside.
    pub(crate) fn hearth(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
        command
            .args(arguments)
            .env_clear()
            .env("HEARTH_MODELS", self.path("models"))
            .env("HEARTH_STATE_DIR", self.path("state"))
            .env("PATH", self.path("bin"));
        command
    }

    /// Records a model of one file `m.gguf` with these sources (TOML) in the folder's own list.
    pub(crate) fn catalog(&self, name: &str, content: &[u8], sources: &str) {
        let (size, sha256) = (content.len(), sha256(content));
        let text = format!(
            "[[models]]\nname = '{name}'\ndescription = 'A test'\nlicence = 'MIT'\ncontext = 8\nchat = false\n\n\
             [[models.files]]\nname = 'm.gguf'\nsize = {size}\nsha256 = '{sha256}'\nsources = [{sources}]\n"
        );
        fs::write(self.models("local.toml"), text).unwrap();
    }

    /// An executable of this name that a shell runs.
    #[cfg(unix)]
    pub(crate) fn executable(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Names of what lies in a model's folder, markers and the lock aside.
    pub(crate) fn files(&self, model: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.models(model)) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.ends_with(".sha256") && name != ".pull.lock").collect();
        names.sort();
        names
    }
}

pub(crate) struct Ran {
    pub(crate) ok: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs to the end.
pub(crate) fn run(command: &mut Command) -> Ran {
    ran(command.output().unwrap())
}

pub(crate) fn ran(output: Output) -> Ran {
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)), "ended with {code:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ran { ok: code == Some(0), out: String::from_utf8(output.stdout).unwrap(), err: String::from_utf8(output.stderr).unwrap() }
}

impl Ran {
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert!(self.ok, "failed: {}", self.err);
        self
    }

    #[track_caller]
    pub(crate) fn failed_with(self, texts: &[&str]) -> Self {
        assert!(!self.ok, "succeeded: {}", self.out);
        for text in texts {
            assert!(self.err.contains(text), "{text:?} is not in {}", self.err);
        }
        self
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A header that passes for a model's, and as many bytes after it as make `size` that differ from place to place.
pub(crate) fn gguf(size: usize) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3u32.to_le_bytes());
    bytes.extend(0u64.to_le_bytes());
    bytes.extend(1u64.to_le_bytes());
    let text = |bytes: &mut Vec<u8>, text: &str| {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    text(&mut bytes, "general.architecture");
    bytes.extend(8u32.to_le_bytes());
    text(&mut bytes, "llama");
    let mut state = 1u32;
    while bytes.len() < size {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.push((state >> 24) as u8);
    }
    bytes
}

/// One request that came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first byte of the range that is asked for.
    pub(crate) fn offset(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// A server that answers as its test says, one request a connection.
pub(crate) struct Hub {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Hub {
    /// `answer` gets the number of the request (from 0), the request and the socket, which closes when it returns.
    pub(crate) fn start(answer: impl Fn(usize, &Request, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&requests), Arc::new(answer));
        thread::spawn(move || {
            for socket in listener.incoming() {
                let (mut socket, log, answer) = (socket.unwrap(), Arc::clone(&log), Arc::clone(&answer));
                thread::spawn(move || {
                    let Some(request) = read(&socket) else { return };
                    let number = {
                        let mut log = log.lock().unwrap();
                        log.push(request.clone());
                        log.len() - 1
                    };
                    answer(number, &request, &mut socket);
                });
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

fn read(socket: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(socket).lines().map_while(Result::ok);
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers = lines.take_while(|line| !line.is_empty());
    let headers = headers.filter_map(|line| line.split_once(": ").map(|(key, value)| (key.to_ascii_lowercase(), value.to_owned())));
    Some(Request { path, headers: headers.collect() })
}

/// Sends a head of these lines, and a body.
pub(crate) fn send(socket: &mut TcpStream, lines: &[&str], body: &[u8]) {
    let head = format!("HTTP/1.1 {}\r\nconnection: close\r\n\r\n", lines.join("\r\n"));
    // A client that goes early is the test's own.
    let _ = socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(body)).and_then(|()| socket.flush());
}

/// Sends a file as the hub does: all of it, the range that is asked for, or 416. `upto` cuts the connection after this byte of the file.
pub(crate) fn send_file(socket: &mut TcpStream, request: &Request, file: &[u8], upto: usize) {
    let total = file.len();
    match request.offset() {
        None => send(socket, &["200 OK", &format!("content-length: {total}")], &file[..upto.min(total)]),
        Some(offset) if offset >= total => send(socket, &["416 Range Not Satisfiable", &format!("content-range: bytes */{total}")], b""),
        Some(offset) => {
            let range = format!("content-range: bytes {offset}-{}/{total}", total - 1);
            let length = format!("content-length: {}", total - offset);
            send(socket, &["206 Partial Content", &range, &length], &file[offset..upto.clamp(offset, total)]);
        }
    }
}

pub(crate) fn read_file(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
