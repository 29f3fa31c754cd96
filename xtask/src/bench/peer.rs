//! llama.cpp: built for this machine from the sources that `cargo xtask test` unpacks, and its own tools' figures.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};
use serde_json::Value;

use super::results::median;
use crate::{command::run_quietly, system, test::LLAMA_CPP};

/// What is built, and run.
const TARGETS: [&str; 3] = ["llama-bench", "llama-batched-bench", "llama-server"];

/// Native instructions; no TLS, no web page (which would be fetched), no tests.
const OPTIONS: [&str; 10] = [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DGGML_NATIVE=ON",
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DGGML_CCACHE=OFF",
];

/// Flash attention, on or off: whichever is faster here is llama.cpp's.
pub(super) const FLASH: [&str; 2] = ["on", "off"];

/// The built tools.
pub(super) struct Peer {
    bin: PathBuf,
}

/// Builds the tools with cmake and ninja of the environment `tools`, unless they are built.
pub(super) fn build(data: &Path, tools: &Path) -> anyhow::Result<()> {
    system::ensure(&["g++"], "building llama.cpp, the peer to measure against")?;
    run_quietly(Command::new(tools.join("bin/pip")).args(["install", "--quiet", "cmake==4.4.4", "ninja==1.13.2"]))?;
    let (package, version) = LLAMA_CPP;
    let (sources, folder) = (data.join(format!("{package}-{version}/vendor/llama.cpp")), folder(data));
    if !folder.join("build.ninja").exists() {
        eprintln!("building llama.cpp for this machine (the first time takes ten minutes on two cores)");
    }
    let cmake = || {
        let mut cmake = Command::new(tools.join("bin/cmake"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([tools.join("bin")].into_iter().chain(std::env::split_paths(&path)));
        cmake.env("PATH", path.unwrap_or_default());
        cmake
    };
    run_quietly(cmake().arg("-S").arg(&sources).arg("-B").arg(&folder).args(["-G", "Ninja"]).args(OPTIONS))?;
    run_quietly(cmake().arg("--build").arg(&folder).arg("--target").args(TARGETS))
}

fn folder(data: &Path) -> PathBuf {
    data.join("llama.cpp-build")
}

impl Peer {
    pub(super) fn find(data: &Path) -> anyhow::Result<Self> {
        let bin = folder(data).join("bin");
        match TARGETS.iter().find(|target| !bin.join(target).is_file()) {
            Some(target) => bail!("{} is not built: run without --no-build", bin.join(target).display()),
            None => Ok(Self { bin }),
        }
    }

    pub(super) fn server(&self) -> Command {
        Command::new(self.bin.join("llama-server"))
    }

    /// Tokens a second of a prompt, or with `prompt` 0 of `generate` tokens decoded after `depth`, by llama-bench.
    pub(super) fn rate(
        &self,
        model: &Path,
        threads: usize,
        flash: &str,
        (prompt, generate, depth): (usize, usize, usize),
    ) -> anyhow::Result<f64> {
        let mut command = Command::new(self.bin.join("llama-bench"));
        command.arg("-m").arg(model).args(["-t", &threads.to_string(), "-fa", flash, "-r", "1", "-o", "json"]);
        command.args(["-p", &prompt.to_string(), "-n", &generate.to_string(), "-d", &depth.to_string()]);
        let records: Value = serde_json::from_str(&output(&mut command)?).context("llama-bench wrote no JSON")?;
        records[0]["avg_ts"].as_f64().context("llama-bench has no figure")
    }

    /// Tokens a second of sequences that decode together, by their number, by llama-batched-bench.
    pub(super) fn batches(
        &self,
        model: &Path,
        threads: usize,
        flash: &str,
        (prompt, generate): (usize, usize),
        sequences: &[usize],
    ) -> anyhow::Result<Vec<f64>> {
        let list: Vec<String> = sequences.iter().map(ToString::to_string).collect();
        // Each sequence has its part of the context, a multiple of 256.
        let context = sequences.iter().max().unwrap_or(&1) * (prompt + generate + 8).next_multiple_of(256);
        let mut command = Command::new(self.bin.join("llama-batched-bench"));
        command.arg("-m").arg(model).args(["-t", &threads.to_string(), "-tb", &threads.to_string(), "-fa", flash]);
        command.args(["-c", &context.to_string(), "-npp", &prompt.to_string(), "-ntg", &generate.to_string()]);
        command.args(["-npl", &list.join(","), "--output-format", "jsonl"]);
        let text = output(&mut command)?;
        let records: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let rate = |sequences: &usize| {
            let record = records.iter().find(|record| record["pl"].as_u64() == Some(*sequences as u64));
            record
                .and_then(|record| record["speed_tg"].as_f64())
                .with_context(|| format!("llama-batched-bench has no figure for {sequences}"))
        };
        sequences.iter().map(rate).collect()
    }
}

/// The setting of flash attention with the best `rate`, and that rate: a measurement that counts as the first.
pub(super) fn best_flash(mut rate: impl FnMut(&'static str) -> anyhow::Result<Vec<f64>>) -> anyhow::Result<(&'static str, Vec<f64>)> {
    let mut best: Option<(&'static str, Vec<f64>)> = None;
    for flash in FLASH {
        let rates = rate(flash)?;
        if best.as_ref().is_none_or(|(_, others)| median(&rates) > median(others)) {
            best = Some((flash, rates));
        }
    }
    best.context("no setting of flash attention was tried")
}

/// What a program writes on standard output; what it writes elsewhere is shown when it fails.
pub(super) fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last: Vec<&str> = said.lines().rev().take(5).collect();
        bail!("{name}: {}: {}", output.status, last.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
