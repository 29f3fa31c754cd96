//! `trigger-nn-http`: the Spin trigger plugin, which also runs a `spin.toml` without Spin.

use std::process::ExitCode;

use clap::Parser;
use hearth_host::cli::{Cli, SpinAnswer, spin_answer};

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
    let service_log = cli.state_dir.as_ref().map(|folder| folder.join("logs/service.log"));
    if let Err(error) = hearth_server::log::begin(&cli.observe, level, service_log) {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    hearth_server::metrics::install(hearth_engine::HISTOGRAMS);

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
