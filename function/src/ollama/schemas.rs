//! The answers of Ollama's API as tables, which document them. That answers are as they say is a test's to hold.

use crate::wire::table::{COUNT, Field, Kind, REAL, Table};

const MODEL: Field = Field::new("model", Kind::Text, "The model that answers, in the client's words.").required();
const CREATED_AT: Field = Field::new("created_at", Kind::Text, "When, as in '2026-01-31T12:00:00Z'.").required();
const DONE: Field = Field::new("done", Kind::Flag, "Whether that is all; in a stream, that of the last line.").required();
static LOGPROBS: Field =
    Field::new("logprobs", Kind::List(&Kind::Object(&TOKEN), 1, usize::MAX), "How likely the tokens were, where 'logprobs' asks for it.");
const DONE_REASON: Field = Field::new("done_reason", Kind::Word(&["stop", "length", "load"]), "Why it ended, where it is done.");
const TOTAL_DURATION: Field = Field::new("total_duration", COUNT, "Nanoseconds of all of it, where it is done.");
const LOAD_DURATION: Field = Field::new("load_duration", COUNT, "Nanoseconds until the model was there and free.");
const PROMPT_EVAL_COUNT: Field = Field::new("prompt_eval_count", COUNT, "Tokens of what was sent.");
const PROMPT_EVAL_DURATION: Field = Field::new("prompt_eval_duration", COUNT, "Nanoseconds of those that were computed.");
const EVAL_COUNT: Field = Field::new("eval_count", COUNT, "Tokens of the answer.");
const EVAL_DURATION: Field = Field::new("eval_duration", COUNT, "Nanoseconds of them.");

pub(crate) static CHAT: Table = Table {
    name: "OllamaChat",
    plural: "answers",
    about: "The answer to a chat. In a stream each line is such a document, and their texts add up.",
    fields: &[
        MODEL,
        CREATED_AT,
        Field::new("message", Kind::Object(&MESSAGE), "What the model says.").required(),
        LOGPROBS,
        DONE,
        DONE_REASON,
        TOTAL_DURATION,
        LOAD_DURATION,
        PROMPT_EVAL_COUNT,
        PROMPT_EVAL_DURATION,
        EVAL_COUNT,
        EVAL_DURATION,
    ],
    open: false,
};

static MESSAGE: Table = Table {
    name: "OllamaAnswerMessage",
    plural: "messages",
    about: "What the model says. It can be sent back as it is.",
    fields: &[
        Field::new("role", Kind::Word(&["assistant"]), "Who speaks.").required(),
        Field::new("content", Kind::Text, "The text.").required(),
        Field::new("thinking", Kind::Text, "What a model that thinks thought before."),
        Field::new(
            "tool_calls",
            Kind::List(&Kind::Object(&CALL), 1, usize::MAX),
            "The calls that it makes; in a stream in the line before the last.",
        ),
    ],
    open: false,
};

static CALL: Table = Table {
    name: "OllamaAnswerToolCall",
    plural: "calls",
    about: "A call of a tool.",
    fields: &[
        Field::new("id", Kind::Text, "Its name, which no other call has.").required(),
        Field::new("function", Kind::Object(&CALLED), "The call.").required(),
    ],
    open: false,
};

static CALLED: Table = Table {
    name: "OllamaAnswerCalledFunction",
    plural: "calls",
    about: "A function and what it is called with.",
    fields: &[
        Field::new("index", COUNT, "Which of the calls.").required(),
        Field::new("name", Kind::Text, "Its name.").required(),
        Field::new("arguments", Kind::Any, "What the function's 'parameters' hold.").required(),
    ],
    open: false,
};

static TOKEN: Table = Table {
    name: "OllamaLogprob",
    plural: "tokens",
    about: "How likely a token was.",
    fields: &[
        TOKEN_TEXT,
        LOGPROB,
        BYTES,
        Field::new("top_logprobs", Kind::List(&Kind::Object(&CANDIDATE), 0, usize::MAX), "The likeliest at its place.").required(),
    ],
    open: false,
};

static CANDIDATE: Table = Table {
    name: "OllamaTopLogprob",
    plural: "tokens",
    about: "How likely a token would have been.",
    fields: &[TOKEN_TEXT, LOGPROB, BYTES],
    open: false,
};

const TOKEN_TEXT: Field = Field::new("token", Kind::Text, "Its text, with U+FFFD where its bytes are no whole character.").required();
const LOGPROB: Field = Field::new("logprob", REAL, "The natural logarithm of its probability.").required();
const BYTES: Field = Field::new("bytes", Kind::List(&COUNT, 0, usize::MAX), "Its bytes.").required();

pub(crate) static GENERATE: Table = Table {
    name: "OllamaGenerate",
    plural: "answers",
    about: "The answer to a prompt. In a stream each line is such a document, and their texts add up.",
    fields: &[
        MODEL,
        CREATED_AT,
        Field::new("response", Kind::Text, "The text.").required(),
        Field::new("thinking", Kind::Text, "What a model that thinks thought before."),
        LOGPROBS,
        DONE,
        DONE_REASON,
        TOTAL_DURATION,
        LOAD_DURATION,
        PROMPT_EVAL_COUNT,
        PROMPT_EVAL_DURATION,
        EVAL_COUNT,
        EVAL_DURATION,
    ],
    open: false,
};

const VECTOR: Kind = Kind::List(&REAL, 0, usize::MAX);

pub(crate) static EMBED: Table = Table {
    name: "OllamaEmbed",
    plural: "answers",
    about: "Texts as vectors.",
    fields: &[
        MODEL,
        Field::new("embeddings", Kind::List(&VECTOR, 0, usize::MAX), "A vector of length 1 for each text, in their order.").required(),
        TOTAL_DURATION,
        LOAD_DURATION,
        PROMPT_EVAL_COUNT,
    ],
    open: false,
};

pub(crate) static EMBEDDINGS: Table = Table {
    name: "OllamaEmbeddings",
    plural: "answers",
    about: "A text as a vector.",
    fields: &[Field::new("embedding", VECTOR, "A vector of length 1; empty where there was no text.").required()],
    open: false,
};

pub(crate) static TAGS: Table = Table {
    name: "OllamaTags",
    plural: "answers",
    about: "The models that are served, the default first.",
    fields: &[Field::new("models", Kind::List(&Kind::Object(&TAG), 0, usize::MAX), "The models.").required()],
    open: false,
};

const NAME: Field = Field::new("name", Kind::Text, "Its name, with its tag.").required();
const SIZE: Field = Field::new("size", COUNT, "Always 0: a list asks nothing of the models.").required();
const DIGEST: Field = Field::new("digest", Kind::Text, "64 hexadecimal digits that are the same for the same name.").required();
static DETAILS_FIELD: Field =
    Field::new("details", Kind::Object(&DETAILS), "What it is; empty in a list, which asks nothing of the models.").required();

static TAG: Table = Table {
    name: "OllamaTag",
    plural: "models",
    about: "A model.",
    fields: &[
        NAME,
        Field::new("model", Kind::Text, "The same.").required(),
        Field::new("modified_at", Kind::Text, "The time of the answer.").required(),
        SIZE,
        DIGEST,
        DETAILS_FIELD,
    ],
    open: false,
};

pub(crate) static RUNNING: Table = Table {
    name: "OllamaRunning",
    plural: "answers",
    about: "The models that answer when they are asked: those of /api/tags.",
    fields: &[Field::new("models", Kind::List(&Kind::Object(&PROCESS), 0, usize::MAX), "The models.").required()],
    open: false,
};

static PROCESS: Table = Table {
    name: "OllamaRunningModel",
    plural: "models",
    about: "A model that answers.",
    fields: &[
        NAME,
        Field::new("model", Kind::Text, "The same.").required(),
        SIZE,
        DIGEST,
        DETAILS_FIELD,
        Field::new("expires_at", Kind::Text, "The end of time: clients do not unload models here.").required(),
        Field::new("size_vram", COUNT, "Always 0.").required(),
    ],
    open: false,
};

static DETAILS: Table = Table {
    name: "OllamaDetails",
    plural: "objects",
    about: "What a model is.",
    fields: &[
        Field::new("parent_model", Kind::Text, "Always empty."),
        Field::new("format", Kind::Text, "Always empty."),
        Field::new("family", Kind::Text, "The architecture."),
        Field::new("families", Kind::List(&Kind::Text, 0, usize::MAX), "The architecture."),
        Field::new("parameter_size", Kind::Text, "How many parameters, as in '8.0B'."),
        Field::new("quantization_level", Kind::Text, "The type of most weights, as in 'Q4_K'."),
    ],
    open: false,
};

pub(crate) static SHOWN: Table = Table {
    name: "OllamaShow",
    plural: "answers",
    about: "What a model says of itself.",
    fields: &[
        Field::new("modelfile", Kind::Text, "A Modelfile that names the model.").required(),
        Field::new("parameters", Kind::Text, "Always empty.").required(),
        Field::new("template", Kind::Text, "Its chat template, in Jinja.").required(),
        Field::new("details", Kind::Object(&DETAILS), "What it is.").required(),
        Field::new("model_info", Kind::Map(&Kind::Any), "Facts with GGUF's names.").required(),
        Field::new(
            "capabilities",
            Kind::List(&Kind::Word(&["completion", "tools", "thinking", "embedding"]), 0, usize::MAX),
            "What it can do.",
        )
        .required(),
        Field::new("modified_at", Kind::Text, "The time of the answer.").required(),
    ],
    open: false,
};

pub(crate) static VERSION: Table = Table {
    name: "OllamaVersion",
    plural: "answers",
    about: "A version.",
    fields: &[Field::new("version", Kind::Text, "That of Ollama's API which this is.").required()],
    open: false,
};

pub(crate) static ERROR: Table = Table {
    name: "OllamaError",
    plural: "errors",
    about: "A refusal of Ollama's API; in a stream a line that breaks it off.",
    fields: &[Field::new("error", Kind::Text, "What is wrong, and what would be right.").required()],
    open: false,
};
