//! The architectures on small files of random weights, against the reference in `support/reference.rs`; and what they refuse.

mod support;

use burn::tensor::Device;
use hearth_kernels::{Batch, KvCache, Step};
use hearth_models::{
    arch::{self, Network, Source},
    gguf::Gguf,
};
use support::{Builder, Random, reference};

const VOCABULARY: u64 = 48;

/// Writes random tensors.
struct Weights {
    file: Builder,
    random: Random,
}

impl Weights {
    fn new(file: Builder) -> Self {
        Self { file, random: Random(7) }
    }

    fn matrix(&mut self, name: &str, rows: u64, columns: u64) {
        let scale = 1.5 / (columns as f32).sqrt();
        self.add(name, &[columns, rows], 0.0, scale);
    }

    /// Around `center`: norms are about 1, biases about 0.
    fn vector(&mut self, name: &str, len: u64, center: f32) {
        self.add(name, &[len], center, 0.3);
    }

    fn add(&mut self, name: &str, dimensions: &[u64], center: f32, scale: f32) {
        let len = dimensions.iter().product::<u64>();
        let values: Vec<f32> = (0..len).map(|_| center + scale * self.random.normal()).collect();
        self.file = std::mem::take(&mut self.file).f32s(name, dimensions, &values);
    }
}

/// A llama of two layers. `with_extras`: an output head of its own, biases, RoPE factors, linear scaling and a head length of its own.
fn llama(with_extras: bool) -> Builder {
    let head = if with_extras { 16 } else { 8 };
    let mut file = Builder::default()
        .str("general.architecture", "llama")
        .u32("llama.block_count", 2)
        .u32("llama.embedding_length", 32)
        .u32("llama.feed_forward_length", 64)
        .u32("llama.attention.head_count", 4)
        .u32("llama.attention.head_count_kv", 2)
        .f32("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .f32("llama.rope.freq_base", 500.0);
    if with_extras {
        file = file
            .u32("llama.attention.key_length", head)
            .u32("llama.attention.value_length", head)
            .u32("llama.rope.dimension_count", head)
            .str("llama.rope.scaling.type", "linear")
            .f32("llama.rope.scaling.factor", 2.0);
    }
    let head = u64::from(head);
    let mut weights = Weights::new(file);
    weights.matrix("token_embd.weight", VOCABULARY, 32);
    weights.vector("output_norm.weight", 32, 1.0);
    for layer in 0..2 {
        let name = |part: &str| format!("blk.{layer}.{part}");
        weights.vector(&name("attn_norm.weight"), 32, 1.0);
        weights.vector(&name("ffn_norm.weight"), 32, 1.0);
        for (part, rows, columns) in [
            ("attn_q", 4 * head, 32),
            ("attn_k", 2 * head, 32),
            ("attn_v", 2 * head, 32),
            ("attn_output", 32, 4 * head),
            ("ffn_gate", 64, 32),
            ("ffn_up", 64, 32),
            ("ffn_down", 32, 64),
        ] {
            weights.matrix(&name(&format!("{part}.weight")), rows, columns);
            if with_extras {
                weights.vector(&name(&format!("{part}.bias")), rows, 0.0);
            }
        }
    }
    if with_extras {
        weights.matrix("output.weight", VOCABULARY, 32);
        weights.vector("rope_freqs.weight", head / 2, 2.0);
    }
    weights.file
}

/// A gemma of seven layers, so that the sixth sees everything, with a window that a short prompt outgrows.
fn gemma3(window: u32) -> Builder {
    let file = Builder::default()
        .str("general.architecture", "gemma3")
        .u32("gemma3.block_count", 7)
        .u32("gemma3.embedding_length", 32)
        .u32("gemma3.feed_forward_length", 64)
        .u32("gemma3.attention.head_count", 4)
        .u32("gemma3.attention.head_count_kv", 1)
        .u32("gemma3.attention.key_length", 16)
        .u32("gemma3.attention.sliding_window", window)
        .f32("gemma3.attention.layer_norm_rms_epsilon", 1e-6)
        .f32("gemma3.rope.freq_base", 1e6)
        .f32("gemma3.final_logit_softcapping", 3.0);
    let mut weights = Weights::new(file);
    weights.matrix("token_embd.weight", VOCABULARY, 32);
    weights.vector("output_norm.weight", 32, 1.0);
    for layer in 0..7 {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        for (part, len) in [
            ("attn_norm", 32),
            ("attn_q_norm", 16),
            ("attn_k_norm", 16),
            ("post_attention_norm", 32),
            ("ffn_norm", 32),
            ("post_ffw_norm", 32),
        ] {
            weights.vector(&name(part), len, 1.0);
        }
        for (part, rows, columns) in [
            ("attn_q", 64, 32),
            ("attn_k", 16, 32),
            ("attn_v", 16, 32),
            ("attn_output", 32, 64),
            ("ffn_gate", 64, 32),
            ("ffn_up", 64, 32),
            ("ffn_down", 32, 64),
        ] {
            weights.matrix(&name(part), rows, columns);
        }
    }
    weights.file
}

fn tokens(n: usize, seed: u64) -> Vec<u32> {
    let mut random = Random(seed);
    (0..n).map(|_| random.below(VOCABULARY as usize) as u32).collect()
}

/// Rows of one sequence for a step.
struct Rows<'a> {
    tokens: &'a [u32],
    from: usize,
    blocks: Vec<u32>,
}

/// One step; the logits of each sequence's last row.
fn step(network: &dyn Network, cache: &mut KvCache, device: &Device, sequences: &[Rows<'_>]) -> Vec<Vec<f32>> {
    let mut batch = Batch::default();
    for (number, rows) in sequences.iter().enumerate() {
        batch.tokens.extend(rows.tokens);
        batch.positions.extend((rows.from..rows.from + rows.tokens.len()).map(|p| p as u32));
        batch.sequences.extend(rows.tokens.iter().map(|_| number as u32));
        batch.tables.push(rows.blocks.clone());
        batch.outputs.push(batch.tokens.len() as u32 - 1);
    }
    let logits = network.forward(&batch, &Step::new(&batch, device), cache);
    assert_eq!(logits.dims(), [sequences.len(), network.vocabulary()]);
    let flat = logits.into_data().try_to_vec::<f32>().unwrap();
    flat.chunks(network.vocabulary()).map(<[f32]>::to_vec).collect()
}

fn load(bytes: &[u8], device: &Device) -> Box<dyn Network> {
    arch::load(Source { gguf: &Gguf::parse(bytes).unwrap(), packed: None, context: 0, device }).unwrap()
}

/// The logits after `tokens`, computed in chunks of the given lengths.
fn chunked(network: &dyn Network, device: &Device, tokens: &[u32], chunks: &[usize]) -> Vec<f32> {
    let mut cache = KvCache::new(network.kv_shape(), 8, device);
    let (mut from, mut logits) = (0, vec![]);
    for &len in chunks {
        let rows = Rows { tokens: &tokens[from..from + len], from, blocks: vec![5, 2, 7] };
        logits = step(network, &mut cache, device, &[rows]).remove(0);
        from += len;
    }
    assert_eq!(from, tokens.len());
    logits
}

/// Keys and values are kept in f16 (a relative step of 2⁻¹¹); everything else here is f32.
const TOLERANCE: f64 = 1e-3;

#[track_caller]
fn agrees(file: Builder, len: usize) {
    let (bytes, device, tokens) = (file.build(), Device::flex(), tokens(len, 3));
    let got = chunked(&*load(&bytes, &device), &device, &tokens, &[len]);
    let want = reference::logits(&Gguf::parse(&bytes).unwrap(), &tokens);
    let worst = want.iter().zip(&got).map(|(w, g)| (w - f64::from(*g)).abs()).fold(0.0, f64::max);
    let spread = want.iter().fold(f64::MIN, |a, &b| a.max(b)) - want.iter().fold(f64::MAX, |a, &b| a.min(b));
    assert!(spread > 1.0, "the logits {want:?} tell nothing");
    assert!(worst < TOLERANCE * spread, "off by {worst} on a spread of {spread}");
}

#[test]
fn llama_agrees_with_the_reference() {
    agrees(llama(false), 37);
}

#[test]
fn llama_with_biases_scaling_and_an_output_head_agrees() {
    agrees(llama(true), 21);
}

#[test]
fn gemma3_agrees_inside_and_beyond_its_window() {
    agrees(gemma3(9), 7);
    agrees(gemma3(9), 40);
}

#[test]
fn gemma3_without_a_window_agrees() {
    // Not the same as a window longer than any prompt: local layers have a RoPE base of their own.
    agrees(gemma3(0), 20);
    agrees(gemma3(1000), 20);
}

#[test]
fn gemma3_takes_the_period_or_the_list_of_local_layers() {
    agrees(gemma3(9).u32("gemma3.attention.sliding_window_pattern", 3), 30);
    let device = Device::flex();
    let tokens = tokens(30, 4);
    let logits = |file: Builder| chunked(&*load(&file.build(), &device), &device, &tokens, &[30]);
    let listed = logits(gemma3(9).array("gemma3.attention.sliding_window_pattern", 7, 7, &[1, 1, 0, 1, 1, 0, 1]));
    assert_eq!(listed, logits(gemma3(9).u32("gemma3.attention.sliding_window_pattern", 3)));
    assert_ne!(listed, logits(gemma3(9)));
}

#[test]
fn weights_are_counted_once_where_the_head_is_the_embedding() {
    let device = Device::flex();
    let weights = |file: Builder| load(&file.build(), &device).weight_bytes();
    let tied = weights(gemma3(9));
    let mut untied = Weights::new(gemma3(9));
    untied.matrix("output.weight", VOCABULARY, 32);
    let head = weights(untied.file) - tied;
    assert!(head >= (VOCABULARY * 32 * 2) as usize, "{head} bytes for a head of {VOCABULARY}x32");
    assert!(tied > 7 * 4 * head, "{tied} bytes for 7 layers, each of more than 4 times the {head} of the head");
}

#[test]
fn chunks_and_neighbours_change_no_bit() {
    let device = Device::flex();
    for bytes in [llama(true).build(), gemma3(9).build()] {
        let network = load(&bytes, &device);
        let (a, b) = (tokens(33, 5), tokens(17, 6));
        let alone = chunked(&*network, &device, &a, &[33]);
        for chunks in [&[16, 16, 1][..], &[1, 32], &[10, 20, 3], &[31, 1, 1]] {
            assert_eq!(chunked(&*network, &device, &a, chunks), alone, "{chunks:?}");
        }
        // Both at once, over other blocks: one decodes its last token while the other prefills.
        let mut cache = KvCache::new(network.kv_shape(), 8, &device);
        let first = Rows { tokens: &a[..32], from: 0, blocks: vec![0, 6, 3] };
        step(&*network, &mut cache, &device, &[first]);
        let rows = [Rows { tokens: &b, from: 0, blocks: vec![4, 1] }, Rows { tokens: &a[32..], from: 32, blocks: vec![0, 6, 3] }];
        let together = step(&*network, &mut cache, &device, &rows);
        assert_eq!(together[1], alone);
        assert_eq!(together[0], chunked(&*network, &device, &b, &[17]));
    }
}

#[test]
fn a_chunk_whose_logits_nobody_wants_gives_none() {
    let (bytes, device) = (llama(false).build(), Device::flex());
    let network = load(&bytes, &device);
    let tokens = tokens(9, 8);
    let mut cache = KvCache::new(network.kv_shape(), 8, &device);
    let batch = Batch {
        tokens: tokens[..8].to_vec(),
        positions: (0..8).collect(),
        sequences: vec![0; 8],
        tables: vec![vec![5, 2, 7]],
        outputs: vec![],
    };
    let logits = network.forward(&batch, &Step::new(&batch, &device), &mut cache);
    assert_eq!(logits.dims(), [0, network.vocabulary()]);
    let rest = Rows { tokens: &tokens[8..], from: 8, blocks: vec![5, 2, 7] };
    assert_eq!(step(&*network, &mut cache, &device, &[rest])[0], chunked(&*network, &device, &tokens, &[9]));
}

#[test]
fn refusals_name_the_tensor_or_key() {
    let refuses = |file: Builder, parts: &[&str]| {
        let bytes = file.build();
        let source = Source { gguf: &Gguf::parse(&bytes).unwrap(), packed: None, context: 0, device: &Device::flex() };
        let error = arch::load(source).expect_err("the file does not fit its metadata").to_string();
        for part in parts {
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    };
    let base = || {
        Builder::default()
            .u32("llama.block_count", 1)
            .u32("llama.embedding_length", 8)
            .u32("llama.feed_forward_length", 8)
            .f32("llama.attention.layer_norm_rms_epsilon", 1e-5)
            .f32s("token_embd.weight", &[8, 2], &[0.0; 16])
    };
    let llama = || base().str("general.architecture", "llama");
    refuses(base().str("general.architecture", "mamba"), &["`mamba` is not supported", "llama, gemma3"]);
    refuses(base(), &["`general.architecture`: missing"]);
    refuses(llama(), &["`llama.attention.head_count`: missing"]);
    let heads = || llama().u32("llama.attention.head_count", 2);
    refuses(heads(), &["`output_norm.weight`: missing"]);
    refuses(heads().f32s("output_norm.weight", &[7], &[0.0; 7]), &["`output_norm.weight`", "[7]", "[8]"]);
    refuses(heads().u32("llama.attention.head_count_kv", 3), &["3 key-value heads do not divide 2"]);
    refuses(heads().u32("llama.attention.head_count_kv", 0), &["head_count_kv", "0 is not between 1"]);
    refuses(heads().u32("llama.attention.value_length", 2), &["value_length"]);
    refuses(heads().u32("llama.rope.dimension_count", 6), &["rope.dimension_count"]);
    refuses(heads().u32("llama.attention.key_length", u32::MAX), &["key_length", "not between"]);
    refuses(heads().u32("llama.expert_count", 8), &["mixture of experts"]);
    refuses(heads().str("llama.rope.scaling.type", "yarn"), &["`yarn` is not supported"]);
    refuses(heads().f32("llama.rope.freq_base", 0.0), &["rope.freq_base"]);
    refuses(whole_llama_and("blk.0.attn_q.scale"), &["`blk.0.attn_q.scale`", "is not a part of"]);
    refuses(whole_llama_and("blk.9.attn_q.weight"), &["`blk.9.attn_q.weight`", "is not a part of"]);
}

/// A whole llama with one tensor too many.
fn whole_llama_and(extra: &str) -> Builder {
    llama(false).f32s(extra, &[1], &[1.0])
}
