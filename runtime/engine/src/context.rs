//! An execution context: one sequence, in tensor mode or in generate mode; or requests for embeddings, one after the other.

use std::time::Instant;

use crate::{
    Error, ErrorKind, Graph, NamedTensor, Tensor,
    chat::Prompt,
    delivery::{self, Delivery, Event, Receipt},
    embedder::Job,
    embedding::{EmbeddingRequest, is_embedding_request},
    generation::Generation,
    grammar::{Compiled, Constraint},
    graph::Purpose,
    logprobs,
    output::Chunk,
    questions::{Question, is_question},
    request::Request,
    sequence::{Claim, SequenceId},
    task::{Task, Work},
    worker::Command,
};

/// One sequence with its KV cache. Dropping it stops the sequence and frees its blocks.
#[derive(Debug)]
pub struct Context {
    graph: Graph,
    state: State,
}

#[derive(Debug)]
enum State {
    /// No call yet.
    Fresh,
    /// A generation whose grammar is being compiled.
    Prepare(Box<Prepared>),
    /// A generation that goes on.
    Generate(Link),
    /// Tensor mode.
    Tensor(TensorLink),
    /// Embeddings that have been asked for.
    Embed(Link),
    /// The last chunk or an error has been returned.
    Ended,
}

/// A generation that waits for its grammar.
#[derive(Debug)]
struct Prepared {
    claim: Claim,
    prompt: Vec<u32>,
    generation: Generation,
    grammar: Compiled,
}

/// The way to the sequence on the engine's thread, and the chunks back.
#[derive(Debug)]
struct Link {
    graph: Graph,
    id: SequenceId,
    receipt: Receipt,
}

#[derive(Debug)]
struct TensorLink {
    link: Link,
    /// Tokens of the sequence.
    length: usize,
}

impl Context {
    pub(crate) fn new(graph: Graph) -> Self {
        Self { graph, state: State::Fresh }
    }

    /// wasi-nn's `compute`: see `docs/wasi-nn.md` for what each mode takes and returns. Cancel-safe: a dropped future loses no chunk. (In tensor mode a dropped call's
    /// tokens stay part of the sequence; its logits are not returned.)
    ///
    /// # Errors
    /// [`Error`]
    pub async fn compute(&mut self, mut inputs: Vec<NamedTensor>) -> Result<Vec<NamedTensor>, Error> {
        if inputs.len() > 1 {
            return Err(Error::invalid(format!("{} inputs were given; give one, or none for the next chunk", inputs.len())));
        }
        match inputs.pop() {
            None => self.next_chunk().await,
            Some((name, tensor)) if name == "request" => {
                let document = tensor.into_u8(&name)?;
                if is_question(&document) {
                    return Question::parse(&document)?.answer(&self.graph);
                }
                self.begin(&document)?;
                self.next_chunk().await
            }
            Some((name, tensor)) if name == "input_ids" => {
                let tokens = tensor.to_i32(&name)?;
                self.extend(&tokens)?;
                self.logits().await
            }
            Some((name, _)) => Err(Error::invalid(format!("unknown input `{name}`; give `request` or `input_ids`"))),
        }
    }

    /// Starts what `document` asks for.
    fn begin(&mut self, document: &[u8]) -> Result<(), Error> {
        match &self.state {
            State::Fresh => {}
            State::Embed(_) => return Err(Error::invalid("embeddings are being computed in this context; give nothing to wait for them")),
            State::Generate(_) | State::Prepare(_) => {
                return Err(Error::invalid("a generation is running in this context; make a new one for another request"));
            }
            State::Tensor(_) => return Err(Error::invalid("this context is in tensor mode; make a new one to generate")),
            State::Ended => return Err(ended()),
        }
        let asked = Instant::now();
        let chat = match (self.graph.purpose(), is_embedding_request(document)) {
            (Purpose::Generates(chat), false) => chat.as_ref(),
            (Purpose::Embeds, true) => return self.embed(document, asked),
            (Purpose::Generates(_), true) => {
                let cure = "give `messages`, `prompt` or `tokens`, or choose a model for embeddings";
                return Err(Error::invalid(format!("`input` asks for embeddings, but this model generates text: {cure}")));
            }
            (Purpose::Embeds, false) => return Err(only_embeds()),
        };
        let mut request = Request::parse(document)?;
        let Prompt { text, tokens: prompt } = request.prompt(self.graph.tokenizer(), chat)?;
        self.graph.check_tokens(&prompt).map_err(|error| error.about("tokens"))?;
        let context_length = self.graph.context_length();
        if prompt.len() + usize::from(request.max_tokens != Some(0)) > context_length {
            return Err(too_long(prompt.len(), context_length, "the prompt has"));
        }
        logprobs::check_prompt(request.prompt_logprobs, prompt.len())?;
        let biased: Vec<u32> = request.sampling.logit_bias.keys().copied().collect();
        let named = |error: Error| Error::invalid(format!("`sampling.logit_bias`: {}", error.message)).about("logit_bias");
        self.graph.check_tokens(&biased).map_err(named)?;
        let claim = request.claim();
        let grammar = request.grammar.take();
        let callable = request.callable()?;
        let chat = chat.filter(|_| request.is_chat());
        let thinks = chat.is_some_and(|chat| chat.dialect().thinks_after(&text));
        if let Some(chat) = chat
            && grammar.is_some()
            && !callable.tools.is_empty()
            && !chat.dialect().marks_calls()
        {
            let cure = "leave `grammar` out, or give `tool_choice` \"none\" or \"required\"";
            return Err(Error::invalid(format!(
                "this model writes calls as JSON without a mark, which a `grammar` cannot be told from: {cure}"
            ))
            .about("grammar"));
        }
        let reader = chat.and_then(|chat| chat.reader(callable.tools.clone(), thinks));
        let generation = Generation::new(request, &prompt, context_length, asked, reader);
        let held = grammar.is_some() || !callable.tools.is_empty();
        self.state = if held {
            let (dialect, tokenizer) = (chat.map(|chat| chat.dialect().clone()), self.graph.tokenizer().clone());
            let grammar = self.graph.grammars().compile(move |vocabulary| match (&dialect, &grammar) {
                (Some(dialect), grammar) => callable.constraint(dialect, grammar.as_ref(), thinks, &tokenizer, vocabulary),
                (None, Some(grammar)) => Constraint::new(grammar, vocabulary),
                (None, None) => Err(Error::internal("nothing holds the text")),
            });
            State::Prepare(Box::new(Prepared { claim, prompt, generation, grammar }))
        } else {
            State::Generate(Link::start(&self.graph, claim, prompt, Work::Generate(Box::new(generation)))?)
        };
        Ok(())
    }

    /// Starts a generation whose grammar is there now.
    async fn prepare(&mut self) -> Result<(), Error> {
        let State::Prepare(prepared) = &mut self.state else { return Ok(()) };
        let constraint = prepared.grammar.wait().await;
        let State::Prepare(prepared) = std::mem::replace(&mut self.state, State::Fresh) else { return Ok(()) };
        let Prepared { claim, prompt, mut generation, .. } = *prepared;
        generation.constrain(constraint?);
        self.state = State::Generate(Link::start(&self.graph, claim, prompt, Work::Generate(Box::new(generation)))?);
        Ok(())
    }

    /// Asks for embeddings.
    fn embed(&mut self, document: &[u8], asked: Instant) -> Result<(), Error> {
        let request = EmbeddingRequest::parse(document)?;
        let inputs = request.inputs(self.graph.tokenizer(), self.graph.context_length())?;
        inputs.iter().try_for_each(|tokens| self.graph.check_tokens(tokens)).map_err(|error| error.about("input"))?;
        let (link, delivery) = Link::open(&self.graph);
        let job = Job::new(request.claim(), inputs, delivery, asked);
        self.graph.tell(|graph| Command::Embed(graph, link.id, Box::new(job)))?;
        self.state = State::Embed(link);
        Ok(())
    }

    /// The next chunk of a generation, or the embeddings.
    async fn next_chunk(&mut self) -> Result<Vec<NamedTensor>, Error> {
        self.prepare().await?;
        let link = match &mut self.state {
            State::Generate(link) | State::Embed(link) => link,
            State::Fresh | State::Prepare(_) => return Err(Error::invalid("nothing was asked for yet; give `request` or `input_ids`")),
            State::Tensor(_) => return Err(Error::invalid("this context is in tensor mode; give `input_ids`")),
            State::Ended => return Err(ended()),
        };
        match link.next().await {
            Ok(Event::Chunk(chunk)) => Ok(self.chunk_tensors(chunk)),
            Ok(Event::End(chunk, result)) => {
                self.state = State::Ended;
                let mut tensors = self.chunk_tensors(chunk);
                tensors.push(("result".into(), Tensor::from_bytes(result.into_bytes())));
                Ok(tensors)
            }
            Ok(Event::Embeddings(embeddings, width, result)) => {
                self.state = State::Fresh;
                let embeddings = Tensor::matrix(&embeddings, width);
                Ok(vec![("embeddings".into(), embeddings), ("result".into(), Tensor::from_bytes(result.into_bytes()))])
            }
            Ok(Event::Logits(..)) => Err(self.end(Error::internal("a generation got logits"))),
            Ok(Event::Failed(error)) | Err(error) => Err(self.end(error)),
        }
    }

    /// Appends tokens in tensor mode.
    fn extend(&mut self, tokens: &[i32]) -> Result<(), Error> {
        if tokens.is_empty() {
            return Err(Error::invalid("`input_ids` is empty; give at least one token"));
        }
        if let Purpose::Embeds = self.graph.purpose() {
            return Err(only_embeds());
        }
        // A negative id becomes one that no vocabulary has.
        let tokens: Vec<u32> = tokens.iter().map(|token| token.cast_unsigned()).collect();
        self.graph.check_tokens(&tokens)?;
        let context_length = self.graph.context_length();
        let check =
            |length: usize| if length > context_length { Err(too_long(length, context_length, "the sequence would have")) } else { Ok(()) };
        match &mut self.state {
            State::Fresh => {
                let length = tokens.len();
                check(length)?;
                let link = Link::start(&self.graph, Claim::default(), tokens, Work::Tensor)?;
                self.state = State::Tensor(TensorLink { link, length });
            }
            State::Tensor(tensor) => {
                check(tensor.length + tokens.len())?;
                tensor.length += tokens.len();
                tensor.link.append(tokens)?;
            }
            State::Generate(_) | State::Prepare(_) | State::Embed(_) => {
                return Err(Error::invalid("this context generates; make a new one for tensor mode"));
            }
            State::Ended => return Err(ended()),
        }
        Ok(())
    }

    /// The logits of the last call in tensor mode.
    async fn logits(&mut self) -> Result<Vec<NamedTensor>, Error> {
        let State::Tensor(tensor) = &mut self.state else { return Err(Error::internal("logits outside of tensor mode")) };
        loop {
            match tensor.link.next().await {
                Ok(Event::Logits(length, logits)) if length == tensor.length => {
                    let columns = logits.len();
                    return Ok(vec![("logits".into(), Tensor::matrix(&logits, columns))]);
                }
                // Those of an earlier call whose future was dropped.
                Ok(Event::Logits(..)) => {}
                Ok(Event::Failed(error)) | Err(error) => return Err(self.end(error)),
                Ok(Event::Chunk(_) | Event::End(..) | Event::Embeddings(..)) => {
                    return Err(self.end(Error::internal("tensor mode got text")));
                }
            }
        }
    }

    /// A chunk's outputs. Log-probabilities become JSON here, on the reader's side.
    fn chunk_tensors(&self, chunk: Chunk) -> Vec<NamedTensor> {
        let Chunk { text, reasoning, tool_calls, tokens, logprobs, prompt_logprobs } = chunk;
        let tokenizer = self.graph.tokenizer();
        let mut tensors = vec![("text".into(), Tensor::from_bytes(text.into_bytes())), ("tokens".into(), Tensor::from_i32(&tokens))];
        if !reasoning.is_empty() {
            tensors.push(("reasoning".into(), Tensor::from_bytes(reasoning.into_bytes())));
        }
        if !tool_calls.is_empty() {
            let document = serde_json::to_vec(&tool_calls).expect("numbers and texts are JSON");
            tensors.push(("tool_calls".into(), Tensor::from_bytes(document)));
        }
        if let Some(odds) = logprobs {
            tensors.push(("logprobs".into(), Tensor::from_bytes(logprobs::document(&odds, tokenizer))));
        }
        if let Some((first, odds)) = prompt_logprobs {
            tensors.push(("prompt_logprobs".into(), Tensor::from_bytes(logprobs::prompt_document(first, &odds, tokenizer))));
        }
        tensors
    }

    /// Ends the context with `error`; a full queue leaves it as it was, so that the call can be made again.
    fn end(&mut self, error: Error) -> Error {
        self.state = if error.kind == ErrorKind::QueueFull { State::Fresh } else { State::Ended };
        error
    }
}

impl Link {
    /// A way to a sequence that is to be, and what it hands back through.
    fn open(graph: &Graph) -> (Self, Delivery) {
        let (delivery, receipt) = delivery::channel();
        (Self { graph: graph.clone(), id: graph.next_sequence(), receipt }, delivery)
    }

    fn start(graph: &Graph, claim: Claim, tokens: Vec<u32>, work: Work) -> Result<Self, Error> {
        let (link, delivery) = Self::open(graph);
        let task = Task::new(claim, tokens, work, delivery);
        graph.tell(|graph| Command::Start(graph, link.id, Box::new(task)))?;
        Ok(link)
    }

    fn append(&self, tokens: Vec<u32>) -> Result<(), Error> {
        self.graph.tell(|graph| Command::Append(graph, self.id, tokens))
    }

    async fn next(&mut self) -> Result<Event, Error> {
        let (event, resumes) = self.receipt.next().await.ok_or_else(Error::shutting_down)?;
        if resumes {
            self.graph.tell(|graph| Command::Resume(graph, self.id))?;
        }
        Ok(event)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Without an engine there is nothing left to stop.
        let _ = self.graph.tell(|graph| Command::Cancel(graph, self.id));
    }
}

fn ended() -> Error {
    Error::invalid("this context has ended; make a new one")
}

fn only_embeds() -> Error {
    Error::invalid(
        "this model makes embeddings and nothing else: give `request` with `input`, an array of texts or token arrays, or choose a model that generates",
    )
}

fn too_long(tokens: usize, context_length: usize, what: &str) -> Error {
    let kind = ErrorKind::ContextLength { prompt_tokens: tokens, context_length };
    let message = format!("{what} {tokens} tokens; the context holds {context_length}, the answer's included: give a shorter one");
    Error::new(kind, message)
}
