//! The JSON document that starts a generation, and the tokens that it asks to continue. `docs/wasi-nn.md` describes its fields.

use hearth_models::tokenizer::Tokenizer;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

use crate::{
    Error,
    calls::{Callable, ToolChoice},
    chat::{Chat, Prompt, plain_prompt},
    grammar::Grammar,
    logprobs,
    sampler::Sampling,
    sequence::{Claim, Client},
};

/// The longest document that is parsed.
pub(crate) const MAX_BYTES: usize = 16 << 20;
/// Bytes of a client's name.
const MAX_CLIENT_BYTES: usize = 512;
/// Stop strings of a request, and bytes of each: what is held back of a text is at most as long as one.
const MAX_STOPS: usize = 16;
const MAX_STOP_BYTES: usize = 512;

/// A generation's request, checked for all that does not depend on the model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    messages: Option<Value>,
    prompt: Option<String>,
    tokens: Option<Vec<u32>>,
    #[serde(default)]
    tools: Value,
    /// Whether an answer calls them.
    #[serde(default)]
    tool_choice: ToolChoice,
    /// Whether it may call more than one.
    #[serde(default = "yes")]
    parallel_tool_calls: bool,
    #[serde(default)]
    template: Map<String, Value>,
    /// Tokens to generate at most; without it, as many as fit the context.
    pub(crate) max_tokens: Option<usize>,
    /// Texts that end the generation.
    #[serde(default)]
    pub(crate) stop: Vec<String>,
    /// Go on after an end token.
    #[serde(default)]
    pub(crate) ignore_end: bool,
    /// How tokens are chosen.
    #[serde(default)]
    pub(crate) sampling: Sampling,
    /// Whose the request is, by any name: those that wait are served round robin over clients.
    client: Option<String>,
    /// Sequences of that client that may be in flight, this one among them.
    client_limit: Option<usize>,
    /// Whether to guess tokens ahead, where the engine does.
    #[serde(default = "yes")]
    pub(crate) speculation: bool,
    /// What holds the text.
    pub(crate) grammar: Option<Grammar>,
    /// Tell the log-probability of each token, and of this many of the likeliest.
    pub(crate) logprobs: Option<usize>,
    /// The same of the prompt.
    pub(crate) prompt_logprobs: Option<usize>,
}

fn yes() -> bool {
    true
}

impl Request {
    pub(crate) fn parse(document: &[u8]) -> Result<Self, Error> {
        let request: Self = from_json(document)?;
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<(), Error> {
        let given = usize::from(self.messages.is_some()) + usize::from(self.prompt.is_some()) + usize::from(self.tokens.is_some());
        if given != 1 {
            return Err(Error::invalid(format!("the request has {given} of `messages`, `prompt` and `tokens`; give exactly one")));
        }
        if !matches!(&self.messages, None | Some(Value::Array(_))) {
            return Err(Error::invalid("`messages` is not an array"));
        }
        let callable = self.callable()?;
        if self.messages.is_none() && !self.tools.is_null() {
            return Err(Error::invalid("`tools` are for `messages`: write them into the prompt, or leave them out").about("tools"));
        }
        if self.grammar.is_some() && callable.must_call {
            return Err(Error::invalid("`grammar` holds a text, and `tool_choice` wants none: leave one out").about("grammar"));
        }
        if self.max_tokens == Some(0) && self.prompt_logprobs.is_none() {
            return Err(Error::invalid("`max_tokens` is 0; give at least 1, or ask for `prompt_logprobs`"));
        }
        logprobs::check("logprobs", self.logprobs)?;
        logprobs::check("prompt_logprobs", self.prompt_logprobs)?;
        self.grammar.as_ref().map_or(Ok(()), Grammar::check)?;
        if self.stop.len() > MAX_STOPS {
            return Err(Error::invalid(format!("`stop` has {} strings; give at most {MAX_STOPS}", self.stop.len())));
        }
        if let Some(stop) = self.stop.iter().find(|stop| stop.is_empty() || stop.len() > MAX_STOP_BYTES) {
            return Err(Error::invalid(format!("a string of `stop` has {} bytes; give 1 to {MAX_STOP_BYTES}", stop.len())));
        }
        check_client(self.client.as_deref(), self.client_limit)?;
        self.sampling.check()
    }

    /// Whose it is. Those without a name are one client's.
    pub(crate) fn claim(&self) -> Claim {
        claim(self.client.as_deref(), self.client_limit)
    }

    /// Whether it is a chat, whose answer is read in the model's dialect.
    pub(crate) fn is_chat(&self) -> bool {
        self.messages.is_some()
    }

    /// The prompt: of the rendered template, the text, or as given. The text is empty where tokens are given.
    pub(crate) fn prompt(&self, tokenizer: &Tokenizer, chat: Option<&Chat>) -> Result<Prompt, Error> {
        let prompt = match (&self.messages, &self.prompt, &self.tokens) {
            (Some(messages), ..) => {
                let tools = if self.tool_choice == ToolChoice::None { &Value::Null } else { &self.tools };
                known_chat(chat)?.prompt(tokenizer, messages, tools, &self.template, true)?
            }
            (None, Some(text), _) => Prompt { tokens: plain_prompt(tokenizer, text)?, text: text.clone() },
            (None, None, tokens) => Prompt { text: String::new(), tokens: tokens.clone().unwrap_or_default() },
        };
        if prompt.tokens.is_empty() {
            return Err(Error::invalid("the prompt has no tokens; give at least one").about("prompt"));
        }
        Ok(prompt)
    }

    /// The tools that an answer may call.
    pub(crate) fn callable(&self) -> Result<Callable, Error> {
        Callable::new(&self.tools, &self.tool_choice, self.parallel_tool_calls)
    }
}

/// The model's way to chat, or that there is none.
pub(crate) fn known_chat(chat: Option<&Chat>) -> Result<&Chat, Error> {
    chat.ok_or_else(|| Error::invalid("this model has no chat template: give `prompt` instead of `messages`").about("messages"))
}

/// A request of any kind from its document.
pub(crate) fn from_json<'de, T: Deserialize<'de>>(document: &'de [u8]) -> Result<T, Error> {
    if document.len() > MAX_BYTES {
        return Err(Error::invalid(format!("the request has {} bytes; give at most {MAX_BYTES}", document.len())));
    }
    serde_json::from_slice(document).map_err(|error| Error::invalid(format!("the request is not valid: {error}")))
}

/// That a client's name has a length that names have, and that a limit is somebody's.
pub(crate) fn check_client(name: Option<&str>, limit: Option<usize>) -> Result<(), Error> {
    if limit == Some(0) || (limit.is_some() && name.is_none()) {
        return Err(Error::invalid("`client_limit` is 0, or of no `client`: give at least 1 with a client's name, or leave it out"));
    }
    match name.filter(|name| name.is_empty() || name.len() > MAX_CLIENT_BYTES) {
        None => Ok(()),
        Some(name) => Err(Error::invalid(format!("`client` has {} bytes; give 1 to {MAX_CLIENT_BYTES}, or leave it out", name.len()))),
    }
}

/// The claim of the client of this name, or of the one that all without a name are.
pub(crate) fn claim(name: Option<&str>, limit: Option<usize>) -> Claim {
    Claim { client: name.map_or_else(Client::default, Client::named), limit }
}

/// A seed: any 64-bit integer, signed or not, or null.
pub(crate) fn seed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let number = Option::<serde_json::Number>::deserialize(deserializer)?;
    number
        .map(|number| {
            let seed = number.as_u64().or_else(|| number.as_i64().map(i64::cast_unsigned));
            seed.ok_or_else(|| de::Error::custom(format!("`seed` is {number}; give a 64-bit integer")))
        })
        .transpose()
}

#[cfg(test)]
mod tests;
