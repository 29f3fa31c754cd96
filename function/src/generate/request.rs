//! The request of every API, as the document that the model's side takes (`docs/wasi-nn.md`, "Request").

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Message;

/// What to generate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Generate {
    /// What to continue.
    #[serde(flatten)]
    pub prompt: Prompt,
    /// Functions that the model may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Whether it may or must call them; without it, it may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may make several calls; without it, it may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_tool_calls: Option<bool>,
    /// What the text is held to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grammar: Option<Grammar>,
    /// Further variables of the model's chat template.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub template: Map<String, Value>,
    /// Say each token's log-probability, and those of so many of the likeliest at its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<u32>,
    /// The same for the prompt's tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_logprobs: Option<u32>,
    /// Longest answer in tokens; `None` lets it fill the context. 0 only with `prompt_logprobs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// Texts that end the answer and are not part of it.
    pub stop: Vec<String>,
    /// Go on after the model's end token (benchmarks do).
    pub ignore_end: bool,
    /// Whose the request is, 1 to 512 bytes: those that wait are served round robin over clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Sequences of that client that may be in flight, this one among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_limit: Option<u32>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Whether this is a further choice for the prompt of the request before: its tokens count once.
    #[serde(skip)]
    pub(crate) is_repeat: bool,
}

impl Generate {
    /// A request for what follows `prompt`, with every default.
    pub fn new(prompt: Prompt) -> Self {
        Self {
            prompt,
            tools: Vec::new(),
            tool_choice: None,
            parallel_tool_calls: None,
            grammar: None,
            template: Map::new(),
            logprobs: None,
            prompt_logprobs: None,
            max_tokens: None,
            stop: Vec::new(),
            ignore_end: false,
            client: None,
            client_limit: None,
            sampling: Sampling::default(),
            is_repeat: false,
        }
    }

    /// The requests of `count` choices: the same but for the seed, which each has its own of, so that the choices differ and yet come again.
    pub(crate) fn choices(self, count: u32) -> Vec<Self> {
        let seed = self.sampling.seed;
        // A prompt may be megabytes: it is copied for further choices only.
        let mut requests = vec![self; count as usize];
        for (index, request) in (0..).zip(&mut requests) {
            request.is_repeat = index > 0;
            request.sampling.seed = seed.map(|seed| seed.wrapping_add(index));
        }
        requests
    }
}

/// What to continue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Prompt {
    /// A conversation, never empty, which goes through the model's chat template.
    #[serde(rename = "messages")]
    Messages(Vec<Message>),
    /// A text, in which control tokens that are written out are tokens.
    #[serde(rename = "prompt")]
    Text(String),
    /// Tokens.
    #[serde(rename = "tokens")]
    Tokens(Vec<u32>),
}

/// What the model may call.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename = "function")]
pub struct Tool {
    /// The function.
    pub function: Function,
}

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Function {
    /// What it is called by.
    pub name: String,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON schema of its arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
    /// OpenAI's word that the schema holds. A call is held to it here in any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

/// Whether tools are called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolChoice {
    /// As the model likes.
    Auto,
    /// No.
    None,
    /// At least one, and nothing else.
    Required,
    /// This one.
    #[serde(rename = "name")]
    Named(String),
}

/// What a text is held to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grammar {
    /// Any JSON object; always true.
    JsonObject(bool),
    /// JSON of this schema.
    JsonSchema(Value),
    /// A grammar in llguidance's dialect of Lark.
    Lark(String),
    /// A regular expression for the whole text.
    Regex(String),
}

/// How the next token is drawn; each field has OpenAI's default, or does nothing by default.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sampling {
    /// 0 (greedy) to 2.
    pub temperature: f64,
    /// Draw from this many tokens; 0 from all.
    pub top_k: u32,
    /// Draw from the smallest set of tokens with this mass.
    pub top_p: f64,
    /// Draw from tokens at least this probable relative to the first.
    pub min_p: f64,
    /// The same seed draws the same tokens; without one each request draws its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Divides the logits of tokens that were there before; 1 does nothing.
    pub repeat_penalty: f64,
    /// Taken from a token's logit for each time it was generated.
    pub frequency_penalty: f64,
    /// Taken from a token's logit once it was generated.
    pub presence_penalty: f64,
    /// Added to tokens' logits.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub logit_bias: BTreeMap<u32, f64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            seed: None,
            repeat_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: BTreeMap::new(),
        }
    }
}

/// The variables of a chat template that say whether the model thinks. Models know it by one of two names, and take no notice of the other.
pub(crate) fn thinking(thinks: bool) -> impl Iterator<Item = (String, Value)> {
    ["enable_thinking", "thinking"].into_iter().map(move |name| (name.to_owned(), Value::Bool(thinks)))
}
