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
    /// What each event of a streamed answer holds.
    pub(crate) stream: Option<&'static Table>,
}

pub(crate) const GET: &str = "GET, HEAD";
pub(crate) const POST: &str = "POST";
const DELETE: &str = "DELETE";

/// All that there is beside the pages.
pub(crate) static ENDPOINTS: [Endpoint; 24] = [
    Endpoint {
        paths: &["/v1/chat/completions"],
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
        paths: &["/v1/models"],
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
        paths: &["/health", "/v1/health"],
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
