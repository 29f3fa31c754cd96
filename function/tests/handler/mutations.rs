//! Requests made by chance out of fine ones: each is answered by a status and, where refused, by the envelope; none panics. The seed is fixed, so a failure comes again.

use hearth_function::openai::chat::ChatRequest;
use serde_json::json;

use crate::world::{Step, World, hello};

/// xorshift64*
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 16) as usize % bound.max(1)
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let full = json!({
        "model": "tiny", "stream": true, "stream_options": {"include_usage": true}, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "seed": 1,
        "stop": ["a", "\u{e9}"], "max_tokens": 10, "max_completion_tokens": 10, "n": 1, "tools": [], "user": "x", "logit_bias": {},
        "repeat_penalty": 1.1, "frequency_penalty": 0.5, "presence_penalty": -0.5, "chat_template_kwargs": {"a": [1, {"b": null}]}, "ignore_eos": false
    });
    let parts = json!({"messages": [
        {"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "🔥"}]},
        {"role": "assistant", "content": "x", "tool_calls": []}, {"role": "tool", "content": "1", "tool_call_id": "c"}
    ]});
    [hello(json!({})), hello(full), hello(parts)].map(|request| request.to_string().into_bytes()).to_vec()
}

const WORDS: [&str; 24] = [
    "null",
    "true",
    "-1",
    "1e999",
    "-0",
    "18446744073709551616",
    "0.1",
    "\"\"",
    "[]",
    "{}",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "\\u",
    "\\ud800",
    "\"messages\"",
    "\"role\"",
    "\u{feff}",
    "[[[[[[[[[[[[[[[[",
    "\u{0}",
];

fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>) {
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len());
        match dice.below(6) {
            0 => bytes[at] = dice.next() as u8,
            1 => drop(bytes.remove(at)),
            2 => bytes.truncate(at),
            3 => {
                let end = at + dice.below(bytes.len() - at);
                let piece = bytes[at..end].to_vec();
                let to = dice.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            4 => {
                let word = WORDS[dice.below(WORDS.len())];
                bytes.splice(at..at, word.bytes());
            }
            _ => {
                let word = WORDS[dice.below(WORDS.len())];
                let end = (at + word.len()).min(bytes.len());
                bytes.splice(at..end, word.bytes());
            }
        }
        if bytes.is_empty() {
            bytes.push(b'{');
        }
    }
}

#[test]
fn no_request_breaks_the_handler() {
    let (mut dice, seeds) = (Dice(0x9e37_79b9_7f4a_7c15), seeds());
    let (mut taken, mut named) = (0, 0);
    for round in 0..20_000 {
        let mut body = seeds[round % seeds.len()].clone();
        mutate(&mut dice, &mut body);
        match ChatRequest::parse(&body) {
            Ok(request) => {
                assert!(request.n >= 1);
                let answer = World::new([Step::End("", "stop")]).chat_bytes(body);
                assert!(answer.status == 200 || answer.status == 404, "{}", answer.text());
                taken += 1;
            }
            Err(error) => {
                assert_eq!(error.status, 400);
                assert!(error.json().len() < 2000);
                let answer = World::new([]).chat_bytes(body);
                assert_eq!(answer.status, 400);
                named += usize::from(answer.error().0.is_string());
            }
        }
    }
    // The dice reach every floor: what is taken, what is refused as JSON, and what is refused as a parameter.
    assert!(taken > 100 && named > 500 && taken + named < 19_000, "{taken} taken, {named} named");
}
