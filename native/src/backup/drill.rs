//! `hearth backup drill`: whether a backup is worth anything is known when it was restored. It is, into a scratch folder; a server is started there and asked something.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use hearth_engine::catalog::Catalog;
use hearth_store::{
    DEFAULT, FILE_NAME, Store,
    backup::{Manifest, Named, Restored},
};
use serde_json::{Value, json};

use super::{models_here, place::Place, restore::Scratch};
use crate::{cli::models_dir, text};

/// How long the server may take to be ready, and the answer to come.
const READY: Duration = Duration::from_secs(120);
const ANSWER: Duration = Duration::from_secs(120);
const QUESTION: &str = "What is the capital of France? Answer in one word.";
/// What the environment says of the real server, or of backups, and is not for the drill's: it is asked here, without a key or TLS.
const NOT_FOR_THE_DRILL: [&str; 19] = [
    "HEARTH_LISTEN",
    "HEARTH_HOST",
    "HOST",
    "HEARTH_PORT",
    "PORT",
    "HEARTH_REDIS_URL",
    "HEARTH_REDIS_URL_FILE",
    "HEARTH_CONFIG",
    "HEARTH_KEYS",
    "HEARTH_API_KEY",
    "HEARTH_API_KEY_FILE",
    "API_KEY",
    "HEARTH_TLS_CERT",
    "HEARTH_TLS_KEY",
    "HEARTH_TLS_SELF_SIGNED",
    "HEARTH_ACME_DOMAIN",
    "HEARTH_NO_STORE",
    "HEARTH_BACKUP_PLACE",
    "HEARTH_BACKUP_KEY_FILE",
];

pub(super) fn run(place: &Place, model: Option<String>, against: Option<&str>, scratch: PathBuf) -> anyhow::Result<()> {
    let start = Instant::now();
    let archive = place.archive();
    let Named { name, manifest } = archive.find(None)?;
    println!("backup    {name}");
    let scratch = Scratch(scratch.join(format!("hearth-drill-{}", std::process::id())));
    let Restored { state, models, .. } = archive.restore(&manifest, &scratch.0)?;
    println!("restored  {} files, {}, every hash as it was written", manifest.files.len(), text::bytes(manifest.size()));
    let records = Store::open(state.join(FILE_NAME))?.namespace(DEFAULT)?.keys()?.len();
    println!("store     {records} records, each as it was written");
    let dir = match &models {
        Some(models) => models.clone(),
        None => models_dir()?,
    };
    match model.or_else(|| model_at_hand(&manifest, &dir)) {
        Some(model) => {
            let server = Server::start(&model, &scratch.0, &state, &dir)?;
            println!("server    ready with {model} at {}", server.address);
            let answer = ask(&server.address, None)?;
            println!("answer    {answer:?}");
            if let Some(address) = against {
                let key = std::env::var("HEARTH_API_KEY").ok();
                let theirs = ask(address, key.as_deref())?;
                anyhow::ensure!(answer == theirs, "the server at {address} answers otherwise: {theirs:?}");
                println!("compared  {address} answers the same");
            }
        }
        None if against.is_some() => {
            anyhow::bail!("no model of the backup is on this machine, so that nothing can be compared: --model names one")
        }
        None => println!("server    NOT TRIED: no model of the backup is on this machine (--model names one)"),
    }
    println!("passed    in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// A model that was there when the backup was taken, and is here as it was then.
fn model_at_hand(manifest: &Manifest, dir: &Path) -> Option<String> {
    let here = models_here(&Catalog::with_local(dir).ok()?, dir);
    let same = |name: &str, sha256: &str| here.iter().any(|model| model.name == name && model.main_file().sha256 == sha256 && model.chat);
    manifest.models.iter().find(|model| same(&model.name, &model.sha256)).map(|model| model.name.clone())
}

/// A server over the restored state; it ends with this.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(model: &str, scratch: &Path, state: &Path, models: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program")?;
        // The service's own configuration may ask for keys and speak TLS.
        let config = scratch.join("drill.toml");
        std::fs::write(&config, "").with_context(|| format!("cannot write {}", config.display()))?;
        let mut command = Command::new(program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--model", model, "--state-dir"]).arg(state).env("HEARTH_MODELS", models);
        command.arg("--config").arg(&config);
        for name in NOT_FOR_THE_DRILL {
            command.env_remove(name);
        }
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("a server cannot be started")?;
        let out = process.stdout.take().context("the server's output")?;
        let mut server = Self { process, address: String::new() };
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let address = line.split_once("http://").map(|(_, address)| address.trim().to_owned());
                if let Some(address) = address
                    && sender.send(format!("http://{address}")).is_err()
                {
                    break;
                }
            }
        });
        server.address = lines.recv_timeout(READY).map_err(|_| {
            anyhow::anyhow!("a server over the restored state ended, or was not ready within {} s; what it says is above", READY.as_secs())
        })?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The answer to the question, with nothing left to chance.
fn ask(address: &str, key: Option<&str>) -> anyhow::Result<String> {
    let body = json!({"messages": [{"role": "user", "content": QUESTION}], "temperature": 0, "seed": 1, "max_tokens": 24});
    let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(ANSWER)).build().new_agent();
    let mut request = agent.post(format!("{}/v1/chat/completions", address.trim_end_matches('/'))).content_type("application/json");
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let mut response = request.send(body.to_string()).with_context(|| format!("asking {address}"))?;
    let status = response.status();
    let text = response.body_mut().with_config().limit(1 << 20).read_to_string().with_context(|| format!("the answer of {address}"))?;
    anyhow::ensure!(status.is_success(), "{address} answered {status}: {text}");
    let document: Value = serde_json::from_str(&text).with_context(|| format!("the answer of {address}"))?;
    let answer = document["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned();
    anyhow::ensure!(!answer.is_empty(), "{address} answered nothing: {text}");
    Ok(answer)
}
