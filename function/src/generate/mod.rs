//! Generating text, whatever the wire: the one request ([`Generate`]) that every API's is read into, and the one stream of chunks (`Choices`) that every API's answer is
//! written from. Beneath is wasi-nn's generate mode (`docs/wasi-nn.md`); above are the APIs (`openai`), which know their own fields and frames and nothing of tensors.
//!
//! An API does: read its wire request into a [`Generate`]; `open` it, which returns when the first chunk is there, so that a refusal still has its status; then either
//! `Choices::whole` and write, or `stream::body` with a writer of its frames.

mod answer;
mod choices;
mod chunk;
mod message;
mod request;
pub(crate) mod stream;

pub(crate) use answer::{Answer, Call};
pub(crate) use choices::Choices;
pub(crate) use chunk::{Chunk, Counts, Ending, Event, FinishReason, TokenLogprob};
pub(crate) use message::called;
pub use message::{CalledFunction, Message, Role, ToolCall};
pub(crate) use request::thinking;
pub use request::{Function, Generate, Grammar, Prompt, Sampling, Tool, ToolChoice};

use crate::{
    models, nn,
    ports::{Graph, Nn, Ports},
    told::{Operation, Told},
    wire::ApiError,
};

/// A sequence of the world `P`.
pub(crate) type Sequence<P> = <<<P as Ports>::Nn as Nn>::Graph as Graph>::Context;

/// Starts as many sequences as there are `requests`, of the model of that name or the default, and waits for the first chunk of any: a full queue or a conversation that is
/// too long is then a 503 or a 400, which clients and load balancers understand, and not an event within a 200.
///
/// Returns the model's name too.
pub(crate) async fn open<P: Ports>(
    ports: &P,
    model: Option<&str>,
    requests: &mut [Generate],
) -> Result<(String, Choices<Sequence<P>>), ApiError> {
    let (model, graph) = models::load(ports, model).await?;
    let caller = ports.caller();
    for request in &mut *requests {
        request.client = caller.id().map(str::to_owned);
        request.client_limit = caller.limits().concurrent;
    }
    let sequences = requests.iter().map(|request| {
        let context = graph.init_execution_context().map_err(|error| nn::api_error(&error))?;
        Ok((context, nn::document(request)?, request.is_repeat))
    });
    // A request alone is not to be more than its key's limit: its choices wait for each other.
    let together = caller.limits().concurrent.map_or(usize::MAX, |limit| limit as usize);
    let is_chat = requests.iter().any(|request| matches!(request.prompt, Prompt::Messages(_)));
    let told = Told::new(&model, if is_chat { Operation::Chat } else { Operation::TextCompletion });
    let mut choices = Choices::start(sequences.collect::<Result<Vec<_>, ApiError>>()?, together, told);
    choices.first().await?;
    Ok((model, choices))
}
