//! Folders as Hugging Face has them, written from values, and the same model as a GGUF: changed on the way by formulas of their own, so that a mistake is not made twice.

use std::{
    fs,
    path::{Path, PathBuf},
};

use half::{bf16, f16};
use hearth_kernels::{Batch, KvCache, Step};
use hearth_models::arch::Network;
use serde_json::{Value, json};

use super::{Builder, Random};

/// Tokens of [`tokenizer`].
pub const TOKENS: usize = 261;
/// Rows of the embeddings here: more than tokens, as many models have it.
pub const ROWS: usize = 280;

/// A tensor as a safetensors file has it.
#[derive(Clone)]
pub struct Tensor {
    pub name: String,
    pub dtype: &'static str,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// The bytes of a safetensors file.
pub fn safetensors(tensors: &[Tensor]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), vec![]);
    for Tensor { name, dtype, shape, bytes } in tensors {
        header.insert(name.clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": [data.len(), data.len() + bytes.len()]}));
        data.extend(bytes);
    }
    let header = Value::from(header).to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

/// A model in both shapes.
pub struct Twins {
    pub config: Value,
    pub tensors: Vec<Tensor>,
    pub gguf: Builder,
    dtype: &'static str,
    random: Random,
}

impl Twins {
    fn new(config: Value, gguf: Builder, dtype: &'static str) -> Self {
        Self { config, tensors: vec![], gguf, dtype, random: Random(11) }
    }

    /// A tensor of both. `change` makes the GGUF's values, in f32, of the folder's.
    fn add(&mut self, theirs: &str, ours: &str, shape: &[usize], center: f32, scale: f32, change: impl Fn(Vec<f32>) -> Vec<f32>) {
        let len = shape.iter().product::<usize>();
        let values: Vec<f32> = (0..len).map(|_| center + scale * self.random.normal()).collect();
        let (bytes, values) = stored(self.dtype, &values);
        self.tensors.push(Tensor { name: theirs.into(), dtype: self.dtype, shape: shape.to_vec(), bytes });
        let values = change(values);
        let dimensions: Vec<u64> = shape.iter().rev().map(|&d| d as u64).collect();
        // Vectors are f32 in a GGUF, as its converters write them.
        let (ty, bytes) = match (self.dtype, shape.len()) {
            ("F16", 2) => (1, stored("F16", &values).0),
            ("BF16", 2) => (30, stored("BF16", &values).0),
            _ => (0, stored("F32", &values).0),
        };
        self.gguf = std::mem::take(&mut self.gguf).tensor(ours, &dimensions, ty, &bytes);
    }

    fn matrix(&mut self, theirs: &str, ours: &str, rows: usize, columns: usize) {
        self.add(theirs, ours, &[rows, columns], 0.0, 1.5 / (columns as f32).sqrt(), |values| values);
    }

    /// Matrices of experts, which a GGUF has one after another.
    fn experts(&mut self, theirs: impl Fn(usize) -> String, ours: &str, [count, rows, columns]: [usize; 3]) {
        let mut all = vec![];
        for expert in 0..count {
            let values: Vec<f32> = (0..rows * columns).map(|_| 1.5 / (columns as f32).sqrt() * self.random.normal()).collect();
            let (bytes, values) = stored(self.dtype, &values);
            self.tensors.push(Tensor { name: theirs(expert), dtype: self.dtype, shape: vec![rows, columns], bytes });
            all.extend(values);
        }
        let ty = match self.dtype {
            "F16" => 1,
            "BF16" => 30,
            _ => 0,
        };
        let dimensions = [columns, rows, count].map(|d| d as u64);
        self.gguf = std::mem::take(&mut self.gguf).tensor(ours, &dimensions, ty, &stored(self.dtype, &all).0);
    }

    /// Rows of heads that llama's GGUFs have in another order.
    fn heads(&mut self, theirs: &str, ours: &str, heads: usize, head: usize, columns: usize) {
        let interleave = |values: Vec<f32>| {
            let row_of = |row: usize| row / head * head + row % head % 2 * (head / 2) + row % head / 2;
            (0..heads * head).flat_map(|row| values[row_of(row) * columns..][..columns].to_vec()).collect()
        };
        let shape: &[usize] = if columns == 1 { &[heads * head] } else { &[heads * head, columns] };
        self.add(theirs, ours, shape, 0.0, 1.5 / (columns as f32).sqrt(), interleave);
    }

    /// Writes the folder `name` anew.
    pub fn write(&self, name: &str) -> Folder {
        let folder = Folder::new(name);
        folder.put("config.json", self.config.to_string());
        folder.put("tokenizer.json", tokenizer().to_string());
        folder.put(
            "tokenizer_config.json",
            json!({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": "{{ bos_token }}{{ messages[0].content }}"})
                .to_string(),
        );
        folder.put("generation_config.json", json!({"eos_token_id": [259, 260]}).to_string());
        folder.put("model.safetensors", safetensors(&self.tensors));
        folder
    }

    /// Writes it in shards of so many tensors.
    pub fn write_sharded(&self, name: &str, each: usize) -> Folder {
        let folder = self.write(name);
        fs::remove_file(folder.0.join("model.safetensors")).unwrap();
        let mut map = serde_json::Map::new();
        for (number, tensors) in self.tensors.chunks(each).enumerate() {
            let shard = format!("model-{number:05}.safetensors");
            folder.put(&shard, safetensors(tensors));
            map.extend(tensors.iter().map(|tensor| (tensor.name.clone(), shard.as_str().into())));
        }
        folder.put("model.safetensors.index.json", json!({"metadata": {"total_size": 1}, "weight_map": map}).to_string());
        folder
    }

    pub fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|tensor| tensor.name == name).unwrap()
    }
}

/// The bytes of `values` in a type, and what they are after that.
pub fn stored(dtype: &str, values: &[f32]) -> (Vec<u8>, Vec<f32>) {
    match dtype {
        "F32" => (values.iter().flat_map(|v| v.to_le_bytes()).collect(), values.to_vec()),
        "F16" => {
            let values: Vec<f16> = values.iter().map(|v| f16::from_f32(*v)).collect();
            (values.iter().flat_map(|v| v.to_le_bytes()).collect(), values.iter().map(|v| v.to_f32()).collect())
        }
        "BF16" => {
            let values: Vec<bf16> = values.iter().map(|v| bf16::from_f32(*v)).collect();
            (values.iter().flat_map(|v| v.to_le_bytes()).collect(), values.iter().map(|v| v.to_f32()).collect())
        }
        other => panic!("{other}"),
    }
}

/// A folder on disk that goes with the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hearth-folder-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        fs::write(self.0.join(name), bytes).unwrap();
        self
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A llama of two layers, queries and keys of which have biases where `with_extras`, which brings llama 3's RoPE and an output head as well.
pub fn llama(dtype: &'static str, width: usize, with_extras: bool) -> Twins {
    let (heads, kv_heads, hidden) = (4, 2, 2 * width);
    let head = width / heads;
    let mut config = json!({
        "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "hidden_size": width, "intermediate_size": hidden, "num_hidden_layers": 2,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "rms_norm_eps": 1e-5, "rope_theta": 500.0, "max_position_embeddings": 512,
        "vocab_size": ROWS, "tie_word_embeddings": !with_extras, "torch_dtype": "bfloat16"
    });
    let mut gguf = Builder::default()
        .str("general.architecture", "llama")
        .u32("llama.block_count", 2)
        .u32("llama.context_length", 512)
        .u32("llama.embedding_length", width as u32)
        .u32("llama.feed_forward_length", hidden as u32)
        .u32("llama.attention.head_count", heads as u32)
        .u32("llama.attention.head_count_kv", kv_heads as u32)
        .u32("llama.rope.dimension_count", head as u32)
        .f32("llama.attention.layer_norm_rms_epsilon", 1e-5)
        .f32("llama.rope.freq_base", 500.0);
    if with_extras {
        config["rope_scaling"] = json!({
            "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64
        });
        let factor = |i: usize| {
            let wave = 2.0 * std::f64::consts::PI * 500_f64.powf(2.0 * i as f64 / head as f64);
            let part = ((64.0 / wave - 1.0) / 3.0).clamp(0.0, 1.0);
            (1.0 / (part + (1.0 - part) / 4.0)) as f32
        };
        gguf = gguf.f32s("rope_freqs.weight", &[head as u64 / 2], &(0..head / 2).map(factor).collect::<Vec<_>>());
    }
    let mut twins = Twins::new(config, gguf, dtype);
    let same = |values: Vec<f32>| values;
    twins.matrix("model.embed_tokens.weight", "token_embd.weight", ROWS, width);
    twins.add("model.norm.weight", "output_norm.weight", &[width], 1.0, 0.3, same);
    for layer in 0..2 {
        let theirs = |part: &str| format!("model.layers.{layer}.{part}");
        let ours = |part: &str| format!("blk.{layer}.{part}");
        twins.add(&theirs("input_layernorm.weight"), &ours("attn_norm.weight"), &[width], 1.0, 0.3, same);
        twins.add(&theirs("post_attention_layernorm.weight"), &ours("ffn_norm.weight"), &[width], 1.0, 0.3, same);
        twins.heads(&theirs("self_attn.q_proj.weight"), &ours("attn_q.weight"), heads, head, width);
        twins.heads(&theirs("self_attn.k_proj.weight"), &ours("attn_k.weight"), kv_heads, head, width);
        if with_extras {
            twins.heads(&theirs("self_attn.q_proj.bias"), &ours("attn_q.bias"), heads, head, 1);
            twins.heads(&theirs("self_attn.k_proj.bias"), &ours("attn_k.bias"), kv_heads, head, 1);
        }
        twins.matrix(&theirs("self_attn.v_proj.weight"), &ours("attn_v.weight"), kv_heads * head, width);
        twins.matrix(&theirs("self_attn.o_proj.weight"), &ours("attn_output.weight"), width, heads * head);
        twins.matrix(&theirs("mlp.gate_proj.weight"), &ours("ffn_gate.weight"), hidden, width);
        twins.matrix(&theirs("mlp.up_proj.weight"), &ours("ffn_up.weight"), hidden, width);
        twins.matrix(&theirs("mlp.down_proj.weight"), &ours("ffn_down.weight"), width, hidden);
    }
    if with_extras {
        twins.matrix("lm_head.weight", "output.weight", ROWS, width);
        // What old files carry and nobody needs.
        twins.tensors.push(Tensor {
            name: "model.layers.0.self_attn.rotary_emb.inv_freq".into(),
            dtype: "F64",
            shape: vec![1],
            bytes: vec![0; 8],
        });
    }
    twins
}

/// A plain decoder of two layers whose heads keep their order: `qwen2` with biases and YaRN, `qwen3` with norms on its heads, `qwen3moe` with experts besides, `phi3` with fused matrices, LongRoPE and a
/// part of each head rotated.
pub fn plain(architecture: &str, dtype: &'static str) -> Twins {
    let (width, hidden, heads, kv_heads, head) = (64, 96, 4, 2, if architecture.starts_with("qwen3") { 24 } else { 16 });
    let key = |name: &str| format!("{architecture}.{name}");
    let mut config = json!({
        "hidden_act": "silu", "hidden_size": width, "intermediate_size": hidden, "num_hidden_layers": 2, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "rms_norm_eps": 1e-5, "rope_theta": 500.0, "max_position_embeddings": 512, "tie_word_embeddings": true,
        "sliding_window": 7, "use_sliding_window": false
    });
    let mut gguf = Builder::default()
        .str("general.architecture", architecture)
        .u32(&key("block_count"), 2)
        .u32(&key("context_length"), 512)
        .u32(&key("embedding_length"), width as u32)
        .u32(&key("feed_forward_length"), hidden as u32)
        .u32(&key("attention.head_count"), heads as u32)
        .u32(&key("attention.head_count_kv"), kv_heads as u32)
        .f32(&key("attention.layer_norm_rms_epsilon"), 1e-5)
        .f32(&key("rope.freq_base"), 500.0);
    match architecture {
        "qwen2" => {
            config["architectures"] = json!(["Qwen2ForCausalLM"]);
            config["rope_scaling"] = json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16});
            gguf = gguf.str("qwen2.rope.scaling.type", "yarn").f32("qwen2.rope.scaling.factor", 4.0);
            gguf = gguf.u32("qwen2.rope.scaling.original_context_length", 16);
        }
        "qwen3" | "qwen3moe" => {
            config["architectures"] = json!(["Qwen3ForCausalLM"]);
            config["head_dim"] = json!(head);
            gguf = gguf.u32(&key("attention.key_length"), head as u32).u32(&key("attention.value_length"), head as u32);
            if architecture == "qwen3moe" {
                config["architectures"] = json!(["Qwen3MoeForCausalLM"]);
                for (name, theirs, number) in [
                    ("expert_count", "num_experts", 5),
                    ("expert_used_count", "num_experts_per_tok", 2),
                    ("expert_feed_forward_length", "moe_intermediate_size", 32),
                ] {
                    config[theirs] = json!(number);
                    gguf = gguf.u32(&key(name), number);
                }
                config["norm_topk_prob"] = json!(true);
            }
        }
        _ => {
            let (long, short): (Vec<f32>, Vec<f32>) = ((0..6).map(|i| 2.0 + i as f32).collect(), vec![1.25; 6]);
            config["architectures"] = json!(["Phi3ForCausalLM"]);
            config["partial_rotary_factor"] = json!(0.75);
            config["original_max_position_embeddings"] = json!(128);
            config["rope_scaling"] = json!({"type": "longrope", "long_factor": long, "short_factor": short});
            // `sqrt(1 + ln(512 / 128) / ln(128))`
            gguf = gguf
                .u32("phi3.rope.dimension_count", 12)
                .f32("phi3.rope.scaling.attn_factor", (1.0 + 4_f64.ln() / 128_f64.ln()).sqrt() as f32);
            gguf = gguf.u32("phi3.rope.scaling.original_context_length", 128);
            gguf = gguf.f32s("rope_factors_long.weight", &[6], &long).f32s("rope_factors_short.weight", &[6], &short);
        }
    }
    let mut twins = Twins::new(config, gguf, dtype);
    let same = |values: Vec<f32>| values;
    twins.matrix("model.embed_tokens.weight", "token_embd.weight", ROWS, width);
    twins.add("model.norm.weight", "output_norm.weight", &[width], 1.0, 0.3, same);
    for layer in 0..2 {
        let theirs = |part: &str| format!("model.layers.{layer}.{part}");
        let ours = |part: &str| format!("blk.{layer}.{part}");
        twins.add(&theirs("input_layernorm.weight"), &ours("attn_norm.weight"), &[width], 1.0, 0.3, same);
        twins.add(&theirs("post_attention_layernorm.weight"), &ours("ffn_norm.weight"), &[width], 1.0, 0.3, same);
        twins.matrix(&theirs("self_attn.o_proj.weight"), &ours("attn_output.weight"), width, heads * head);
        if architecture == "qwen3moe" {
            twins.matrix(&theirs("mlp.gate.weight"), &ours("ffn_gate_inp.weight"), 5, width);
            for (part, rows, columns) in [("gate", 32, width), ("up", 32, width), ("down", width, 32)] {
                let theirs = |expert| theirs(&format!("mlp.experts.{expert}.{part}_proj.weight"));
                twins.experts(theirs, &ours(&format!("ffn_{part}_exps.weight")), [5, rows, columns]);
            }
        } else {
            twins.matrix(&theirs("mlp.down_proj.weight"), &ours("ffn_down.weight"), width, hidden);
        }
        if architecture == "phi3" {
            twins.matrix(&theirs("self_attn.qkv_proj.weight"), &ours("attn_qkv.weight"), (heads + 2 * kv_heads) * head, width);
            twins.matrix(&theirs("mlp.gate_up_proj.weight"), &ours("ffn_up.weight"), 2 * hidden, width);
            continue;
        }
        if architecture != "qwen3moe" {
            twins.matrix(&theirs("mlp.gate_proj.weight"), &ours("ffn_gate.weight"), hidden, width);
            twins.matrix(&theirs("mlp.up_proj.weight"), &ours("ffn_up.weight"), hidden, width);
        }
        for (part, heads) in [("q", heads), ("k", kv_heads), ("v", kv_heads)] {
            let (a, b) = (theirs(&format!("self_attn.{part}_proj")), ours(&format!("attn_{part}")));
            twins.matrix(&format!("{a}.weight"), &format!("{b}.weight"), heads * head, width);
            if architecture == "qwen2" {
                twins.add(&format!("{a}.bias"), &format!("{b}.bias"), &[heads * head], 0.0, 0.3, same);
            } else if part != "v" {
                let norm = theirs(&format!("self_attn.{part}_norm.weight"));
                twins.add(&norm, &ours(&format!("attn_{part}_norm.weight")), &[head], 1.0, 0.3, same);
            }
        }
    }
    twins
}

/// A gemma 3 of seven layers, as the text part of a larger model where `within`.
pub fn gemma3(dtype: &'static str, within: bool) -> Twins {
    gemma("gemma3", dtype, within)
}

/// A gemma 2 of three layers.
pub fn gemma2(dtype: &'static str) -> Twins {
    gemma("gemma2", dtype, false)
}

fn gemma(architecture: &str, dtype: &'static str, within: bool) -> Twins {
    let (width, layers) = (32, if architecture == "gemma3" { 7 } else { 3 });
    let key = |name: &str| format!("{architecture}.{name}");
    let mut text = json!({
        "hidden_activation": "gelu_pytorch_tanh", "hidden_size": width, "intermediate_size": 64, "num_hidden_layers": layers, "num_attention_heads": 4,
        "num_key_value_heads": 1, "head_dim": 16, "query_pre_attn_scalar": 16, "rms_norm_eps": 1e-6, "rope_theta": 1e6, "rope_local_base_freq": 10_000.0,
        "sliding_window": 9, "max_position_embeddings": 512, "attn_logit_softcapping": null, "final_logit_softcapping": 3.0
    });
    if architecture == "gemma2" {
        text["rope_theta"] = json!(10_000.0);
        text["query_pre_attn_scalar"] = json!(24);
        text["attn_logit_softcapping"] = json!(5.0);
    }
    let (config, prefix) = match within {
        true => (json!({"architectures": ["Gemma3ForConditionalGeneration"], "text_config": text, "vision_config": {}}), "language_model."),
        false => {
            let mut config = text;
            config["architectures"] = json!([if architecture == "gemma3" { "Gemma3ForCausalLM" } else { "Gemma2ForCausalLM" }]);
            (config, "")
        }
    };
    let gguf = Builder::default()
        .str("general.architecture", architecture)
        .u32(&key("block_count"), layers as u32)
        .u32(&key("context_length"), 512)
        .u32(&key("embedding_length"), width as u32)
        .u32(&key("feed_forward_length"), 64)
        .u32(&key("attention.head_count"), 4)
        .u32(&key("attention.head_count_kv"), 1)
        .u32(&key("attention.key_length"), 16)
        .u32(&key("attention.value_length"), 16)
        .u32(&key("attention.sliding_window"), 9)
        .f32(&key("attention.layer_norm_rms_epsilon"), 1e-6)
        .f32(&key("final_logit_softcapping"), 3.0);
    let gguf = match architecture {
        "gemma3" => gguf.f32("gemma3.rope.freq_base", 1e6),
        _ => gguf.f32("gemma2.attn_logit_softcapping", 5.0).f32("gemma2.attention.scale", 24_f32.sqrt().recip()),
    };
    let mut twins = Twins::new(config, gguf, dtype);
    let plus_one = |values: Vec<f32>| values.into_iter().map(|v| v + 1.0).collect();
    twins.matrix(&format!("{prefix}model.embed_tokens.weight"), "token_embd.weight", ROWS, width);
    twins.add(&format!("{prefix}model.norm.weight"), "output_norm.weight", &[width], 0.0, 0.3, plus_one);
    for layer in 0..layers {
        let theirs = |part: &str| format!("{prefix}model.layers.{layer}.{part}.weight");
        let ours = |part: &str| format!("blk.{layer}.{part}.weight");
        for (a, b, len) in [
            ("input_layernorm", "attn_norm", width),
            ("post_attention_layernorm", "post_attention_norm", width),
            ("pre_feedforward_layernorm", "ffn_norm", width),
            ("post_feedforward_layernorm", "post_ffw_norm", width),
            ("self_attn.q_norm", "attn_q_norm", 16),
            ("self_attn.k_norm", "attn_k_norm", 16),
        ] {
            if architecture == "gemma2" && a.starts_with("self_attn") {
                continue;
            }
            twins.add(&theirs(a), &ours(b), &[len], 0.0, 0.3, plus_one);
        }
        for (a, b, rows, columns) in [
            ("self_attn.q_proj", "attn_q", 64, width),
            ("self_attn.k_proj", "attn_k", 16, width),
            ("self_attn.v_proj", "attn_v", 16, width),
            ("self_attn.o_proj", "attn_output", width, 64),
            ("mlp.gate_proj", "ffn_gate", 64, width),
            ("mlp.up_proj", "ffn_up", 64, width),
            ("mlp.down_proj", "ffn_down", width, 64),
        ] {
            twins.matrix(&theirs(a), &ours(b), rows, columns);
        }
    }
    if within {
        twins.tensors.push(Tensor { name: "vision_tower.a.weight".into(), dtype: "F32", shape: vec![1], bytes: vec![0; 4] });
    }
    twins
}

/// GPT-2's letter for a byte: itself where it is printable, else the next free one from U+0100 on.
fn letter(byte: u8) -> char {
    let printable = |byte: u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    match printable(byte) {
        true => char::from(byte),
        false => char::from_u32(0x100 + (0..byte).filter(|b| !printable(*b)).count() as u32).unwrap(),
    }
}

/// A byte-level BPE with two merges, two special tokens and one that is not, saved with a truncation that a trainer wanted.
pub fn tokenizer() -> Value {
    let mut vocab: serde_json::Map<String, Value> = (0..=255_u8).map(|byte| (letter(byte).to_string(), byte.into())).collect();
    vocab.insert("he".into(), 256.into());
    vocab.insert("hel".into(), 257.into());
    let added = |id: usize, content: &str, special: bool| json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": special});
    let sequence = json!({"Sequence": {"id": "A", "type_id": 0}});
    let begin = json!({"SpecialToken": {"id": "<s>", "type_id": 0}});
    json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "!"},
        "added_tokens": [added(258, "<s>", true), added(259, "</s>", true), added(260, "<tool>", false)],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [begin.clone(), sequence.clone()],
            "pair": [begin, sequence, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [258], "tokens": ["<s>"]}}
        },
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
            "byte_fallback": false, "ignore_merges": false, "vocab": vocab, "merges": [["h", "e"], ["he", "l"]]
        }
    })
}

/// The logits after each of `tokens`, in one step on the CPU.
pub fn logits(network: &dyn Network, tokens: &[u32]) -> Vec<Vec<f32>> {
    let device = burn::tensor::Device::flex();
    let blocks = tokens.len().div_ceil(KvCache::BLOCK_LEN) as u32;
    let mut cache = KvCache::new(network.kv_shape(), blocks as usize, &device);
    let all = || 0..tokens.len() as u32;
    let batch = Batch {
        tokens: tokens.to_vec(),
        positions: all().collect(),
        sequences: vec![0; tokens.len()],
        tables: vec![(0..blocks).collect()],
        outputs: all().collect(),
    };
    let logits = network.forward(&batch, &Step::new(&batch, &device), &mut cache);
    let flat = logits.into_data().try_to_vec::<f32>().unwrap();
    flat.chunks(network.vocabulary()).map(<[f32]>::to_vec).collect()
}

/// The mean Kullback-Leibler divergence, in nats, of what `got` says about the next token from what `want` says.
pub fn divergence(want: &[Vec<f32>], got: &[Vec<f32>]) -> f64 {
    let log_softmax = |row: &[f32]| -> Vec<f64> {
        let max = row.iter().copied().fold(f32::MIN, f32::max);
        let sum: f64 = row.iter().map(|v| f64::from(v - max).exp()).sum();
        row.iter().map(|v| f64::from(v - max) - sum.ln()).collect()
    };
    let of_row = |(want, got): (&Vec<f32>, &Vec<f32>)| -> f64 {
        log_softmax(want).iter().zip(log_softmax(got)).map(|(p, q)| p.exp() * (p - q)).sum()
    };
    want.iter().zip(got).map(of_row).sum::<f64>() / want.len() as f64
}
