//! Questions about a model that need no computing: what its tokenizer and its template make of a text, and what it is. `docs/wasi-nn.md` describes them.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value, json};

use crate::{
    Error, Graph, NamedTensor, Tensor,
    graph::Purpose,
    request::{self, MAX_BYTES, known_chat},
};

/// A request with one of the questions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    tokenize: Option<String>,
    /// Of `tokenize`: control tokens that are written out are tokens.
    control: Option<bool>,
    /// Of `tokenize`: with the tokens that the model wants before and after a text.
    begin: Option<bool>,
    detokenize: Option<Vec<u32>>,
    render: Option<Rendering>,
    describe: Option<bool>,
}

/// A conversation to render.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rendering {
    messages: Value,
    #[serde(default)]
    tools: Value,
    #[serde(default)]
    template: Map<String, Value>,
    #[serde(default = "yes")]
    add_generation_prompt: bool,
}

fn yes() -> bool {
    true
}

/// Whether `document` has one of the fields that no other request has.
pub(crate) fn is_question(document: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Probe {
        tokenize: Option<IgnoredAny>,
        detokenize: Option<IgnoredAny>,
        render: Option<IgnoredAny>,
        describe: Option<IgnoredAny>,
    }
    let asks = |probe: Probe| probe.tokenize.is_some() || probe.detokenize.is_some() || probe.render.is_some() || probe.describe.is_some();
    document.len() <= MAX_BYTES && serde_json::from_slice(document).is_ok_and(asks)
}

impl Question {
    pub(crate) fn parse(document: &[u8]) -> Result<Self, Error> {
        let question: Self = request::from_json(document)?;
        let Self { tokenize, control, begin, detokenize, render, describe } = &question;
        let asked = [tokenize.is_some(), detokenize.is_some(), render.is_some(), describe.is_some()];
        let asked = asked.into_iter().filter(|asked| *asked).count();
        if asked != 1 {
            return Err(Error::invalid(format!(
                "the request has {asked} of `tokenize`, `detokenize`, `render` and `describe`; ask one thing at a time"
            )));
        }
        if tokenize.is_none() && (control.is_some() || begin.is_some()) {
            return Err(Error::invalid("`control` and `begin` belong to `tokenize`: leave them out"));
        }
        if *describe == Some(false) {
            return Err(Error::invalid("`describe` is false; give true"));
        }
        if render.as_ref().is_some_and(|render| !render.messages.is_array() || !matches!(render.tools, Value::Null | Value::Array(_))) {
            return Err(Error::invalid("`messages` and `tools` of `render` are arrays"));
        }
        Ok(question)
    }

    /// The answer's outputs.
    pub(crate) fn answer(self, graph: &Graph) -> Result<Vec<NamedTensor>, Error> {
        let tokenizer = graph.tokenizer();
        if let Some(text) = self.tokenize {
            let tokens = tokenizer.encode(&text, self.begin.unwrap_or(false), self.control.unwrap_or(false));
            return Ok(vec![tokens_tensor(&tokens.map_err(|error| Error::invalid(error.to_string()).about("tokenize"))?)]);
        }
        if let Some(tokens) = self.detokenize {
            graph.check_tokens(&tokens).map_err(|error| error.about("detokenize"))?;
            let pieces: Vec<Vec<u8>> = tokens.iter().map(|token| tokenizer.token_bytes(*token, true)).collect();
            let text = String::from_utf8_lossy(&pieces.concat()).into_owned();
            return Ok(vec![text_tensor("text", text), text_tensor("pieces", json!(pieces).to_string())]);
        }
        if let Some(Rendering { messages, tools, template, add_generation_prompt }) = self.render {
            let chat = match graph.purpose() {
                Purpose::Generates(chat) => chat.as_ref(),
                Purpose::Embeds => {
                    return Err(Error::invalid("this model makes embeddings and has no chat template: choose one that generates"));
                }
            };
            let prompt = known_chat(chat)?.prompt(tokenizer, &messages, &tools, &template, add_generation_prompt)?;
            return Ok(vec![text_tensor("text", prompt.text), tokens_tensor(&prompt.tokens)]);
        }
        Ok(vec![text_tensor("description", description(graph).to_string())])
    }
}

fn description(graph: &Graph) -> Value {
    let (tokenizer, facts) = (graph.tokenizer(), graph.facts());
    let (purpose, chat) = match graph.purpose() {
        Purpose::Generates(chat) => ("generate", chat.as_ref()),
        Purpose::Embeds => ("embed", None),
    };
    let text = |token: u32| tokenizer.decode(&[token], true);
    json!({
        "purpose": purpose,
        "architecture": facts.architecture,
        "context_length": graph.context_length(),
        "embedding_length": facts.embedding_length,
        "vocabulary": tokenizer.vocabulary(),
        "parameters": facts.parameters,
        "weights": facts.weights,
        "bytes": facts.bytes,
        "sha256": graph.sha256(),
        "chat_template": chat.map(|chat| chat.template().source()),
        "tool_format": chat.map(|chat| chat.dialect().name()),
        "reasoning": chat.is_some_and(|chat| chat.dialect().reasons()),
        "begin": tokenizer.bos().map(text),
        "end": tokenizer.ends().iter().copied().map(text).collect::<Vec<String>>(),
    })
}

fn text_tensor(name: &str, text: String) -> NamedTensor {
    (name.into(), Tensor::from_bytes(text.into_bytes()))
}

fn tokens_tensor(tokens: &[u32]) -> NamedTensor {
    let tokens: Vec<i32> = tokens.iter().map(|token| token.cast_signed()).collect();
    ("tokens".into(), Tensor::from_i32(&tokens))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_known_by_its_field_and_asks_one_thing() {
        assert!(is_question(br#"{"describe": true, "other": 1}"#) && is_question(br#"{"tokenize": 7}"#));
        assert!(!is_question(br#"{"prompt": "describe"}"#) && !is_question(b"{") && !is_question(b"[]"));
        for (document, expected) in [
            (r#"{"tokenize": 7}"#, "not valid"),
            (r#"{"tokenize": "x", "describe": true}"#, "2 of `tokenize`"),
            (r#"{"tokenize": "x", "colour": 1}"#, "`colour`"),
            (r#"{"detokenize": [1], "begin": true}"#, "belong to `tokenize`"),
            (r#"{"detokenize": [-1]}"#, "not valid"),
            (r#"{"describe": false}"#, "give true"),
            (r#"{"render": {"messages": "Hi"}}"#, "arrays"),
            (r#"{"render": {}}"#, "`messages`"),
        ] {
            let error = Question::parse(document.as_bytes()).unwrap_err();
            assert!(error.message.contains(expected), "{document}: {}", error.message);
        }
    }
}
