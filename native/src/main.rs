//! `hearth`, the command line and the native server: the handler and the engine in one process.
//!
//! Here live the commands, the way from a model's name to its verified file, and the ports that put the engine behind the handler. Never here: what a route answers
//! (`hearth-function`), how tokens are made (`hearth-engine`), sockets (`hearth-server`).

use std::{ffi::OsString, process::ExitCode};

use clap::FromArgMatches;
use tracing_subscriber::EnvFilter;

mod backup;
mod bench;
mod capacity;
mod chat;
mod cli;
mod config;
mod doctor;
mod engine;
mod keys;
mod list;
mod manual;
mod outbound;
mod ports;
mod progress;
mod pull;
mod reload;
mod select;
mod serve;
mod state;
mod text;
mod verify;

use cli::{Cli, Command, SERVE};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let done = if serves(&arguments) { serve::run(arguments) } else { run(arguments) };
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

/// Whether this is `hearth serve`, whose flags are but one of its layers: what the environment says to it is no matter of the command line.
fn serves(arguments: &[OsString]) -> bool {
    let typed = cli::command().mut_subcommand(SERVE, hearth_config::bare).ignore_errors(true).try_get_matches_from(arguments);
    typed.is_ok_and(|matches| matches.subcommand_name() == Some(SERVE))
}

fn run(arguments: Vec<OsString>) -> anyhow::Result<()> {
    let matches = cli::command().get_matches_from(&arguments);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    // A server has flags for its log.
    if !matches!(cli.command, Command::Serve(_)) {
        let filter = EnvFilter::try_from_env("HEARTH_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    }
    match cli.command {
        Command::Serve(_) => serve::run(arguments),
        Command::Chat(args) => chat::run(args),
        Command::Pull(args) => pull::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Models(args) => list::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Capacity(args) => capacity::run(&args),
        Command::Backup(args) => backup::run(*args),
        Command::Restore(args) => backup::restore(&args),
        Command::Init(args) => config::init(&args),
        Command::Config(args) => config::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => manual::completions(&args),
        Command::Manual(args) => manual::manual(&args),
    }
}
