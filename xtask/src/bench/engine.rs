//! The rows of the engines: prefill, decode, batches, and decode beside a busy process. llama-bench and llama-batched-bench against `hearth bench`.

use std::fs;

use super::{
    Bench, Model, bandwidth, machine,
    ours::figure,
    peer::best_flash,
    results::{Plot, Results, Row, Section, Target, Unit, median},
};

type Measure = fn(&Bench, &mut Results) -> anyhow::Result<()>;

pub(super) const ROWS: [(&str, Measure); 5] =
    [("prefill", prefill), ("decode", decode), ("bandwidth", bandwidth), ("batch", batch), ("busy", busy)];

/// Pairs of a row.
const PAIRS: usize = 3;
/// Tokens of a prompt, and tokens decoded, as llama-bench's defaults are.
const PROMPT: usize = 512;
const GENERATE: usize = 128;
/// Sequences together. The first [`EACH_PAIR`] are measured in every pair; the others, which take the longest and have no target, in the first.
const BATCHES: [usize; 6] = [1, 2, 4, 8, 16, 32];
const EACH_PAIR: usize = 4;

impl Bench {
    fn subjects(&self) -> impl Iterator<Item = (&Model, usize)> {
        self.models.iter().flat_map(|model| self.threads.iter().map(move |threads| (model, *threads)))
    }

    /// Tokens a second of ours: of a prompt, or with `prompt` 0 of decoding `generate` tokens after `depth`.
    fn ours_rate(&self, model: &Model, threads: usize, (prompt, generate, depth): (usize, usize, usize)) -> anyhow::Result<f64> {
        let sizes = [("--prompt", prompt.to_string()), ("--generate", generate.to_string()), ("--depth", depth.to_string())];
        let report = self.ours.model(&model.path, threads, &sizes)?;
        if prompt > 0 {
            figure(&report, "prefill", &[("tokens", prompt)])
        } else {
            figure(&report, "decode", &[("tokens", generate), ("depth", depth)])
        }
    }

    /// One row of either kind, by pairs; llama.cpp with the setting of flash attention that was faster in the first.
    fn rate_row(
        &self,
        results: &mut Results,
        name: String,
        (model, threads): (&Model, usize),
        sizes: (usize, usize, usize),
        target: Target,
    ) -> anyhow::Result<()> {
        let mut row = Row::new(Section::Engines, name, Unit::TokensPerSecond, target);
        eprintln!("{}, llama.cpp with flash attention on and off", row.name);
        let (flash, first) = best_flash(|flash| Ok(vec![self.peer.rate(&model.path, threads, flash, sizes)?]))?;
        results.flash.push((flash.to_owned(), row.name.clone()));
        row.peer.extend(first);
        row.ours.push(self.ours_rate(model, threads, sizes)?);
        let pairs = self.pairs(PAIRS) - 1;
        let peer = || self.peer.rate(&model.path, threads, flash, sizes);
        self.alternate(pairs, &mut row, peer, || self.ours_rate(model, threads, sizes))?;
        results.rows.push(row);
        Ok(())
    }
}

fn prefill(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    for (model, threads) in bench.subjects() {
        let name = format!("prefill of {PROMPT}, {}, {}", model.name, counted(threads));
        bench.rate_row(results, name, (model, threads), (PROMPT, 0, 0), Target::RatioAtLeast(2.0))?;
    }
    Ok(())
}

fn decode(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    for (model, threads) in bench.subjects() {
        for depth in [0, 1024] {
            let name = decode_name(model, threads, depth);
            bench.rate_row(results, name, (model, threads), (0, GENERATE, depth), Target::RatioAtLeast(1.5))?;
        }
    }
    Ok(())
}

fn decode_name(model: &Model, threads: usize, depth: usize) -> String {
    let after = if depth == 0 { String::new() } else { format!(" after {depth}") };
    format!("decode of {GENERATE}{after}, {}, {}", model.name, counted(threads))
}

/// Weights that a second of decoding reads, by what the memory could give. Needs decoding's rows; a run without them decodes now.
fn bandwidth(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    eprintln!("measuring the bandwidth of memory");
    let bytes_per_second = bandwidth::bandwidth(u64::MAX);
    results.bandwidth = Some(bytes_per_second);
    let threads = bench.most_threads();
    for model in &bench.models {
        let name = decode_name(model, threads, 0);
        if results.row(&name).is_none() {
            bench.rate_row(results, name.clone(), (model, threads), (0, GENERATE, 0), Target::RatioAtLeast(1.5))?;
        }
        let Some(decode) = results.row(&name) else { continue };
        let bytes = fs::metadata(&model.path)?.len() as f64;
        let share = |rates: &[f64]| rates.iter().map(|rate| rate * bytes / bytes_per_second).collect();
        let title = format!("decode's share of the memory's bandwidth, {}, {}", model.name, counted(threads));
        let mut row = Row::new(Section::Engines, title, Unit::Share, Target::AtLeast(0.85));
        (row.peer, row.ours) = (share(&decode.peer), share(&decode.ours));
        results.rows.push(row);
    }
    Ok(())
}

fn batch(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    let (prompt, generate) = if bench.quick { (32, 32) } else { (64, 64) };
    for (model, threads) in bench.subjects() {
        let ours = |batches: &[usize]| -> anyhow::Result<Vec<f64>> {
            let list: Vec<String> = batches.iter().map(ToString::to_string).collect();
            let sizes = [("--generate", generate.to_string()), ("--batch", list.join(",")), ("--batch-prompt", prompt.to_string())];
            let report = bench.ours.model(&model.path, threads, &sizes)?;
            batches.iter().map(|sequences| figure(&report, "batch", &[("sequences", *sequences)])).collect()
        };
        let title = format!("{}, {}", model.name, counted(threads));
        eprintln!("decode of {generate} together, {title}, llama.cpp with flash attention on and off");
        let (flash, _) = best_flash(|flash| bench.peer.batches(&model.path, threads, flash, (prompt, 16), &[8]))?;
        results.flash.push((flash.to_owned(), format!("decode together, {title}")));
        let mut pairs = Vec::new();
        for pair in 1..=bench.pairs(PAIRS) {
            eprintln!("decode of {generate} together, {title}, pair {pair}");
            let batches = if pair == 1 { &BATCHES[..] } else { &BATCHES[..EACH_PAIR] };
            pairs.push((bench.peer.batches(&model.path, threads, flash, (prompt, generate), batches)?, ours(batches)?));
        }
        for (at, &sequences) in BATCHES.iter().enumerate() {
            let target = if sequences == 8 { Target::RatioAtLeast(3.0) } else { Target::None };
            let name = format!("decode of {generate} after {prompt}, {sequences} together, {title}");
            let mut row = Row::new(Section::Engines, name, Unit::TokensPerSecond, target).on(Plot::Batch, title.clone(), sequences);
            row.peer = pairs.iter().filter_map(|(peer, _)| peer.get(at).copied()).collect();
            row.ours = pairs.iter().filter_map(|(_, ours)| ours.get(at).copied()).collect();
            results.rows.push(row);
        }
    }
    Ok(())
}

/// Decoding while this process keeps all cores busy, as a share of decoding alone.
fn busy(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    let threads = bench.most_threads();
    let sizes = (0, if bench.quick { 32 } else { GENERATE / 2 }, 0);
    for model in &bench.models {
        let title = format!("decode beside a busy process by decode alone, {}, {}", model.name, counted(threads));
        let (flash, _) = best_flash(|flash| Ok(vec![bench.peer.rate(&model.path, threads, flash, sizes)?]))?;
        results.flash.push((flash.to_owned(), title.clone()));
        let mut row = Row::new(Section::Engines, title, Unit::Share, Target::AtLeast(0.35));
        let share = |rate: &dyn Fn() -> anyhow::Result<f64>| -> anyhow::Result<f64> {
            let alone = rate()?;
            Ok(machine::beside_busy_cores(rate)? / alone)
        };
        let peer = || share(&|| bench.peer.rate(&model.path, threads, flash, sizes));
        bench.alternate(bench.pairs(PAIRS), &mut row, peer, || share(&|| bench.ours_rate(model, threads, sizes)))?;
        eprintln!("{}: llama.cpp {:.2}, Hearth {:.2}", row.name, median(&row.peer), median(&row.ours));
        results.rows.push(row);
    }
    Ok(())
}

pub(super) fn counted(threads: usize) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}
