//! Random arrivals and departures at the bound of the queue: every answer is right, and nothing is left behind. `HEARTH_SOAK_SECONDS` lengthens it.

use std::time::{Duration, Instant};

use futures::future::join_all;
use hearth_engine::{EngineOptions, ErrorKind, Graph};

use crate::{
    client::{context, greedy, next, start, wait_for},
    toy::{self, REPEATS, expected, kv_bytes, options},
};

/// What became of a guest's requests.
#[derive(Debug, Default)]
struct Tally {
    whole: usize,
    left: usize,
    refused: usize,
}

async fn guest(graph: &Graph, number: u64, until: Instant) -> Tally {
    let mut state = number;
    let mut below = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let mut tally = Tally::default();
    while Instant::now() < until {
        let mark = if below(2) == 0 { char::from(REPEATS) } else { '_' };
        let prompt = format!("{}{mark}{}", "shared".repeat(below(20) as usize), "own".repeat(below(9) as usize));
        let max_tokens = 1 + below(120) as usize;
        let mut request = greedy(&prompt, max_tokens);
        request["client"] = format!("{}", number % 5).into();
        // Some leave after a number of chunks.
        let patience = if below(4) == 0 { below(20) } else { u64::MAX };
        let mut context = context(graph);
        let mut answer = start(&mut context, &request).await;
        let (mut text, mut chunks) = (String::new(), 0);
        loop {
            let chunk = match answer {
                Ok(chunk) => chunk,
                Err(error) => {
                    assert_eq!(error.kind, ErrorKind::QueueFull, "{}", error.message);
                    tally.refused += 1;
                    tokio::time::sleep(Duration::from_millis(1 + below(5))).await;
                    break;
                }
            };
            text += &chunk.text;
            chunks += 1;
            if chunk.result.is_some() {
                assert_eq!(text, expected(&prompt, max_tokens).0);
                tally.whole += 1;
                break;
            }
            if chunks > patience {
                assert!(expected(&prompt, max_tokens).0.starts_with(&text));
                tally.left += 1;
                break;
            }
            answer = next(&mut context).await;
        }
    }
    tally
}

#[tokio::test]
async fn at_the_bound_of_the_queue_every_answer_is_right_and_no_block_leaks() {
    let seconds = std::env::var("HEARTH_SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(3);
    let (engine, graph, _) = toy::engine(EngineOptions { sequences: 4, queue: 8, speculation: 4, kv_bytes: kv_bytes(64), ..options() });
    let until = Instant::now() + Duration::from_secs(seconds);
    let tallies = join_all((0..24).map(|number| guest(&graph, number, until))).await;
    let sum = |part: fn(&Tally) -> usize| tallies.iter().map(part).sum::<usize>();
    let (whole, left, refused) = (sum(|tally| tally.whole), sum(|tally| tally.left), sum(|tally| tally.refused));
    assert!(whole > 0 && left > 0 && refused > 0, "{whole} {left} {refused}");
    wait_for(&engine, |stats| stats.blocks_used == 0 && stats.running == 0 && stats.waiting == 0);
}
