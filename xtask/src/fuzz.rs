//! `cargo xtask fuzz`: the fuzz targets of `fuzz/`, each for some seconds, with AddressSanitizer.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};

use crate::{
    command::{self, tool, works},
    system,
};

/// cargo-fuzz builds a target for libFuzzer and runs it.
const CARGO_FUZZ: (&str, &str) = ("cargo-fuzz", "0.13.2");

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Targets to run, by the names of their files in fuzz/fuzz_targets; without any, all.
    targets: Vec<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

pub(crate) fn run(root: &Path, args: &Args) -> anyhow::Result<()> {
    let folder = root.join("fuzz");
    let all = targets(&folder)?;
    if let Some(unknown) = args.targets.iter().find(|target| !all.contains(target)) {
        anyhow::bail!("there is no target {unknown}; there are {}", all.join(", "));
    }
    if !works("c++", &["--version"]) {
        system::ensure(&["g++"], "building libFuzzer")?;
    }
    let program = tool(root, CARGO_FUZZ, &[])?;
    for target in if args.targets.is_empty() { &all } else { &args.targets } {
        eprintln!("fuzzing {target} for {} s", args.seconds);
        let corpus = root.join("target/fuzz/corpus").join(target);
        std::fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
        let mut fuzz = Command::new(&program);
        // Sanitizers are a nightly option; a stable compiler that carries their libraries takes it with this.
        fuzz.current_dir(root).env("RUSTC_BOOTSTRAP", "1").args(["fuzz", "run", "--target-dir"]).arg(root.join("target/fuzz")).arg(target);
        // What libFuzzer finds goes to the first folder.
        fuzz.arg(&corpus).arg(folder.join("seeds").join(target)).arg("--");
        fuzz.arg(format!("-max_total_time={}", args.seconds)).args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]);
        command::run(&mut fuzz)?;
    }
    Ok(())
}

/// The targets' names, in order.
fn targets(folder: &Path) -> anyhow::Result<Vec<String>> {
    let folder = folder.join("fuzz_targets");
    let files = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let paths = files.map(|file| Ok(file?.path())).collect::<std::io::Result<Vec<PathBuf>>>()?;
    let mut names: Vec<String> = paths.iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    ensure!(!names.is_empty(), "{} has no targets", folder.display());
    names.sort();
    Ok(names)
}
