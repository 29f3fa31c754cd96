//! Repacked weights kept beside a model: made once, mapped after that, made anew when they are another's or damaged, done without where they cannot be written.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::tensor::Device;
use hearth_kernels::{Batch, KvCache, Step};
use hearth_models::{
    Packed,
    arch::{self, Source},
    gguf::{Gguf, MappedFile},
};
use support::{Builder, Random};

const SHA256: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A llama of one layer with weights of Q8_0 and F32, written to a folder of its own.
fn model(test: &str, seed: u64) -> PathBuf {
    let mut random = Random(seed);
    let mut file = Builder::default()
        .str("general.architecture", "llama")
        .u32("llama.block_count", 1)
        .u32("llama.embedding_length", 32)
        .u32("llama.feed_forward_length", 64)
        .u32("llama.attention.head_count", 2)
        .f32("llama.attention.layer_norm_rms_epsilon", 1e-5);
    let matrices =
        [("attn_q", 32, 32), ("attn_k", 32, 32), ("attn_v", 32, 32), ("attn_output", 32, 32), ("ffn_gate", 64, 32), ("ffn_up", 64, 32)];
    for (name, rows, columns) in matrices {
        let block = |_| {
            let mut block = vec![0x00, 0x1c]; // 2^-8
            block.extend((0..32).map(|_| random.next() as u8));
            block
        };
        let bytes: Vec<u8> = (0..rows * columns / 32).flat_map(block).collect();
        file = file.tensor(&format!("blk.0.{name}.weight"), &[columns as u64, rows as u64], 8, &bytes);
    }
    let mut floats = |rows: usize, columns: usize| (0..rows * columns).map(|_| random.normal() / 8.0).collect::<Vec<f32>>();
    file = file.f32s("blk.0.ffn_down.weight", &[64, 32], &floats(32, 64));
    file = file.f32s("token_embd.weight", &[32, 50], &floats(50, 32));
    for name in ["output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"] {
        file = file.f32s(&format!("{name}.weight"), &[32], &floats(1, 32));
    }
    let folder = std::env::temp_dir().join(format!("hearth-packed-{test}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("model.gguf");
    fs::write(&path, file.build()).unwrap();
    path
}

/// The logits after three tokens, with the weights kept beside the model or without.
fn logits(path: &Path, sha256: Option<&str>) -> Vec<f32> {
    let device = Device::flex();
    let file = MappedFile::open(path).unwrap();
    let gguf = Gguf::parse(&file).unwrap();
    let packed = sha256.map(|sha256| Packed::open(&gguf, path, sha256).unwrap());
    let network = arch::load(Source { gguf: &gguf, packed: packed.as_ref(), context: 0, device: &device }).unwrap();
    // What the network holds must live without these.
    drop((packed, file));
    let batch = Batch { tokens: vec![3, 1, 41], positions: vec![0, 1, 2], sequences: vec![0; 3], tables: vec![vec![0]], outputs: vec![2] };
    let mut cache = KvCache::new(network.kv_shape(), 1, &device);
    network.forward(&batch, &Step::new(&batch, &device), &mut cache).into_data().try_to_vec().unwrap()
}

fn tiles(path: &Path) -> PathBuf {
    path.with_file_name("model.gguf.tiles")
}

#[test]
fn weights_are_repacked_once_and_compute_the_same_bits() {
    let path = model("once", 1);
    let plain = logits(&path, None);
    assert!(plain.iter().all(|x| x.is_finite()) && plain.iter().any(|&x| x != plain[0]), "{plain:?}");
    assert!(!tiles(&path).exists());
    assert_eq!(logits(&path, Some(SHA256)), plain);
    let made = fs::metadata(tiles(&path)).unwrap();
    assert_eq!(logits(&path, Some(SHA256)), plain);
    assert_eq!(fs::metadata(tiles(&path)).unwrap().modified().unwrap(), made.modified().unwrap(), "made anew");
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 2, "something else was left there");
}

#[test]
fn tiles_of_another_model_or_cut_short_are_made_anew() {
    let path = model("anew", 2);
    let plain = logits(&path, None);
    logits(&path, Some(SHA256));
    let good = fs::read(tiles(&path)).unwrap();
    let mut other = good.clone();
    other[16] ^= 1; // the layout's version
    for damaged in [&good[..good.len() - 1], &good[..100], &[], &other, &[good.clone(), vec![0]].concat()] {
        fs::write(tiles(&path), damaged).unwrap();
        assert_eq!(logits(&path, Some(SHA256)), plain);
        assert!(fs::read(tiles(&path)).unwrap() == good);
    }
    let sha256 = SHA256.replace('0', "1");
    assert_eq!(logits(&path, Some(&sha256)), plain);
    assert!(fs::read(tiles(&path)).unwrap() != good, "the file does not name its model");
}

#[test]
fn what_a_process_left_unfinished_is_written_over_and_what_another_writes_is_left_alone() {
    let path = model("unfinished", 3);
    let part = path.with_file_name("model.gguf.tiles.part");
    fs::write(&part, vec![0xff; 1 << 20]).unwrap();
    let plain = logits(&path, None);
    assert_eq!(logits(&path, Some(SHA256)), plain);
    assert!(!part.exists());

    fs::remove_file(tiles(&path)).unwrap();
    let other = fs::File::create(&part).unwrap();
    other.lock().unwrap();
    let file = MappedFile::open(&path).unwrap();
    let error = Packed::open(&Gguf::parse(&file).unwrap(), &path, SHA256).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    assert!(part.exists() && !tiles(&path).exists());
}
