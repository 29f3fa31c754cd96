//! Which of Hugging Face's model classes are which of GGUF's architectures, and what their tensors are called on either side.
//!
//! The names are facts of transformers' classes and of GGUF; llama.cpp's conversion is the reference for what is changed on the way.

/// What happens to a tensor on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// The rows of each query head are put in the order of interleaved RoPE: Hugging Face rotates a head's halves, GGUF's llama neighbours.
    QueryHeads,
    /// The same for key heads.
    KeyHeads,
    /// 1 is added: Gemma's norms multiply by `1 + weight`.
    PlusOne,
    /// The matrices of the experts are put one after another.
    Experts,
}

/// Hugging Face's name of a module, GGUF's, and what happens to its tensors. Either name goes on with `.weight` or `.bias`.
type Rule = (&'static str, &'static str, Change);

/// Model classes that share an architecture.
#[derive(Debug)]
pub(super) struct Family {
    /// As `architectures` in `config.json` names them.
    pub(super) classes: &'static [&'static str],
    /// As `general.architecture` names it.
    pub(super) architecture: &'static str,
    /// The values of `hidden_act` that the architecture computes.
    pub(super) activations: &'static [&'static str],
    /// Tensors outside layers.
    outer: &'static [Rule],
    /// What stands before a layer's number.
    layers: &'static str,
    /// Tensors of a layer.
    layer: &'static [Rule],
    /// Prefixes of tensors that are not a part of the architecture and may be left out: buffers, a vision tower, training heads.
    ignored: &'static [&'static str],
}

use Change::{Experts, KeyHeads, None as Same, PlusOne, QueryHeads};

const SILU: &[&str] = &["silu", "swish"];
const GELU_TANH: &[&str] = &["gelu_pytorch_tanh"];

const OUTER: &[Rule] = &[("model.embed_tokens", "token_embd", Same), ("model.norm", "output_norm", Same), ("lm_head", "output", Same)];
const GEMMA_OUTER: &[Rule] =
    &[("model.embed_tokens", "token_embd", Same), ("model.norm", "output_norm", PlusOne), ("lm_head", "output", Same)];

/// The layers of most models, with their own parts before.
macro_rules! layer {
    ($($rule:expr),* $(,)?) => {
        &[
            $($rule,)*
            ("self_attn.v_proj", "attn_v", Same),
            ("self_attn.o_proj", "attn_output", Same),
            ("mlp.gate_proj", "ffn_gate", Same),
            ("mlp.up_proj", "ffn_up", Same),
            ("mlp.down_proj", "ffn_down", Same),
        ]
    };
}

const LLAMA: Family = Family {
    classes: &["LlamaForCausalLM", "MistralForCausalLM"],
    architecture: "llama",
    activations: SILU,
    outer: OUTER,
    layers: "model.layers.",
    layer: layer![
        ("input_layernorm", "attn_norm", Same),
        ("post_attention_layernorm", "ffn_norm", Same),
        ("self_attn.q_proj", "attn_q", QueryHeads),
        ("self_attn.k_proj", "attn_k", KeyHeads),
    ],
    ignored: &[],
};

const QWEN2: Family = Family {
    classes: &["Qwen2ForCausalLM"],
    architecture: "qwen2",
    activations: SILU,
    outer: OUTER,
    layers: "model.layers.",
    layer: layer![
        ("input_layernorm", "attn_norm", Same),
        ("post_attention_layernorm", "ffn_norm", Same),
        ("self_attn.q_proj", "attn_q", Same),
        ("self_attn.k_proj", "attn_k", Same),
    ],
    ignored: &[],
};

const QWEN3: Family = Family {
    classes: &["Qwen3ForCausalLM"],
    architecture: "qwen3",
    activations: SILU,
    outer: OUTER,
    layers: "model.layers.",
    layer: layer![
        ("input_layernorm", "attn_norm", Same),
        ("post_attention_layernorm", "ffn_norm", Same),
        ("self_attn.q_proj", "attn_q", Same),
        ("self_attn.k_proj", "attn_k", Same),
        ("self_attn.q_norm", "attn_q_norm", Same),
        ("self_attn.k_norm", "attn_k_norm", Same),
    ],
    ignored: &[],
};

const QWEN3_MOE: Family = Family {
    classes: &["Qwen3MoeForCausalLM"],
    architecture: "qwen3moe",
    activations: SILU,
    outer: OUTER,
    layers: "model.layers.",
    layer: &[
        ("input_layernorm", "attn_norm", Same),
        ("post_attention_layernorm", "ffn_norm", Same),
        ("self_attn.q_proj", "attn_q", Same),
        ("self_attn.k_proj", "attn_k", Same),
        ("self_attn.v_proj", "attn_v", Same),
        ("self_attn.o_proj", "attn_output", Same),
        ("self_attn.q_norm", "attn_q_norm", Same),
        ("self_attn.k_norm", "attn_k_norm", Same),
        ("mlp.gate", "ffn_gate_inp", Same),
        ("mlp.experts.gate_proj", "ffn_gate_exps", Experts),
        ("mlp.experts.up_proj", "ffn_up_exps", Experts),
        ("mlp.experts.down_proj", "ffn_down_exps", Experts),
    ],
    ignored: &[],
};

/// Norms before and after, as Gemma 2 has them.
macro_rules! gemma_layer {
    ($($rule:expr),* $(,)?) => {
        layer![
            ("input_layernorm", "attn_norm", PlusOne),
            ("post_attention_layernorm", "post_attention_norm", PlusOne),
            ("pre_feedforward_layernorm", "ffn_norm", PlusOne),
            ("post_feedforward_layernorm", "post_ffw_norm", PlusOne),
            ("self_attn.q_proj", "attn_q", Same),
            ("self_attn.k_proj", "attn_k", Same),
            $($rule,)*
        ]
    };
}

const GEMMA2: Family = Family {
    classes: &["Gemma2ForCausalLM"],
    architecture: "gemma2",
    activations: GELU_TANH,
    outer: GEMMA_OUTER,
    layers: "model.layers.",
    layer: gemma_layer![],
    ignored: &[],
};

const GEMMA3: Family = Family {
    classes: &["Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"],
    architecture: "gemma3",
    activations: GELU_TANH,
    outer: GEMMA_OUTER,
    layers: "model.layers.",
    layer: gemma_layer![("self_attn.q_norm", "attn_q_norm", PlusOne), ("self_attn.k_norm", "attn_k_norm", PlusOne)],
    ignored: &["vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."],
};

const PHI3: Family = Family {
    classes: &["Phi3ForCausalLM"],
    architecture: "phi3",
    activations: SILU,
    outer: OUTER,
    layers: "model.layers.",
    layer: &[
        ("input_layernorm", "attn_norm", Same),
        ("post_attention_layernorm", "ffn_norm", Same),
        ("self_attn.qkv_proj", "attn_qkv", Same),
        ("self_attn.o_proj", "attn_output", Same),
        ("mlp.gate_up_proj", "ffn_up", Same),
        ("mlp.down_proj", "ffn_down", Same),
    ],
    ignored: &[],
};

const BERT: Family = Family {
    classes: &["BertModel"],
    architecture: "bert",
    activations: &["gelu"],
    outer: &[
        ("embeddings.word_embeddings", "token_embd", Same),
        ("embeddings.position_embeddings", "position_embd", Same),
        ("embeddings.token_type_embeddings", "token_types", Same),
        ("embeddings.LayerNorm", "token_embd_norm", Same),
    ],
    layers: "encoder.layer.",
    layer: &[
        ("attention.self.query", "attn_q", Same),
        ("attention.self.key", "attn_k", Same),
        ("attention.self.value", "attn_v", Same),
        ("attention.output.dense", "attn_output", Same),
        ("attention.output.LayerNorm", "attn_output_norm", Same),
        ("intermediate.dense", "ffn_up", Same),
        ("output.dense", "ffn_down", Same),
        ("output.LayerNorm", "layer_output_norm", Same),
    ],
    ignored: &["embeddings.position_ids", "pooler.", "cls."],
};

/// All of them; those are supported whose architecture [`crate::arch::ARCHITECTURES`] or [`crate::arch::ENCODERS`] has.
pub(super) const FAMILIES: [&Family; 8] = [&LLAMA, &QWEN2, &QWEN3, &QWEN3_MOE, &GEMMA2, &GEMMA3, &PHI3, &BERT];

/// What a tensor of Hugging Face is on the other side.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A tensor of this name, changed so; of an expert's tensor, which expert's.
    Tensor {
        /// GGUF's name.
        name: String,
        /// What happens to it.
        change: Change,
        /// The expert's number.
        expert: Option<usize>,
    },
    /// Nothing that is needed.
    Ignored,
    /// Nothing that is known.
    Unknown,
}

impl Family {
    /// The family of the model class `class`.
    pub(super) fn of(class: &str) -> Option<&'static Self> {
        FAMILIES.into_iter().find(|family| family.classes.contains(&class))
    }

    /// Where the tensor `name` belongs.
    pub(super) fn place(&self, name: &str) -> Place {
        // Frequencies of RoPE, which old files carry, follow from the configuration.
        if self.ignored.iter().any(|prefix| name.starts_with(prefix)) || name.ends_with(".rotary_emb.inv_freq") {
            return Place::Ignored;
        }
        let name = self.canonical(name);
        self.known(&name).unwrap_or(Place::Unknown)
    }

    /// The name without what some files put before or into it.
    fn canonical(&self, name: &str) -> String {
        match self.architecture {
            // The text model within one for images and text, by older and newer names.
            "gemma3" => name.replacen("model.language_model.", "model.", 1).replacen("language_model.", "", 1),
            "bert" => {
                let name = name.strip_prefix("bert.").unwrap_or(name);
                name.replace(".gamma", ".weight").replace(".beta", ".bias")
            }
            _ => name.to_owned(),
        }
    }

    fn known(&self, name: &str) -> Option<Place> {
        let (module, kind) = name.rsplit_once('.').filter(|(_, kind)| matches!(*kind, "weight" | "bias"))?;
        let rule = |rules: &'static [Rule], module: &str| rules.iter().find(|(theirs, ..)| *theirs == module);
        if let Some((_, ours, change)) = rule(self.outer, module) {
            return Some(Place::Tensor { name: format!("{ours}.{kind}"), change: *change, expert: None });
        }
        let (layer, module) = number(module.strip_prefix(self.layers)?)?;
        let expert = module.strip_prefix("mlp.experts.").and_then(number);
        let module = expert.map_or_else(|| module.to_owned(), |(_, rest)| format!("mlp.experts.{rest}"));
        let (_, ours, change) = rule(self.layer, &module)?;
        let expert = expert.map(|(expert, _)| expert);
        (expert.is_some() == (*change == Experts)).then(|| Place::Tensor {
            name: format!("blk.{layer}.{ours}.{kind}"),
            change: *change,
            expert,
        })
    }

    /// Hugging Face's name of GGUF's tensor `name`, for errors.
    pub(super) fn theirs(&self, name: &str) -> Option<String> {
        let (module, kind) = name.rsplit_once('.')?;
        let rule = |rules: &'static [Rule], module: &str| rules.iter().find(|(_, ours, _)| *ours == module);
        if let Some((theirs, ..)) = rule(self.outer, module) {
            return Some(format!("{theirs}.{kind}"));
        }
        let (layer, module) = number(module.strip_prefix("blk.")?)?;
        let (theirs, ..) = rule(self.layer, module)?;
        Some(format!("{}{layer}.{theirs}.{kind}", self.layers))
    }
}

/// A number and what follows the full stop after it.
fn number(text: &str) -> Option<(usize, &str)> {
    let (number, rest) = text.split_once('.')?;
    // As it is written: `01` and `+1` are no layers.
    let parsed = number.parse().ok().filter(|n: &usize| n.to_string() == number)?;
    Some((parsed, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn maps(class: &str, pairs: &[(&str, &str, Change)]) {
        let family = Family::of(class).unwrap();
        for (theirs, ours, change) in pairs {
            let expected = Place::Tensor { name: (*ours).to_owned(), change: *change, expert: None };
            assert_eq!(family.place(theirs), expected, "{theirs}");
        }
    }

    #[test]
    fn names_become_ggufs() {
        maps(
            "LlamaForCausalLM",
            &[
                ("model.embed_tokens.weight", "token_embd.weight", Same),
                ("lm_head.weight", "output.weight", Same),
                ("model.layers.0.self_attn.q_proj.weight", "blk.0.attn_q.weight", QueryHeads),
                ("model.layers.31.self_attn.k_proj.bias", "blk.31.attn_k.bias", KeyHeads),
                ("model.layers.7.post_attention_layernorm.weight", "blk.7.ffn_norm.weight", Same),
                ("model.layers.7.mlp.down_proj.weight", "blk.7.ffn_down.weight", Same),
            ],
        );
        maps("Qwen2ForCausalLM", &[("model.layers.3.self_attn.q_proj.bias", "blk.3.attn_q.bias", Same)]);
        maps("Qwen3ForCausalLM", &[("model.layers.3.self_attn.k_norm.weight", "blk.3.attn_k_norm.weight", Same)]);
        maps(
            "Gemma2ForCausalLM",
            &[
                ("model.norm.weight", "output_norm.weight", PlusOne),
                ("model.layers.1.post_attention_layernorm.weight", "blk.1.post_attention_norm.weight", PlusOne),
                ("model.layers.1.pre_feedforward_layernorm.weight", "blk.1.ffn_norm.weight", PlusOne),
            ],
        );
        for prefix in ["model.", "language_model.model.", "model.language_model."] {
            let name = format!("{prefix}layers.5.self_attn.q_norm.weight");
            maps("Gemma3ForConditionalGeneration", &[(&name, "blk.5.attn_q_norm.weight", PlusOne)]);
        }
        maps(
            "Phi3ForCausalLM",
            &[
                ("model.layers.0.self_attn.qkv_proj.weight", "blk.0.attn_qkv.weight", Same),
                ("model.layers.0.mlp.gate_up_proj.weight", "blk.0.ffn_up.weight", Same),
            ],
        );
        maps(
            "BertModel",
            &[
                ("embeddings.LayerNorm.weight", "token_embd_norm.weight", Same),
                ("bert.encoder.layer.2.attention.output.LayerNorm.gamma", "blk.2.attn_output_norm.weight", Same),
                ("encoder.layer.2.output.LayerNorm.beta", "blk.2.layer_output_norm.bias", Same),
            ],
        );
    }

    #[test]
    fn experts_are_numbered_and_nobody_else() {
        let family = Family::of("Qwen3MoeForCausalLM").unwrap();
        let expected = Place::Tensor { name: "blk.2.ffn_up_exps.weight".into(), change: Experts, expert: Some(17) };
        assert_eq!(family.place("model.layers.2.mlp.experts.17.up_proj.weight"), expected);
        assert_eq!(family.place("model.layers.2.mlp.experts.up_proj.weight"), Place::Unknown);
        assert_eq!(Family::of("Qwen3ForCausalLM").unwrap().place("model.layers.2.mlp.experts.17.up_proj.weight"), Place::Unknown);
    }

    #[test]
    fn what_is_not_known_is_said_and_what_is_not_needed_left() {
        let family = Family::of("MistralForCausalLM").unwrap();
        for name in [
            "model.layers.x.mlp.up_proj.weight",
            "model.layers.01.mlp.up_proj.weight",
            "lm_head",
            "model.layers.1.mlp.up_proj.scale",
            "",
            ".",
        ] {
            assert_eq!(family.place(name), Place::Unknown, "{name}");
        }
        assert_eq!(family.place("model.layers.0.self_attn.rotary_emb.inv_freq"), Place::Ignored);
        assert_eq!(Family::of("Gemma3ForCausalLM").unwrap().place("vision_tower.a.weight"), Place::Ignored);
        assert!(Family::of("MambaForCausalLM").is_none());
    }

    #[test]
    fn ggufs_names_become_theirs_again() {
        for family in FAMILIES {
            for (theirs, ours, _) in family.outer {
                assert_eq!(family.theirs(&format!("{ours}.weight")), Some(format!("{theirs}.weight")));
            }
            for (theirs, ours, _) in family.layer {
                assert_eq!(family.theirs(&format!("blk.4.{ours}.bias")), Some(format!("{}4.{theirs}.bias", family.layers)));
            }
        }
        assert_eq!(FAMILIES[0].theirs("rope_freqs.weight"), None);
    }
}
