//! The rows over HTTP: starts, memory, a chat's second turn, and many clients. llama-server against `hearth serve`, and that against the wasm shape.

use anyhow::Context;
use serde_json::Value;

use super::{
    Bench, Model,
    engine::counted,
    machine,
    peer::{FLASH, best_flash},
    results::{Plot, Results, Row, Section, Target, Unit},
    server::{Kind, Server, Shape},
};

type Measure = fn(&Bench, &mut Results) -> anyhow::Result<()>;

pub(super) const ROWS: [(&str, Measure); 4] = [("start", start), ("memory", memory), ("turn", second_turn), ("http", http)];

impl Bench {
    /// The models that can be asked over HTTP.
    fn served(&self) -> impl Iterator<Item = &Model> {
        self.models.iter().filter(|model| model.chat)
    }

    /// A server of one chat at a time, llama.cpp's with its faster flash attention.
    fn single(&self, results: &mut Results, model: &Model, context: usize) -> anyhow::Result<Shape<'static>> {
        let threads = self.most_threads();
        let name = format!("servers, {}, {}", model.name, counted(threads));
        let known = FLASH.into_iter().find(|flash| results.flash.contains(&((*flash).to_owned(), name.clone())));
        let flash = match known {
            Some(flash) => flash,
            None => {
                eprintln!("{name}: llama.cpp with flash attention on and off");
                let (flash, _) = best_flash(|flash| self.peer.batches(&model.path, threads, flash, (64, 16), &[8]))?;
                results.flash.push((flash.to_owned(), name));
                flash
            }
        };
        Ok(Shape { threads, sequences: 1, context, flash, keeps_prompts: false })
    }
}

/// From the start of a process until it can answer and until its first token: with the model's file in memory, and from the disk.
fn start(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    for model in bench.served() {
        let shape = bench.single(results, model, 1024)?;
        for (state, cold) in [("warm", false), ("cold", true)] {
            if cold && let Err(error) = machine::forget(&model.path) {
                results.notes.push(format!("no cold starts: {error:#}"));
                continue;
            }
            let row = |section, what: &str, target| {
                Row::new(section, format!("{state} start to {what}, {}", model.name), Unit::Milliseconds, target)
            };
            let target = if cold { Target::None } else { Target::RatioAtMost(1.0) };
            let mut ready = row(Section::Servers, "ready", Target::None);
            let mut first = row(Section::Servers, "first token", target);
            let mut shapes = row(Section::Shapes, "first token", Target::None);
            let measure = |kind| -> anyhow::Result<(f64, f64)> {
                if cold {
                    machine::forget(&model.path)?
                } else {
                    machine::remember(&model.path)?
                }
                let server = Server::start(bench, kind, model, shape)?;
                Ok((server.ready.as_secs_f64() * 1e3, server.first_token()?.as_secs_f64() * 1e3))
            };
            let pairs = bench.pairs(3);
            for pair in 1..=pairs {
                eprintln!("{state} starts, {}, pair {pair} of {pairs}", model.name);
                let [peer, native, wasm] = [measure(Kind::Peer)?, measure(Kind::Native)?, measure(Kind::Wasm)?];
                ready.peer.push(peer.0);
                ready.ours.push(native.0);
                first.peer.push(peer.1);
                first.ours.push(native.1);
                shapes.peer.push(native.1);
                shapes.ours.push(wasm.1);
            }
            results.rows.extend([ready, first, shapes]);
        }
    }
    Ok(())
}

/// The most memory of a server with one chat of up to 1,024 tokens, after a prompt of about 512 tokens and an answer of 128.
fn memory(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    for model in bench.served() {
        let shape = bench.single(results, model, 1024)?;
        let measure = |kind| -> anyhow::Result<f64> {
            let server = Server::start(bench, kind, model, shape)?;
            let flags = [("--clients", 1), ("--requests", 1), ("--prompt-tokens", 512), ("--max-tokens", 128)];
            answered(&bench.ours.load(&server.url(), &flags)?)?;
            server.peak_memory()
        };
        eprintln!("peak memory, {}", model.name);
        let name = format!("peak memory, {}", model.name);
        let [peer, native, wasm] = [measure(Kind::Peer)?, measure(Kind::Native)?, measure(Kind::Wasm)?];
        let mut row = Row::new(Section::Servers, name.clone(), Unit::Bytes, Target::RatioAtMost(1.1));
        (row.peer, row.ours) = (vec![peer], vec![native]);
        let mut shapes = Row::new(Section::Shapes, name, Unit::Bytes, Target::None);
        (shapes.peer, shapes.ours) = (vec![native], vec![wasm]);
        results.rows.extend([row, shapes]);
    }
    Ok(())
}

/// The time to the first token of a chat's second turn, by that of the first, which has about 2,000 tokens.
fn second_turn(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    for model in bench.served() {
        let shape = Shape { keeps_prompts: true, ..bench.single(results, model, 4096)? };
        let measure = |kind| -> anyhow::Result<f64> {
            let server = Server::start(bench, kind, model, shape)?;
            let flags = [("--clients", 1), ("--requests", 1), ("--prompt-tokens", 2000), ("--max-tokens", 32), ("--turns", 2)];
            let level = bench.ours.load(&server.url(), &flags)?;
            answered(&level)?;
            let first = |turn: usize| level["turns"][turn]["ttft_ms"]["p50"].as_f64().context("a turn without a time");
            Ok(first(1)? / first(0)?)
        };
        let name = format!("time to the first token of a second turn by that of the first, {}", model.name);
        let mut row = Row::new(Section::Servers, name, Unit::Share, Target::AtMost(0.05));
        bench.alternate(bench.pairs(3), &mut row, || measure(Kind::Peer), || measure(Kind::Native))?;
        results.rows.push(row);
    }
    Ok(())
}

/// Many clients at once, on all three servers in turns.
fn http(bench: &Bench, results: &mut Results) -> anyhow::Result<()> {
    let (prompt, answer) = if bench.quick { (32, 16) } else { (64, 32) };
    let clients: &[usize] = if bench.quick { &[1, 8, 50] } else { &[1, 8, 50, 200] };
    for model in bench.served() {
        let shape = Shape { sequences: 32, ..bench.single(results, model, 1024)? };
        let start = |kind| Server::start(bench, kind, model, shape);
        // Together, and all but one at rest at any time: so they can be measured in turns.
        let servers = [start(Kind::Peer)?, start(Kind::Native)?, start(Kind::Wasm)?];
        for &clients in clients {
            let requests = match clients {
                1 => 6,
                2..=16 => 3 * clients,
                17..=64 => 2 * clients,
                _ => clients,
            };
            let flags = [("--clients", clients), ("--requests", requests), ("--prompt-tokens", prompt), ("--max-tokens", answer)];
            let mut figures = Figures::new(model, bench.most_threads(), clients);
            let rounds = bench.pairs(if clients > 64 { 1 } else { 3 });
            for round in 1..=rounds {
                eprintln!("{clients} clients over HTTP, {}, round {round} of {rounds}", model.name);
                let mut levels = Vec::new();
                for server in &servers {
                    levels.push(bench.ours.load(&server.url(), &flags)?);
                }
                figures.add(&levels)?;
            }
            results.rows.extend(figures.0);
        }
    }
    Ok(())
}

/// The rows of one number of clients.
struct Figures(Vec<Row>);

/// What is read of a level: its unit, its place in the JSON, and the plot that it is on.
const COLUMNS: [(&str, Unit, &str, Option<Plot>); 6] = [
    ("tokens a second", Unit::TokensPerSecond, "/tokens_per_second", Some(Plot::Throughput)),
    ("time to the first token, p50", Unit::Milliseconds, "/ttft_ms/p50", Some(Plot::FirstToken)),
    ("time to the first token, p99", Unit::Milliseconds, "/ttft_ms/p99", None),
    ("time between tokens, p50", Unit::Milliseconds, "/inter_token_ms/p50", None),
    ("time between tokens, p99", Unit::Milliseconds, "/inter_token_ms/p99", None),
    ("requests that failed", Unit::Count, "", None),
];

impl Figures {
    fn new(model: &Model, threads: usize, clients: usize) -> Self {
        let row = |section, (what, unit, _, plot): (&str, Unit, &str, Option<Plot>)| {
            let target = match (section, unit, clients) {
                (Section::Servers, Unit::TokensPerSecond, 50) => Target::RatioAtLeast(2.0),
                (Section::Shapes, Unit::TokensPerSecond, 1 | 50) => Target::RatioAtLeast(0.97),
                _ => Target::None,
            };
            let clients_text = format!("{clients} client{}", if clients == 1 { "" } else { "s" });
            let row = Row::new(section, format!("{what}, {clients_text}, {}, {}", model.name, counted(threads)), unit, target);
            match plot {
                Some(plot) => row.on(plot, model.name, clients),
                None => row,
            }
        };
        Self([Section::Servers, Section::Shapes].into_iter().flat_map(|section| COLUMNS.map(|column| row(section, column))).collect())
    }

    /// Adds what the peer, the native and the wasm shape did.
    fn add(&mut self, levels: &[Value]) -> anyhow::Result<()> {
        let figure = |level: &Value, path: &str| match path {
            "" => Ok(failures(level)),
            path => level.pointer(path).and_then(Value::as_f64).with_context(|| format!("no figure: {level}")),
        };
        for (at, row) in self.0.iter_mut().enumerate() {
            let (_, _, path, _) = COLUMNS[at % COLUMNS.len()];
            let (peer, ours) = if row.section == Section::Servers { (0, 1) } else { (1, 2) };
            row.peer.push(figure(&levels[peer], path)?);
            row.ours.push(figure(&levels[ours], path)?);
        }
        Ok(())
    }
}

fn failures(level: &Value) -> f64 {
    // From 0: an empty sum of floats is -0.
    level["errors"].as_object().map_or(0.0, |kinds| kinds.values().filter_map(Value::as_f64).fold(0.0, |sum, count| sum + count))
}

/// That every request of a level got its answer.
fn answered(level: &Value) -> anyhow::Result<()> {
    anyhow::ensure!(failures(level) == 0.0, "requests failed: {}", level["errors"]);
    Ok(())
}
