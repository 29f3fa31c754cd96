//! Load on a server: how many tokens a second it gives to all clients, and how long each waits.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use ureq::Agent;

use super::{
    args::{BenchArgs, LoadArgs},
    figures::{Samples, short, table},
    level::Level,
    stream::{self, Answer, Failure},
    subject::random,
};

/// Words that most vocabularies have as one token each.
const WORDS: [&str; 64] = [
    "time", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school", "state", "family", "student", "group",
    "country", "problem", "hand", "part", "place", "case", "week", "company", "system", "program", "question", "work", "number", "night",
    "point", "home", "water", "room", "mother", "area", "money", "story", "fact", "month", "lot", "right", "study", "book", "eye", "job",
    "word", "business", "issue", "side", "kind", "head", "house", "service", "friend", "father", "power", "hour", "game", "line", "end",
    "member", "law", "car", "city",
];

/// A server and what is asked of it.
struct Target<'a> {
    agent: Agent,
    /// Of the chat completions.
    url: String,
    model: String,
    key: Option<String>,
    args: &'a LoadArgs,
    /// Whether the server takes fields that are not OpenAI's.
    extended: bool,
}

pub(super) fn run(url: &str, args: &BenchArgs) -> anyhow::Result<()> {
    let target = Target::find(url, args)?;
    let mut levels = Vec::new();
    for &clients in &args.load.clients {
        let chats = if args.load.requests == 0 { (2 * clients).max(16) } else { args.load.requests };
        eprintln!("measuring {clients} clients, {chats} requests");
        let level = Level::run(clients, chats, |number| target.chat(clients, number))?;
        if let Some(example) = &level.example {
            eprintln!("not all were answered; one of them: {}", example.chars().take(300).collect::<String>());
        }
        levels.push(level);
    }
    if args.json {
        let levels: Vec<Value> = levels.iter().map(Level::json).collect();
        println!("{}", json!({"version": env!("CARGO_PKG_VERSION"), "url": url, "model": target.model, "levels": levels}));
    } else {
        print!("{}", shown(&target.model, &levels));
    }
    Ok(())
}

impl Target<'_> {
    /// Finds the model to ask for, and which fields the server takes; a first request warms it up.
    fn find<'a>(url: &str, args: &'a BenchArgs) -> anyhow::Result<Target<'a>> {
        let url = url.trim_end_matches('/');
        let base = if url.ends_with("/v1") { url.to_owned() } else { format!("{url}/v1") };
        let timeout = Some(Duration::from_secs(args.load.timeout));
        let agent: Agent = Agent::config_builder()
            .user_agent(concat!("hearth/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_recv_response(timeout)
            .timeout_per_read(timeout)
            // A connection for each request: some servers close one after an answer without saying so, and what is sent into it is lost.
            .max_idle_connections(0)
            .build()
            .into();
        let key = std::env::var("OPENAI_API_KEY").ok().filter(|key| !key.is_empty());
        let model = match &args.model {
            Some(model) => model.clone(),
            None => first_model(&agent, &base, key.as_deref())?,
        };
        let mut target = Target { agent, url: format!("{base}/chat/completions"), model, key, args: &args.load, extended: true };
        match target.ask(&json!([{"role": "user", "content": prompt(8, 0)}]), 4) {
            Ok(_) => {}
            Err(failure) if failure.kind == "status 400" || failure.kind == "status 422" => {
                target.extended = false;
                if let Err(failure) = target.ask(&json!([{"role": "user", "content": prompt(8, 0)}]), 4) {
                    bail!("{} refuses a chat ({}): {}", target.url, failure.kind, failure.detail);
                }
                eprintln!("the server does not take `ignore_eos`: answers may be shorter than --max-tokens");
            }
            Err(failure) => bail!("{} does not answer ({}): {}", target.url, failure.kind, failure.detail),
        }
        Ok(target)
    }

    /// One chat of all its turns. Its words are no other chat's, so that no cache of earlier prompts can answer the first turn.
    fn chat(&self, clients: usize, number: usize) -> (Vec<Answer>, Option<Failure>) {
        let mut seed = ((clients as u64) << 32) + number as u64 + 1;
        let mut messages = vec![json!({"role": "user", "content": prompt(self.args.prompt_tokens, seed)})];
        let mut answers: Vec<Answer> = Vec::new();
        for _ in 0..self.args.turns {
            match self.ask(&Value::Array(messages.clone()), self.args.max_tokens) {
                Ok(answer) => {
                    messages.push(json!({"role": "assistant", "content": answer.text}));
                    answers.push(answer);
                }
                Err(failure) => return (answers, Some(failure)),
            }
            messages.push(json!({"role": "user", "content": prompt(8, random(&mut seed))}));
        }
        (answers, None)
    }

    fn ask(&self, messages: &Value, max_tokens: usize) -> Result<Answer, Failure> {
        let mut body = json!({
            "model": self.model,
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": true,
            "stream_options": {"include_usage": true},
        });
        if self.extended {
            body["ignore_eos"] = true.into();
        }
        stream::ask(&self.agent, &self.url, self.key.as_deref(), &body)
    }
}

/// The server's default model.
fn first_model(agent: &Agent, base: &str, key: Option<&str>) -> anyhow::Result<String> {
    let url = format!("{base}/models");
    let mut request = agent.get(&url);
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let mut response = request.call().with_context(|| format!("cannot reach {url}"))?;
    let text = response.body_mut().read_to_string().with_context(|| format!("cannot read {url}"))?;
    let list: Value = serde_json::from_str(&text).unwrap_or_default();
    match list["data"][0]["id"].as_str() {
        Some(name) => Ok(name.to_owned()),
        None => bail!("{url} lists no model ({}): name one: hearth bench --url … NAME", response.status()),
    }
}

/// A question of about `words` tokens.
fn prompt(words: usize, mut seed: u64) -> String {
    let word = |_| WORDS[(random(&mut seed) % WORDS.len() as u64) as usize];
    (0..words).map(word).collect::<Vec<_>>().join(" ")
}

fn shown(model: &str, levels: &[Level]) -> String {
    let head = ["clients", "answers", "failed", "tokens/s", "TTFT p50", "p99 ms", "inter-token p50", "p99 ms"].map(str::to_owned).to_vec();
    let mut rows = vec![head];
    let ms = |samples: &Samples, percent| short(samples.percentile(percent) * 1e3);
    for level in levels {
        let (first, gaps) = (level.first(0), level.gaps());
        rows.push(vec![
            level.clients.to_string(),
            level.answers.to_string(),
            level.failures.values().sum::<usize>().to_string(),
            short(level.rate()),
            ms(&first, 50.0),
            ms(&first, 99.0),
            ms(&gaps, 50.0),
            ms(&gaps, 99.0),
        ]);
    }
    let mut text = format!("{model}\n{}", table(&rows));
    for level in levels {
        for turn in 1..level.first.len() {
            let first = level.first(turn);
            let (p50, p99) = (ms(&first, 50.0), ms(&first, 99.0));
            text += &format!("{} clients, turn {}: TTFT p50 {p50} ms, p99 {p99} ms\n", level.clients, turn + 1);
        }
        for (kind, count) in &level.failures {
            text += &format!("{} clients: {count} failed with {kind}\n", level.clients);
        }
    }
    if levels.iter().any(|level| !level.counted) {
        text += "The server does not count tokens: chunks of text are counted in their place.\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_as_long_as_asked_and_each_its_own() {
        assert_eq!(prompt(100, 1).split(' ').count(), 100);
        assert_eq!(prompt(20, 1), prompt(20, 1));
        assert_ne!(prompt(20, 1), prompt(20, 2));
    }
}
