//! What a client may ask, and where: routes are found here, and OpenAPI's document is made from it.

use http::Response;

use crate::{
    Body, anthropic, export,
    keys::{Need, Scope},
    llama, models, ollama,
    openai::{self, schemas},
    openapi, respond,
    wire::{ApiError, table::Table},
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
    LlamaCompletion,
    Props,
    Tokenize,
    Detokenize,
    ApplyTemplate,
    Messages,
    CountTokens,
    OllamaChat,
    OllamaGenerate,
    OllamaEmbed,
    OllamaEmbeddings,
    OllamaTags,
    OllamaRunning,
    OllamaShow,
    OllamaVersion,
    CreateResponse,
    InputItems,
    CancelResponse,
    Response,
    DeleteResponse,
    CreateConversation,
    ConversationItems,
    AddItems,
    Item,
    DeleteItem,
    Conversation,
    UpdateConversation,
    DeleteConversation,
    Export,
    Health,
    OpenApi,
}

impl Action {
    /// What a key has to be for.
    pub(crate) fn need(self) -> Need {
        match self {
            // Whoever watches the service, or wants to know what it can do, has no key.
            Self::Health | Self::OpenApi => Need::Nothing,
            Self::Models
            | Self::Model
            | Self::OllamaTags
            | Self::OllamaRunning
            | Self::OllamaShow
            | Self::OllamaVersion
            | Self::Props
            | Self::InputItems
            | Self::Response
            | Self::ConversationItems
            | Self::Item
            | Self::Conversation
            | Self::Export => Need::Scope(Scope::Read),
            Self::ChatCompletions
            | Self::Completions
            | Self::LlamaCompletion
            | Self::Embeddings
            | Self::Rerank
            | Self::Tokenize
            | Self::Detokenize
            | Self::ApplyTemplate
            | Self::Messages
            | Self::CountTokens
            | Self::OllamaChat
            | Self::OllamaGenerate
            | Self::OllamaEmbed
            | Self::OllamaEmbeddings
            | Self::CreateResponse
            | Self::CancelResponse
            | Self::DeleteResponse
            | Self::CreateConversation
            | Self::AddItems
            | Self::DeleteItem
            | Self::UpdateConversation
            | Self::DeleteConversation => Need::Scope(Scope::Chat),
        }
    }
}

/// Whose API an endpoint is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    OpenAi,
    Anthropic,
    Ollama,
    Llama,
    Service,
}

impl Group {
    pub(crate) const ALL: [Self; 5] = [Self::OpenAi, Self::Anthropic, Self::Ollama, Self::Llama, Self::Service];

    /// Whose client asks for a path, be it there or not.
    pub(crate) fn of(path: &str) -> Self {
        let beneath = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match path {
            _ if beneath("/v1/messages") => Self::Anthropic,
            _ if beneath("/api") => Self::Ollama,
            _ => Self::OpenAi,
        }
    }

    /// The answer that tells its clients of an error.
    pub(crate) fn refusal(self, error: &ApiError) -> Response<Body> {
        match self {
            Self::Anthropic => anthropic::refusal(error),
            Self::Ollama => ollama::refusal(error),
            Self::OpenAi | Self::Llama | Self::Service => error.response(),
        }
    }

    /// What that answer holds.
    pub(crate) fn error(self) -> &'static Table {
        match self {
            Self::Anthropic => &anthropic::schemas::ERROR,
            Self::Ollama => &ollama::schemas::ERROR,
            Self::OpenAi | Self::Llama | Self::Service => &schemas::ERROR,
        }
    }

    /// The content type of its streams.
    pub(crate) fn stream(self) -> &'static str {
        if self == Self::Ollama { respond::LINES } else { respond::EVENTS }
    }

    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "OpenAI's API",
            Self::Anthropic => "Anthropic's API",
            Self::Ollama => "Ollama's API",
            Self::Llama => "llama.cpp's API",
            Self::Service => "The service",
        }
    }
}

/// One thing that a client may ask.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The first is the one to use; the others are taken too. A segment in braces stands for any; a last one in braces for any rest of a path.
    pub(crate) paths: &'static [&'static str],
    /// The first is the one to use.
    pub(crate) methods: &'static str,
    pub(crate) action: Action,
    pub(crate) group: Group,
    /// What it does, in a few words.
    pub(crate) about: &'static str,
    /// What may stand behind its path's question mark.
    pub(crate) query: Option<&'static Table>,
    /// What its body holds, with an example.
    pub(crate) request: Option<(&'static Table, &'static str)>,
    /// What the answer holds.
    pub(crate) answer: &'static Table,
    /// What each event or line of a streamed answer holds.
    pub(crate) stream: Option<&'static Table>,
}

pub(crate) const GET: &str = "GET, HEAD";
pub(crate) const POST: &str = "POST";
const DELETE: &str = "DELETE";

/// All that there is beside the pages.
pub(crate) static ENDPOINTS: [Endpoint; 37] = [
    Endpoint {
        paths: &["/v1/chat/completions", "/chat/completions"],
        methods: POST,
        action: Action::ChatCompletions,
        group: Group::OpenAi,
        about: "Continue a chat",
        query: None,
        request: Some((
            &openai::chat::TABLE,
            r#"{"messages": [{"role": "user", "content": "What is the capital of France?"}], "temperature": 0.6}"#,
        )),
        answer: &schemas::CHAT,
        stream: Some(&schemas::CHAT_CHUNK),
    },
    Endpoint {
        paths: &["/v1/responses"],
        methods: POST,
        action: Action::CreateResponse,
        group: Group::OpenAi,
        about: "Answer, and keep the answer",
        query: None,
        request: Some((&openai::responses::TABLE, r#"{"input": "What is the capital of France?", "temperature": 0.6}"#)),
        answer: &openai::responses::schemas::RESPONSE,
        stream: Some(&openai::responses::schemas::EVENT),
    },
    Endpoint {
        paths: &["/v1/responses/{response_id}/input_items"],
        methods: GET,
        action: Action::InputItems,
        group: Group::OpenAi,
        about: "What a kept answer is an answer to",
        query: Some(&openai::listing::QUERY),
        request: None,
        answer: &openai::responses::schemas::ITEMS,
        stream: None,
    },
    Endpoint {
        paths: &["/v1/responses/{response_id}/cancel"],
        methods: POST,
        action: Action::CancelResponse,
        group: Group::OpenAi,
        about: "Always refused: no answer is made in the background",
        query: None,
        request: None,
        answer: &openai::responses::schemas::RESPONSE,
        stream: None,
    },
    Endpoint {
        paths: &["/v1/responses/{response_id}"],
        methods: GET,
        action: Action::Response,
        group: Group::OpenAi,
        about: "A kept answer",
        query: Some(&openai::responses::QUERY),
        request: None,
        answer: &openai::responses::schemas::RESPONSE,
        stream: None,
    },
    Endpoint {
        paths: &["/v1/responses/{response_id}"],
        methods: DELETE,
        action: Action::DeleteResponse,
        group: Group::OpenAi,
        about: "Forget an answer",
        query: None,
        request: None,
        answer: &openai::responses::schemas::DELETED,
        stream: None,
    },
    Endpoint {
        paths: &["/v1/conversations"],
        methods: POST,
        action: Action::CreateConversation,
        group: Group::OpenAi,
        about: "Begin a conversation that is kept",
        query: None,
        request: Some((
            &openai::conversations::TABLE,
            r#"{"metadata": {"topic": "geography"}, "items": [{"type": "message", "role": "user", "content": "What is the capital of France?"}]}"#,
        )),
        answer: &openai::conversations::schemas::CONVERSATION,
        stream: None,
    },
    Endpoint {
        paths: &["/v1/conversations/{conversation_id}/items"],
        methods: GET,
        action: Action::ConversationItems,
        group: Group::OpenAi,
        about: "What was said in a conversation",
        query: Some(&openai::listing::QUERY),
        request: None,
        answer: &openai::responses::schemas::ITEMS,
        stream: None,
    },
    Endpoint {
        paths: &["/v1/conversations/{conversation_id}/items"],
        methods: POST,
        action: Action::AddItems,
        group: Group::OpenAi,
        about: "Add to a conversation",
        query: Some(&openai::conversations::QUERY),
        request: Some((
            &openai::conversations::ADD,
            r#"{"items": [{"type": "message", "role": "user", "content": "What is the capital of France?"}]}"#,
        )),
        answer: &openai::responses::schemas::ITEMS,
        stream: None,
    },
    Endpoint {
        paths: &["/v1/conversations/{conversation_id}/items/{item_id}"],
        methods: GET,
        action: Action::Item,
        group: Group::OpenAi,
        about: "One item of a conversation",
        query: Some(&openai::conversations::QUERY),
        request: None,
        answer: &openai::responses::schemas::ITEM,
        stream: None,
    },
    Endpoint {
        paths: &["/v1/conversations/{conversation_id}/items/{item_id}"],
        methods: DELETE,
        action: Action::DeleteItem,
        group: Group::OpenAi,
        about: "Take an item out of a conversation",
        query: None,
        request: None,
        answer: &openai::conversations::schemas::CONVERSATION,
        stream: None,
    },
    Endpoint {
        paths: &["/v1/conversations/{conversation_id}"],
        methods: GET,
        action: Action::Conversation,
        group: Group::OpenAi,
        about: "A conversation",
        query: None,
        request: None,
        answer: &openai::conversations::schemas::CONVERSATION,
        stream: None,
    },
    Endpoint {
        paths: &["/v1/conversations/{conversation_id}"],
        methods: POST,
        action: Action::UpdateConversation,
        group: Group::OpenAi,
        about: "Change a conversation's metadata",
        query: None,
        request: Some((&openai::conversations::UPDATE, r#"{"metadata": {"topic": "history"}}"#)),
        answer: &openai::conversations::schemas::CONVERSATION,
        stream: None,
    },
    Endpoint {
        paths: &["/v1/conversations/{conversation_id}"],
        methods: DELETE,
        action: Action::DeleteConversation,
        group: Group::OpenAi,
        about: "Forget a conversation and all that was said in it",
        query: None,
        request: None,
        answer: &openai::conversations::schemas::DELETED,
        stream: None,
    },
    Endpoint {
        paths: &["/v1/completions"],
        methods: POST,
        action: Action::Completions,
        group: Group::OpenAi,
        about: "Continue texts as they are",
        query: None,
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
        query: None,
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
        query: None,
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
        query: None,
        request: None,
        answer: &schemas::MODEL,
        stream: None,
    },
    Endpoint {
        paths: &["/v1/messages"],
        methods: POST,
        action: Action::Messages,
        group: Group::Anthropic,
        about: "Continue a conversation",
        query: None,
        request: Some((
            &anthropic::TABLE,
            r#"{"max_tokens": 256, "messages": [{"role": "user", "content": "What is the capital of France?"}]}"#,
        )),
        answer: &anthropic::schemas::MESSAGE,
        stream: Some(&anthropic::schemas::EVENT),
    },
    Endpoint {
        paths: &["/v1/messages/count_tokens"],
        methods: POST,
        action: Action::CountTokens,
        group: Group::Anthropic,
        about: "Count the tokens of a conversation",
        query: None,
        request: Some((&anthropic::COUNT, r#"{"messages": [{"role": "user", "content": "What is the capital of France?"}]}"#)),
        answer: &anthropic::schemas::COUNTED,
        stream: None,
    },
    Endpoint {
        paths: &["/api/chat"],
        methods: POST,
        action: Action::OllamaChat,
        group: Group::Ollama,
        about: "Continue a chat",
        query: None,
        request: Some((&ollama::CHAT, r#"{"messages": [{"role": "user", "content": "What is the capital of France?"}], "stream": false}"#)),
        answer: &ollama::schemas::CHAT,
        stream: Some(&ollama::schemas::CHAT),
    },
    Endpoint {
        paths: &["/api/generate"],
        methods: POST,
        action: Action::OllamaGenerate,
        group: Group::Ollama,
        about: "Answer a prompt, or continue it as it is",
        query: None,
        request: Some((
            &ollama::GENERATE,
            r#"{"prompt": "What is the capital of France?", "options": {"temperature": 0}, "stream": false}"#,
        )),
        answer: &ollama::schemas::GENERATE,
        stream: Some(&ollama::schemas::GENERATE),
    },
    Endpoint {
        paths: &["/api/embed"],
        methods: POST,
        action: Action::OllamaEmbed,
        group: Group::Ollama,
        about: "Tell texts as vectors",
        query: None,
        request: Some((&ollama::EMBED, r#"{"input": ["The cat sat on the mat.", "A feline rested on the rug."]}"#)),
        answer: &ollama::schemas::EMBED,
        stream: None,
    },
    Endpoint {
        paths: &["/api/embeddings"],
        methods: POST,
        action: Action::OllamaEmbeddings,
        group: Group::Ollama,
        about: "Tell a text as a vector; /api/embed is the newer form",
        query: None,
        request: Some((&ollama::EMBEDDINGS, r#"{"prompt": "The cat sat on the mat."}"#)),
        answer: &ollama::schemas::EMBEDDINGS,
        stream: None,
    },
    Endpoint {
        paths: &["/api/tags"],
        methods: GET,
        action: Action::OllamaTags,
        group: Group::Ollama,
        about: "The models that are served, the default first",
        query: None,
        request: None,
        answer: &ollama::schemas::TAGS,
        stream: None,
    },
    Endpoint {
        paths: &["/api/ps"],
        methods: GET,
        action: Action::OllamaRunning,
        group: Group::Ollama,
        about: "The models that answer when they are asked",
        query: None,
        request: None,
        answer: &ollama::schemas::RUNNING,
        stream: None,
    },
    Endpoint {
        paths: &["/api/show"],
        methods: POST,
        action: Action::OllamaShow,
        group: Group::Ollama,
        about: "What a model says of itself; one that is loaded only when it is wanted is then loaded",
        query: None,
        request: Some((&ollama::SHOW, "{}")),
        answer: &ollama::schemas::SHOWN,
        stream: None,
    },
    Endpoint {
        paths: &["/api/version"],
        methods: GET,
        action: Action::OllamaVersion,
        group: Group::Ollama,
        about: "The version of Ollama whose API this is",
        query: None,
        request: None,
        answer: &ollama::schemas::VERSION,
        stream: None,
    },
    Endpoint {
        paths: &["/v1/rerank", "/rerank", "/v1/reranking", "/reranking"],
        methods: POST,
        action: Action::Rerank,
        group: Group::Llama,
        about: "Order documents by their nearness to a query",
        query: None,
        request: Some((
            &llama::RERANK,
            r#"{"query": "What does a cat eat?", "documents": ["Cats eat mice.", "Paris lies on the Seine."], "top_n": 1}"#,
        )),
        answer: &llama::schemas::RERANKED,
        stream: None,
    },
    Endpoint {
        paths: &["/completion", "/completions"],
        methods: POST,
        action: Action::LlamaCompletion,
        group: Group::Llama,
        about: "Continue a text as it is, in llama.cpp's form",
        query: None,
        request: Some((&llama::COMPLETION, r#"{"prompt": "Once upon a time", "n_predict": 32}"#)),
        answer: &llama::schemas::COMPLETED,
        stream: Some(&llama::schemas::COMPLETED),
    },
    Endpoint {
        paths: &["/props"],
        methods: GET,
        action: Action::Props,
        group: Group::Llama,
        about: "What a model is, and the settings of requests that say none",
        query: Some(&llama::PROPS_QUERY),
        request: None,
        answer: &llama::schemas::PROPS,
        stream: None,
    },
    Endpoint {
        paths: &["/tokenize"],
        methods: POST,
        action: Action::Tokenize,
        group: Group::Llama,
        about: "Tell a text as tokens",
        query: None,
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
        query: None,
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
        query: None,
        request: Some((&llama::TEMPLATE, r#"{"messages": [{"role": "user", "content": "Hi"}]}"#)),
        answer: &llama::schemas::TEMPLATED,
        stream: None,
    },
    Endpoint {
        paths: &["/v1/export"],
        methods: GET,
        action: Action::Export,
        group: Group::Service,
        about: "All that is kept for the key's holder",
        query: None,
        request: None,
        answer: &export::LINE,
        stream: None,
    },
    Endpoint {
        paths: &["/health", "/v1/health", "/health/ready"],
        methods: GET,
        action: Action::Health,
        group: Group::Service,
        about: "Whether the default model can answer",
        query: None,
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
        query: None,
        request: None,
        answer: &openapi::DOCUMENT,
        stream: None,
    },
];
