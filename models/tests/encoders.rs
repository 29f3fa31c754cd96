//! The encoders on small files of random weights, against the reference in `support/bert.rs`; what changes no bit, and what they refuse.

mod support;

use burn::tensor::Device;
use hearth_models::{
    arch::{self, AnyNetwork, Encoder, Source},
    gguf::Gguf,
};
use support::{Builder, Random, bert};

const VOCABULARY: u64 = 48;
const POSITIONS: u64 = 40;
const WIDTH: u64 = 32;

/// The metadata of a BERT of two layers, with other numbers in place of its own.
fn metadata(others: &[(&str, u32)]) -> Builder {
    let numbers = [
        ("bert.block_count", 2),
        ("bert.context_length", POSITIONS as u32),
        ("bert.embedding_length", WIDTH as u32),
        ("bert.feed_forward_length", 64),
        ("bert.attention.head_count", 4),
        ("bert.attention.head_count_kv", 4),
        ("bert.pooling_type", 1),
        ("tokenizer.ggml.token_type_count", 2),
    ];
    let number = |key: &str, value| others.iter().find(|(other, _)| *other == key).map_or(value, |(_, value)| *value);
    let file = Builder::default().str("general.architecture", "bert").f32("bert.attention.layer_norm_epsilon", 1e-12);
    numbers.iter().fold(file, |file, (key, value)| file.u32(key, number(key, *value)))
}

/// Its tensors beside `file`.
fn weights(file: Builder) -> Builder {
    let mut random = Random(7);
    let mut file = Some(file);
    let mut add = |name: &str, dimensions: &[u64], center: f32, scale: f32| {
        let values: Vec<f32> = (0..dimensions.iter().product::<u64>()).map(|_| center + scale * random.normal()).collect();
        file = file.take().map(|file| file.f32s(name, dimensions, &values));
    };
    add("token_embd.weight", &[WIDTH, VOCABULARY], 0.0, 1.0);
    add("token_types.weight", &[WIDTH, 2], 0.0, 0.3);
    add("position_embd.weight", &[WIDTH, POSITIONS], 0.0, 0.5);
    add("token_embd_norm.weight", &[WIDTH], 1.0, 0.3);
    add("token_embd_norm.bias", &[WIDTH], 0.0, 0.3);
    for layer in 0..2 {
        let matrices = [
            ("attn_q", WIDTH, WIDTH),
            ("attn_k", WIDTH, WIDTH),
            ("attn_v", WIDTH, WIDTH),
            ("attn_output", WIDTH, WIDTH),
            ("ffn_up", 64, WIDTH),
            ("ffn_down", WIDTH, 64),
        ];
        for (part, rows, columns) in matrices {
            add(&format!("blk.{layer}.{part}.weight"), &[columns, rows], 0.0, 1.5 / (columns as f32).sqrt());
            add(&format!("blk.{layer}.{part}.bias"), &[rows], 0.0, 0.3);
        }
        for part in ["attn_output_norm", "layer_output_norm"] {
            add(&format!("blk.{layer}.{part}.weight"), &[WIDTH], 1.0, 0.3);
            add(&format!("blk.{layer}.{part}.bias"), &[WIDTH], 0.0, 0.3);
        }
    }
    file.unwrap()
}

fn load(bytes: &[u8], device: &Device) -> Box<dyn Encoder> {
    let source = Source { gguf: &Gguf::parse(bytes).unwrap(), packed: None, context: 0, device };
    match AnyNetwork::load(source).unwrap() {
        AnyNetwork::Encoder(encoder) => encoder,
        AnyNetwork::Decoder(_) => panic!("not an encoder"),
    }
}

fn tokens(length: usize, seed: u64) -> Vec<u32> {
    let mut random = Random(seed);
    (0..length).map(|_| random.below(VOCABULARY as usize) as u32).collect()
}

/// The embeddings of `sequences`, computed together.
fn embed(encoder: &dyn Encoder, sequences: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let lengths: Vec<usize> = sequences.iter().map(Vec::len).collect();
    let mut rows = encoder.embed(sequences);
    for layer in 0..encoder.layers() {
        rows = encoder.layer(layer, rows, &lengths);
    }
    let embeddings = encoder.pool(rows, &lengths);
    assert_eq!(embeddings.dims(), [sequences.len(), encoder.width()]);
    embeddings.into_data().try_to_vec::<f32>().unwrap().chunks(encoder.width()).map(<[f32]>::to_vec).collect()
}

#[test]
fn bert_agrees_with_the_reference_in_every_pooling() {
    for pooling in [1, 2, 3] {
        let bytes = weights(metadata(&[("bert.pooling_type", pooling)])).build();
        let gguf = Gguf::parse(&bytes).unwrap();
        let encoder = load(&bytes, &Device::flex());
        assert_eq!((encoder.vocabulary(), encoder.width(), encoder.layers()), (VOCABULARY as usize, WIDTH as usize, 2));
        for length in [1, 2, 17, POSITIONS as usize] {
            let tokens = tokens(length, 3);
            let got = embed(&*encoder, std::slice::from_ref(&tokens)).remove(0);
            let want = bert::embedding(&gguf, &tokens);
            let worst = want.iter().zip(&got).map(|(want, got)| (want - f64::from(*got)).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-5, "pooling {pooling}, {length} tokens: off by {worst} in an embedding of length 1");
        }
    }
}

#[test]
fn neighbours_change_no_bit() {
    #[cfg_attr(not(feature = "wgpu"), allow(unused_mut))]
    let mut devices = vec![Device::flex()];
    #[cfg(feature = "wgpu")]
    devices.extend(hearth_kernels::gpus().into_iter().next().map(|gpu| gpu.open().expect("the adapter opens")));
    for device in devices {
        let encoder = load(&weights(metadata(&[])).build(), &device);
        let sequences: Vec<Vec<u32>> = [9, 1, 33, 9, 16, 2].iter().zip(5..).map(|(length, seed)| tokens(*length, seed)).collect();
        let together = embed(&*encoder, &sequences);
        for (number, sequence) in sequences.iter().enumerate() {
            assert_eq!(embed(&*encoder, std::slice::from_ref(sequence))[0], together[number], "sequence {number} on {device:?}");
        }
        let others = [sequences[4].clone(), sequences[0].clone(), sequences[2].clone()];
        assert_eq!(embed(&*encoder, &others)[1], together[0]);
    }
}

#[test]
fn all_rows_of_a_text_see_each_other() {
    let encoder = load(&weights(metadata(&[("bert.pooling_type", 2)])).build(), &Device::flex());
    let (mut one, mut other) = (tokens(12, 4), tokens(12, 4));
    (one[11], other[11]) = (1, 2);
    let [one, other] = &embed(&*encoder, &[one, other])[..] else { panic!("two embeddings") };
    let difference: f32 = one.iter().zip(other).map(|(a, b)| (a - b).abs()).sum();
    assert!(difference > 1e-3, "the first row does not see the last");
}

#[test]
fn refusals_name_the_tensor_or_key() {
    let refuses = |file: Builder, parts: &[&str]| {
        let bytes = file.build();
        let source = Source { gguf: &Gguf::parse(&bytes).unwrap(), packed: None, context: 0, device: &Device::flex() };
        let error = arch::load_encoder(source).expect_err("the file does not fit its metadata").to_string();
        for part in parts {
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    };
    refuses(Builder::default().str("general.architecture", "nomic-bert"), &["`nomic-bert` is not supported", "embeddings bert"]);
    let with = |key: &str, value: u32| weights(metadata(&[(key, value)]));
    refuses(with("bert.pooling_type", 0), &["`bert.pooling_type`", "0 does not make one embedding"]);
    refuses(with("bert.pooling_type", 4), &["`bert.pooling_type`", "4 does not make one embedding"]);
    refuses(metadata(&[]), &["`token_embd.weight`", "missing"]);
    refuses(with("bert.attention.head_count_kv", 2), &["head_count_kv"]);
    refuses(with("bert.attention.head_count", 5), &["5 heads do not divide"]);
    refuses(with("bert.context_length", 41), &["`position_embd.weight`", "[32, 40]"]);
    refuses(with("tokenizer.ggml.token_type_count", 3), &["`token_types.weight`", "[32, 2]"]);
    refuses(weights(metadata(&[]).entry("bert.attention.causal", 7, &[1])), &["bert.attention.causal"]);
    refuses(weights(metadata(&[])).f32s("cls.weight", &[1], &[0.0]), &["`cls.weight`", "is not a part of"]);
}
