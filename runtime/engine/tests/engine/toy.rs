//! A network that computes no attention but keeps the blocks honest: each row writes its token into its block's slot, and the next token is a function of all the
//! sequence's tokens as they are read back through its table. Whoever mixes up blocks, positions or sequences gets another text.

use std::{
    collections::HashMap,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use burn::tensor::{Device, Tensor, TensorData};
use hearth_engine::{DeviceChoice, Engine, EngineOptions, Graph};
use hearth_kernels::{Batch, KvCache, KvShape, KvType, Step};
use hearth_models::{
    Facts, Model,
    arch::{AnyNetwork, Network},
    gguf::Gguf,
    template::ChatTemplate,
    tokenizer::Tokenizer,
};

use crate::client::wait_until;

/// `<unk>`, `<s>`, `</s>`, then a token for each byte.
pub(crate) const BYTES: u32 = 3;
pub(crate) const VOCABULARY: usize = 259;
const BOS: u32 = 1;
pub(crate) const END: u32 = 2;
const SHAPE: KvShape = KvShape { layers: 1, kv_heads: 1, head_dim: 4 };

/// A step with this letter panics.
pub(crate) const PANICS: u8 = b'!';
/// A step with this letter returns no number.
pub(crate) const NOT_A_NUMBER: u8 = b'?';

/// A sequence with this letter goes on in a cycle of letters, with another one now and then: it can be guessed.
pub(crate) const REPEATS: u8 = b'#';

/// How a test steers the network.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// Steps that may still be computed; `None` lets all run.
    permits: Mutex<Option<usize>>,
    changed: Condvar,
    /// Threads that are in a step which may not be computed yet.
    held: AtomicUsize,
    /// The network was dropped.
    pub(crate) dropped: AtomicBool,
    /// Rows of each step so far.
    rows: Mutex<Vec<usize>>,
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, Option<usize>> {
        self.permits.lock().unwrap()
    }

    /// Lets `steps` more steps run, and then none.
    pub(crate) fn allow(&self, steps: usize) {
        let mut permits = self.lock();
        *permits = Some(permits.unwrap_or(0) + steps);
        self.changed.notify_all();
    }

    /// Lets all steps run.
    pub(crate) fn release(&self) {
        *self.lock() = None;
        self.changed.notify_all();
    }

    pub(crate) fn rows(&self) -> Vec<usize> {
        self.rows.lock().unwrap().clone()
    }

    /// Waits until a step was begun that may not be computed yet: what is sent to the engine then is seen after it, all at once.
    pub(crate) fn wait_for_step(&self) {
        wait_until(|| self.held.load(Ordering::SeqCst) > 0, || "no step is begun".to_owned());
    }

    pub(crate) fn wait(&self) {
        self.held.fetch_add(1, Ordering::SeqCst);
        let mut permits = self.changed.wait_while(self.lock(), |permits| *permits == Some(0)).unwrap();
        self.held.fetch_sub(1, Ordering::SeqCst);
        if let Some(permits) = &mut *permits {
            *permits -= 1;
        }
    }
}

#[derive(Debug)]
struct Toy {
    control: Arc<Control>,
    /// Says another letter than it should at each so many tokens: a draft model that errs.
    errs: usize,
    slots: Mutex<HashMap<(u32, usize), u32>>,
}

impl Network for Toy {
    fn kv_shape(&self) -> KvShape {
        SHAPE
    }

    fn vocabulary(&self) -> usize {
        VOCABULARY
    }

    fn weight_bytes(&self) -> usize {
        0
    }

    fn forward(&self, batch: &Batch, _step: &Step, _cache: &mut KvCache) -> Tensor<2> {
        self.control.wait();
        let mut rows = self.control.rows.lock().unwrap();
        // A soak's memory must not be what the test itself remembers.
        if rows.len() < 1 << 16 {
            rows.push(batch.tokens.len());
        }
        drop(rows);
        assert!(!batch.tokens.contains(&token(PANICS)), "the toy was told to panic");
        let mut slots = self.slots.lock().unwrap();
        let slot = |row: usize, position: u32| {
            let table = &batch.tables[batch.sequences[row] as usize];
            (table[position as usize / KvCache::BLOCK_LEN], position as usize % KvCache::BLOCK_LEN)
        };
        for (row, token) in batch.tokens.iter().enumerate() {
            let block = slot(row, batch.positions[row]).0;
            let holders = batch.tables.iter().filter(|table| table.contains(&block)).count();
            assert_eq!(holders, 1, "a row is written to a block that another sequence reads");
            slots.insert(slot(row, batch.positions[row]), *token);
        }
        let mut logits = Vec::new();
        for &row in &batch.outputs {
            let history: Vec<u32> = (0..=batch.positions[row as usize]).map(|position| slots[&slot(row as usize, position)]).collect();
            let mut row = logits_after(&history);
            if history.len().is_multiple_of(self.errs) {
                row[token(b'a' + (history.len() % 26) as u8) as usize] = 11.0;
            }
            logits.extend(row);
        }
        Tensor::from_data(TensorData::new(logits, [batch.outputs.len(), VOCABULARY]), &Device::flex())
    }
}

impl Drop for Toy {
    fn drop(&mut self) {
        self.control.dropped.store(true, Ordering::SeqCst);
    }
}

pub(crate) fn token(byte: u8) -> u32 {
    u32::from(byte) + BYTES
}

/// The tokens of a text, the begin token before them.
pub(crate) fn tokens(text: &str) -> Vec<u32> {
    std::iter::once(BOS).chain(text.bytes().map(token)).collect()
}

/// The logits after a sequence. Letters in no order that a shorter history would give; five after a full stop, the end.
pub(crate) fn logits_after(history: &[u32]) -> Vec<f32> {
    let hash = history.iter().fold(7_u64, |hash, token| (hash ^ u64::from(*token)).wrapping_mul(0x0100_0000_01b3).rotate_left(23));
    let hash = if history.contains(&token(REPEATS)) && !history.len().is_multiple_of(29) { history.len() as u64 % 11 } else { hash };
    let next = if history.len() > 5 && history[history.len() - 6] == token(b'.') { END } else { token(b'a' + (hash % 26) as u8) };
    // Where it is hot, letters are drawn and nothing else.
    let mut logits = vec![-1000.0; VOCABULARY];
    logits[token(b'a') as usize..=token(b'z') as usize].fill(0.0);
    logits[next as usize] = 10.0;
    logits[0] -= history.len() as f32;
    if history.contains(&token(NOT_A_NUMBER)) {
        logits.fill(f32::NAN);
    }
    logits
}

/// What greedy generation must give after `prompt`: text, and whether an end token ended it.
pub(crate) fn expected(prompt: &str, max_tokens: usize) -> (String, bool) {
    let mut history = tokens(prompt);
    let mut text = String::new();
    for _ in 0..max_tokens {
        let logits = logits_after(&history);
        let next = logits.iter().position(|logit| *logit == 10.0).unwrap() as u32;
        if next == END {
            return (text, true);
        }
        text.push((next - BYTES) as u8 as char);
        history.push(next);
    }
    (text, false)
}

/// A GGUF with nothing but a tokenizer of bytes. (SentencePiece knows a space as `▁`, three bytes: the tests' prompts have none.)
pub(crate) fn gguf() -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    let string = |bytes: &mut Vec<u8>, text: &str| {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    let entry = |bytes: &mut Vec<u8>, key: &str, ty: u32| {
        string(bytes, key);
        bytes.extend(ty.to_le_bytes());
    };
    let array = |bytes: &mut Vec<u8>, key: &str, element: u32| {
        entry(bytes, key, 9);
        bytes.extend(element.to_le_bytes());
        bytes.extend((VOCABULARY as u64).to_le_bytes());
    };
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    bytes.extend(6_u64.to_le_bytes());
    entry(&mut bytes, "tokenizer.ggml.model", 8);
    string(&mut bytes, "llama");
    entry(&mut bytes, "tokenizer.ggml.add_space_prefix", 7);
    bytes.push(0);
    entry(&mut bytes, "tokenizer.ggml.add_bos_token", 7);
    bytes.push(1);
    array(&mut bytes, "tokenizer.ggml.tokens", 8);
    for name in ["<unk>", "<s>", "</s>"] {
        string(&mut bytes, name);
    }
    for byte in 0..256 {
        string(&mut bytes, &format!("<0x{byte:02X}>"));
    }
    array(&mut bytes, "tokenizer.ggml.scores", 6);
    bytes.extend((0..VOCABULARY).flat_map(|_| 0_f32.to_le_bytes()));
    array(&mut bytes, "tokenizer.ggml.token_type", 5);
    bytes.extend([2_i32, 3, 3].into_iter().chain([6; 256]).flat_map(i32::to_le_bytes));
    bytes
}

/// The toy as a model.
pub(crate) fn model(context_length: usize, template: Option<&str>) -> (Model, Arc<Control>) {
    erring(context_length, template, usize::MAX)
}

/// The toy as a model that errs at each `errs` tokens.
pub(crate) fn erring(context_length: usize, template: Option<&str>, errs: usize) -> (Model, Arc<Control>) {
    let control = Arc::new(Control::default());
    let network = AnyNetwork::Decoder(Box::new(Toy { control: control.clone(), errs, slots: Mutex::default() }));
    let tokenizer = Tokenizer::from_gguf(&Gguf::parse(&gguf()).unwrap()).unwrap();
    let template = template.map(|source| ChatTemplate::new(source, "<s>", "</s>").unwrap());
    (Model { network, tokenizer, template, context_length, facts: Facts::default() }, control)
}

/// Bytes of a KV cache with `blocks` blocks for the toy.
pub(crate) fn kv_bytes(blocks: usize) -> u64 {
    (SHAPE.bytes_per_position(KvType::F16, &Device::flex()).unwrap() * KvCache::BLOCK_LEN * blocks) as u64
}

pub(crate) fn options() -> EngineOptions {
    EngineOptions { device: DeviceChoice::Cpu, threads: 1, sequences: 8, queue: 64, kv_bytes: kv_bytes(256), ..EngineOptions::default() }
}

/// An engine that serves the toy.
pub(crate) fn engine(options: EngineOptions) -> (Engine, Graph, Arc<Control>) {
    let engine = Engine::start(options).unwrap();
    let (model, control) = model(1024, None);
    let graph = engine.add_loaded("toy", model, None).unwrap();
    (engine, graph, control)
}
