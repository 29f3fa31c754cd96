//! Random arrivals and departures at the bound of the queue: every answer is right, nothing is left behind, and memory stays as it is. `HEARTH_SOAK_SECONDS` lengthens it.

use std::time::{Duration, Instant};

use futures::future::join_all;
use hearth_engine::{DeviceChoice, Engine, EngineOptions, ErrorKind, Graph};
use serde_json::{Value, json};

use crate::{
    client::{context, generate, greedy, next, start, wait_for},
    real,
    toy::{self, REPEATS, expected, kv_bytes, options},
};

/// Guests at once; more than are computed together and may wait.
const GUESTS: u64 = 24;
/// What a process's memory may grow by between the first third of a soak and its end: the allocator's own disorder.
const GROWTH: u64 = 24 << 20;

fn duration() -> Duration {
    Duration::from_secs(std::env::var("HEARTH_SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(3))
}

/// Bytes of this process's memory, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// What became of a guest's requests.
#[derive(Debug, Default)]
struct Tally {
    whole: usize,
    left: usize,
    refused: usize,
}

/// Random numbers of a guest.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Asks again and again for what `ask` gives, a request and its right answer; leaves some answers after a number of chunks.
async fn guest(graph: &Graph, number: u64, until: Instant, ask: &dyn Fn(&mut Random) -> (Value, String)) -> Tally {
    let mut random = Random(number);
    let mut tally = Tally::default();
    while Instant::now() < until {
        let (mut request, expected) = ask(&mut random);
        request["client"] = format!("{}", number % 5).into();
        let patience = if random.below(4) == 0 { random.below(20) } else { u64::MAX };
        let mut context = context(graph);
        let mut answer = start(&mut context, &request).await;
        let (mut text, mut chunks) = (String::new(), 0);
        loop {
            let chunk = match answer {
                Ok(chunk) => chunk,
                Err(error) => {
                    assert_eq!(error.kind, ErrorKind::QueueFull, "{}", error.message);
                    tally.refused += 1;
                    tokio::time::sleep(Duration::from_millis(1 + random.below(5))).await;
                    break;
                }
            };
            text += &chunk.text;
            chunks += 1;
            if chunk.result.is_some() {
                assert_eq!(text, expected);
                tally.whole += 1;
                break;
            }
            if chunks > patience {
                assert!(expected.starts_with(&text));
                tally.left += 1;
                break;
            }
            answer = next(&mut context).await;
        }
    }
    tally
}

async fn soak(engine: &Engine, graph: &Graph, ask: &dyn Fn(&mut Random) -> (Value, String)) {
    let begin = Instant::now();
    let until = begin + duration();
    let guests = join_all((0..GUESTS).map(|number| guest(graph, number, until, ask)));
    let early = async {
        tokio::time::sleep(duration() / 3).await;
        resident()
    };
    let (tallies, early) = futures::join!(guests, early);
    let sum = |part: fn(&Tally) -> usize| tallies.iter().map(part).sum::<usize>();
    let (whole, left, refused) = (sum(|tally| tally.whole), sum(|tally| tally.left), sum(|tally| tally.refused));
    assert!(whole > 0 && left > 0 && refused > 0, "{whole} {left} {refused}");
    wait_for(engine, |stats| stats.blocks_used == 0 && stats.running == 0 && stats.waiting == 0);
    eprintln!("{:?}: {whole} whole answers, {left} left, {refused} refused; memory {early:?} and {:?} bytes", begin.elapsed(), resident());
    // In a short soak the other tests of this process would be what grows.
    if let (Some(early), Some(late), true) = (early, resident(), duration() >= Duration::from_secs(30)) {
        assert!(late < early + GROWTH, "the process grew from {early} to {late} bytes");
    }
}

#[tokio::test]
async fn at_the_bound_of_the_queue_every_answer_is_right_and_no_block_leaks() {
    let (engine, graph, _) = toy::engine(EngineOptions { sequences: 4, queue: 8, speculation: 4, kv_bytes: kv_bytes(64), ..options() });
    let ask = |random: &mut Random| {
        let mark = if random.below(2) == 0 { char::from(REPEATS) } else { '_' };
        let prompt = format!("{}{mark}{}", "shared".repeat(random.below(20) as usize), "own".repeat(random.below(9) as usize));
        let max_tokens = 1 + random.below(120) as usize;
        let expected = expected(&prompt, max_tokens).0;
        (greedy(&prompt, max_tokens), expected)
    };
    soak(&engine, &graph, &ask).await;
}

/// On real weights: what is right is what each request is answered alone.
#[tokio::test]
async fn a_real_model_answers_right_at_the_bound_of_the_queue() {
    let Some(path) = real::model() else { return };
    // Room for few: sequences take blocks from one another.
    let options =
        EngineOptions { device: DeviceChoice::Cpu, context: 512, sequences: 6, queue: 8, speculation: 4, ..EngineOptions::default() };
    let engine = Engine::start(EngineOptions { kv_bytes: 24 << 20, ..options }).unwrap();
    engine.add_model("smollm2", path, None);
    let graph = engine.ready("smollm2").await.unwrap();
    let texts = [
        "The capital of France is",
        "One, two, three, four,",
        "def fibonacci(n):",
        "The quick brown fox",
        "In 1969, the first humans",
        "Water boils at",
    ];
    let mut known = Vec::new();
    for (number, text) in texts.into_iter().enumerate() {
        let prompt = format!("{}{text}", "A list of well-known facts follows. ".repeat(number * 4));
        let request = json!({"prompt": prompt, "max_tokens": 12 + 6 * number, "ignore_end": true, "sampling": {"temperature": 0}});
        let answer = generate(&graph, &request).await.text;
        known.push((request, answer));
    }
    soak(&engine, &graph, &|random| known[random.below(known.len() as u64) as usize].clone()).await;
}
