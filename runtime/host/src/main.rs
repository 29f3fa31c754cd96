//! `trigger-nn-http`: the Spin trigger plugin, which also runs a `spin.toml` without Spin.

use std::{io::IsTerminal, process::ExitCode};

use clap::Parser;
use hearth_host::cli::{Cli, SpinAnswer, spin_answer};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    match spin_answer(std::env::args()) {
        Some(SpinAnswer::Help(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Some(SpinAnswer::Metadata(text)) => {
            eprintln!("{text}");
            return ExitCode::SUCCESS;
        }
        None => {}
    }
    let cli = Cli::parse();
    let level = if cli.quiet { "error" } else { "warn,hearth_host=info,hearth_server=info,hearth_engine=info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();

    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the async runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(hearth_host::trigger::run(cli));
    // A call that blocks (a store's commit has returned by now) does not hold up the exit.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
