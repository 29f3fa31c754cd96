//! The measurement of a model on this machine, from loading to the last row.

use std::path::Path;

use serde_json::json;

use super::{
    args::{BenchArgs, SizeArgs},
    figures::Samples,
    report::{Report, Row, Unit},
    start,
    subject::Subject,
};
use crate::{
    cli::EngineArgs,
    engine::{self, Load},
    select::{Selected, select},
};

pub(super) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let model = chosen(args)?;
    // The cache holds what is measured and no more, unless the user says otherwise.
    let context = if args.engine.context == 0 { args.sizes.longest() } else { args.engine.context };
    let engine = EngineArgs { context, ..args.engine.clone() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let report = runtime.block_on(measure(&model, &engine, &args.sizes))?;
    if args.json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
    Ok(())
}

fn chosen(args: &BenchArgs) -> anyhow::Result<Selected> {
    let word = match &args.file {
        // Whatever its name is, it is a file and not a name of the catalog.
        Some(file) => Some(std::path::absolute(file)?.to_string_lossy().into_owned()),
        None => args.model.clone(),
    };
    let models = select(word.as_slice(), args.engine.quantize)?;
    models.into_iter().next().ok_or_else(|| anyhow::anyhow!("no model"))
}

async fn measure(model: &Selected, args: &EngineArgs, sizes: &SizeArgs) -> anyhow::Result<Report> {
    let mut rows = Vec::new();
    if !sizes.no_start {
        rows.extend(starts(&model.path, args, sizes.repeat)?);
    }
    eprintln!("loading {} and warming up", model.name);
    let sequences = sizes.batches().max().unwrap_or(1);
    let engine = engine::start(args, Load::own(sequences))?;
    let mut subject = Subject::warm(start::load(&engine, &model.path).await?).await?;
    let repeat = sizes.repeat;

    if sizes.prompt > 0 {
        let mut row = Measured::new(format!("prefill of {}", sizes.prompt), repeat);
        while row.goes_on() {
            row.push(subject.prefill(sizes.prompt).await?);
        }
        rows.push(row.done(Unit::TokensPerSecond, json!({"test": "prefill", "tokens": sizes.prompt})));
    }
    let length = sizes.generate;
    for depth in sizes.depths() {
        let mut row = Measured::new(format!("decode of {length} after {depth}"), repeat);
        while row.goes_on() {
            row.push(subject.decode(depth, length).await?);
        }
        rows.push(row.done(Unit::TokensPerSecond, json!({"test": "decode", "tokens": length, "depth": depth})));
    }
    if let Some(depth) = sizes.depths().min().filter(|_| !sizes.no_tensors) {
        let mut row = Measured::new(format!("decode of {length} after {depth}, tensor mode"), repeat);
        while row.goes_on() {
            row.push(subject.decode_tensors(depth, length).await?);
        }
        rows.push(row.done(Unit::TokensPerSecond, json!({"test": "decode_tensors", "tokens": length, "depth": depth})));
    }
    for sequences in sizes.batches() {
        let prompt = sizes.batch_prompt;
        let mut row = Measured::new(format!("decode of {length} after {prompt}, {sequences} together"), repeat);
        while row.goes_on() {
            row.push(subject.batch(sequences, prompt, length, sizes.batch_tokens(sequences)).await?);
        }
        let test = json!({"test": "batch", "sequences": sequences, "prompt": prompt, "tokens": length});
        rows.push(row.done(Unit::TokensPerSecond, test));
    }
    Ok(Report {
        model: model.name.clone(),
        file_bytes: model.path.metadata()?.len(),
        device: engine.device_description(),
        vocabulary: subject.vocabulary(),
        peak_memory: peak_memory(),
        rows,
    })
}

/// Loading and the first token of processes that do nothing else.
fn starts(path: &Path, args: &EngineArgs, repeat: usize) -> anyhow::Result<[Row; 2]> {
    let mut loads = Measured::new("start of a process".to_owned(), repeat);
    let mut firsts = Vec::new();
    // The first brings the file and the program into memory: the others tell what a start costs once they are there.
    start::measure(path, args)?;
    while loads.goes_on() {
        let start = start::measure(path, args)?;
        loads.push(start.loaded.as_secs_f64());
        firsts.push(start.first_token.as_secs_f64());
    }
    let loaded = Row { label: "start to model loaded".to_owned(), ..loads.done(Unit::Seconds, json!({"test": "load"})) };
    let label = "start to first token".to_owned();
    let first = Row { label, unit: Unit::Seconds, samples: firsts.into_iter().collect(), test: json!({"test": "first_token"}) };
    Ok([loaded, first])
}

/// A row while it is measured, with its progress on standard error.
struct Measured {
    label: String,
    repeat: usize,
    samples: Vec<f64>,
}

impl Measured {
    fn new(label: String, repeat: usize) -> Self {
        eprintln!("measuring {label}");
        Self { label, repeat, samples: Vec::new() }
    }

    fn goes_on(&self) -> bool {
        self.samples.len() < self.repeat
    }

    fn push(&mut self, sample: f64) {
        self.samples.push(sample);
    }

    fn done(self, unit: Unit, test: serde_json::Value) -> Row {
        Row { label: self.label, unit, samples: Samples::from_iter(self.samples), test }
    }
}

/// The most memory that this process has had in use at once, in bytes, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
