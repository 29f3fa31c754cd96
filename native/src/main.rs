//! `hearth`, the command line and the native server: the handler and the engine in one process.
//!
//! Here live the commands, the way from a model's name to its verified file, and the ports that put the engine behind the handler. Never here: what a route answers
//! (`hearth-function`), how tokens are made (`hearth-engine`), sockets (`hearth-server`).

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

mod backup;
mod bench;
mod chat;
mod cli;
mod engine;
mod list;
mod ports;
mod progress;
mod pull;
mod select;
mod serve;
mod text;
mod verify;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_env("HEARTH_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    let done = match cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Chat(args) => chat::run(args),
        Command::Pull(args) => pull::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Models(args) => list::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Backup(args) => backup::run(*args),
        Command::Restore(args) => backup::restore(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A reader that closed the pipe early (`hearth models | head`) has what it wanted.
            if error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe) {
                return ExitCode::SUCCESS;
            }
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
