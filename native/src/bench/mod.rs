//! `hearth bench`: how fast a model is on this machine, or how fast a server answers many clients at once.
//!
//! The first goes through the engine's public door, as the handler does; the second knows nothing of Hearth and measures any server with OpenAI's API. What compares
//! Hearth with another engine is `cargo xtask bench`, which reads the `--json` of both.

mod args;
mod figures;
mod level;
mod load;
mod model;
mod report;
mod start;
pub(crate) mod stream;
mod subject;

pub(crate) use args::BenchArgs;

/// Measures and prints.
pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    match &args.load.url {
        Some(url) => load::run(url, args),
        None if args.start_only => start::answer(args),
        None => model::run(args),
    }
}
