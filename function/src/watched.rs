//! Models as one request reaches them: what is computed is counted against the key's limits, and a deterministic answer comes from the cache where it is there. All APIs' answers
//! are made of these chunks, so none of them needs to know.

use std::{collections::VecDeque, sync::Arc};

use serde::{Deserialize, de::IgnoredAny};
use serde_json::json;

use crate::{
    cache,
    keys::Caller,
    limits::{self, Charge},
    ports::{self, Context, Graph, Nn, NnError, Ports, Tensor},
    remote::{ReachedContext, ReachedGraph},
    wire::ApiError,
};

type Tensors = Vec<(String, Tensor)>;

/// Tokens after which those that were made are counted, so that whoever goes before the end has not had them for nothing.
const OFTEN: u64 = 64;

/// The ports of one request: those of the host, and whose request it is.
#[derive(Debug)]
pub(crate) struct Called<P> {
    ports: P,
    caller: Arc<Caller>,
}

impl<P: Clone> Clone for Called<P> {
    fn clone(&self) -> Self {
        Self { ports: self.ports.clone(), caller: self.caller.clone() }
    }
}

impl<P: Ports> Called<P> {
    pub(crate) fn new(ports: P, caller: Caller) -> Self {
        Self { ports, caller: Arc::new(caller) }
    }
}

impl<P: Ports> Ports for Called<P> {
    type Nn = Self;
    type KeyValue = P::KeyValue;
    type Counters = P::Counters;
    type Settings = P::Settings;
    type Outbound = P::Outbound;

    fn nn(&self) -> &Self {
        self
    }

    fn key_value(&self) -> &P::KeyValue {
        self.ports.key_value()
    }

    fn counters(&self) -> &P::Counters {
        self.ports.counters()
    }

    fn settings(&self) -> &P::Settings {
        self.ports.settings()
    }

    fn outbound(&self) -> &P::Outbound {
        self.ports.outbound()
    }

    fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl<P: Ports> Nn for Called<P> {
    type Graph = WatchedGraph<P>;

    async fn load_by_name(&self, name: &str) -> Result<WatchedGraph<P>, NnError> {
        let graph = ReachedGraph::load(self.ports.clone(), self.caller.clone(), name).await?;
        Ok(WatchedGraph { called: self.clone(), graph })
    }
}

/// A model.
pub(crate) struct WatchedGraph<P: Ports> {
    called: Called<P>,
    graph: ReachedGraph<P>,
}

impl<P: Ports> Graph for WatchedGraph<P> {
    type Context = WatchedContext<P>;

    fn init_execution_context(&self) -> Result<WatchedContext<P>, NnError> {
        let context = self.graph.init_execution_context()?;
        Ok(WatchedContext { called: self.called.clone(), context, stage: Stage::Computed, charge: None, tokens: 0, counted: 0, prompt: 0 })
    }
}

/// A sequence.
pub(crate) struct WatchedContext<P: Ports> {
    called: Called<P>,
    context: ReachedContext<P>,
    stage: Stage,
    charge: Option<Charge>,
    /// Of the prompt, about, and of the answer so far.
    prompt: u64,
    tokens: u64,
    /// Of the answer, when they were counted last.
    counted: u64,
}

enum Stage {
    /// What comes is computed, and not kept.
    Computed,
    /// What comes is computed, and kept once it is whole.
    Recorded(cache::Recording),
    /// What comes was kept.
    Replayed(VecDeque<Tensors>),
}

/// What has to be known of a request's document: which kind it is, and how many tokens it may come to.
#[derive(Deserialize)]
struct Probe {
    input: Option<IgnoredAny>,
    sampling: Option<Sampling>,
    max_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Sampling {
    temperature: f64,
    seed: Option<u64>,
}

/// Tokens that an answer's end tells of.
#[derive(Deserialize)]
struct End {
    usage: Usage,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

impl<P: Ports> WatchedContext<P> {
    /// Before anything is computed of a request.
    async fn begin(&mut self, inputs: &[(String, Tensor)]) -> Result<(), ApiError> {
        let limited = self.called.caller.limits().tokens_per_minute.is_some();
        let entries = if self.called.caller.uses_cache() { cache::entries(&self.called).await } else { 0 };
        if entries == 0 && !limited {
            return Ok(());
        }
        let Some((_, Tensor { data, .. })) = inputs.first() else { return Ok(()) };
        let Ok(probe) = serde_json::from_slice::<Probe>(data) else { return Ok(()) };
        if entries > 0
            && let Some(sampling) = &probe.sampling
        {
            let deterministic = sampling.temperature == 0.0 || sampling.seed.is_some();
            let model = if deterministic { self.model().await } else { None };
            if let Some(model) = model {
                let recording = cache::Recording::new(&model, data, entries);
                if let Some(kept) = recording.find(&self.called).await {
                    self.called.caller.note_answered(true);
                    self.stage = Stage::Replayed(kept);
                    return Ok(());
                }
                self.stage = Stage::Recorded(recording);
            }
            self.called.caller.note_answered(false);
        }
        if limited && (probe.sampling.is_some() || probe.input.is_some()) {
            // A token of a text has about four bytes.
            self.prompt = data.len() as u64 / 4;
            self.charge = limits::charge(&self.called, self.prompt.saturating_add(probe.max_tokens.unwrap_or(0))).await?;
        }
        Ok(())
    }

    /// The hash of the model's bytes, where its host knows it: by its name alone another model may come to be known tomorrow.
    async fn model(&mut self) -> Option<String> {
        #[derive(Deserialize)]
        struct Description {
            sha256: Option<String>,
        }
        let data = json!({"describe": true}).to_string().into_bytes();
        let tensor = Tensor { dimensions: vec![u32::try_from(data.len()).ok()?], ty: ports::TensorType::U8, data };
        // A question leaves the context as it was.
        let outputs = self.context.compute(vec![("request".to_owned(), tensor)]).await.ok()?;
        let (_, description) = outputs.into_iter().find(|(name, _)| name == "description")?;
        serde_json::from_slice::<Description>(&description.data).ok()?.sha256
    }

    /// Counts what was computed, and keeps it where it is to be kept.
    async fn note(&mut self, outputs: &Tensors) {
        let named = |wanted: &str| outputs.iter().find(|(name, _)| name == wanted).map(|(_, tensor)| tensor);
        let end = named("result");
        if let Some(charge) = &mut self.charge {
            self.tokens += named("tokens").and_then(|tensor| tensor.dimensions.first()).map_or(0, |count| u64::from(*count));
            match end.map(|result| serde_json::from_slice::<End>(&result.data)) {
                Some(Ok(End { usage })) => {
                    if let Some(charge) = self.charge.take() {
                        charge.settle(&self.called, usage.prompt_tokens.saturating_add(usage.completion_tokens)).await;
                    }
                }
                _ if self.tokens >= self.counted + OFTEN => {
                    self.counted = self.tokens;
                    charge.grow(&self.called, self.prompt + self.tokens).await;
                }
                _ => {}
            }
        }
        if let Stage::Recorded(recording) = &mut self.stage {
            recording.add(outputs);
            if end.is_some()
                && let Stage::Recorded(recording) = std::mem::replace(&mut self.stage, Stage::Computed)
            {
                recording.keep(&self.called).await;
            }
        }
    }
}

impl<P: Ports> Context for WatchedContext<P> {
    async fn compute(&mut self, inputs: Tensors) -> Result<Tensors, NnError> {
        if !inputs.is_empty() {
            self.begin(&inputs).await.map_err(refusal)?;
        }
        if let Stage::Replayed(kept) = &mut self.stage
            && let Some(outputs) = kept.pop_front()
        {
            return Ok(outputs);
        }
        match self.context.compute(inputs).await {
            Ok(outputs) => {
                self.note(&outputs).await;
                Ok(outputs)
            }
            Err(error) => {
                self.stage = Stage::Computed;
                // What was made before it failed was had.
                if let Some(charge) = self.charge.take() {
                    let had = if self.tokens == 0 { 0 } else { self.prompt + self.tokens };
                    charge.settle(&self.called, had).await;
                }
                Err(error)
            }
        }
    }

    async fn yield_now(&mut self) {
        self.context.yield_now().await;
    }
}

/// A refusal as the contract has it: what is above reads no others.
fn refusal(error: ApiError) -> NnError {
    NnError { data: json!({"kind": "rate_limited", "message": error.message, "retry_after": error.retry_after}).to_string() }
}
