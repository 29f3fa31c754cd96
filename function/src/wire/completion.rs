//! The answers of `POST /v1/chat/completions`: whole, and chunk by chunk.

use serde::Serialize;

/// Tokens of a request, as OpenAI counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Of the conversation with its template.
    pub prompt_tokens: u64,
    /// Of the answer.
    pub completion_tokens: u64,
    /// Both.
    pub total_tokens: u64,
    /// More about the prompt's.
    pub prompt_tokens_details: PromptTokensDetails,
}

/// More about a prompt's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PromptTokensDetails {
    /// Those that were not computed again.
    pub cached_tokens: u64,
}

impl Usage {
    /// From the three counts that wasi-nn's result has.
    pub fn new(prompt_tokens: u64, cached_tokens: u64, completion_tokens: u64) -> Self {
        let total_tokens = prompt_tokens.saturating_add(completion_tokens);
        Self { prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details: PromptTokensDetails { cached_tokens } }
    }
}

/// What all chunks of an answer, or the one whole answer, have in common.
#[derive(Debug, Clone, Serialize)]
pub struct Head {
    /// `chatcmpl-…`, the same in every chunk.
    pub id: String,
    /// `chat.completion` or `chat.completion.chunk`.
    pub object: &'static str,
    /// Unix time in seconds.
    pub created: u64,
    /// The model that answers.
    pub model: String,
    /// The version that answers.
    pub system_fingerprint: &'static str,
}

/// A whole answer.
#[derive(Debug, Serialize)]
pub struct Completion<'a> {
    /// What it shares with chunks.
    #[serde(flatten)]
    pub head: &'a Head,
    /// One.
    pub choices: [Choice<'a>; 1],
    /// Counts.
    pub usage: Usage,
}

/// The answer in a [`Completion`].
#[derive(Debug, Serialize)]
pub struct Choice<'a> {
    /// 0
    pub index: u32,
    /// The text.
    pub message: Answer<'a>,
    /// Always null: not supported yet.
    pub logprobs: (),
    /// `stop` or `length`.
    pub finish_reason: &'a str,
}

/// The message in a [`Choice`].
#[derive(Debug, Serialize)]
pub struct Answer<'a> {
    /// `assistant`
    pub role: &'static str,
    /// The text.
    pub content: &'a str,
    /// Always null: these models have no refusals of their own.
    pub refusal: (),
}

/// A chunk of a streamed answer.
#[derive(Debug, Serialize)]
pub struct Chunk<'a> {
    /// The same in every chunk.
    #[serde(flatten)]
    pub head: &'a Head,
    /// One, or none in the chunk that counts tokens.
    pub choices: Vec<ChunkChoice<'a>>,
    /// Absent unless the client asked for it; then null in every chunk but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
}

/// What a [`Chunk`] adds.
#[derive(Debug, Serialize)]
pub struct ChunkChoice<'a> {
    /// 0
    pub index: u32,
    /// The addition.
    pub delta: Delta<'a>,
    /// Always null: not supported yet.
    pub logprobs: (),
    /// In the last.
    pub finish_reason: Option<&'a str>,
}

/// An addition.
#[derive(Debug, Default, Serialize)]
pub struct Delta<'a> {
    /// In the first chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// The text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<&'a str>,
}
