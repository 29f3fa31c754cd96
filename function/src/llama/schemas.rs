//! The answers of llama.cpp's API as tables, which document them. That answers are as they say is a test's to hold.

use crate::{
    openai::schemas::PROMPT_USAGE,
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
