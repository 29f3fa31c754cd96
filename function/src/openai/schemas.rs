//! The answers of OpenAI's API as tables, which document them. That answers are as they say is a test's to hold.

use crate::wire::table::{COUNT, Field, Kind, REAL, Table};

const ID: Field = Field::new("id", Kind::Text, "Its name, which no other answer has.").required();
const CREATED: Field = Field::new("created", COUNT, "Unix time in seconds.").required();
const MODEL_NAME: Field = Field::new("model", Kind::Text, "The model that answers.").required();
const FINGERPRINT: Field = Field::new("system_fingerprint", Kind::Text, "The version that answers.").required();
static USAGE_FIELD: Field = Field::new(
    "usage",
    Kind::Object(&USAGE),
    "Tokens of all choices; in a stream in the last event, where 'stream_options.include_usage' asks for it.",
);
static TIMINGS_FIELD: Field =
    Field::new("timings", Kind::Object(&TIMINGS), "Times of the first choice; in a stream with each choice's end.");
const INDEX: Field = Field::new("index", COUNT, "Which of the answers.").required();

pub(crate) static CHAT: Table = Table {
    name: "ChatCompletion",
    plural: "answers",
    about: "The answer to a chat.",
    fields: &[
        ID,
        Field::new("object", Kind::Word(&["chat.completion"]), "What it is.").required(),
        CREATED,
        MODEL_NAME,
        FINGERPRINT,
        Field::new("choices", Kind::List(&Kind::Object(&CHAT_CHOICE), 1, usize::MAX), "As many answers as 'n' asks for.").required(),
        USAGE_FIELD,
        TIMINGS_FIELD,
    ],
    open: false,
};

static CHAT_CHOICE: Table = Table {
    name: "ChatChoice",
    plural: "choices",
    about: "One answer.",
    fields: &[
        INDEX,
        Field::new("message", Kind::Object(&CHAT_ANSWER), "What the model says.").required(),
        Field::new("logprobs", Kind::Object(&CHAT_LOGPROBS), "How likely its tokens were, where 'logprobs' asks for it."),
        Field::new("finish_reason", REASON, "Why it ended.").required(),
    ],
    open: false,
};

const REASON: Kind = Kind::Word(&["stop", "length", "tool_calls", "function_call"]);

static CHAT_ANSWER: Table = Table {
    name: "ChatAnswer",
    plural: "messages",
    about: "What the model says. It can be sent back as it is.",
    fields: &[
        Field::new("role", Kind::Word(&["assistant"]), "Who speaks.").required(),
        Field::new("content", Kind::Text, "The text; null where the model called tools and said nothing."),
        Field::new("refusal", Kind::Text, "Always null."),
        Field::new("reasoning_content", Kind::Text, "What a model that thinks thought before."),
        Field::new("tool_calls", Kind::List(&Kind::Object(&CALL), 1, usize::MAX), "The calls that it makes."),
        Field::new("function_call", Kind::Object(&CALLED), "The call, where 'functions' were sent."),
    ],
    open: false,
};

static CALL: Table = Table {
    name: "ChatAnswerToolCall",
    plural: "calls",
    about: "A call of a tool.",
    fields: &[
        Field::new("id", Kind::Text, "What the tool's message is to be sent back with.").required(),
        Field::new("type", Kind::Word(&["function"]), "What is called.").required(),
        Field::new("function", Kind::Object(&CALLED), "The call.").required(),
    ],
    open: false,
};

static CALLED: Table = Table {
    name: "ChatAnswerCalledFunction",
    plural: "calls",
    about: "A function and what it is called with.",
    fields: &[
        Field::new("name", Kind::Text, "Its name.").required(),
        Field::new("arguments", Kind::Text, "JSON text, which the function's 'parameters' hold.").required(),
    ],
    open: false,
};

static CHAT_LOGPROBS: Table = Table {
    name: "ChatLogprobs",
    plural: "objects",
    about: "How likely an answer's tokens were.",
    fields: &[
        Field::new("content", Kind::List(&Kind::Object(&TOKEN), 1, usize::MAX), "The answer's tokens, thinking and calls among them.")
            .required(),
        Field::new("refusal", Kind::Any, "Always null."),
    ],
    open: false,
};

pub(crate) static TOKEN: Table = Table {
    name: "TokenLogprob",
    plural: "tokens",
    about: "A token and how likely it was.",
    fields: &[
        Field::new("token", Kind::Text, "Its text, with U+FFFD where its bytes are no whole character.").required(),
        Field::new("logprob", REAL, "The logarithm of its probability.").required(),
        Field::new("bytes", Kind::List(&COUNT, 0, usize::MAX), "Its bytes.").required(),
        Field::new("top_logprobs", Kind::List(&Kind::Object(&CANDIDATE), 0, usize::MAX), "The likeliest at its place.").required(),
    ],
    open: false,
};

static CANDIDATE: Table = Table {
    name: "TopLogprob",
    plural: "tokens",
    about: "A token that might have been.",
    fields: &[
        Field::new("token", Kind::Text, "Its text.").required(),
        Field::new("logprob", REAL, "The logarithm of its probability.").required(),
        Field::new("bytes", Kind::List(&COUNT, 0, usize::MAX), "Its bytes.").required(),
    ],
    open: false,
};

pub(crate) static CHAT_CHUNK: Table = Table {
    name: "ChatCompletionChunk",
    plural: "chunks",
    about: "One event of a streamed answer. The last event is the text [DONE].",
    fields: &[
        ID,
        Field::new("object", Kind::Word(&["chat.completion.chunk"]), "What it is.").required(),
        CREATED,
        MODEL_NAME,
        FINGERPRINT,
        Field::new("choices", Kind::List(&Kind::Object(&CHUNK_CHOICE), 0, 1), "What it adds; nothing in the event that counts tokens.")
            .required(),
        USAGE_FIELD,
        TIMINGS_FIELD,
    ],
    open: false,
};

static CHUNK_CHOICE: Table = Table {
    name: "ChatChunkChoice",
    plural: "choices",
    about: "A piece of one answer.",
    fields: &[
        INDEX,
        Field::new("delta", Kind::Object(&DELTA), "The piece.").required(),
        Field::new("logprobs", Kind::Object(&CHAT_LOGPROBS), "Of the tokens behind it."),
        Field::new("finish_reason", REASON, "Why the answer ended, in its last piece."),
    ],
    open: false,
};

static DELTA: Table = Table {
    name: "ChatDelta",
    plural: "pieces",
    about: "A piece of an answer, with one of its fields; 'role' comes first.",
    fields: &[
        Field::new("role", Kind::Word(&["assistant"]), "Who speaks."),
        Field::new("content", Kind::Text, "Of the text."),
        Field::new("reasoning_content", Kind::Text, "Of what the model thinks."),
        Field::new("tool_calls", Kind::List(&Kind::Object(&CALL_PIECE), 1, 1), "Of a call."),
        Field::new("function_call", Kind::Object(&CALLED_PIECE), "Of the call, where 'functions' were sent."),
    ],
    open: false,
};

static CALL_PIECE: Table = Table {
    name: "ChatToolCallPiece",
    plural: "calls",
    about: "A piece of a call. The first has its name, the others are pieces of its arguments.",
    fields: &[
        Field::new("index", COUNT, "Which of the answer's calls.").required(),
        Field::new("id", Kind::Text, "In the first piece."),
        Field::new("type", Kind::Word(&["function"]), "In the first piece."),
        Field::new("function", Kind::Object(&CALLED_PIECE), "The piece.").required(),
    ],
    open: false,
};

static CALLED_PIECE: Table = Table {
    name: "ChatCalledFunctionPiece",
    plural: "calls",
    about: "A piece of a call.",
    fields: &[
        Field::new("name", Kind::Text, "In the first piece."),
        Field::new("arguments", Kind::Text, "All pieces together are the arguments' JSON text.").required(),
    ],
    open: false,
};

static USAGE: Table = Table {
    name: "Usage",
    plural: "counts",
    about: "Tokens of a request.",
    fields: &[
        Field::new("prompt_tokens", COUNT, "Of what was sent.").required(),
        Field::new("completion_tokens", COUNT, "Of the answers.").required(),
        Field::new("total_tokens", COUNT, "Both.").required(),
        Field::new("prompt_tokens_details", Kind::Object(&PROMPT_DETAILS), "More about the first.").required(),
        Field::new("completion_tokens_details", Kind::Object(&COMPLETION_DETAILS), "More about the second.").required(),
    ],
    open: false,
};

static PROMPT_DETAILS: Table = Table {
    name: "PromptTokensDetails",
    plural: "counts",
    about: "Tokens of what was sent.",
    fields: &[Field::new("cached_tokens", COUNT, "Those that were not computed again.").required()],
    open: false,
};

static COMPLETION_DETAILS: Table = Table {
    name: "CompletionTokensDetails",
    plural: "counts",
    about: "Tokens of the answers.",
    fields: &[Field::new("reasoning_tokens", COUNT, "Those that were thinking.").required()],
    open: false,
};

pub(crate) static TIMINGS: Table = Table {
    name: "Timings",
    plural: "times",
    about: "Times of an answer, with llama.cpp's names.",
    fields: &[
        Field::new("queue_ms", REAL, "Milliseconds that it waited for its turn.").required(),
        Field::new("cache_n", COUNT, "Tokens of the prompt that were not computed again.").required(),
        Field::new("prompt_n", COUNT, "Tokens of the prompt that were computed.").required(),
        Field::new("prompt_ms", REAL, "Milliseconds that they took.").required(),
        Field::new("prompt_per_second", REAL, "How many in a second.").required(),
        Field::new("predicted_n", COUNT, "Tokens of the answer.").required(),
        Field::new("predicted_ms", REAL, "Milliseconds that they took.").required(),
        Field::new("predicted_per_second", REAL, "How many in a second.").required(),
    ],
    open: false,
};

pub(crate) static COMPLETION: Table = Table {
    name: "Completion",
    plural: "answers",
    about: "What follows the prompts, or, in a stream, a piece of it; the last event of a stream is the text [DONE].",
    fields: &[
        ID,
        Field::new("object", Kind::Word(&["text_completion"]), "What it is.").required(),
        CREATED,
        MODEL_NAME,
        FINGERPRINT,
        Field::new(
            "choices",
            Kind::List(&Kind::Object(&COMPLETION_CHOICE), 0, usize::MAX),
            "'n' answers to the first prompt, to the second, and so on.",
        )
        .required(),
        USAGE_FIELD,
        TIMINGS_FIELD,
    ],
    open: false,
};

static COMPLETION_CHOICE: Table = Table {
    name: "CompletionChoice",
    plural: "choices",
    about: "One answer, or a piece of it.",
    fields: &[
        INDEX,
        Field::new("text", Kind::Text, "The text.").required(),
        Field::new("logprobs", Kind::Object(&COMPLETION_LOGPROBS), "How likely its tokens were, where 'logprobs' asks for it."),
        Field::new("finish_reason", Kind::Word(&["stop", "length"]), "Why it ended, in its last piece."),
    ],
    open: false,
};

static COMPLETION_LOGPROBS: Table = Table {
    name: "CompletionLogprobs",
    plural: "objects",
    about: "How likely tokens were, in arrays of the same length.",
    fields: &[
        Field::new("tokens", Kind::List(&Kind::Text, 0, usize::MAX), "Their texts.").required(),
        Field::new(
            "token_logprobs",
            Kind::List(&Kind::Any, 0, usize::MAX),
            "The logarithms of their probabilities; null for a prompt's first.",
        )
        .required(),
        Field::new(
            "top_logprobs",
            Kind::List(&Kind::Any, 0, usize::MAX),
            "For each the likeliest at its place and itself, by their texts; null for a prompt's first.",
        )
        .required(),
        Field::new("text_offset", Kind::List(&COUNT, 0, usize::MAX), "Characters before each.").required(),
    ],
    open: false,
};

pub(crate) static EMBEDDINGS: Table = Table {
    name: "Embeddings",
    plural: "answers",
    about: "The vectors of texts.",
    fields: &[
        Field::new("object", Kind::Word(&["list"]), "What it is.").required(),
        Field::new("data", Kind::List(&Kind::Object(&EMBEDDING), 1, usize::MAX), "One for each text, in order.").required(),
        MODEL_NAME,
        Field::new("usage", Kind::Object(&PROMPT_USAGE), "Tokens of the texts.").required(),
    ],
    open: false,
};

static EMBEDDING: Table = Table {
    name: "Embedding",
    plural: "vectors",
    about: "The vector of a text.",
    fields: &[
        Field::new("object", Kind::Word(&["embedding"]), "What it is.").required(),
        Field::new("index", COUNT, "Which of the texts.").required(),
        Field::new(
            "embedding",
            Kind::OneOf(&[Kind::List(&REAL, 1, usize::MAX), Kind::Text]),
            "Its elements, or their base64 text. Its length is 1.",
        )
        .required(),
    ],
    open: false,
};

pub(crate) static PROMPT_USAGE: Table = Table {
    name: "PromptUsage",
    plural: "counts",
    about: "Tokens of a request that is not answered in tokens.",
    fields: &[
        Field::new("prompt_tokens", COUNT, "Of what was sent.").required(),
        Field::new("total_tokens", COUNT, "The same.").required(),
    ],
    open: false,
};

pub(crate) static MODELS: Table = Table {
    name: "Models",
    plural: "lists",
    about: "The models that are served.",
    fields: &[
        Field::new("object", Kind::Word(&["list"]), "What it is.").required(),
        Field::new("data", Kind::List(&Kind::Object(&MODEL), 0, usize::MAX), "The models, the default first.").required(),
        Field::new("first_id", Kind::Text, "The first's name, where there is one."),
        Field::new("last_id", Kind::Text, "The last's."),
        Field::new("has_more", Kind::Flag, "Whether there is a next page, which there never is.").required(),
    ],
    open: false,
};

pub(crate) static MODEL: Table = Table {
    name: "Model",
    plural: "models",
    about: "A model.",
    fields: &[
        Field::new("id", Kind::Text, "Its name.").required(),
        Field::new("object", Kind::Word(&["model"]), "What it is.").required(),
        CREATED,
        Field::new("owned_by", Kind::Text, "Who serves it.").required(),
        Field::new("type", Kind::Word(&["model"]), "What it is, by Anthropic's name.").required(),
        Field::new("display_name", Kind::Text, "Its name.").required(),
        Field::new("created_at", Kind::Text, "The time of 'created', as in '2026-01-31T12:00:00Z'.").required(),
        Field::new(
            "meta",
            Kind::Map(&Kind::Any),
            "Of one model, and of the default in a list: what it says of itself, such as its purpose, architecture, size, context and chat template.",
        ),
        Field::new("max_model_len", COUNT, "Where 'meta' is: tokens of its context."),
    ],
    open: false,
};

pub(crate) static ERROR: Table = Table {
    name: "Error",
    plural: "errors",
    about: "A refusal.",
    fields: &[Field::new("error", Kind::Object(&ERROR_DETAIL), "The reason.").required()],
    open: false,
};

static ERROR_DETAIL: Table = Table {
    name: "ErrorDetail",
    plural: "errors",
    about: "The reason of a refusal.",
    fields: &[
        Field::new("message", Kind::Text, "What is wrong, and what would be right.").required(),
        Field::new(
            "type",
            Kind::Word(&[
                "invalid_request_error",
                "permission_error",
                "rate_limit_error",
                "unavailable_error",
                "timeout_error",
                "server_error",
            ]),
            "What kind of fault it is.",
        )
        .required(),
        Field::new("param", Kind::Text, "The parameter at fault, as in 'messages[2].content'."),
        Field::new("code", Kind::OneOf(&[Kind::Text, COUNT]), "A stable word for programs; of /health the number 503."),
    ],
    open: false,
};
