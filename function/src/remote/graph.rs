//! Models wherever they are computed: here, or by the other server where they are not here or the queue here refuses.

use std::{fmt::Write, sync::Arc};

use bytes::Bytes;
use futures::FutureExt;
use http::Method;

use super::{
    Link, failure, kind,
    line::{self, Malformed},
    link::Exchange,
    serve::PATH,
};
use crate::{
    keys::Caller,
    nn::Tensors,
    ports::{Context, Graph, Nn, NnError, Ports, TensorType},
    settings,
};

/// Bytes of one piece of an answer: that of an embedding of many texts is the largest.
const LINE_MAX: usize = 48 << 20;

/// Refusals after which the other server is asked: the model is not here, or there is no room for the request now.
const PASSED_ON: [&str; 6] = ["model_not_found", "loading", "load_failed", "queue_full", "out_of_memory", "shutting_down"];

/// A model, here or elsewhere.
pub(crate) struct ReachedGraph<P: Ports> {
    way: Way<P>,
    /// The model here, or why it is not.
    local: Result<<P::Nn as Nn>::Graph, NnError>,
}

/// What is needed to ask the other server for a model.
struct Way<P> {
    ports: P,
    caller: Arc<Caller>,
    name: String,
    /// `None` where there is no other server, or it is not to be asked.
    link: Option<Link>,
}

impl<P: Ports> Clone for Way<P> {
    fn clone(&self) -> Self {
        Self { ports: self.ports.clone(), caller: self.caller.clone(), name: self.name.clone(), link: self.link.clone() }
    }
}

impl<P: Ports> ReachedGraph<P> {
    /// Loads the model of this name, or finds the way to it.
    ///
    /// # Errors
    /// It is not here, and nobody else is to be asked for it.
    pub(crate) async fn load(ports: P, caller: Arc<Caller>, name: &str) -> Result<Self, NnError> {
        let link = if caller.stays() { None } else { Link::of(ports.settings()).await };
        let listed = settings::names(ports.settings(), "models").await;
        // What is not listed need not be looked for, where it may be elsewhere. With no list the host alone knows what there is.
        let local = if link.is_none() || listed.is_empty() || listed.iter().any(|known| known == name) {
            ports.nn().load_by_name(name).await
        } else {
            Err(failure("model_not_found", format!("The model '{name}' is not here.")))
        };
        if let Err(error) = &local {
            let kind = kind(error);
            if link.is_none() || !PASSED_ON.contains(&&*kind) {
                return Err(error.clone());
            }
            if caller.was_passed_on() {
                // A moment's refusal is the other's to pass on; that it is sent to and fro will not pass.
                return Err(if kind == "model_not_found" { looped(name) } else { error.clone() });
            }
        }
        let link = link.filter(|_| !caller.was_passed_on());
        Ok(Self { way: Way { ports, caller, name: name.to_owned(), link }, local })
    }
}

fn looped(name: &str) -> NnError {
    let message = format!(
        "The model '{name}' is not here either, and the request came from another Hearth: it is not passed on a second time. See that 'fallback_url' names a server that has it."
    );
    failure("loop_detected", message)
}

impl<P: Ports> Graph for ReachedGraph<P> {
    type Context = ReachedContext<P>;

    fn init_execution_context(&self) -> Result<ReachedContext<P>, NnError> {
        let side = match &self.local {
            Ok(graph) => Side::Here(graph.init_execution_context()?),
            Err(error) => Side::There { refused: error.clone(), exchange: None },
        };
        Ok(ReachedContext { way: self.way.clone(), side })
    }
}

/// A sequence, here or elsewhere.
pub(crate) struct ReachedContext<P: Ports> {
    way: Way<P>,
    side: Side<<<P::Nn as Nn>::Graph as Graph>::Context>,
}

enum Side<C> {
    Here(C),
    There {
        /// Why it is not here.
        refused: NnError,
        /// The answer that comes.
        exchange: Option<Box<Exchange>>,
    },
}

impl<P: Ports> Context for ReachedContext<P> {
    async fn compute(&mut self, inputs: Tensors) -> Result<Tensors, NnError> {
        let begins = !inputs.is_empty();
        let inputs = match &mut self.side {
            Side::There { .. } => inputs,
            Side::Here(context) => {
                let again = if begins && self.way.link.is_some() { Some(inputs.clone()) } else { None };
                match (context.compute(inputs).await, again) {
                    (Ok(outputs), _) => {
                        self.note(begins, false);
                        return Ok(outputs);
                    }
                    (Err(error), Some(inputs)) if PASSED_ON.contains(&&*kind(&error)) => {
                        self.side = Side::There { refused: error, exchange: None };
                        inputs
                    }
                    (Err(error), _) => return Err(error),
                }
            }
        };
        let Side::There { refused, exchange } = &mut self.side else { return Err(failure("internal", "A sequence is nowhere.")) };
        let outputs = if begins { self.way.begin(inputs, exchange).await } else { self.way.next(exchange).await };
        match outputs {
            Ok(outputs) => {
                self.note(begins, true);
                Ok(outputs)
            }
            Err(error) if begins => Err(the_clearer(refused.clone(), error)),
            Err(error) => Err(error),
        }
    }

    async fn yield_now(&mut self) {
        if let Side::Here(context) = &mut self.side {
            context.yield_now().await;
        }
    }
}

impl<P: Ports> ReachedContext<P> {
    fn note(&self, begins: bool, elsewhere: bool) {
        if begins && self.way.link.is_some() {
            self.way.caller.note_served(elsewhere);
        }
    }
}

/// Of the refusals here and elsewhere, that which tells the client more: who was only refused for the moment here is told so, unless the request itself is at fault.
fn the_clearer(here: NnError, elsewhere: NnError) -> NnError {
    match (&*kind(&here), &*kind(&elsewhere)) {
        ("model_not_found", _) | (_, "invalid_request" | "context_length") => elsewhere,
        _ => here,
    }
}

impl<P: Ports> Way<P> {
    /// Asks the other server, and waits for the first piece of its answer.
    async fn begin(&self, inputs: Tensors, exchange: &mut Option<Box<Exchange>>) -> Result<Tensors, NnError> {
        *exchange = None;
        let Some(link) = &self.link else { return Err(failure("internal", "There is no way to another server.")) };
        let document = match <[_; 1]>::try_from(inputs) {
            Ok([(name, tensor)]) if name == "request" && tensor.ty == TensorType::U8 => tensor.data,
            _ => return Err(failure("invalid_request", "Another server takes a document, 'request', and no other tensors.")),
        };
        let path = format!("{PATH}{}", encoded(&self.name));
        *exchange = Some(Box::new(link.ask(&self.ports, Method::POST, &path, Bytes::from(document)).await?));
        self.next(exchange).await
    }

    /// The next piece of its answer.
    async fn next(&self, exchange: &mut Option<Box<Exchange>>) -> Result<Tensors, NnError> {
        let Some(open) = exchange else { return Err(failure("invalid_request", "There is nothing after the last chunk.")) };
        let outputs = match open.line(&self.ports, LINE_MAX).await? {
            None => return Err(open.failed(&self.ports, "its answer broke off").await),
            Some(line) => match line::read(&line) {
                Ok(outputs) => outputs?,
                Err(Malformed) => return Err(open.failed(&self.ports, "a piece of its answer cannot be read").await),
            },
        };
        if outputs.iter().any(|(name, _)| name == "result") {
            // With its end read, if that is there, a connection can be used again.
            let _ = open.line(&self.ports, LINE_MAX).now_or_never();
            *exchange = None;
        }
        Ok(outputs)
    }
}

/// A name as the last part of a path.
fn encoded(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(byte.into());
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parts_of_a_path() {
        assert_eq!(encoded("org/Näme 1.5%:q4?"), "org/N%C3%A4me%201.5%25%3Aq4%3F");
    }

    #[test]
    fn the_clearer_refusal_is_told() {
        let of = |kind| failure(kind, "x");
        for (here, elsewhere, told) in [
            ("queue_full", "fallback_failed", "queue_full"),
            ("loading", "model_not_found", "loading"),
            ("queue_full", "context_length", "context_length"),
            ("model_not_found", "fallback_failed", "fallback_failed"),
            ("model_not_found", "model_not_found", "model_not_found"),
        ] {
            assert_eq!(kind(&the_clearer(of(here), of(elsewhere))), told, "{here} {elsewhere}");
        }
    }
}
