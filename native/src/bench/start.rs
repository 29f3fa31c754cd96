//! How long a process takes until its model is loaded and until its first token, seen from outside of it.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use hearth_engine::{Engine, Graph, Tensor};
use serde_json::json;

use super::args::BenchArgs;
use crate::{
    cli::{Device, EngineArgs, KvCache},
    engine::{self, Load},
};

/// Lines that the started process writes.
const LOADED: &str = "loaded";
const FIRST: &str = "first token";

/// From the start of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    /// Until the model is loaded.
    pub(super) loaded: Duration,
    /// Until the first token after a prompt of one.
    pub(super) first_token: Duration,
}

/// Starts this program anew for the model at `path` and watches it.
pub(super) fn measure(path: &Path, args: &EngineArgs) -> anyhow::Result<Start> {
    let program = env::current_exe().context("cannot find this program's own file")?;
    let device = match args.device {
        Device::Auto => "auto",
        Device::Cpu => "cpu",
        Device::Gpu => "gpu",
    };
    let kv_cache = match args.kv_cache {
        KvCache::F16 => "f16",
        KvCache::Q8_0 => "q8_0",
    };
    let mut command = Command::new(program);
    command.args(["bench", "--start-only", "--device", device, "--file"]).arg(path);
    command.args(["--threads", &args.threads.to_string(), "--context", &args.context.to_string()]);
    command.args(["--cache-memory", &args.cache_memory.to_string(), "--kv-cache", kv_cache]);
    if let Some(quantize) = args.quantize {
        command.args(["--quantize", &quantize.to_string()]);
    }
    // Its error alone comes back, without the log.
    command.env("HEARTH_LOG", "off").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn().context("cannot start this program anew")?;
    let (mut loaded, mut first_token) = (None, None);
    for line in BufReader::new(child.stdout.take().context("no output to read")?).lines() {
        let passed = Some(begun.elapsed());
        match line?.as_str() {
            LOADED => loaded = passed,
            FIRST => first_token = passed,
            _ => {}
        }
    }
    let ended = child.wait_with_output()?;
    match (loaded, first_token) {
        (Some(loaded), Some(first_token)) => Ok(Start { loaded, first_token }),
        _ => {
            let said = String::from_utf8_lossy(&ended.stderr);
            let said = said.trim_end().trim_start_matches("error: ");
            anyhow::bail!("the started process ended early ({}): {said}", ended.status)
        }
    }
}

/// What the started process does.
pub(super) fn answer(args: &BenchArgs) -> anyhow::Result<()> {
    let path = args.file.clone().context("--start-only needs --file")?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let engine = engine::start(&args.engine, Load::own(1))?;
        let graph = load(&engine, &path).await?;
        say(LOADED)?;
        let mut context = graph.init_execution_context()?;
        let request = json!({"tokens": [0], "max_tokens": 1, "ignore_end": true, "sampling": {"temperature": 0}});
        context.compute(vec![("request".to_owned(), Tensor::from_bytes(request.to_string().into_bytes()))]).await?;
        say(FIRST)
    })?;
    // What is left to take down says nothing about a start.
    std::process::exit(0);
}

/// Loads the model at `path`, with all of the engine's errors.
pub(super) async fn load(engine: &Engine, path: &Path) -> anyhow::Result<Graph> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    engine.add_model(&name, path.to_owned(), None);
    Ok(engine.ready(&name).await?)
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
