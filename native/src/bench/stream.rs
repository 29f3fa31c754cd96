//! One streamed chat completion, as a client's clock sees it.

use std::{
    io::{BufRead, Read},
    time::{Duration, Instant},
};

use serde_json::Value;
use ureq::Agent;

/// The longest line of a stream: an event with a token is a few hundred bytes.
const LONGEST_LINE: u64 = 1 << 20;

/// A whole answer.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Answer {
    /// From sending the request to the first text.
    pub(crate) first: Duration,
    /// Between one chunk with text and the next.
    pub(crate) gaps: Vec<Duration>,
    /// Chunks with text.
    pub(crate) chunks: u64,
    /// Prompt and answer in tokens, where the server counts them.
    pub(crate) usage: Option<(u64, u64)>,
    pub(crate) text: String,
}

impl Answer {
    /// Tokens of the answer: as the server counts them, else a token a chunk.
    pub(crate) fn tokens(&self) -> u64 {
        self.usage.map_or(self.chunks, |(_, answer)| answer)
    }
}

/// A request without a whole answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Failure {
    /// What failures are counted by: `status 503`, `timeout` …
    pub(crate) kind: String,
    pub(crate) detail: String,
}

impl Failure {
    fn new(kind: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { kind: kind.into(), detail: detail.into() }
    }
}

/// Sends `body` to `url` and reads the answer to its end.
pub(crate) fn ask(agent: &Agent, url: &str, key: Option<&str>, body: &Value) -> Result<Answer, Failure> {
    let mut request = agent.post(url).header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let body = body.to_string();
    let begun = Instant::now();
    let response = request.send(&body).map_err(|error| transport(&error))?;
    let status = response.status();
    let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
    if !status.is_success() {
        let mut detail = String::new();
        let _ = body.take(4096).read_to_string(&mut detail);
        return Err(Failure::new(format!("status {}", status.as_u16()), detail));
    }
    let mut body = std::io::BufReader::new(&mut body);
    let answer = read(&mut body, begun)?;
    // To the end, so that the server sees an answer that was read and not a client that went away.
    let _ = std::io::copy(&mut body.take(LONGEST_LINE), &mut std::io::sink());
    Ok(answer)
}

/// Reads server-sent events until `[DONE]`.
fn read(stream: &mut impl BufRead, begun: Instant) -> Result<Answer, Failure> {
    let mut answer = Answer::default();
    let mut last = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        match stream.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(0) => return Err(Failure::new("cut short", "the stream ended without [DONE]")),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock) => {
                return Err(Failure::new("timeout", error.to_string()));
            }
            Err(error) => return Err(Failure::new("cut short", error.to_string())),
        }
        let now = Instant::now();
        let Some(data) = line.strip_prefix(b"data:") else { continue };
        let data = data.trim_ascii();
        if data == b"[DONE]" {
            return Ok(answer);
        }
        let event: Value = serde_json::from_slice(data).map_err(|error| Failure::new("not a stream of JSON", error.to_string()))?;
        if let Some(error) = event.get("error") {
            return Err(Failure::new("error in the stream", error.to_string()));
        }
        let count = |name: &str| event["usage"][name].as_u64();
        if let (Some(prompt), Some(made)) = (count("prompt_tokens"), count("completion_tokens")) {
            answer.usage = Some((prompt, made));
        }
        let delta = &event["choices"][0]["delta"];
        // A model's thoughts are tokens too; llama.cpp and vLLM send them under this name.
        let text = ["content", "reasoning_content"].iter().filter_map(|name| delta[name].as_str()).collect::<String>();
        if text.is_empty() {
            continue;
        }
        match last {
            None => answer.first = now - begun,
            Some(last) => answer.gaps.push(now - last),
        }
        last = Some(now);
        answer.chunks += 1;
        answer.text += &text;
    }
}

fn transport(error: &ureq::Error) -> Failure {
    let kind = match error {
        ureq::Error::Timeout(_) => "timeout",
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => "connection refused",
        ureq::Error::Io(_) | ureq::Error::Protocol(_) => "connection cut",
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => "no connection",
        _ => "other",
    };
    Failure::new(kind, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(events: &[&str]) -> Result<Answer, Failure> {
        let text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        read(&mut text.as_bytes(), Instant::now())
    }

    #[test]
    fn chunks_with_text_are_counted_and_the_servers_count_goes_first() {
        let chunk = r#"{"choices":[{"delta":{"content":"a"}}]}"#;
        let events = [r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#, chunk, chunk];
        let answer = stream(&[&events[..], &["[DONE]"]].concat()).unwrap();
        assert_eq!((answer.tokens(), answer.gaps.len(), answer.text.as_str()), (2, 1, "aa"));
        let usage = r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
        let answer = stream(&[&events[..], &[usage, "[DONE]"]].concat()).unwrap();
        assert_eq!((answer.tokens(), answer.usage), (3, Some((7, 3))));
    }

    #[test]
    fn what_is_no_whole_answer_is_a_failure_of_its_kind() {
        let kind = |events: &[&str]| stream(events).unwrap_err().kind;
        assert_eq!(kind(&[r#"{"choices":[{"delta":{"content":"a"}}]}"#]), "cut short");
        assert_eq!(kind(&[r#"{"error":{"message":"no"}}"#]), "error in the stream");
        assert_eq!(kind(&["<html>"]), "not a stream of JSON");
        assert_eq!(read(&mut &b""[..], Instant::now()).unwrap_err().kind, "cut short");
    }
}
