//! A world for the handler that is all script: models that load or do not, and a context that says what it was told to say and records what is asked of it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    pin::Pin,
    sync::{Arc, LazyLock, Mutex},
    task::{Context as Task, Poll, Waker},
};

use bytes::Bytes;
use hearth_function::{Body, ports};
use http::{Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use ports::{KeyValueError, NnError, Tensor, TensorType};
use serde_json::{Value, json};

use crate::{contract, other::Other};

/// What one compute does.
#[derive(Debug, Clone)]
pub enum Step {
    /// Returns a text.
    Text(&'static str),
    /// Returns the last text with a reason; the usage is 7 prompt tokens (2 of them cached) and 3 generated.
    End(&'static str, &'static str),
    /// Fails with this data.
    Fail(String),
    /// Returns these outputs: a string as bytes, `tokens` and `embeddings` as tensors, anything else as a document.
    Say(Value),
    /// Is not done at once; the step after it is what it then does.
    Later,
    /// Returns these outputs as they are.
    Raw(Vec<(&'static str, Vec<u8>)>),
    /// Is never done.
    Hang,
}

/// What was asked, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Loaded(String),
    Opened,
    /// The first compute's request document; null for the later ones.
    Computed(Value),
    Yielded,
    Dropped,
}

/// What becomes of an operation of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Done,
    Failed,
    /// It is never done.
    Hangs,
}

/// Says what becomes of an operation (`get`, `set`, `delete`, `keys`, `add`) on a key.
type Fates = Box<dyn FnMut(&str, &str) -> Fate + Send>;

#[derive(Default)]
struct Inner {
    kept: Mutex<BTreeMap<String, Vec<u8>>>,
    counts: Mutex<BTreeMap<String, u64>>,
    fates: Mutex<Option<Fates>>,
    settings: HashMap<&'static str, String>,
    load_errors: HashMap<String, String>,
    open_error: Option<String>,
    description: Option<Value>,
    /// One for each context, in the order in which they are opened; a later one shares the last.
    scripts: Mutex<Vec<VecDeque<Step>>>,
    opened: Mutex<usize>,
    log: Mutex<Vec<Event>>,
    other: Other,
}

#[derive(Clone, Default)]
pub struct World(Arc<Inner>);

impl World {
    /// Serves `tiny` and `other`, and answers a chat with `steps`.
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self::several([steps.into_iter().collect::<Vec<_>>()])
    }

    /// One whose contexts each have their own steps.
    pub fn several(scripts: impl IntoIterator<Item = Vec<Step>>) -> Self {
        let scripts = Mutex::new(scripts.into_iter().map(VecDeque::from).collect());
        let world = Self(Arc::new(Inner { scripts, ..Inner::default() }));
        world.setting("models", "tiny, other,tiny")
    }

    /// One whose models answer anything that the contract takes.
    pub fn obliging() -> Self {
        Self::several([])
    }

    /// An obliging one in which a response and a conversation are kept, and the address in it of a path of the API's description.
    pub fn populated() -> (Self, fn(&str) -> String) {
        type Kept = BTreeMap<String, Vec<u8>>;
        static KEPT: LazyLock<(Kept, [String; 3])> = LazyLock::new(|| {
            let world = World::obliging();
            let id = |answer: Answer| answer.json()["id"].as_str().expect("an id").to_owned();
            let response = id(world.respond(&json!({"input": "Hi"})));
            let conversation = id(world.post("/v1/conversations", &json!({"items": [{"role": "user", "content": "Hi"}]})));
            let items = world.get(&format!("/v1/conversations/{conversation}/items")).json();
            let item = items["data"][0]["id"].as_str().expect("an id").to_owned();
            (world.store(), [response, conversation, item])
        });
        let world = Self::obliging();
        world.tamper(|kept| kept.clone_from(&KEPT.0));
        (world, |path| {
            let names = ["{response_id}", "{conversation_id}", "{item_id}"].iter().zip(&KEPT.1);
            names.fold(path.replace("{id}", "tiny"), |path, (name, id)| path.replace(name, id))
        })
    }

    fn inner(&mut self) -> &mut Inner {
        Arc::get_mut(&mut self.0).expect("a world is set up before it is shared")
    }

    pub fn setting(mut self, name: &'static str, value: &str) -> Self {
        self.inner().settings.insert(name, value.to_owned());
        self
    }

    /// With another server, whose handler is the same: this one's `fallback_url`.
    pub fn with_other(mut self, other: &World) -> Self {
        // An address of its own for each, since what is known of a server outlives a test.
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.inner().other.world = Some(other.clone());
        self.setting("fallback_url", &format!("https://gpu-{number}.example.com/"))
    }

    pub fn other(&self) -> &Other {
        &self.0.other
    }

    pub fn load_error(mut self, model: &str, data: String) -> Self {
        self.inner().load_errors.insert(model.to_owned(), data);
        self
    }

    pub fn open_error(mut self, data: String) -> Self {
        self.inner().open_error = Some(data);
        self
    }

    /// Its models say this of themselves.
    pub fn describes(mut self, description: Value) -> Self {
        self.inner().description = Some(description);
        self
    }

    pub fn log(&self) -> Vec<Event> {
        self.0.log.lock().unwrap().clone()
    }

    /// From now on the store does what this says.
    pub fn fates(&self, fates: impl FnMut(&str, &str) -> Fate + Send + 'static) {
        *self.0.fates.lock().unwrap() = Some(Box::new(fates));
    }

    /// The store is well again.
    pub fn heal(&self) {
        *self.0.fates.lock().unwrap() = None;
    }

    /// All that is in the store.
    pub fn store(&self) -> BTreeMap<String, Vec<u8>> {
        self.0.kept.lock().unwrap().clone()
    }

    /// What is kept of responses and conversations, whosever they are.
    pub fn kept(&self) -> BTreeMap<String, Vec<u8>> {
        self.store().into_iter().filter(|(key, _)| is_said(key)).collect()
    }

    /// What is counted.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.0.counts.lock().unwrap().clone()
    }

    /// Changes each response and conversation that is kept behind the handler's back.
    pub fn tamper_each(&self, change: impl FnMut(&mut Vec<u8>)) {
        self.tamper(|kept| kept.iter_mut().filter(|(key, _)| is_said(key)).map(|(_, value)| value).for_each(change));
    }

    /// Changes the store behind the handler's back.
    pub fn tamper(&self, change: impl FnOnce(&mut BTreeMap<String, Vec<u8>>)) {
        change(&mut self.0.kept.lock().unwrap());
    }

    async fn operate<T>(
        &self,
        operation: &str,
        key: &str,
        act: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T,
    ) -> Result<T, KeyValueError> {
        self.suffer(operation, key).await?;
        Ok(act(&mut self.0.kept.lock().unwrap()))
    }

    /// What an operation goes through before it is done.
    async fn suffer(&self, operation: &str, key: &str) -> Result<(), KeyValueError> {
        assert!((1..=1024).contains(&key.len()), "{key}");
        pause().await;
        let fate = self.0.fates.lock().unwrap().as_mut().map_or(Fate::Done, |fates| fates(operation, key));
        match fate {
            Fate::Done => Ok(()),
            Fate::Failed => Err(KeyValueError { message: "the disk is full".into() }),
            Fate::Hangs => std::future::pending().await,
        }
    }

    pub fn computes(&self) -> usize {
        self.log().iter().filter(|event| matches!(event, Event::Computed(_))).count()
    }

    pub fn dropped(&self) -> bool {
        self.log().contains(&Event::Dropped)
    }

    /// The document that the first compute was given.
    pub fn request(&self) -> Value {
        self.requests().into_iter().next().expect("no compute")
    }

    /// The documents that the contexts were given.
    pub fn requests(&self) -> Vec<Value> {
        let documents =
            self.log().into_iter().filter_map(|event| if let Event::Computed(document) = event { Some(document) } else { None });
        documents.filter(|document| !document.is_null()).collect()
    }

    fn record(&self, event: Event) {
        self.0.log.lock().unwrap().push(event);
    }

    /// Sends a request and returns the whole answer.
    pub fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        let request = Request::builder().method(method).uri(path).body(Frames::whole(body)).unwrap();
        Answer::of(wait(hearth_function::handle(self.clone(), request)))
    }

    /// Sends a request with headers and returns the whole answer.
    pub fn send_with(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        Answer::of(self.open_with(method, path, headers, body))
    }

    /// Sends a request with headers and returns its body unread.
    pub fn open_with(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        wait(hearth_function::handle(self.clone(), request.body(Frames::whole(body)).unwrap()))
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "")
    }

    /// Sends a request with headers and returns its answer unread.
    pub fn get_with(&self, path: &str, headers: &[(&'static str, &str)]) -> Response<Body> {
        let mut request = Request::get(path).body(Frames::whole("")).unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        wait(hearth_function::handle(self.clone(), request))
    }

    pub fn chat(&self, request: &Value) -> Answer {
        self.send(Method::POST, "/v1/chat/completions", request.to_string())
    }

    pub fn post(&self, path: &str, request: &Value) -> Answer {
        self.send(Method::POST, path, request.to_string())
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, "")
    }

    pub fn respond(&self, request: &Value) -> Answer {
        self.post("/v1/responses", request)
    }

    pub fn chat_bytes(&self, body: impl Into<Bytes>) -> Answer {
        self.send(Method::POST, "/v1/chat/completions", body)
    }

    /// Sends a chat and returns its body unread.
    pub fn open(&self, request: &Value) -> Response<Body> {
        self.open_at("/v1/chat/completions", request)
    }

    /// Sends a request and returns its body unread.
    pub fn open_at(&self, path: &str, request: &Value) -> Response<Body> {
        let request = Request::post(path).body(Frames::whole(request.to_string())).unwrap();
        wait(hearth_function::handle(self.clone(), request))
    }
}

/// Whether something that is kept is a response or of a conversation: the store's key is that, or ends so with an owner before it.
fn is_said(key: &str) -> bool {
    let key = key.strip_prefix("owned/").and_then(|rest| rest.split_once('/')).map_or(key, |(_, key)| key);
    key.starts_with("response/") || key.starts_with("conversation/")
}

/// A chat of one message with further fields.
pub fn hello(more: Value) -> Value {
    let mut request = json!({"messages": [{"role": "user", "content": "Hi"}]});
    for (name, value) in more.as_object().unwrap() {
        request[name] = value.clone();
    }
    request
}

/// What a model here says of itself unless it is told otherwise.
pub fn description() -> Value {
    json!({
        "purpose": "generate", "architecture": "llama", "context_length": 2048, "embedding_length": 576, "vocabulary": 49_152, "parameters": 134_515_008,
        "weights": "Q4_1", "bytes": 91_000_000, "chat_template": "{{ messages }}", "tool_format": "hermes", "reasoning": true, "begin": "<s>",
        "end": ["</s>"]
    })
}

/// An error document as a host writes it.
pub fn failure(kind: &str, message: &str) -> String {
    json!({"kind": kind, "message": message}).to_string()
}

impl ports::Ports for World {
    type Nn = Self;
    type KeyValue = Self;
    type Counters = Self;
    type Settings = Self;
    type Outbound = Self;

    fn nn(&self) -> &Self {
        self
    }

    fn key_value(&self) -> &Self {
        self
    }

    fn counters(&self) -> &Self {
        self
    }

    fn settings(&self) -> &Self {
        self
    }

    fn outbound(&self) -> &Self {
        self
    }
}

impl ports::KeyValue for World {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        self.operate("get", key, |kept| kept.get(key).cloned()).await
    }

    async fn set(&self, key: &str, value: Vec<u8>) -> Result<(), KeyValueError> {
        assert!(value.len() <= 8 << 20, "{} bytes", value.len());
        self.operate("set", key, |kept| drop(kept.insert(key.to_owned(), value))).await
    }

    async fn delete(&self, key: &str) -> Result<(), KeyValueError> {
        self.operate("delete", key, |kept| drop(kept.remove(key))).await
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>, KeyValueError> {
        self.operate("keys", prefix, |kept| kept.keys().filter(|key| key.starts_with(prefix)).cloned().collect()).await
    }
}

impl ports::Counters for World {
    async fn add(&self, key: &str, amount: u64) -> Result<u64, KeyValueError> {
        self.suffer("add", key).await?;
        let mut counts = self.0.counts.lock().unwrap();
        let count = counts.entry(key.to_owned()).or_default();
        *count += amount;
        Ok(*count)
    }
}

impl ports::Settings for World {
    async fn get(&self, name: &str) -> Option<String> {
        self.0.settings.get(name).cloned()
    }
}

impl ports::Nn for World {
    type Graph = Self;

    async fn load_by_name(&self, name: &str) -> Result<Self, NnError> {
        self.record(Event::Loaded(name.to_owned()));
        match self.0.load_errors.get(name) {
            Some(data) => Err(NnError { data: data.clone() }),
            None => Ok(self.clone()),
        }
    }
}

impl ports::Graph for World {
    type Context = Sequence;

    fn init_execution_context(&self) -> Result<Sequence, NnError> {
        if let Some(data) = &self.0.open_error {
            return Err(NnError { data: data.clone() });
        }
        self.record(Event::Opened);
        let mut opened = self.0.opened.lock().unwrap();
        let last = self.0.scripts.lock().unwrap().len().saturating_sub(1);
        let script = last.min(*opened);
        *opened += 1;
        Ok(Sequence { world: self.clone(), rest: VecDeque::new(), script })
    }
}

pub struct Sequence {
    world: World,
    /// What an obliging model has left to say.
    rest: VecDeque<Value>,
    script: usize,
}

impl Drop for Sequence {
    fn drop(&mut self) {
        self.world.record(Event::Dropped);
    }
}

impl ports::Context for Sequence {
    async fn compute(&mut self, inputs: Vec<(String, Tensor)>) -> Result<Vec<(String, Tensor)>, NnError> {
        let document = match &inputs[..] {
            [] => Value::Null,
            [(name, tensor)] => {
                assert_eq!((name.as_str(), tensor.ty), ("request", TensorType::U8));
                assert_eq!(tensor.dimensions, [tensor.data.len() as u32]);
                let document = serde_json::from_slice(&tensor.data).expect("the request is JSON");
                contract::check(&document);
                document
            }
            more => panic!("{} inputs", more.len()),
        };
        if document.get("describe").is_some() {
            return Ok(vec![("description".into(), tensor("description", self.world.0.description.as_ref().unwrap_or(&description())))]);
        }
        if self.world.0.scripts.lock().unwrap().is_empty() {
            if !document.is_null() {
                self.rest = oblige(&document);
            }
            let outputs = self.rest.pop_front().expect("a compute after the last chunk");
            return Ok(outputs.as_object().unwrap().iter().map(|(name, value)| (name.clone(), tensor(name, value))).collect());
        }
        self.world.record(Event::Computed(document));
        let next = || self.world.0.scripts.lock().unwrap()[self.script].pop_front().expect("a compute after the last chunk");
        let mut step = next();
        while matches!(step, Step::Later) {
            pause().await;
            step = next();
        }
        let bytes = |data: Vec<u8>| Tensor { dimensions: vec![data.len() as u32], ty: TensorType::U8, data };
        let tokens = |count: u8| Tensor { dimensions: vec![count.into()], ty: TensorType::I32, data: vec![0; 4 * usize::from(count)] };
        match step {
            Step::Text(text) => Ok(vec![("text".into(), bytes(text.into())), ("tokens".into(), tokens(1))]),
            Step::End(text, reason) => {
                let result = json!({
                    "finish_reason": reason,
                    "usage": {"prompt_tokens": 7, "cached_tokens": 2, "completion_tokens": 3},
                    "timings": {"queue_ms": 0.1, "prefill_ms": 10.0, "decode_ms": 80.0}
                });
                Ok(vec![
                    ("text".into(), bytes(text.into())),
                    ("tokens".into(), tokens(0)),
                    ("result".into(), bytes(result.to_string().into())),
                ])
            }
            Step::Say(outputs) => {
                let outputs = outputs.as_object().expect("an object of outputs").iter();
                Ok(outputs.map(|(name, value)| (name.clone(), tensor(name, value))).collect())
            }
            Step::Later => unreachable!("it was waited for"),
            Step::Fail(data) => Err(NnError { data }),
            Step::Raw(outputs) => Ok(outputs.into_iter().map(|(name, data)| (name.to_owned(), bytes(data))).collect()),
            Step::Hang => std::future::pending().await,
        }
    }

    async fn yield_now(&mut self) {
        self.world.record(Event::Yielded);
        pause().await;
    }
}

/// Done when it is polled again.
pub async fn pause() {
    let mut yielded = false;
    std::future::poll_fn(move |_| if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Some answer to a document, chunk by chunk: what it demands, and no more.
fn oblige(document: &Value) -> VecDeque<Value> {
    let length = |value: &Value| value.as_array().map_or(1, Vec::len);
    if let Some(tokens) = document.get("detokenize") {
        return [json!({"text": "a", "pieces": vec![[0xc3]; length(tokens)]})].into();
    } else if document.get("tokenize").or(document.get("render")).is_some() {
        return [json!({"text": "a", "tokens": [1, 2]})].into();
    } else if let Some(input) = document.get("input") {
        return [json!({"embeddings": vec![[0.6, 0.8]; length(input)], "result": {"usage": {"prompt_tokens": 9}}})].into();
    }
    let mut chunks = VecDeque::new();
    if document["template"]["enable_thinking"] == true {
        chunks.push_back(json!({"text": "", "reasoning": "r", "tokens": [1]}));
    }
    let mut reason = "stop";
    match &document["tool_choice"] {
        Value::Null => {}
        choice if choice == "auto" || choice == "none" => {}
        choice => {
            reason = "tool_calls";
            let tools = document["tools"].as_array().unwrap().iter().map(|tool| &tool["function"]);
            let tool = tools.into_iter().find(|tool| choice == "required" || tool["name"] == choice["name"]).unwrap();
            chunks.push_back(json!({"text": "", "tool_calls": [{"index": 0, "name": tool["name"]}]}));
            for piece in pieces(&instance(&tool["parameters"])) {
                chunks.push_back(json!({"text": "", "tool_calls": [{"index": 0, "arguments": piece}]}));
            }
        }
    }
    match document["grammar"].get("json_schema") {
        Some(schema) => chunks.extend(pieces(&instance(schema)).into_iter().map(|piece| json!({"text": piece}))),
        None if reason == "stop" => chunks.push_back(json!({"text": "a", "tokens": [1]})),
        None => {}
    }
    let tokens = chunks.len();
    let prompt = document["messages"].as_array().map_or(1, Vec::len);
    chunks.back_mut().unwrap()["result"] =
        json!({"finish_reason": reason, "usage": {"prompt_tokens": prompt, "completion_tokens": tokens}});
    chunks
}

/// The least that a schema holds, of those that these tests have.
fn instance(schema: &Value) -> Value {
    match schema["type"].as_str() {
        Some("string") => json!("a"),
        Some("integer" | "number") => json!(1),
        Some("array") => json!([]),
        _ => {
            let names = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            Value::Object(names.map(|name| (name.to_owned(), instance(&schema["properties"][name]))).collect())
        }
    }
}

fn pieces(value: &Value) -> Vec<String> {
    value.to_string().as_bytes().chunks(4).map(|piece| String::from_utf8_lossy(piece).into_owned()).collect()
}

/// An output as a tensor of the type that the contract gives it.
fn tensor(name: &str, value: &Value) -> Tensor {
    let length = |value: &Value| value.as_array().expect("an array").len() as u32;
    match (name, value) {
        ("tokens", Value::Array(tokens)) => {
            let data = tokens.iter().flat_map(|token| (token.as_i64().unwrap() as i32).to_le_bytes()).collect();
            Tensor { dimensions: vec![length(value)], ty: TensorType::I32, data }
        }
        ("embeddings", Value::Array(rows)) => {
            let elements = rows.iter().flat_map(|row| row.as_array().unwrap());
            let data = elements.flat_map(|element| (element.as_f64().unwrap() as f32).to_le_bytes()).collect();
            Tensor { dimensions: vec![length(value), rows.first().map_or(0, length)], ty: TensorType::Fp32, data }
        }
        (_, value) => {
            let data = value.as_str().map_or_else(|| value.to_string(), str::to_owned).into_bytes();
            Tensor { dimensions: vec![data.len() as u32], ty: TensorType::U8, data }
        }
    }
}

/// A request's body in pieces; `Err` breaks it off.
pub struct Frames {
    pub frames: VecDeque<Result<Bytes, &'static str>>,
    pub hint: SizeHint,
}

impl Frames {
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { frames: VecDeque::from([Ok(bytes.into())]), hint: SizeHint::default() }
    }
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(self.frames.pop_front().map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

/// Polls a future once.
pub fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Task::from_waker(Waker::noop()))
}

/// Polls a future until it is done. What these tests wait for is done after a few polls, or they fail.
pub fn wait<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    for _ in 0..100_000 {
        if let Poll::Ready(value) = poll(future.as_mut()) {
            return value;
        }
    }
    panic!("not done after 100,000 polls");
}

/// The next frame of a body.
pub fn frame(body: &mut Body) -> Option<String> {
    piece(body)?.into_data().ok().map(|bytes| String::from_utf8(bytes.to_vec()).expect("a frame is whole characters"))
}

/// The next frame, be it trailers.
fn piece(body: &mut Body) -> Option<Frame<Bytes>> {
    let Ok(frame) = wait(std::future::poll_fn(|task| Pin::new(&mut *body).poll_frame(task))).transpose();
    frame
}

/// A whole answer.
pub struct Answer {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    pub frames: Vec<String>,
    /// Behind them.
    pub trailers: http::HeaderMap,
}

impl Answer {
    pub fn of(response: Response<Body>) -> Self {
        let (parts, mut body) = response.into_parts();
        let (mut frames, mut trailers) = (Vec::new(), http::HeaderMap::new());
        while let Some(frame) = piece(&mut body) {
            assert!(trailers.is_empty(), "nothing follows trailers");
            match frame.into_data() {
                Ok(bytes) => frames.push(String::from_utf8(bytes.to_vec()).expect("a frame is whole characters")),
                Err(frame) => trailers = frame.into_trailers().unwrap(),
            }
        }
        Self { status: parts.status, headers: parts.headers, frames, trailers }
    }

    pub fn text(&self) -> String {
        self.frames.concat()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The documents of the events; `[DONE]` is a string.
    pub fn events(&self) -> Vec<Value> {
        events(&self.text())
    }

    /// The documents of events that have names, each of which is its document's type, as Anthropic has them.
    pub fn named_events(&self) -> Vec<Value> {
        named_events(&self.text())
    }

    /// The documents of lines, as Ollama has them.
    pub fn lines(&self) -> Vec<Value> {
        let text = self.text();
        assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }

    /// `(type, message)` of Anthropic's envelope, whose form is checked.
    pub fn anthropic_error(&self) -> (String, String) {
        let document = self.json();
        let text = |name: &str| document["error"][name].as_str().filter(|text| !text.is_empty()).expect(name).to_owned();
        assert_eq!(document["type"], "error", "{document}");
        assert_eq!((document.as_object().unwrap().len(), document["error"].as_object().unwrap().len()), (2, 2), "{document}");
        (text("type"), text("message"))
    }

    /// The message of Ollama's envelope, whose form is checked.
    pub fn ollama_error(&self) -> String {
        let document = self.json();
        assert_eq!(document.as_object().unwrap().len(), 1, "{document}");
        document["error"].as_str().filter(|text| !text.is_empty()).expect("an error").to_owned()
    }

    /// `(param, code)` of OpenAI's envelope, whose form is checked.
    pub fn error(&self) -> (Value, Value) {
        let document = self.json();
        let error = &document["error"];
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{document}");
        assert!(error["type"].is_string(), "{document}");
        assert_eq!(error.as_object().unwrap().len(), 4, "{document}");
        (error["param"].clone(), error["code"].clone())
    }

    pub fn message(&self) -> String {
        self.json()["error"]["message"].as_str().expect("a message").to_owned()
    }
}

/// The documents of a piece of an event stream. An event that has a name has that of its type.
pub fn events(text: &str) -> Vec<Value> {
    let events = text.split_terminator("\n\n").map(|event| {
        if let Some((name, data)) = event.strip_prefix("event: ").and_then(|event| event.split_once("\ndata: ")) {
            let document: Value = serde_json::from_str(data).expect("an event is JSON");
            assert_eq!(document["type"], name);
            return document;
        }
        let data = event.strip_prefix("data: ").unwrap_or_else(|| panic!("no data: {event:?}"));
        assert!(!data.contains('\n'), "{data:?}");
        if data == "[DONE]" { Value::from(data) } else { serde_json::from_str(data).expect("an event is JSON") }
    });
    events.collect()
}

/// The documents of a piece of an event stream whose events have names.
pub fn named_events(text: &str) -> Vec<Value> {
    let events = text.split_terminator("\n\n").map(|event| {
        let (name, data) = event.strip_prefix("event: ").and_then(|event| event.split_once("\ndata: ")).expect("a name and data");
        assert!(!data.contains('\n'), "{data:?}");
        let document: Value = serde_json::from_str(data).expect("an event is JSON");
        assert_eq!(document["type"], name, "{document}");
        document
    });
    events.collect()
}
