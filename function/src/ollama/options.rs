//! `options`: how long an answer is and how its tokens are drawn. What is about the machine or the model's memory has no effect: that is set where the server is started.

use serde_json::Value;

use crate::{
    generate::{Generate, Sampling},
    openai::sampling as s,
    wire::{
        fields::Fields,
        table::{Field, Kind, Literal, Table},
    },
};

pub(super) static OPTIONS: Field = Field::new("options", Kind::Object(&TABLE), "How long the answer is and how its tokens are drawn.");

static TABLE: Table = Table {
    name: "OllamaOptions",
    plural: "options",
    about: "How long an answer is and how its tokens are drawn, with Ollama's defaults.",
    fields: &[
        Field::new(
            "num_predict",
            Kind::Integer(-2, u32::MAX as i128),
            "Longest answer in tokens. -1, -2 and 0 are no limit but the model's context.",
        )
        .or(Literal::Integer(-1)),
        s::TEMPERATURE.or(Literal::Number(0.8)),
        s::TOP_K.or(Literal::Integer(40)),
        s::TOP_P.or(Literal::Number(0.9)),
        s::MIN_P,
        s::SEED,
        s::STOP,
        s::REPEAT_PENALTY.or(Literal::Number(1.0)),
        s::FREQUENCY_PENALTY,
        s::PRESENCE_PENALTY,
        Field::refused("typical_p", |value| value.as_f64() == Some(1.0)),
        Field::refused("mirostat", |value| value.as_f64() == Some(0.0)),
        Field::ignored("mirostat_eta"),
        Field::ignored("mirostat_tau"),
        Field::ignored("embedding_only"),
        Field::ignored("f16_kv"),
        Field::ignored("logits_all"),
        Field::ignored("low_vram"),
        Field::ignored("main_gpu"),
        Field::ignored("num_batch"),
        Field::ignored("num_ctx"),
        Field::ignored("num_gpu"),
        Field::ignored("num_keep"),
        Field::ignored("num_thread"),
        Field::ignored("numa"),
        Field::ignored("penalize_newline"),
        Field::ignored("repeat_last_n"),
        Field::ignored("tfs_z"),
        Field::ignored("use_mlock"),
        Field::ignored("use_mmap"),
        Field::ignored("vocab_only"),
    ],
    open: false,
};

/// Reads the options into `generate`; without any, their defaults.
pub(super) fn read(fields: &mut Fields, generate: &mut Generate) {
    let mut options = fields.object("options", &TABLE).unwrap_or_else(|| Fields::checked(Value::Null, &TABLE, String::new()));
    let usual = Sampling::default();
    generate.sampling = Sampling {
        temperature: options.number("temperature").unwrap_or(usual.temperature),
        top_k: options.count("top_k").unwrap_or(usual.top_k),
        top_p: options.number("top_p").unwrap_or(usual.top_p),
        min_p: options.number("min_p").unwrap_or(usual.min_p),
        // -1 asks for a random one.
        seed: options.integer("seed").filter(|&seed| seed != -1).map(|seed| seed as u64),
        repeat_penalty: options.number("repeat_penalty").unwrap_or(usual.repeat_penalty),
        frequency_penalty: options.number("frequency_penalty").unwrap_or(usual.frequency_penalty),
        presence_penalty: options.number("presence_penalty").unwrap_or(usual.presence_penalty),
        ..usual
    };
    generate.max_tokens = options.count("num_predict").filter(|&limit| limit > 0);
    generate.stop = options.texts("stop");
}
