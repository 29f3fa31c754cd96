//! `POST /apply-template`: what a model reads of a chat.

use bytes::Bytes;
use http::Response;
use serde_json::json;

use crate::{
    Body,
    generate::{Generate, Prompt},
    models,
    openai::chat::{
        request::{self, MODEL, model},
        tools,
    },
    ports::Ports,
    receive, respond,
    wire::{
        ApiError,
        fields::Fields,
        table::{Field, Kind, Literal, Table},
    },
};

/// The request's fields.
pub(crate) static TABLE: Table = Table {
    name: "ApplyTemplateRequest",
    plural: "requests",
    about: "A chat, as it is sent to /v1/chat/completions, whose further fields are let be.",
    fields: &[
        MODEL,
        request::MESSAGES,
        tools::TOOLS,
        tools::TOOL_CHOICE,
        tools::PARALLEL_TOOL_CALLS,
        tools::FUNCTIONS,
        tools::FUNCTION_CALL,
        request::REASONING_EFFORT,
        request::ENABLE_THINKING,
        request::TEMPLATE_VARIABLES,
        Field::new("add_generation_prompt", Kind::Flag, "End with the beginning of the model's turn.").or(Literal::Flag(true)),
    ],
    open: true,
};

/// Answers with the text that the model's chat template makes.
pub(crate) async fn post<P: Ports, B: http_body::Body<Data = Bytes>>(ports: &P, body: B) -> Result<Response<Body>, ApiError> {
    let mut fields = Fields::of(receive::json(ports, body).await?, &TABLE)?;
    let messages = request::messages(&mut fields)?;
    let mut generate = Generate { template: request::template(&mut fields), ..Generate::new(Prompt::Messages(Vec::new())) };
    tools::read(&mut fields, &mut generate)?;
    let question = json!({"render": {
        "messages": messages,
        "tools": generate.tools,
        "template": generate.template,
        "add_generation_prompt": fields.flag("add_generation_prompt"),
    }});
    let (_, mut outputs) = models::ask(ports, model(&mut fields).as_deref(), &question).await?;
    Ok(respond::document(&json!({"prompt": outputs.text("text")?.unwrap_or_default()})))
}
