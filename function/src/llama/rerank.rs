//! `POST /v1/rerank`: documents in the order of their nearness to a query, in the form that Jina's API has, too.

use bytes::Bytes;
use http::Response;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    Body,
    openai::{
        chat::request::{MODEL, model},
        embeddings::{Embedded, MAX_INPUTS, Usage, embed, named},
    },
    ports::Ports,
    receive, respond,
    told::Told,
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Kind, Literal, Table},
    },
};

/// The request's fields.
pub(crate) static TABLE: Table = Table {
    name: "RerankRequest",
    plural: "requests",
    about: "A query and documents.",
    fields: &[
        MODEL,
        Field::new("query", Kind::Text, "What is looked for.").required(),
        // The query is one of the texts that are embedded.
        Field::new(
            "documents",
            Kind::List(&Kind::OneOf(&[Kind::Text, Kind::Object(&DOCUMENT)]), 1, MAX_INPUTS - 1),
            "Where it is looked for.",
        )
        .required(),
        Field::new("top_n", Kind::Integer(1, i32::MAX as i128), "Tell so many of the nearest; without it, all."),
        Field::new("return_documents", Kind::Flag, "Tell the documents' texts too.").or(Literal::Flag(false)),
    ],
    open: false,
};

static DOCUMENT: Table = Table {
    name: "RerankDocument",
    plural: "documents",
    about: "A document.",
    fields: &[Field::new("text", Kind::Text, "Its text.").required()],
    open: false,
};

#[derive(Debug, Serialize)]
struct Answer {
    object: &'static str,
    model: String,
    results: Vec<Ranked>,
    usage: Usage,
}

#[derive(Debug, Serialize)]
struct Ranked {
    /// Among the documents that were sent.
    index: usize,
    /// The cosine of the angle between the document's vector and the query's.
    relevance_score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Value>,
}

/// Answers with the documents that are nearest, the nearest first.
pub(crate) async fn post<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Response<Body>, ApiError> {
    let mut fields = Fields::of(receive::json(ports, body).await?, &TABLE)?;
    let mut texts = vec![json!(fields.text("query"))];
    texts.extend(fields.list("documents").into_iter().map(|(_, mut document)| match document.get_mut("text") {
        Some(text) => text.take(),
        None => document,
    }));
    let embedded = embed(ports, model(&mut fields).as_deref(), &texts, false).await;
    let Embedded { model, vectors, tokens, .. } = embedded.map_err(named("documents"))?;
    let (query, documents) = vectors.split_first().unwrap_or((&EMPTY, &[]));
    // All have length 1.
    let score = |vector: &Vec<f32>| query.iter().zip(vector).map(|(a, b)| a * b).sum();
    let mut results: Vec<_> =
        documents.iter().map(score).enumerate().map(|(index, relevance_score)| Ranked { index, relevance_score, document: None }).collect();
    results.sort_by(|a, b| b.relevance_score.total_cmp(&a.relevance_score));
    results.truncate(fields.count("top_n").map_or(usize::MAX, |count| count as usize));
    if fields.flag("return_documents").unwrap_or_default() {
        for ranked in &mut results {
            ranked.document = Some(json!({"text": texts[ranked.index + 1]}));
        }
    }
    let told = Told::embeddings(&model, tokens);
    Ok(told.with(respond::document(&Answer { object: "list", model, results, usage: Usage::of(tokens) })))
}

static EMPTY: Vec<f32> = Vec::new();
