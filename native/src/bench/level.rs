//! A number of clients at once, and what they saw.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{
    figures::Samples,
    stream::{Answer, Failure},
};

/// Bytes of a client's stack: a client only waits and parses lines, and there may be many.
const STACK: usize = 512 << 10;

/// What one number of clients led to.
#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) clients: usize,
    /// Chats that were begun.
    pub(super) chats: usize,
    /// Answers of all turns.
    pub(super) answers: usize,
    pub(super) failures: BTreeMap<String, usize>,
    /// One failure's text, to show.
    pub(super) example: Option<String>,
    pub(super) seconds: f64,
    pub(super) prompt_tokens: u64,
    pub(super) tokens: u64,
    /// Whether every answer's tokens were counted by the server.
    pub(super) counted: bool,
    /// Seconds to the first text, by turn of the chat.
    pub(super) first: Vec<Vec<f64>>,
    /// Seconds between one chunk and the next.
    pub(super) gaps: Vec<f64>,
}

impl Level {
    /// Runs `chat` for each number below `chats` in `clients` threads. A chat is the answers to its turns, and why it ended early if it did.
    ///
    /// # Errors
    /// When the system starts no more threads.
    pub(super) fn run(clients: usize, chats: usize, chat: impl Fn(usize) -> (Vec<Answer>, Option<Failure>) + Sync) -> anyhow::Result<Self> {
        let level = Mutex::new(Self { clients, chats, counted: true, ..Self::default() });
        let next = AtomicUsize::new(0);
        // Nobody gets through the gate until all are there.
        let gate = RwLock::new(());
        let client = || {
            drop(gate.read());
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= chats {
                    return;
                }
                let (answers, failure) = chat(number);
                level.lock().unwrap_or_else(PoisonError::into_inner).add(answers, failure);
            }
        };
        let begun = thread::scope(|scope| {
            let closed = gate.write();
            for _ in 0..clients {
                let builder = thread::Builder::new().name("bench-client".to_owned()).stack_size(STACK);
                if let Err(error) = builder.spawn_scoped(scope, client) {
                    // Those that wait at the gate find nothing left to do.
                    next.store(chats, Ordering::Relaxed);
                    return Err(error).with_context(|| format!("cannot start {clients} clients: ask for fewer with --clients"));
                }
            }
            let begun = Instant::now();
            drop(closed);
            Ok(begun)
        })?;
        let mut level = level.into_inner().unwrap_or_else(PoisonError::into_inner);
        level.seconds = begun.elapsed().as_secs_f64();
        Ok(level)
    }

    fn add(&mut self, answers: Vec<Answer>, failure: Option<Failure>) {
        for (turn, answer) in answers.into_iter().enumerate() {
            self.answers += 1;
            self.tokens += answer.tokens();
            self.prompt_tokens += answer.usage.map_or(0, |(prompt, _)| prompt);
            self.counted &= answer.usage.is_some();
            self.first.resize(self.first.len().max(turn + 1), Vec::new());
            // An answer without any text has no first one.
            if answer.chunks > 0 {
                self.first[turn].push(answer.first.as_secs_f64());
            }
            self.gaps.extend(answer.gaps.iter().map(Duration::as_secs_f64));
        }
        if let Some(Failure { kind, detail }) = failure {
            self.example.get_or_insert_with(|| format!("{kind}: {detail}"));
            *self.failures.entry(kind).or_default() += 1;
        }
    }

    /// Tokens of answers a second, of all clients together.
    pub(super) fn rate(&self) -> f64 {
        self.tokens as f64 / self.seconds
    }

    /// Time to the first text of a turn, counted from 0.
    pub(super) fn first(&self, turn: usize) -> Samples {
        self.first.get(turn).into_iter().flatten().copied().collect()
    }

    pub(super) fn gaps(&self) -> Samples {
        self.gaps.iter().copied().collect()
    }

    pub(super) fn json(&self) -> Value {
        let turns: Vec<Value> = (0..self.first.len()).map(|turn| json!({"ttft_ms": self.first(turn).latency_json()})).collect();
        json!({
            "clients": self.clients,
            "requests": self.chats,
            "answers": self.answers,
            "errors": self.failures,
            "seconds": self.seconds,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.tokens,
            "counted_by_server": self.counted,
            "tokens_per_second": self.rate(),
            "ttft_ms": self.first(0).latency_json(),
            "inter_token_ms": self.gaps().latency_json(),
            "turns": turns,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chat_is_held_once_and_failures_are_counted_by_kind() {
        let level = Level::run(4, 10, |number| match number {
            3 | 7 => (Vec::new(), Some(Failure { kind: "status 503".to_owned(), detail: "busy".to_owned() })),
            _ => {
                let first = Duration::from_millis(number as u64);
                (vec![Answer { first, chunks: 2, usage: Some((5, 3)), ..Answer::default() }], None)
            }
        })
        .unwrap();
        assert_eq!((level.answers, level.tokens, level.prompt_tokens), (8, 24, 40));
        assert_eq!(level.failures, BTreeMap::from([("status 503".to_owned(), 2)]));
        assert_eq!(level.first(0).max(), 0.009);
        assert_eq!(level.json()["turns"].as_array().unwrap().len(), 1);
    }
}
