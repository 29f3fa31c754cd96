//! A server of any of the three kinds: started on a free port, waited for, asked, ended.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

use super::{Bench, Model, machine};

/// Who serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// llama-server.
    Peer,
    /// `hearth serve`.
    Native,
    /// The same handler as a component in the wasm host.
    Wasm,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Peer => "llama-server",
            Self::Native => "hearth-serve",
            Self::Wasm => "trigger-nn-http",
        }
    }
}

/// How much it serves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape<'a> {
    pub(super) threads: usize,
    /// Answers computed together.
    pub(super) sequences: usize,
    /// Tokens of one chat at most.
    pub(super) context: usize,
    /// llama.cpp's flash attention.
    pub(super) flash: &'a str,
    /// Whether llama.cpp keeps the prompts of earlier chats beside its slots, which costs it time where none comes again.
    pub(super) keeps_prompts: bool,
}

/// A running server; dropping it ends it.
pub(super) struct Server {
    child: Child,
    port: u16,
    begun: Instant,
    /// From its start until it can answer.
    pub(super) ready: Duration,
}

/// Longest wait for a model to load.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two questions whether it can answer: what a start is measured to.
const PAUSE: Duration = Duration::from_millis(1);

impl Server {
    /// Starts a server of `kind` and waits until it can answer.
    pub(super) fn start(bench: &Bench, kind: Kind, model: &Model, shape: Shape<'_>) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = match kind {
            Kind::Peer => peer(bench, model, shape, port),
            Kind::Native => bench.ours.native(),
            Kind::Wasm => bench.ours.wasm(),
        };
        if kind != Kind::Peer {
            // Both of ours take the same flags. The queue has room for every client, as llama-server's has no end.
            let Shape { threads, sequences, context, .. } = shape;
            command.args(["--listen", &format!("127.0.0.1:{port}"), "--device", "cpu", "--queue", "256", "--model"]).arg(&model.path);
            command.args(["--threads", &threads.to_string(), "--sequences", &sequences.to_string(), "--context", &context.to_string()]);
        }
        let log = bench.ours.log(kind.name())?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log)?);
        let begun = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {}", kind.name()))?;
        let mut server = Self { child, port, begun, ready: Duration::ZERO };
        while !server.request("GET", "/health", "").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            if let Some(status) = server.child.try_wait()? {
                bail!("{} ended before it could answer ({status}): see {}", kind.name(), log.display());
            }
            ensure!(begun.elapsed() < PATIENCE, "{} does not get ready: see {}", kind.name(), log.display());
            thread::sleep(PAUSE);
        }
        server.ready = begun.elapsed();
        Ok(server)
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks for one token; from the process's start until it is there.
    pub(super) fn first_token(&self) -> anyhow::Result<Duration> {
        let body = r#"{"messages":[{"role":"user","content":"Hi"}],"max_tokens":1,"temperature":0}"#;
        let answer = self.request("POST", "/v1/chat/completions", body)?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "no token: {}", answer.chars().take(300).collect::<String>());
        Ok(self.begun.elapsed())
    }

    /// The most memory it has had in use at once, in bytes.
    pub(super) fn peak_memory(&self) -> anyhow::Result<f64> {
        machine::peak_memory(self.child.id())
    }

    /// One request on a connection of its own; the whole response as it came.
    fn request(&self, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let host = format!("127.0.0.1:{}", self.port);
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\n");
        stream.write_all(format!("{head}content-length: {length}\r\n\r\n{body}").as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// llama-server: a slot and a part of the context for each sequence, continuous batching (its default). The warm-up run is left out, as ours has none: it only delays a start.
fn peer(bench: &Bench, model: &Model, shape: Shape<'_>, port: u16) -> Command {
    let Shape { threads, sequences, context, flash, keeps_prompts } = shape;
    let context = sequences * context.next_multiple_of(256);
    let mut command = bench.peer.server();
    command.arg("--model").arg(&model.path).args(["--host", "127.0.0.1", "--port", &port.to_string()]);
    command.args(["--threads", &threads.to_string(), "--threads-batch", &threads.to_string()]);
    command.args(["--ctx-size", &context.to_string(), "--parallel", &sequences.to_string(), "--no-kv-unified"]);
    command.args(["--flash-attn", flash, "--cont-batching", "--no-warmup", "--no-webui", "--offline", "--fit", "off"]);
    if !keeps_prompts {
        command.args(["--cache-ram", "0"]);
    }
    command
}
