//! The architectures on small files of random weights, against the reference in `support/reference.rs`; and what they refuse.

mod support;

use burn::tensor::Device;
use hearth_kernels::{Batch, KvCache, Step};
use hearth_models::{
    arch::{self, Network, Outline, Source},
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

/// A decoder of two layers with what sets `architecture` apart: qwen2 has biases, qwen3 norms on long heads, qwen3moe experts as well, phi3 fused matrices and heads
/// of which a part is turned. All were trained on 16 positions and stretched to 64.
fn decoder(architecture: &str) -> Builder {
    let key = |name: &str| format!("{architecture}.{name}");
    let (is_qwen3, is_phi3, has_experts) = (architecture.starts_with("qwen3"), architecture == "phi3", architecture == "qwen3moe");
    let head = if is_qwen3 { 16 } else { 8 };
    let mut file = Builder::default()
        .str("general.architecture", architecture)
        .u32(&key("context_length"), 64)
        .u32(&key("rope.scaling.original_context_length"), 16)
        .u32(&key("block_count"), 2)
        .u32(&key("embedding_length"), 32)
        .u32(&key("feed_forward_length"), 64)
        .u32(&key("attention.head_count"), 4)
        .u32(&key("attention.head_count_kv"), 2)
        .f32(&key("attention.layer_norm_rms_epsilon"), 1e-6)
        .f32(&key("rope.freq_base"), 100.0);
    if is_qwen3 {
        file = file.u32(&key("attention.key_length"), head).u32(&key("attention.value_length"), head);
    }
    if is_phi3 {
        file = file.u32(&key("rope.dimension_count"), 6).u32(&key("attention.sliding_window"), 7);
    }
    if has_experts {
        file = file.u32(&key("expert_count"), 5).u32(&key("expert_used_count"), 3).u32(&key("expert_feed_forward_length"), 20);
    }
    let head = u64::from(head);
    let mut weights = Weights::new(file);
    weights.matrix("token_embd.weight", VOCABULARY, 32);
    weights.vector("output_norm.weight", 32, 1.0);
    for layer in 0..2 {
        let name = |part: &str| format!("blk.{layer}.{part}");
        weights.vector(&name("attn_norm.weight"), 32, 1.0);
        weights.vector(&name("ffn_norm.weight"), 32, 1.0);
        if has_experts {
            weights.matrix(&name("ffn_gate_inp.weight"), 5, 32);
            weights.add(&name("ffn_gate_exps.weight"), &[32, 20, 5], 0.0, 0.3);
            weights.add(&name("ffn_up_exps.weight"), &[32, 20, 5], 0.0, 0.3);
            weights.add(&name("ffn_down_exps.weight"), &[20, 32, 5], 0.0, 0.3);
        }
        let apart = [("attn_q", 4 * head), ("attn_k", 2 * head), ("attn_v", 2 * head), ("ffn_gate", 64), ("ffn_up", 64)];
        let fused = [("attn_qkv", 8 * head), ("ffn_up", 128)];
        let parts = if is_phi3 { &fused[..] } else { &apart };
        for &(part, rows) in parts.iter().filter(|(part, _)| !has_experts || part.starts_with("attn")) {
            weights.matrix(&name(&format!("{part}.weight")), rows, 32);
            if architecture == "qwen2" && part.starts_with("attn") {
                weights.vector(&name(&format!("{part}.bias")), rows, 0.0);
            }
        }
        weights.matrix(&name("attn_output.weight"), 32, 4 * head);
        if !has_experts {
            weights.matrix(&name("ffn_down.weight"), 32, 64);
        }
        if is_qwen3 {
            weights.vector(&name("attn_q_norm.weight"), head, 1.0);
            weights.vector(&name("attn_k_norm.weight"), head, 1.0);
        }
    }
    if architecture != "qwen2" {
        weights.matrix("output.weight", VOCABULARY, 32);
    }
    weights.file
}

/// A phi3 with LongRoPE's factors.
fn phi3_long() -> Builder {
    let mut weights = Weights::new(decoder("phi3").f32("phi3.rope.scaling.attn_factor", 1.2));
    weights.vector("rope_factors_short.weight", 3, 1.0);
    weights.vector("rope_factors_long.weight", 3, 4.0);
    weights.file
}

/// A gemma2 of three layers: the second sees everything.
fn gemma2(window: u32) -> Builder {
    let file = gemma("gemma2", 3, window).f32("gemma2.final_logit_softcapping", 3.0);
    gemma_weights(file.f32("gemma2.attn_logit_softcapping", 2.0), 3, false)
}

/// A gemma3 of seven layers, so that the sixth sees everything, with a window that a short prompt outgrows.
fn gemma3(window: u32) -> Builder {
    let file = gemma("gemma3", 7, window).f32("gemma3.rope.freq_base", 1e6);
    gemma_weights(file.f32("gemma3.final_logit_softcapping", 3.0), 7, true)
}

fn gemma(architecture: &str, layers: u32, window: u32) -> Builder {
    let key = |name: &str| format!("{architecture}.{name}");
    Builder::default()
        .str("general.architecture", architecture)
        .u32(&key("block_count"), layers)
        .u32(&key("embedding_length"), 32)
        .u32(&key("feed_forward_length"), 64)
        .u32(&key("attention.head_count"), 4)
        .u32(&key("attention.head_count_kv"), 1)
        .u32(&key("attention.key_length"), 16)
        .u32(&key("attention.sliding_window"), window)
        .f32(&key("attention.layer_norm_rms_epsilon"), 1e-6)
}

fn gemma_weights(file: Builder, layers: usize, head_norms: bool) -> Builder {
    let mut weights = Weights::new(file);
    weights.matrix("token_embd.weight", VOCABULARY, 32);
    weights.vector("output_norm.weight", 32, 1.0);
    for layer in 0..layers {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        for part in ["attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"] {
            weights.vector(&name(part), 32, 1.0);
        }
        for part in if head_norms { &["attn_q_norm", "attn_k_norm"][..] } else { &[] } {
            weights.vector(&name(part), 16, 1.0);
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
    load_for(bytes, 0, device)
}

/// To serve contexts of up to `context` tokens.
fn load_for(bytes: &[u8], context: usize, device: &Device) -> Box<dyn Network> {
    arch::load(Source { gguf: &Gguf::parse(bytes).unwrap(), packed: None, context, device }).unwrap()
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
    agrees_for(64, file, len);
}

#[track_caller]
fn agrees_for(context: usize, file: Builder, len: usize) {
    let (bytes, device, tokens) = (file.build(), Device::flex(), tokens(len, 3));
    let got = chunked(&*load_for(&bytes, context, &device), &device, &tokens, &[len]);
    let want = reference::logits(&Gguf::parse(&bytes).unwrap(), context, &tokens);
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
fn llama_with_a_window_agrees() {
    agrees(llama(false).u32("llama.attention.sliding_window", 9), 30);
    let device = Device::flex();
    let tokens = tokens(30, 4);
    let logits = |window| {
        let file = llama(false).u32("llama.attention.sliding_window", window);
        chunked(&*load(&file.build(), &device), &device, &tokens, &[30])
    };
    assert_eq!(logits(0), logits(30), "a window of 0 is none");
    assert_ne!(logits(0), logits(9));
}

#[test]
fn qwen2_qwen3_qwen3moe_and_phi3_agree() {
    for architecture in ["qwen2", "qwen3", "qwen3moe", "phi3"] {
        agrees(decoder(architecture), 30);
    }
}

#[test]
fn yarn_agrees() {
    for architecture in ["llama", "qwen2", "qwen3"] {
        let key = |name: &str| format!("{architecture}.rope.scaling.{name}");
        let file = if architecture == "llama" { llama(false).u32("llama.context_length", 64) } else { decoder(architecture) };
        agrees(file.str(&key("type"), "yarn").f32(&key("factor"), 4.0), 30);
    }
}

#[test]
fn yarn_takes_its_bounds_and_magnitude_from_the_file() {
    let device = Device::flex();
    let tokens = tokens(30, 4);
    let logits = |file: Builder| chunked(&*load(&file.build(), &device), &device, &tokens, &[30]);
    let yarn = || decoder("qwen2").str("qwen2.rope.scaling.type", "yarn").f32("qwen2.rope.scaling.factor", 4.0);
    let usual = logits(yarn());
    let with = |name: &str, value: f32| logits(yarn().f32(&format!("qwen2.rope.scaling.{name}"), value));
    assert_eq!(with("yarn_beta_fast", 32.0), usual);
    assert_eq!(with("yarn_beta_slow", 1.0), usual);
    assert_ne!(with("yarn_beta_fast", 0.5), usual);
    assert_ne!(with("yarn_beta_slow", 0.1), usual);
    // Without extrapolation all that is left is interpolation and the magnitude; a multiplier of 1 takes the magnitude away as well.
    let file = yarn().f32("qwen2.rope.scaling.yarn_ext_factor", 0.0).f32("qwen2.rope.scaling.yarn_log_multiplier", 1.0);
    assert_eq!(logits(file), logits(decoder("qwen2").str("qwen2.rope.scaling.type", "linear").f32("qwen2.rope.scaling.factor", 4.0)));
}

#[test]
fn longrope_agrees_in_short_and_long_contexts() {
    for context in [16, 17, 64] {
        agrees_for(context, phi3_long(), 16);
    }
    let (bytes, device, tokens) = (phi3_long().build(), Device::flex(), tokens(16, 4));
    let logits = |context| chunked(&*load_for(&bytes, context, &device), &device, &tokens, &[16]);
    assert_eq!(logits(0), logits(64), "as long as it was trained for");
    assert_eq!(logits(1000), logits(64), "nor longer");
    assert_ne!(logits(16), logits(64));
}

#[test]
fn gemma2_agrees_inside_and_beyond_its_window() {
    agrees(gemma2(9), 7);
    agrees(gemma2(9), 40);
}

#[test]
fn gemma2_has_caps_and_a_window_where_the_file_is_silent() {
    let device = Device::flex();
    let tokens = tokens(30, 4);
    let logits = |file: Builder| chunked(&*load(&gemma_weights(file, 3, false).build(), &device), &device, &tokens, &[30]);
    let (score, logit) = ("gemma2.attn_logit_softcapping", "gemma2.final_logit_softcapping");
    let silent = logits(gemma("gemma2", 3, 9));
    assert_eq!(silent, logits(gemma("gemma2", 3, 9).f32(score, 50.0).f32(logit, 30.0)));
    assert_ne!(silent, logits(gemma("gemma2", 3, 9).f32(score, 0.0)), "0 is no cap");
    assert_ne!(silent, logits(gemma("gemma2", 3, 9).f32(logit, 0.0)), "0 is no cap");
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

/// What `hearth capacity` reads of a header is what loading the file finds.
#[test]
fn an_outline_is_that_of_the_network() {
    let device = Device::flex();
    let trained = |file: Builder, architecture: &str| match architecture {
        "llama" | "gemma2" | "gemma3" => file.u32(&format!("{architecture}.context_length"), 64),
        _ => file,
    };
    for (architecture, file, windows) in [
        ("llama", llama(false), vec![None; 2]),
        ("llama", llama(false).u32("llama.attention.sliding_window", 5), vec![Some(5); 2]),
        ("qwen2", decoder("qwen2"), vec![None; 2]),
        ("qwen3", decoder("qwen3"), vec![None; 2]),
        ("qwen3moe", decoder("qwen3moe"), vec![None; 2]),
        // Its file names a window, which nobody takes.
        ("phi3", decoder("phi3"), vec![None; 2]),
        ("gemma2", gemma2(5), vec![Some(5), None, Some(5)]),
    ] {
        let bytes = trained(file, architecture).build();
        let network = load(&bytes, &device);
        let parsed = Gguf::parse(&bytes).unwrap();
        let outline = Outline::of(&parsed).unwrap();
        let kv = outline.kv.unwrap();
        assert_eq!((outline.context_length, outline.vocabulary), (64, network.vocabulary()), "{architecture}");
        assert_eq!((kv.shape, kv.windows), (network.kv_shape(), windows), "{architecture}");
        // Each matrix begins at a cache line of its allocation, with up to that much before it; a fused one is up to three.
        let lines = 3 * 64 * parsed.tensors.len() as u64;
        let loaded = network.weight_bytes() as u64;
        assert!((outline.cpu_bytes..=outline.cpu_bytes + lines).contains(&loaded), "{architecture}: {} for {loaded}", outline.cpu_bytes);
        // A head of its own leaves the embedding at a row; of five experts three are read.
        let all_are_read = !["qwen3", "qwen3moe", "phi3"].contains(&architecture);
        assert_eq!(outline.token_bytes == outline.cpu_bytes, all_are_read, "{architecture}: {}", outline.token_bytes);
    }
}

#[test]
fn chunks_and_neighbours_change_no_bit() {
    let device = Device::flex();
    for bytes in [llama(true), decoder("qwen3"), decoder("qwen3moe"), phi3_long(), gemma2(9), gemma3(9)].map(Builder::build) {
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
    refuses(base().str("general.architecture", "mamba"), &["`mamba` is not supported", "llama, gemma2"]);
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
    refuses(heads().str("llama.rope.scaling.type", "dynamic"), &["`dynamic` is not supported", "yarn"]);
    refuses(heads().str("llama.rope.scaling.type", "yarn"), &["`llama.context_length`: missing"]);
    refuses(heads().f32("llama.rope.freq_base", 0.0), &["rope.freq_base"]);
    refuses(whole_llama_and("blk.0.attn_q.scale"), &["`blk.0.attn_q.scale`", "is not a part of"]);
    refuses(whole_llama_and("blk.9.attn_q.weight"), &["`blk.9.attn_q.weight`", "is not a part of"]);
}

/// A whole llama with one tensor too many.
fn whole_llama_and(extra: &str) -> Builder {
    llama(false).f32s(extra, &[1], &[1.0])
}
