//! An answer that the client has begun: a last message of the assistant's, which the model goes on from.
//!
//! The chat template has no place for it, since it ends every turn that it is given. So the conversation before it goes through the template, and what was begun follows as
//! tokens of a plain text: control tokens that are written out in it are none.

use serde_json::json;

use crate::{
    generate::{Generate, Message, Prompt, Role, ToolChoice},
    models,
    ports::Ports,
    wire::{ApiError, table::invalid},
};

/// Takes what was begun from the end of a conversation, whose last turn is at `path`; `None` where nothing was.
pub(super) fn take(messages: &mut Vec<Message>, path: &str) -> Result<Option<String>, ApiError> {
    let Some(last) = messages.pop_if(|last| last.role == Role::Assistant) else { return Ok(None) };
    if !last.tool_calls.is_empty() || last.reasoning_content.is_some() {
        let why = "the last message is the assistant's and has calls or thinking, and only a text that was begun is gone on from. End with the user's.";
        return Err(invalid(path, why));
    }
    if messages.is_empty() {
        return Err(invalid(path, "the only message is the assistant's. Send what it is an answer to before it."));
    }
    let text = last.content.unwrap_or_default();
    // A space belongs to the token of the word after it: the model would have to begin with a word that nothing is before.
    if text.ends_with(char::is_whitespace) {
        return Err(invalid(
            path,
            "the last message is the assistant's and ends in white space, after which models go on badly. Cut it off.",
        ));
    }
    Ok((!text.is_empty()).then_some(text))
}

/// That nothing is asked of the answer that holds for a whole one only.
pub(super) fn check(generate: &Generate, thinks: bool, path: &str) -> Result<(), ApiError> {
    let why = if thinks {
        "the last message is the assistant's, and a model that is to think first cannot go on from it: leave 'thinking' out"
    } else if generate.grammar.is_some() {
        "the last message is the assistant's, and a format holds a whole text: leave 'output_config.format' out"
    } else if !generate.tools.is_empty() && generate.tool_choice != Some(ToolChoice::None) {
        "the last message is the assistant's, and tools are called in whole answers only: leave 'tools' out, or choose 'none'"
    } else {
        return Ok(());
    };
    Err(invalid(path, format!("{why}, or end with the user's.")))
}

/// The tokens of what a model reads of a conversation, template and all, and of what was begun.
pub(super) async fn tokens<P: Ports>(
    ports: &P,
    model: Option<&str>,
    generate: &Generate,
    prefill: Option<&str>,
) -> Result<Vec<u32>, ApiError> {
    let mut question = json!(generate.prompt);
    // The model is not told of tools that it may not call.
    question["tools"] = json!(if generate.tool_choice == Some(ToolChoice::None) { &[] } else { &generate.tools[..] });
    question["template"] = json!(generate.template);
    question["add_generation_prompt"] = json!(true);
    let (_, mut outputs) = models::ask(ports, model, &json!({"render": question})).await?;
    let mut tokens = outputs.tokens("tokens")?;
    if let Some(text) = prefill {
        let asked = models::ask(ports, model, &json!({"tokenize": text, "control": false, "begin": false})).await;
        tokens.extend(asked.map_err(|error| error.rename("tokenize", "messages"))?.1.tokens("tokens")?);
    }
    Ok(tokens)
}

/// The request for the rest of an answer.
pub(super) async fn go_on<P: Ports>(ports: &P, model: Option<&str>, generate: Generate, prefill: &str) -> Result<Generate, ApiError> {
    let tokens = tokens(ports, model, &generate, Some(prefill)).await?;
    // What the template and the tools say is in the tokens.
    Ok(Generate { prompt: Prompt::Tokens(tokens), tools: Vec::new(), tool_choice: None, template: serde_json::Map::new(), ..generate })
}
