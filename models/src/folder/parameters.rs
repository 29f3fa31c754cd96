//! Hyperparameters: from the keys of `config.json` to GGUF's.

use std::path::Path;

use super::{FolderError, config::Config, families::Family, rope::rope};
use crate::gguf::Metadata;

/// What a configuration becomes.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pub(super) metadata: Metadata,
    /// Tensors that GGUF has and Hugging Face keeps in the configuration: names and values.
    pub(super) tensors: Vec<(&'static str, Vec<f32>)>,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) experts: usize,
    /// Whether the embedding is the output head, where the configuration says.
    pub(super) tied: Option<bool>,
}

/// Bound on layers, as the architectures have it: the list of local layers is written from it.
const MAX_LAYERS: u32 = 1 << 12;

/// Keys under the architecture's prefix.
pub(super) struct Writer<'a> {
    pub(super) metadata: Metadata,
    pub(super) architecture: &'a str,
}

impl Writer<'_> {
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    pub(super) fn u32(&mut self, name: &str, value: u32) {
        self.metadata.u32(&self.key(name), value);
    }

    pub(super) fn f32(&mut self, name: &str, value: f64) {
        self.metadata.f32(&self.key(name), value as f32);
    }
}

/// The hyperparameters of a model of `family`.
pub(super) fn read(family: &Family, config: &Config) -> Result<Parameters, FolderError> {
    let architecture = family.architecture;
    refuse(family, config)?;
    let mut writer = Writer { metadata: Metadata::default(), architecture };
    writer.metadata.str("general.architecture", architecture);

    // Gemma 3's files leave out what transformers has as its class's default.
    let is_gemma = matches!(architecture, "gemma2" | "gemma3");
    let or = |key: &str, default: u32| Ok::<_, FolderError>(config.opt_u32(key)?.unwrap_or(default));
    let heads = if architecture == "gemma3" { or("num_attention_heads", 8)? } else { config.u32("num_attention_heads")? };
    let kv_heads = or("num_key_value_heads", if architecture == "gemma3" { 4 } else { heads })?;
    let layers = config.u32("num_hidden_layers")?;
    let width = config.u32("hidden_size")?;
    if heads == 0 || kv_heads == 0 {
        return Err(config.wrong("num_attention_heads", "a model has at least one head"));
    }
    if layers > MAX_LAYERS {
        return Err(config.wrong("num_hidden_layers", format!("{layers} layers are more than {MAX_LAYERS}")));
    }
    let context = if architecture == "gemma3" { or("max_position_embeddings", 131_072)? } else { config.u32("max_position_embeddings")? };
    writer.u32("block_count", layers);
    writer.u32("embedding_length", width);
    writer.u32("feed_forward_length", config.u32("intermediate_size")?);
    writer.u32("attention.head_count", heads);
    writer.u32("attention.head_count_kv", kv_heads);
    let window = window(config)?;
    let reach = window.filter(|_| bounds_context(architecture)).unwrap_or(u32::MAX);
    writer.u32("context_length", context.min(reach));

    if architecture == "bert" {
        writer.f32("attention.layer_norm_epsilon", config.f64("layer_norm_eps")?);
        writer.metadata.bool("bert.attention.causal", false);
        writer.metadata.u32("tokenizer.ggml.token_type_count", config.opt_u32("type_vocab_size")?.unwrap_or(2));
        return Ok(Parameters { metadata: writer.metadata, heads: heads as usize, kv_heads: kv_heads as usize, ..Parameters::default() });
    }
    let eps = if architecture == "gemma3" { config.opt_f64("rms_norm_eps")?.unwrap_or(1e-6) } else { config.f64("rms_norm_eps")? };
    writer.f32("attention.layer_norm_rms_epsilon", eps);
    let head_dim = config.opt_u32("head_dim")?.or(is_gemma.then_some(256));
    if let Some(head_dim) = head_dim {
        writer.u32("attention.key_length", head_dim);
        writer.u32("attention.value_length", head_dim);
    }
    let head_dim = head_dim.unwrap_or(width / heads);
    if is_gemma {
        gemma(&mut writer, config, layers as usize, window)?;
    }
    if architecture == "phi3" {
        // 0 is how GGUF tells Phi-4, which has no window, from the others.
        writer.u32("attention.sliding_window", window.unwrap_or(0));
    }
    let experts = if architecture == "qwen3moe" { experts(&mut writer, config)? } else { 0 };
    let tensors = rope(&mut writer, config, head_dim)?;
    Ok(Parameters {
        metadata: writer.metadata,
        tensors,
        heads: heads as usize,
        kv_heads: kv_heads as usize,
        experts,
        tied: config.opt_bool("tie_word_embeddings")?,
    })
}

/// How the rows of a text become one embedding, as sentence-transformers keeps it beside the model; GGUF's numbers.
pub(super) fn pooling(folder: &Path, metadata: &mut Metadata) -> Result<(), FolderError> {
    let Some(pooling) = Config::read_from(&folder.join("1_Pooling/config.json"))? else { return Ok(()) };
    for (key, number) in [("pooling_mode_mean_tokens", 1), ("pooling_mode_cls_token", 2)] {
        if pooling.opt_bool(key)? == Some(true) {
            metadata.u32("bert.pooling_type", number);
            return Ok(());
        }
    }
    Err(pooling.wrong("pooling_mode_mean_tokens", "only the mean of all tokens and the first one's row are computed here"))
}

/// Refuses what changes the computation in a way that is not built here.
fn refuse(family: &Family, config: &Config) -> Result<(), FolderError> {
    if let Some(quantization) = config.object("quantization_config")? {
        let method: String = quantization.opt_str("quant_method")?.unwrap_or("another program").chars().take(40).collect();
        let cure = "take the model in BF16, F16 or F32 (and --quantize), or as a GGUF";
        return Err(config.wrong("quantization_config", format!("weights quantized by `{method}` are not read: {cure}")));
    }
    // Gemma 2 and 3 name it `hidden_activation` and leave the older key as it was.
    let key = if config.has("hidden_activation") { "hidden_activation" } else { "hidden_act" };
    if let Some(activation) = config.opt_str(key)?
        && !family.activations.contains(&activation)
    {
        let (known, shown) = (family.activations.join("`, `"), activation.chars().take(40).collect::<String>());
        return Err(config.wrong(key, format!("`{shown}` is not computed for `{}` here, only `{known}`", family.architecture)));
    }
    if config.opt_bool("use_bidirectional_attention")?.unwrap_or(false) {
        return Err(config.wrong("use_bidirectional_attention", "attention to later tokens is not computed here"));
    }
    Ok(())
}

/// The sliding window, if the model has one.
fn window(config: &Config) -> Result<Option<u32>, FolderError> {
    // Qwen's files give a window and say that it is not used.
    let used = config.opt_bool("use_sliding_window")?.unwrap_or(true);
    Ok(config.opt_u32("sliding_window")?.filter(|window| used && *window > 0))
}

/// Whether a model's window bounds its context: where windows are not computed, all is as it should be within one. Gemma's are computed; Phi 3's files name one that
/// the model was not reliably trained with, and it is left out.
fn bounds_context(architecture: &str) -> bool {
    !matches!(architecture, "gemma2" | "gemma3" | "phi3")
}

fn gemma(writer: &mut Writer<'_>, config: &Config, layers: usize, window: Option<u32>) -> Result<(), FolderError> {
    let pattern = config.opt_u32("sliding_window_pattern")?;
    if pattern != Some(1) {
        writer.u32("attention.sliding_window", window.unwrap_or(4096));
    }
    if writer.architecture == "gemma3" {
        if let Some(types) = config.opt_strings("layer_types")? {
            if types.len() != layers {
                return Err(config.wrong("layer_types", format!("lists {} layers of {layers}", types.len())));
            }
            let local: Vec<bool> = types.iter().map(|ty| *ty == "sliding_attention").collect();
            writer.metadata.bools("gemma3.attention.sliding_window_pattern", &local);
        } else if let Some(period) = pattern.filter(|period| *period > 1) {
            writer.u32("attention.sliding_window_pattern", period);
        }
    }
    let scaled_by = config.opt_f64("query_pre_attn_scalar")?.unwrap_or(256.0) as f32;
    writer.f32("attention.scale", f64::from(scaled_by.sqrt().recip()));
    for name in ["attn_logit_softcapping", "final_logit_softcapping"] {
        // No cap where it says null, the architecture's own where it says nothing.
        match config.opt_f64(name)? {
            Some(cap) => writer.f32(name, cap),
            None if config.is_null(name) => writer.f32(name, 0.0),
            None => {}
        }
    }
    Ok(())
}

fn experts(writer: &mut Writer<'_>, config: &Config) -> Result<usize, FolderError> {
    let experts = config.u32("num_experts")?;
    writer.u32("expert_count", experts);
    writer.u32("expert_used_count", config.u32("num_experts_per_tok")?);
    writer.u32("expert_feed_forward_length", config.u32("moe_intermediate_size")?);
    if config.opt_bool("norm_topk_prob")? == Some(false) {
        return Err(config.wrong("norm_topk_prob", "weights of experts that do not sum to 1 are not computed here"));
    }
    let every = config.opt_u32("decoder_sparse_step")?.unwrap_or(1);
    if every != 1 || !config.is_empty("mlp_only_layers") {
        return Err(config.wrong("decoder_sparse_step", "layers without experts between those with them are not computed here"));
    }
    Ok(experts as usize)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::gguf::Gguf;

    fn base() -> Value {
        json!({
            "num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2,
            "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 500.0
        })
    }

    fn with(mut object: Value, more: Value) -> Value {
        let Value::Object(more) = more else { panic!() };
        object.as_object_mut().unwrap().extend(more);
        object
    }

    fn read_as(class: &str, config: Value) -> Result<Parameters, FolderError> {
        read(Family::of(class).unwrap(), &Config::of(config))
    }

    /// The metadata that `config` becomes, by key as text.
    fn keys(class: &str, config: Value) -> std::collections::BTreeMap<String, String> {
        let file = read_as(class, config).unwrap().metadata.build();
        let gguf = Gguf::parse(&file).unwrap();
        gguf.metadata.iter().map(|(key, value)| ((*key).to_owned(), format!("{value:?}"))).collect()
    }

    #[track_caller]
    fn has(class: &str, config: Value, expected: &[(&str, &str)]) {
        let keys = keys(class, config);
        for (key, value) in expected {
            assert_eq!(keys.get(*key).map(String::as_str), Some(*value), "{key} of {keys:#?}");
        }
    }

    #[track_caller]
    fn refuses(class: &str, config: Value, parts: &[&str]) {
        let error = read_as(class, config).unwrap_err().to_string();
        for part in parts.iter().chain(&["config.json"]) {
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    }

    #[test]
    fn llamas_keys() {
        has(
            "LlamaForCausalLM",
            base(),
            &[
                ("llama.block_count", "U64(2)"),
                ("llama.attention.head_count_kv", "U64(2)"),
                ("llama.rope.dimension_count", "U64(16)"),
                ("llama.rope.freq_base", "F64(500.0)"),
                ("llama.context_length", "U64(4096)"),
            ],
        );
        has(
            "LlamaForCausalLM",
            with(base(), json!({"head_dim": 32})),
            &[("llama.attention.key_length", "U64(32)"), ("llama.rope.dimension_count", "U64(32)")],
        );
        let linear = with(base(), json!({"rope_scaling": {"type": "linear", "factor": 4.0}}));
        has(
            "LlamaForCausalLM",
            linear,
            &[
                ("llama.rope.scaling.type", &format!("{:?}", crate::gguf::Value::String(b"linear"))),
                ("llama.rope.scaling.factor", "F64(4.0)"),
            ],
        );
        // transformers 5 puts all of RoPE in one object.
        let younger = with(base(), json!({"rope_theta": null, "rope_parameters": {"rope_theta": 9.0, "rope_type": "default"}}));
        has("LlamaForCausalLM", younger, &[("llama.rope.freq_base", "F64(9.0)")]);
    }

    #[test]
    fn a_window_that_is_not_computed_bounds_the_context() {
        has("MistralForCausalLM", with(base(), json!({"sliding_window": 512})), &[("llama.context_length", "U64(512)")]);
        has("MistralForCausalLM", with(base(), json!({"sliding_window": null})), &[("llama.context_length", "U64(4096)")]);
        let unused = with(base(), json!({"sliding_window": 512, "use_sliding_window": false}));
        has("Qwen2ForCausalLM", unused, &[("qwen2.context_length", "U64(4096)")]);
    }

    #[test]
    fn yarns_magnitude_is_told_as_what_it_has_beyond_its_own() {
        let yarn = |more: Value| {
            with(
                base(),
                json!({"rope_scaling": with(json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}), more)}),
            )
        };
        let has = |config: Value, expected: &[(&str, &str)]| has("Qwen2ForCausalLM", config, expected);
        has(yarn(json!({})), &[("qwen2.rope.scaling.factor", "F64(4.0)"), ("qwen2.rope.scaling.original_context_length", "U64(1024)")]);
        has(
            yarn(json!({"attention_factor": 0.1 * 4_f64.ln() + 1.0, "beta_fast": 16})),
            &[("qwen2.rope.scaling.attn_factor", "F64(1.0)"), ("qwen2.rope.scaling.yarn_beta_fast", "F64(16.0)")],
        );
        assert!(!keys("Qwen2ForCausalLM", yarn(json!({}))).contains_key("qwen2.rope.scaling.attn_factor"));
    }

    #[test]
    fn llama_3s_factors_mix_between_short_and_long_waves() {
        let scaling = json!({"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192});
        let config = with(base(), json!({"head_dim": 64, "rope_theta": 500_000.0, "rope_scaling": scaling}));
        let tensors = read_as("LlamaForCausalLM", config).unwrap().tensors;
        let (name, factors) = &tensors[0];
        assert_eq!((*name, factors.len()), ("rope_freqs.weight", 32));
        // With Llama 3.2 1B's numbers, by the formula elsewhere.
        assert!(factors[..15].iter().all(|factor| *factor == 1.0) && factors[18..].iter().all(|factor| *factor == 32.0), "{factors:?}");
        for (factor, want) in factors[15..18].iter().zip([1.651_329, 3.292_262, 9.666_729]) {
            assert!((factor - want).abs() < 1e-5, "{factors:?}");
        }
    }

    #[test]
    fn gemmas_keys() {
        let gemma = with(
            base(),
            json!({
                "head_dim": 16, "query_pre_attn_scalar": 64, "sliding_window": 32, "final_logit_softcapping": null, "attn_logit_softcapping": 50.0,
                "hidden_activation": "gelu_pytorch_tanh"
            }),
        );
        has(
            "Gemma2ForCausalLM",
            gemma.clone(),
            &[
                ("gemma2.attention.scale", "F64(0.125)"),
                ("gemma2.attention.sliding_window", "U64(32)"),
                ("gemma2.attn_logit_softcapping", "F64(50.0)"),
                ("gemma2.final_logit_softcapping", "F64(0.0)"),
                ("gemma2.context_length", "U64(4096)"),
            ],
        );
        let gemma3 = with(
            gemma.clone(),
            json!({"rope_local_base_freq": 100.0, "layer_types": ["sliding_attention", "full_attention"], "rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
        );
        has(
            "Gemma3ForCausalLM",
            gemma3,
            &[
                ("gemma3.rope.freq_base_swa", "F64(100.0)"),
                ("gemma3.rope.freq_base", "F64(500.0)"),
                ("gemma3.rope.scaling.factor", "F64(8.0)"),
                ("gemma3.attention.sliding_window_pattern", "Array([Bool; 2])"),
            ],
        );
        let younger = json!({"rope_parameters": {"full_attention": {"rope_theta": 5.0, "rope_type": "default"}, "sliding_attention": {"rope_theta": 3.0}}});
        has("Gemma3ForCausalLM", with(gemma, younger), &[("gemma3.rope.freq_base", "F64(5.0)"), ("gemma3.rope.freq_base_swa", "F64(3.0)")]);
    }

    #[test]
    fn phi_3s_factors_and_rotated_part() {
        let factors = |value: f64| Value::from(vec![value; 6]);
        let scaling = json!({"type": "longrope", "long_factor": factors(2.0), "short_factor": factors(1.0)});
        let phi = with(
            base(),
            json!({"rope_scaling": scaling, "original_max_position_embeddings": 1024, "partial_rotary_factor": 0.75, "sliding_window": null}),
        );
        has(
            "Phi3ForCausalLM",
            phi.clone(),
            &[
                ("phi3.rope.dimension_count", "U64(12)"),
                ("phi3.rope.scaling.original_context_length", "U64(1024)"),
                ("phi3.attention.sliding_window", "U64(0)"),
            ],
        );
        let parameters = read_as("Phi3ForCausalLM", phi.clone()).unwrap();
        assert_eq!(parameters.tensors, [("rope_factors_long.weight", vec![2.0; 6]), ("rope_factors_short.weight", vec![1.0; 6])]);
        refuses(
            "Phi3ForCausalLM",
            with(phi, json!({"partial_rotary_factor": 0.5})),
            &["`rope_scaling.long_factor`", "has 6 factors, but 4"],
        );
    }

    #[test]
    fn experts_are_counted() {
        let moe = with(base(), json!({"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "norm_topk_prob": true}));
        has("Qwen3MoeForCausalLM", moe.clone(), &[("qwen3moe.expert_count", "U64(8)"), ("qwen3moe.expert_feed_forward_length", "U64(32)")]);
        assert_eq!(read_as("Qwen3MoeForCausalLM", moe.clone()).unwrap().experts, 8);
        refuses("Qwen3MoeForCausalLM", with(moe, json!({"mlp_only_layers": [1]})), &["layers without experts"]);
    }

    #[test]
    fn what_is_missing_mistyped_or_not_computed_is_refused_by_its_key() {
        let refuses = |more: Value, parts: &[&str]| refuses("LlamaForCausalLM", with(base(), more), parts);
        refuses(json!({"hidden_size": null}), &["`hidden_size`", "missing"]);
        refuses(json!({"num_attention_heads": "4"}), &["`num_attention_heads`", "an unsigned 32-bit integer is needed"]);
        refuses(json!({"num_attention_heads": 0}), &["at least one head"]);
        refuses(json!({"num_hidden_layers": 1_000_000}), &["1000000 layers"]);
        refuses(json!({"hidden_act": "relu2"}), &["`hidden_act`", "`relu2`", "`silu`"]);
        refuses(json!({"quantization_config": {"quant_method": "gptq"}}), &["`gptq`", "GGUF"]);
        refuses(json!({"partial_rotary_factor": 0.5}), &["`partial_rotary_factor`"]);
        refuses(json!({"rope_scaling": {"type": "dynamic", "factor": 2.0}}), &["`rope_scaling.type`", "`dynamic`"]);
        refuses(json!({"rope_scaling": {"type": "llama3", "factor": 2.0}}), &["`rope_scaling.low_freq_factor`", "missing"]);
        refuses(json!({"rope_scaling": 3}), &["`rope_scaling`", "an object is needed"]);
        refuses(json!({"head_dim": 4_000_000_000_u32}), &["`head_dim`"]);
    }
}
