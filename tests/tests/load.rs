//! Many clients that stream for a while: nothing fails but by the refusals that are documented, memory stays flat, `/health` answers at once all the time.
//!
//! In a test run each load lasts some seconds; `HEARTH_LOAD_SECONDS=300` makes it the five minutes of a proper one.

use std::{
    fs,
    io::ErrorKind,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use hearth_tests::{Server, Shape, request, stream, test_data};
use serde_json::json;

const SECONDS: u64 = 4;
/// Of a proper run.
const WHOLE: u64 = 300;

#[test]
fn a_server_under_load_stays_well() {
    let Some(model) = test_data("smollm2.gguf") else { return };
    let seconds = std::env::var("HEARTH_LOAD_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    if seconds < WHOLE {
        eprintln!("SHORT: each load lasts {seconds} s; HEARTH_LOAD_SECONDS={WHOLE} is the whole one");
    }
    for shape in Shape::ALL {
        let server = Server::start(shape, &model, &["--context", "1024"]);
        for clients in [50, 200] {
            let load = run(&server, clients, Duration::from_secs(seconds));
            eprintln!("{shape:?}, {clients} clients: {load:?}");
            assert_eq!(load.failed, Vec::<String>::new(), "{shape:?}, {clients} clients");
            assert!(load.answered > clients / 2, "{shape:?}, {clients} clients: {load:?}");
            // A short run has few samples, and maybe neighbours: it shows that nobody waits for the chats.
            let limit = Duration::from_millis(if seconds < WHOLE { 1000 } else { 50 });
            assert!(load.health_p99 < limit, "{shape:?}, {clients} clients: {load:?}");
            // What the first requests fill is there to be used again; from then on nothing is to be added.
            let (early, late) = load.memory;
            assert!(late < early + early / 5 + (48 << 20), "{shape:?}, {clients} clients: from {early} to {late} bytes");
        }
    }
}

#[derive(Debug)]
#[allow(dead_code, reason = "what is not asserted is shown")]
struct Load {
    answered: usize,
    /// Answers of 429 and 503.
    refused: usize,
    /// All else that was not a whole answer.
    failed: Vec<String>,
    tokens_a_second: f64,
    health: usize,
    health_p50: Duration,
    health_p99: Duration,
    health_most: Duration,
    /// Bytes that the process held after a third of the time, and at its end.
    memory: (usize, usize),
}

fn run(server: &Server, clients: usize, time: Duration) -> Load {
    let (over, tokens, refused) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        let client = |index: usize| {
            let (mut answered, mut failed) = (0, Vec::new());
            let mut turn = 0;
            while !over.load(Relaxed) {
                turn += 1;
                let question = format!("Tell me {} facts about the number {index}.", turn % 7 + 1);
                let body =
                    json!({"messages": [{"role": "user", "content": question}], "stream": true, "max_tokens": 8 + (index + turn) % 56});
                match answer(server, &body, &tokens) {
                    Ok(200) => answered += 1,
                    Ok(429 | 503) => {
                        refused.fetch_add(1, Relaxed);
                        thread::sleep(Duration::from_millis(200));
                    }
                    Ok(status) => failed.push(format!("status {status}")),
                    Err(error) => failed.push(error.to_string()),
                }
            }
            (answered, failed)
        };
        let clients: Vec<_> = (0..clients).map(|index| scope.spawn(move || client(index))).collect();
        let (start, mut health, mut early) = (Instant::now(), Vec::new(), None);
        while start.elapsed() < time {
            let asked = Instant::now();
            let status = request(server.address, "GET", "/health", None).expect("an answer").status;
            assert_eq!(status, 200, "/health under load");
            health.push(asked.elapsed());
            if start.elapsed() > time / 3 {
                early.get_or_insert_with(|| memory(server.pid()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        let (written, late) = (tokens.load(Relaxed), memory(server.pid()));
        over.store(true, Relaxed);
        let (mut answered, mut failed) = (0, Vec::new());
        for client in clients {
            let (whole, broken) = client.join().expect("a client");
            answered += whole;
            failed.extend(broken);
        }
        health.sort_unstable();
        let quantile = |share: usize| health[(health.len() - 1) * share / 100];
        Load {
            answered,
            refused: refused.load(Relaxed),
            failed,
            tokens_a_second: written as f64 / time.as_secs_f64(),
            health: health.len(),
            health_p50: quantile(50),
            health_p99: quantile(99),
            health_most: quantile(100),
            memory: (early.unwrap_or(late), late),
        }
    })
}

/// The status of one answer that was read to its end.
fn answer(server: &Server, body: &serde_json::Value, tokens: &AtomicUsize) -> std::io::Result<u16> {
    let mut events = stream(server.address, "/v1/chat/completions", body)?;
    if events.status != 200 {
        return Ok(events.status);
    }
    while let Some(event) = events.next_event()? {
        if event == "[DONE]" {
            return Ok(200);
        }
        if event.starts_with("{\"error\":") || event.contains("\"error\":{") {
            return Err(std::io::Error::other(event));
        }
        tokens.fetch_add(1, Relaxed);
    }
    Err(ErrorKind::UnexpectedEof.into())
}

/// Bytes of memory that a process holds.
fn memory(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}
