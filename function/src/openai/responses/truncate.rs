//! Leaving out what was said first of a conversation that is longer than its model's context.

use serde::Deserialize;
use serde_json::json;

use crate::{
    generate::{Generate, Message, Prompt, Role},
    models,
    nn::internal,
    ports::Ports,
    wire::ApiError,
};

/// Leaves out as few of the first messages as are needed for the rest to leave room for an answer; never the instructions at the beginning, nor the last turn. A tool's answer
/// goes with its call.
pub(super) async fn shorten<P: Ports>(ports: &P, model: Option<&str>, generate: &mut Generate) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Description {
        context_length: u32,
    }
    let Prompt::Messages(messages) = &generate.prompt else { return Ok(()) };
    let (_, mut described) = models::ask(ports, model, &json!({"describe": true})).await?;
    let Description { context_length } =
        described.json("description")?.ok_or_else(|| internal("The model does not say how long its context is."))?;
    // Half of the context at most is left for the answer, and a quarter where it is not said how long that may be.
    let room = generate.max_tokens.unwrap_or(context_length / 4).min(context_length / 2);
    let budget = (context_length - room) as usize;

    let kept = messages.iter().take_while(|message| message.role == Role::System).count();
    let starts: Vec<_> = (kept + 1..messages.len()).filter(|&at| messages[at].role == Role::User).collect();
    let without = |start: usize| [&messages[..kept], &messages[start..]].concat();
    // The fewer are left out, the longer it is: the first start that fits is found by halving.
    let (mut low, mut high) = (0, starts.len());
    while low < high {
        let middle = low.midpoint(high);
        if tokens(ports, model, generate, &without(starts[middle])).await? <= budget {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    if let Some(&start) = starts.get(low).or(starts.last()) {
        generate.prompt = Prompt::Messages(without(start));
    }
    Ok(())
}

/// Tokens of a prompt.
async fn tokens<P: Ports>(ports: &P, model: Option<&str>, generate: &Generate, messages: &[Message]) -> Result<usize, ApiError> {
    let Generate { tools, template, .. } = generate;
    let render = json!({"messages": messages, "tools": tools, "template": template, "add_generation_prompt": true});
    let (_, mut outputs) = models::ask(ports, model, &json!({"render": render})).await?;
    Ok(outputs.tokens("tokens")?.len())
}
