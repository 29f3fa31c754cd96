//! `cargo xtask bench`: Hearth against llama.cpp on this machine, in one run and in turns, and the page that says what came out.
//!
//! Both engines read the same model files with the same number of threads. What is compared is measured by pairs, one of the peer's and one of ours, so that a machine whose
//! speed drifts drifts for both; a row's ratio is the median of its pairs' ratios. Here is no product code: ours is measured through `hearth bench` and over HTTP.

// `hearth capacity` measures it too, and finds the same.
#[path = "../../../native/src/capacity/bandwidth.rs"]
mod bandwidth;
mod engine;
mod machine;
mod ours;
mod peer;
mod plot;
mod report;
mod results;
mod server;
mod service;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use self::{
    machine::Machine,
    ours::Ours,
    peer::Peer,
    results::{Results, Row},
};
use crate::{
    command::{self, cargo},
    component, page, test,
};

/// What can be measured, in the order of the page.
const ROWS: [&str; 9] = ["prefill", "decode", "bandwidth", "batch", "busy", "start", "memory", "turn", "http"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Measure only these rows: prefill, decode, bandwidth, batch, busy, start, memory, turn, http.
    #[arg(long, value_name = "ROW,…", value_delimiter = ',')]
    only: Vec<String>,
    /// A short version: fewer pairs, shorter answers, fewer clients.
    #[arg(long)]
    quick: bool,
    /// Threads to measure with; without it one, and as many as there are cores.
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    threads: Vec<usize>,
    /// Folder of the page, the plots and results.json; without it docs/bench for a whole run, and target/bench for one with --quick or --only.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Set up and build what a run needs, and end.
    #[arg(long, conflicts_with = "redraw")]
    prepare: bool,
    /// Measure what an earlier call has set up and built.
    #[arg(long, conflicts_with = "prepare")]
    no_build: bool,
    /// Measure nothing: draw the page and the plots anew from results.json.
    #[arg(long)]
    redraw: bool,
}

/// What a run measures with.
struct Bench {
    peer: Peer,
    ours: Ours,
    models: Vec<Model>,
    /// Numbers of threads, the largest last.
    threads: Vec<usize>,
    quick: bool,
    only: BTreeSet<String>,
}

/// A model's file.
struct Model {
    /// As the page calls it.
    name: &'static str,
    path: PathBuf,
    /// Whether it has a chat template, which the rows over HTTP need.
    chat: bool,
}

pub(crate) fn run(root: &Path, args: &Args) -> anyhow::Result<()> {
    let whole = !args.quick && args.only.is_empty();
    let out = args.out.clone().unwrap_or_else(|| root.join(if whole { "docs/bench" } else { "target/bench" }));
    if args.redraw {
        return report::write(&out, &Results::read(&out)?);
    }
    if let Some(unknown) = args.only.iter().find(|row| !ROWS.contains(&row.as_str())) {
        bail!("there is no row {unknown}; there are {}", ROWS.join(", "));
    }
    let bench = Bench::set_up(root, args)?;
    if args.prepare {
        return Ok(());
    }
    let machine = Machine::look();
    if let Some(busy) = machine.busy.filter(|busy| *busy > 0.05) {
        eprintln!("warning: other processes use {:.0} % of this machine; figures of a machine that rests are better", busy * 100.0);
    }
    let mut results = Results::new(machine, args.quick, root);
    bench.measure(&mut results)?;
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    results.write(&out)?;
    report::write(&out, &results)?;
    println!("{}", out.join("README.md").display());
    Ok(())
}

impl Bench {
    /// Installs the tools, builds both engines and pulls the models; what is there stays.
    fn set_up(root: &Path, args: &Args) -> anyhow::Result<Self> {
        let data = root.join("target/test-data");
        std::fs::create_dir_all(&data)?;
        if !args.no_build {
            let python = test::venv(root, "python")?.join("bin/python");
            test::llama_cpp(&python, &data)?;
            peer::build(&data, &test::venv(root, "tools")?)?;
            page::build(root)?;
            component::build(root, component::Wasi::P3)?;
            eprintln!("building Hearth (profile dev, which optimizes the engine as a release does)");
            command::run(cargo(root).args(["build", "--workspace", "--bins", "--locked"]))?;
        }
        let paths = test::models(root, &data)?;
        let mut threads = if args.threads.is_empty() { vec![1, machine::cores()] } else { args.threads.clone() };
        threads.retain(|threads| *threads > 0);
        threads.sort_unstable();
        threads.dedup();
        let about = [("SmolLM2-135M Q4_1", true), ("Gemma-3-270M Q4_K_M", false)];
        let models = about.into_iter().zip(paths).map(|((name, chat), path)| Model { name, path, chat }).collect();
        Ok(Self {
            peer: Peer::find(&data)?,
            ours: Ours::find(root)?,
            models,
            threads,
            quick: args.quick,
            only: args.only.iter().cloned().collect(),
        })
    }

    fn measure(&self, results: &mut Results) -> anyhow::Result<()> {
        for (row, measure) in engine::ROWS {
            self.row(row, results, measure)?;
        }
        for (row, measure) in service::ROWS {
            self.row(row, results, measure)?;
        }
        Ok(())
    }

    /// Measures a row if it is wanted. One that fails is said and left out: the others are still worth their time.
    fn row(&self, name: &str, results: &mut Results, measure: fn(&Self, &mut Results) -> anyhow::Result<()>) -> anyhow::Result<()> {
        if !self.only.is_empty() && !self.only.contains(name) {
            return Ok(());
        }
        if let Err(error) = measure(self, results) {
            eprintln!("the row {name} failed: {error:#}");
            results.failed.push(format!("{name}: {error:#}"));
        }
        Ok(())
    }

    /// Threads of the rows that are measured with one number only.
    fn most_threads(&self) -> usize {
        self.threads.last().copied().unwrap_or(1)
    }

    /// Pairs of a row.
    fn pairs(&self, whole: usize) -> usize {
        if self.quick { 1 } else { whole }
    }

    /// Measures `pairs` pairs into `row`.
    fn alternate(
        &self,
        pairs: usize,
        row: &mut Row,
        mut peer: impl FnMut() -> anyhow::Result<f64>,
        mut ours: impl FnMut() -> anyhow::Result<f64>,
    ) -> anyhow::Result<()> {
        for pair in 1..=pairs {
            eprintln!("{}, pair {pair} of {pairs}", row.name);
            row.peer.push(peer()?);
            row.ours.push(ours()?);
        }
        Ok(())
    }
}
