//! The answers of llama.cpp's API as tables, which document them. That answers are as they say is a test's to hold.

use crate::{
    openai::schemas::{PROMPT_USAGE, TIMINGS},
    wire::table::{COUNT, Field, Kind, REAL, Table},
};

pub(crate) static RERANKED: Table = Table {
    name: "Reranked",
    plural: "answers",
    about: "Documents, the nearest first.",
    fields: &[
        Field::new("object", Kind::Word(&["list"]), "What it is.").required(),
        Field::new("model", Kind::Text, "The model that answers.").required(),
        Field::new("results", Kind::List(&Kind::Object(&RESULT), 0, usize::MAX), "The documents.").required(),
        Field::new("usage", Kind::Object(&PROMPT_USAGE), "Tokens of the query and the documents.").required(),
    ],
    open: false,
};

static RESULT: Table = Table {
    name: "RerankedDocument",
    plural: "documents",
    about: "A document.",
    fields: &[
        Field::new("index", COUNT, "Which of those that were sent.").required(),
        Field::new("relevance_score", REAL, "The cosine of the angle between its vector and the query's.").required(),
        Field::new("document", Kind::Map(&Kind::Text), "Its 'text', where 'return_documents' asks for it."),
    ],
    open: false,
};

pub(crate) static TOKENIZED: Table = Table {
    name: "Tokenized",
    plural: "answers",
    about: "A text's tokens.",
    fields: &[Field::new(
        "tokens",
        Kind::List(&Kind::OneOf(&[COUNT, Kind::Object(&PIECE)]), 0, usize::MAX),
        "Their numbers, or with 'with_pieces' their numbers and texts.",
    )
    .required()],
    open: false,
};

static PIECE: Table = Table {
    name: "TokenPiece",
    plural: "tokens",
    about: "A token and its text.",
    fields: &[
        Field::new("id", COUNT, "Its number.").required(),
        Field::new(
            "piece",
            Kind::OneOf(&[Kind::Text, Kind::List(&COUNT, 0, usize::MAX)]),
            "Its text, or its bytes where they are no whole characters.",
        )
        .required(),
    ],
    open: false,
};

pub(crate) static DETOKENIZED: Table = Table {
    name: "Detokenized",
    plural: "answers",
    about: "The text of tokens.",
    fields: &[Field::new("content", Kind::Text, "The text.").required()],
    open: false,
};

pub(crate) static TEMPLATED: Table = Table {
    name: "AppliedTemplate",
    plural: "answers",
    about: "What a model reads of a chat.",
    fields: &[Field::new("prompt", Kind::Text, "The text.").required()],
    open: false,
};

pub(crate) static COMPLETED: Table = Table {
    name: "LlamaCompletion",
    plural: "answers",
    about: "What follows a text; in a stream a piece of it, and at last an event without a text that has all the rest.",
    fields: &[
        Field::new("index", COUNT, "Always 0.").required(),
        Field::new("content", Kind::Text, "The text.").required(),
        Field::new(
            "tokens",
            Kind::List(&COUNT, 0, usize::MAX),
            "Its tokens: of a stream's piece, and of a whole answer with 'return_tokens'.",
        )
        .required(),
        Field::new("stop", Kind::Flag, "Whether this is the end.").required(),
        Field::new(
            "completion_probabilities",
            Kind::List(&Kind::Object(&PROBABILITY), 0, usize::MAX),
            "With 'n_probs': how likely each token was.",
        ),
        Field::new("model", Kind::Text, "At the end: the model that answers."),
        Field::new("prompt", Kind::Text, "At the end: the prompt as a text."),
        Field::new("generation_settings", Kind::Map(&Kind::Any), "At the end: the settings that the request came to."),
        Field::new("tokens_predicted", COUNT, "At the end: tokens of the answer."),
        Field::new("tokens_evaluated", COUNT, "At the end: tokens of the prompt."),
        Field::new("tokens_cached", COUNT, "At the end: tokens of both."),
        Field::new("has_new_line", Kind::Flag, "At the end: whether the text has a line break."),
        Field::new("truncated", Kind::Flag, "At the end: false, as a prompt that is longer than the context is refused."),
        Field::new("stop_type", Kind::Word(&["eos", "limit", "word"]), "At the end: the model ended it, the limit, or a stop string."),
        Field::new("stopping_word", Kind::Text, "At the end: the stop string, or nothing."),
        Field::new("timings", Kind::Object(&TIMINGS), "At the end: times."),
    ],
    open: false,
};

static PROBABILITY: Table = Table {
    name: "LlamaTokenProbability",
    plural: "tokens",
    about: "A token and how likely it was.",
    fields: &[
        ID,
        TOKEN,
        LOGPROB,
        BYTES,
        Field::new("top_logprobs", Kind::List(&Kind::Object(&LIKELY), 0, usize::MAX), "The likeliest at its place.").required(),
    ],
    open: false,
};

static LIKELY: Table = Table {
    name: "LlamaLikelyToken",
    plural: "tokens",
    about: "One of the likeliest tokens at a place.",
    fields: &[ID, TOKEN, LOGPROB, BYTES],
    open: false,
};

const ID: Field = Field::new("id", COUNT, "Its number.").required();
const TOKEN: Field = Field::new("token", Kind::Text, "Its text.").required();
const LOGPROB: Field = Field::new("logprob", REAL, "Its log-probability.").required();
const BYTES: Field = Field::new("bytes", Kind::List(&COUNT, 0, usize::MAX), "Its bytes.").required();

pub(crate) static PROPS: Table = Table {
    name: "Props",
    plural: "answers",
    about: "What a model is, and the settings of requests that say none.",
    fields: &[
        Field::new(
            "default_generation_settings",
            Kind::Map(&Kind::Any),
            "The context's length 'n_ctx', and the settings of /completion as 'params'.",
        )
        .required(),
        Field::new("model_alias", Kind::Text, "The model's name.").required(),
        Field::new("model_path", Kind::Text, "Its name again: where its file lies is not told.").required(),
        Field::new("chat_template", Kind::Text, "Its chat template; empty where it has none.").required(),
        Field::new("bos_token", Kind::Text, "The token that it wants before a text.").required(),
        Field::new("eos_token", Kind::Text, "The token that it ends with.").required(),
        Field::new("modalities", Kind::Map(&Kind::Flag), "What it reads beside text: nothing.").required(),
        Field::new("build_info", Kind::Text, "Which version answers.").required(),
    ],
    open: false,
};
