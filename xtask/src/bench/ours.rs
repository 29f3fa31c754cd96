//! Hearth as its users have it: the binaries of `cargo xtask up`, and `hearth bench`'s figures.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};
use serde_json::Value;

use super::peer::output;

/// The built binaries.
pub(super) struct Ours {
    root: PathBuf,
}

/// A row of `hearth bench`'s JSON.
pub(super) type Test<'a> = &'a [(&'a str, usize)];

impl Ours {
    pub(super) fn find(root: &Path) -> anyhow::Result<Self> {
        let ours = Self { root: root.to_owned() };
        for name in ["hearth", "trigger-nn-http"] {
            if !ours.binary(name).is_file() {
                bail!("{} is not built: run without --no-build", ours.binary(name).display());
            }
        }
        Ok(ours)
    }

    fn binary(&self, name: &str) -> PathBuf {
        self.root.join("target/debug").join(name)
    }

    /// The native shape's server.
    pub(super) fn native(&self) -> Command {
        let mut command = Command::new(self.binary("hearth"));
        command.args(["serve", "--no-store"]);
        command
    }

    /// The wasm shape's server.
    pub(super) fn wasm(&self) -> Command {
        let mut command = Command::new(self.binary("trigger-nn-http"));
        command.arg("--from").arg(self.root.join("spin.toml")).arg("--quiet");
        command.arg("--state-dir").arg(self.root.join("target/bench/state"));
        command
    }

    /// Where a server's standard error goes.
    pub(super) fn log(&self, server: &str) -> anyhow::Result<PathBuf> {
        let folder = self.root.join("target/bench");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder.join(format!("{server}.log")))
    }

    /// Runs `hearth bench` once on a model's file with these sizes; what is not named is left out.
    pub(super) fn model(&self, model: &Path, threads: usize, sizes: &[(&str, String)]) -> anyhow::Result<Value> {
        let mut command = Command::new(self.binary("hearth"));
        command.args(["bench", "--json", "--no-start", "--no-tensors", "--repeat", "1", "--device", "cpu"]);
        command.args(["--threads", &threads.to_string(), "--file"]);
        command.arg(model);
        for (size, default) in [("--prompt", "0"), ("--generate", "0"), ("--depth", "0"), ("--batch", "0")] {
            let value = sizes.iter().find(|(name, _)| *name == size).map_or(default, |(_, value)| value);
            command.args([size, value]);
        }
        for (size, value) in sizes.iter().filter(|(name, _)| *name == "--batch-prompt") {
            command.args([size, value.as_str()]);
        }
        serde_json::from_str(&output(&mut command)?).context("hearth bench wrote no JSON")
    }

    /// Loads a server over HTTP: the levels of `hearth bench --url`, one for each number of clients.
    pub(super) fn load(&self, url: &str, flags: &[(&str, usize)]) -> anyhow::Result<Value> {
        let mut command = Command::new(self.binary("hearth"));
        command.args(["bench", "--json", "--url", url]).env_remove("OPENAI_API_KEY");
        for (flag, value) in flags {
            command.args([*flag, &value.to_string()]);
        }
        let report: Value = serde_json::from_str(&output(&mut command)?).context("hearth bench wrote no JSON")?;
        Ok(report["levels"][0].clone())
    }
}

/// The median of the row of `test` that has these sizes.
pub(super) fn figure(report: &Value, test: &str, sizes: Test) -> anyhow::Result<f64> {
    let rows = report["rows"].as_array().context("hearth bench has no rows")?;
    let fits = |row: &&Value| row["test"] == test && sizes.iter().all(|(name, size)| row[name].as_u64() == Some(*size as u64));
    rows.iter().find(fits).and_then(|row| row["median"].as_f64()).with_context(|| format!("hearth bench has no row {test} {sizes:?}"))
}
