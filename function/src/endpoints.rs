//! What a client may ask, and where: routes are found here, and OpenAPI's document is made from it.

use crate::{
    llama, models,
    openai::{self, schemas},
    openapi,
    wire::table::Table,
};

/// What is done at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    ChatCompletions,
    Completions,
    Embeddings,
    Models,
    Model,
    Rerank,
    Tokenize,
    Detokenize,
    ApplyTemplate,
    Health,
    OpenApi,
}

/// Whose API an endpoint is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    OpenAi,
    Llama,
    Service,
}

impl Group {
    pub(crate) const ALL: [Self; 3] = [Self::OpenAi, Self::Llama, Self::Service];

    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "OpenAI's API",
            Self::Llama => "llama.cpp's API",
            Self::Service => "The service",
        }
    }
}

/// One thing that a client may ask.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The first is the one to use; the others are taken too. A last segment in braces stands for any rest of a path.
    pub(crate) paths: &'static [&'static str],
    pub(crate) methods: &'static str,
    pub(crate) action: Action,
    pub(crate) group: Group,
    /// What it does, in a few words.
    pub(crate) about: &'static str,
    /// What its body holds, with an example.
    pub(crate) request: Option<(&'static Table, &'static str)>,
    /// What the answer holds.
    pub(crate) answer: &'static Table,
    /// What each event of a streamed answer holds.
    pub(crate) stream: Option<&'static Table>,
}

pub(crate) const GET: &str = "GET, HEAD";
pub(crate) const POST: &str = "POST";

/// All that there is beside the pages.
pub(crate) static ENDPOINTS: [Endpoint; 11] = [
    Endpoint {
        paths: &["/v1/chat/completions", "/chat/completions"],
        methods: POST,
        action: Action::ChatCompletions,
        group: Group::OpenAi,
        about: "Continue a chat",
        request: Some((
            &openai::chat::TABLE,
            r#"{"messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0.6}"#,
        )),
        answer: &schemas::CHAT,
        stream: Some(&schemas::CHAT_CHUNK),
    },
    Endpoint {
        paths: &["/v1/completions"],
        methods: POST,
        action: Action::Completions,
        group: Group::OpenAi,
        about: "Continue texts as they are",
        request: Some((&openai::completions::TABLE, r#"{"prompt": "Once upon a time", "max_tokens": 32}"#)),
        answer: &schemas::COMPLETION,
        stream: Some(&schemas::COMPLETION),
    },
    Endpoint {
        paths: &["/v1/embeddings"],
        methods: POST,
        action: Action::Embeddings,
        group: Group::OpenAi,
        about: "Tell texts as vectors",
        request: Some((&openai::embeddings::TABLE, r#"{"input": ["The cat sat on the mat.", "A feline rested on the rug."]}"#)),
        answer: &schemas::EMBEDDINGS,
        stream: None,
    },
    Endpoint {
        paths: &["/v1/models", "/models"],
        methods: GET,
        action: Action::Models,
        group: Group::OpenAi,
        about: "The models that are served, the default first",
        request: None,
        answer: &schemas::MODELS,
        stream: None,
    },
    Endpoint {
        paths: &["/v1/models/{id}"],
        methods: GET,
        action: Action::Model,
        group: Group::OpenAi,
        about: "One model, and what it says of itself; one that is loaded only when it is wanted is then loaded",
        request: None,
        answer: &schemas::MODEL,
        stream: None,
    },
    Endpoint {
        paths: &["/v1/rerank", "/rerank", "/v1/reranking", "/reranking"],
        methods: POST,
        action: Action::Rerank,
        group: Group::Llama,
        about: "Order documents by their nearness to a query",
        request: Some((
            &llama::RERANK,
            r#"{"query": "What does a cat eat?", "documents": ["Cats eat mice.", "Paris lies on the Seine."], "top_n": 1}"#,
        )),
        answer: &llama::schemas::RERANKED,
        stream: None,
    },
    Endpoint {
        paths: &["/tokenize"],
        methods: POST,
        action: Action::Tokenize,
        group: Group::Llama,
        about: "Tell a text as tokens",
        request: Some((&llama::TOKENIZE, r#"{"content": "Hello, world", "with_pieces": true}"#)),
        answer: &llama::schemas::TOKENIZED,
        stream: None,
    },
    Endpoint {
        paths: &["/detokenize"],
        methods: POST,
        action: Action::Detokenize,
        group: Group::Llama,
        about: "Tell tokens as a text",
        request: Some((&llama::DETOKENIZE, r#"{"tokens": [19556, 28, 905]}"#)),
        answer: &llama::schemas::DETOKENIZED,
        stream: None,
    },
    Endpoint {
        paths: &["/apply-template"],
        methods: POST,
        action: Action::ApplyTemplate,
        group: Group::Llama,
        about: "Tell what a model reads of a chat",
        request: Some((&llama::TEMPLATE, r#"{"messages": [{"role": "user", "content": "Hi"}]}"#)),
        answer: &llama::schemas::TEMPLATED,
        stream: None,
    },
    Endpoint {
        paths: &["/health", "/v1/health"],
        methods: GET,
        action: Action::Health,
        group: Group::Service,
        about: "Whether the default model can answer",
        request: None,
        answer: &models::HEALTH,
        stream: None,
    },
    Endpoint {
        paths: &["/openapi.json"],
        methods: GET,
        action: Action::OpenApi,
        group: Group::Service,
        about: "This API as OpenAPI 3.1",
        request: None,
        answer: &openapi::DOCUMENT,
        stream: None,
    },
];
