//! `POST /tokenize` and `POST /detokenize`: texts as a model's tokens, and back.

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

use crate::{
    Body, models,
    nn::internal,
    openai::chat::request::{MODEL, model},
    ports::Ports,
    receive, respond,
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Kind, Literal, Table, whole},
    },
};

/// The fields of a text to tokenize.
pub(crate) static TOKENIZE: Table = Table {
    name: "TokenizeRequest",
    plural: "requests",
    about: "A text to be told as tokens.",
    fields: &[
        MODEL,
        Field::new("content", Kind::Text, "The text.").required(),
        Field::new("add_special", Kind::Flag, "With the tokens that the model wants before a text, and after it.").or(Literal::Flag(false)),
        Field::new("parse_special", Kind::Flag, "Control tokens that are written out are tokens, not text.").or(Literal::Flag(true)),
        Field::new("with_pieces", Kind::Flag, "Tell each token's text too: its bytes, where they are no whole characters.")
            .or(Literal::Flag(false)),
    ],
    open: false,
};

/// The fields of tokens to detokenize.
pub(crate) static DETOKENIZE: Table = Table {
    name: "DetokenizeRequest",
    plural: "requests",
    about: "Tokens to be told as a text.",
    fields: &[MODEL, Field::new("tokens", Kind::List(&Kind::Integer(0, u32::MAX as i128), 0, usize::MAX), "The tokens.").required()],
    open: false,
};

/// Answers with a text's tokens.
pub(crate) async fn tokenize<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Response<Body>, ApiError> {
    let mut fields = Fields::of(receive::json(ports, body).await?, &TOKENIZE)?;
    let model = model(&mut fields);
    let question = json!({
        "tokenize": fields.text("content"),
        "control": fields.flag("parse_special"),
        "begin": fields.flag("add_special"),
    });
    let asked = models::ask(ports, model.as_deref(), &question).await;
    let (_, mut outputs) = asked.map_err(|error| error.rename("tokenize", "content"))?;
    let tokens = outputs.tokens("tokens")?;
    if !fields.flag("with_pieces").unwrap_or_default() {
        return Ok(respond::document(&json!({"tokens": tokens})));
    }
    let (_, mut outputs) = models::ask(ports, model.as_deref(), &json!({"detokenize": tokens})).await?;
    let pieces: Vec<Vec<u8>> = outputs.json("pieces")?.unwrap_or_default();
    if pieces.len() != tokens.len() {
        return Err(internal(format!("The model gave {} pieces for {} tokens.", pieces.len(), tokens.len())));
    }
    let piece = |bytes: Vec<u8>| String::from_utf8(bytes).map_or_else(|error| json!(error.into_bytes()), Value::from);
    let tokens: Vec<_> = tokens.into_iter().zip(pieces).map(|(id, bytes)| json!({"id": id, "piece": piece(bytes)})).collect();
    Ok(respond::document(&json!({"tokens": tokens})))
}

/// Answers with the text of tokens.
pub(crate) async fn detokenize<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Response<Body>, ApiError> {
    let mut fields = Fields::of(receive::json(ports, body).await?, &DETOKENIZE)?;
    let model = model(&mut fields);
    let tokens: Vec<_> = fields.list("tokens").iter().filter_map(|(_, token)| whole(token)).map(|token| token as u32).collect();
    let asked = models::ask(ports, model.as_deref(), &json!({"detokenize": tokens})).await;
    let (_, mut outputs) = asked.map_err(|error| error.rename("detokenize", "tokens"))?;
    Ok(respond::document(&json!({"content": outputs.text("text")?.unwrap_or_default()})))
}
