//! Folders of small random weights: the same logits as their twins in GGUF, to the bit; quantized ones near them; and what is refused, with what it says.

mod support;

use std::fs;

use burn::tensor::Device;
use hearth_models::{
    Folder, Model, Quantization,
    arch::{self, Source},
    gguf::Gguf,
};
use serde_json::{Value, json};
use support::{
    Random,
    folder::{self, ROWS, TOKENS, Tensor, Twins, divergence, gemma2, gemma3, llama, logits, plain},
};

fn tokens(count: usize) -> Vec<u32> {
    let mut random = Random(5);
    (0..count).map(|_| random.below(ROWS) as u32).collect()
}

fn open(folder: &folder::Folder, quantize: Option<Quantization>) -> Model {
    Model::from_folder(&Folder::open(folder.path(), quantize).unwrap(), 0, &Device::flex()).unwrap()
}

fn of_gguf(twins: &Twins, tokens: &[u32]) -> Vec<Vec<f32>> {
    let bytes = twins.gguf.clone().build();
    let source = Source { gguf: &Gguf::parse(&bytes).unwrap(), packed: None, context: 0, device: &Device::flex() };
    logits(&*arch::load(source).unwrap(), tokens)
}

#[track_caller]
fn are_the_same(name: &str, twins: &Twins) {
    let tokens = tokens(40);
    let want = of_gguf(twins, &tokens);
    let spread = want.concat().iter().fold(0.0_f32, |max, v| max.max(v.abs()));
    assert!(spread > 0.5, "the logits tell nothing");
    assert!(logits(support::decoder(&open(&twins.write(name), None)), &tokens) == want, "{name}: in one file");
    assert!(logits(support::decoder(&open(&twins.write_sharded(name, 5), None)), &tokens) == want, "{name}: in shards");
}

#[test]
fn llamas_are_their_ggufs_twins_to_the_bit() {
    for dtype in ["F32", "F16", "BF16"] {
        are_the_same(&format!("llama-{dtype}"), &llama(dtype, 32, false));
        are_the_same(&format!("llama-extras-{dtype}"), &llama(dtype, 32, true));
    }
}

#[test]
fn gemmas_are_their_ggufs_twins_to_the_bit() {
    for dtype in ["F32", "F16", "BF16"] {
        are_the_same(&format!("gemma3-{dtype}"), &gemma3(dtype, false));
    }
    are_the_same("gemma3-within", &gemma3("BF16", true));
    are_the_same("gemma2", &gemma2("F16"));
}

#[test]
fn qwens_and_phis_are_their_ggufs_twins_to_the_bit() {
    for (architecture, dtype) in [("qwen2", "BF16"), ("qwen3", "F32"), ("qwen3moe", "BF16"), ("phi3", "F16")] {
        are_the_same(architecture, &plain(architecture, dtype));
    }
    // A fused matrix is quantized whole and then taken apart.
    let twins = plain("phi3", "F32");
    let (folder, tokens) = (twins.write("phi3-quantized"), tokens(20));
    assert!(divergence(&of_gguf(&twins, &tokens), &logits(support::decoder(&open(&folder, Some(Quantization::Q8_0))), &tokens)) < 0.01);
}

#[test]
fn quantized_weights_stay_near_and_become_small() {
    let twins = llama("BF16", 256, true);
    let (folder, tokens) = (twins.write("quantized"), tokens(40));
    let want = of_gguf(&twins, &tokens);
    let whole = Folder::open(folder.path(), None).unwrap().weight_bytes();
    let mut last = 0.0;
    for (quantize, bound, bits) in [(Quantization::Q8_0, 0.006, 8.6), (Quantization::Q4K, 0.2, 5.6)] {
        let got = logits(support::decoder(&open(&folder, Some(quantize))), &tokens);
        let kl = divergence(&want, &got);
        eprintln!("{quantize}: KL {kl:.6}");
        assert!(kl > last && kl < bound, "{quantize}: KL {kl}");
        last = kl;
        let bytes = Folder::open(folder.path(), Some(quantize)).unwrap().weight_bytes();
        assert!((bytes as f64) < whole as f64 * bits / 16.0, "{quantize}: {bytes} of {whole} bytes");
    }
    // Rows of 32 and 64 are no blocks of Q4_K.
    let narrow = llama("F32", 32, false);
    let folder = narrow.write("narrow");
    let (tokens, want) = (&tokens[..20], of_gguf(&narrow, &tokens[..20]));
    let kl = divergence(&want, &logits(support::decoder(&open(&folder, Some(Quantization::Q4K))), tokens));
    // So small a model has little to average errors over: 0.096 was measured.
    assert!(kl < 0.2, "five bits: KL {kl}");
}

#[test]
fn texts_become_tokens_as_the_files_say() {
    let twins = llama("F32", 32, false);
    let folder = twins.write("texts");
    let model = open(&folder, None);
    let tokenizer = &model.tokenizer;
    assert_eq!((tokenizer.vocabulary(), tokenizer.bos(), tokenizer.eos()), (ROWS, Some(258), Some(259)));
    assert_eq!(tokenizer.encode("hello", true, true).unwrap(), [258, 257, 108, 111]);
    // No truncation and no padding, whatever the file was saved with.
    assert_eq!(tokenizer.encode("hello", false, true).unwrap(), [257, 108, 111]);
    assert_eq!(tokenizer.encode("h</s><tool>", false, true).unwrap(), [104, 259, 260]);
    let plain = tokenizer.encode("h</s><tool>", false, false).unwrap();
    assert!(!plain.contains(&259) && plain.ends_with(&[260]), "{plain:?}");
    assert_eq!(tokenizer.decode(&[257, 108, 111, 32, 259, 260, 270], false), "hello <tool>");
    assert_eq!(tokenizer.decode(&[259], true), "</s>");
    assert_eq!(tokenizer.decode(&tokenizer.encode("żółw 🦙\n", false, true).unwrap(), false), "żółw 🦙\n");
    // Whoever writes a control token in a message has written text.
    let mark = '\u{fdd0}';
    let marked = tokenizer.mark("h</s><tool>", mark);
    assert_eq!(tokenizer.encode_marked(&format!("hel{marked}</s>"), true, mark).unwrap(), [&[258, 257][..], &plain, &[259]].concat());
    assert_eq!(tokenizer.encode_marked("hello</s>", true, mark).unwrap(), tokenizer.encode("hello</s>", true, true).unwrap());
    assert_eq!((0..ROWS as u32).filter(|id| tokenizer.is_end(*id)).collect::<Vec<_>>(), [259, 260]);
    assert_eq!(model.context_length, 512);
    let prompt = model.template.unwrap().render(&json!([{"role": "user", "content": "hi"}]), &Value::Null, true, &serde_json::Map::new());
    assert_eq!(prompt.unwrap(), "<s>hi");

    // A file of its own goes before; a list has a default.
    folder.put("chat_template.jinja", "own");
    let rendered = |model: Model| model.template.unwrap().render(&json!([]), &Value::Null, true, &serde_json::Map::new()).unwrap();
    assert_eq!(rendered(open(&folder, None)), "own");
    fs::remove_file(folder.path().join("chat_template.jinja")).unwrap();
    let named = json!({"chat_template": [{"name": "tool", "template": "no"}, {"name": "default", "template": "yes"}]});
    folder.put("tokenizer_config.json", named.to_string());
    let model = open(&folder, None);
    // Without names, ids: generation_config.json has them.
    assert_eq!((model.tokenizer.bos(), model.tokenizer.eos()), (None, Some(259)));
    assert_eq!(rendered(model), "yes");
}

#[test]
fn added_tokens_without_rows_are_left_out() {
    let folder = llama("F32", 32, false).write("images");
    let mut tokenizer = folder::tokenizer();
    let mut image = tokenizer["added_tokens"][0].clone();
    (image["id"], image["content"]) = (ROWS.into(), "<image>".into());
    tokenizer["added_tokens"].as_array_mut().unwrap().push(image);
    folder.put("tokenizer.json", tokenizer.to_string());
    let tokens = open(&folder, None).tokenizer.encode("<image>", false, true).unwrap();
    assert!(tokens.len() > 1 && tokens.iter().all(|token| (*token as usize) < TOKENS), "{tokens:?}");
}

/// Refused, with a message that has all of these parts and names a file.
#[track_caller]
fn refuses(folder: &folder::Folder, parts: &[&str]) {
    let loaded = Folder::open(folder.path(), None).map_err(|error| error.to_string());
    let loaded = loaded.and_then(|folder| Model::from_folder(&folder, 0, &Device::flex()).map_err(|error| error.to_string()));
    let message = loaded.expect_err("the folder is not a model");
    for part in parts.iter().copied().chain([folder.path().to_str().unwrap()]) {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

#[test]
fn refusals_name_the_file_the_thing_and_the_cure() {
    let twins = || llama("F32", 32, true);
    let whole = || twins().write("refused");
    let without = |name: &str| {
        let folder = whole();
        fs::remove_file(folder.path().join(name)).unwrap();
        folder
    };
    refuses(&folder::Folder::new("empty"), &["has no config.json", ".gguf file itself"]);
    refuses(&without("tokenizer.json"), &["tokenizer.json: is missing", "save_pretrained"]);
    refuses(&without("model.safetensors"), &["has neither model.safetensors nor", "download"]);
    refuses(without("model.safetensors").put("pytorch_model.bin", "x"), &["pickles", "save_pretrained"]);
    refuses(whole().put("config.json", "[1]"), &["config.json", "not a JSON object"]);
    refuses(whole().put("config.json", vec![b' '; 5 << 20]), &["config.json", "longer than"]);
    refuses(whole().put("config.json", "{}"), &["`architectures`: missing"]);
    refuses(
        whole().put("config.json", r#"{"architectures":["MambaForCausalLM"]}"#),
        &["`MambaForCausalLM` is not supported", "LlamaForCausalLM"],
    );
    refuses(whole().put("model.safetensors", "PK"), &["model.safetensors", "not a valid safetensors file", "download"]);
    refuses(whole().put("tokenizer.json", "{}"), &["tokenizer.json"]);
    refuses(whole().put("tokenizer.json", vec![b'['; 1 << 20]), &["tokenizer.json"]);
    refuses(whole().put("chat_template.jinja", [0xff]), &["chat_template.jinja", "UTF-8"]);

    let changed = |name: &str, change: &dyn Fn(&mut Tensor)| {
        let mut twins = twins();
        change(twins.tensor(name));
        twins.write("refused")
    };
    let q = "model.layers.1.self_attn.q_proj.weight";
    refuses(&changed(q, &|t| t.dtype = "I32"), &[q, "type I32", "BF16"]);
    refuses(&changed(q, &|t| t.shape = vec![16, 64]), &[q, "`blk.1.attn_q.weight`", "[64, 16]", "[32, 32]"]);
    refuses(&changed(q, &|t| t.shape = vec![4, 256]), &[q, "4 rows", "4 heads"]);
    refuses(&changed(q, &|t| t.shape = vec![8, 8, 16]), &[q, "neither a vector nor a matrix"]);
    refuses(&changed(q, &|t| t.name = "model.layers.1.self_attn.q_proj.scales".into()), &["q_proj.scales", "is not a part of `llama`"]);
    refuses(
        &changed(q, &|t| t.name = "model.layers.0.self_attn.rotary_emb.inv_freq2.weight".into()),
        &["inv_freq2", "is not a part of `llama`"],
    );
    let norm = "model.layers.0.input_layernorm.weight";
    refuses(&changed(norm, &|t| t.name = "model.layers.5.input_layernorm.weight".into()), &[norm, "missing"]);
    refuses(&changed("model.embed_tokens.weight", &|t| t.name = "x.rotary_emb.inv_freq".into()), &["model.embed_tokens.weight", "missing"]);
    // Fewer rows than tokens.
    refuses(
        &changed("model.embed_tokens.weight", &|t| {
            t.shape = vec![100, 32];
            t.bytes.truncate(100 * 32 * 4);
        }),
        &["tokenizer.json", "has 100 rows"],
    );

    let mut headless = twins();
    headless.tensors.retain(|tensor| tensor.name != "lm_head.weight");
    refuses(&headless.write("refused"), &["lm_head.weight", "missing", "config.json"]);
}

#[test]
fn shards_are_all_there_and_where_the_index_says() {
    let twins = llama("F32", 32, false);
    let folder = twins.write_sharded("shards", 5);
    let index = |folder: &folder::Folder| -> Value {
        serde_json::from_slice(&fs::read(folder.path().join("model.safetensors.index.json")).unwrap()).unwrap()
    };
    let put = |index: Value| folder.put("model.safetensors.index.json", index.to_string());
    let good = index(&folder);
    fs::copy(folder.path().join("model-00001.safetensors"), folder.path().join("kept")).unwrap();
    fs::remove_file(folder.path().join("model-00001.safetensors")).unwrap();
    refuses(&folder, &["model-00001.safetensors", "is missing", "download"]);
    fs::rename(folder.path().join("kept"), folder.path().join("model-00001.safetensors")).unwrap();
    open(&folder, None);

    for path in ["../model-00001.safetensors", "/etc/passwd", "a/b", "..", ""] {
        let mut hostile = good.clone();
        hostile["weight_map"]["model.norm.weight"] = path.into();
        refuses(put(hostile), &["model.safetensors.index.json", "not a plain file name"]);
    }
    let mut lying = good.clone();
    lying["weight_map"]["model.norm.weight"] = "model-00002.safetensors".into();
    lying["weight_map"]["model.layers.9.norm.weight"] = "model-00002.safetensors".into();
    refuses(put(lying), &["model.layers.9.norm.weight", "download"]);
    refuses(put(json!({"weight_map": 3})), &["model.safetensors.index.json"]);
    refuses(put(json!({"weight_map": {}})), &["model.embed_tokens.weight", "missing"]);
    put(good);
    fs::copy(folder.path().join("model-00001.safetensors"), folder.path().join("model-00002.safetensors")).unwrap();
    refuses(&folder, &["stands in another file as well"]);
}

#[test]
fn random_damage_never_panics() {
    let twins = llama("F32", 32, true);
    let folder = twins.write_sharded("damage", 12);
    let mut random = Random(77);
    let mut refused = 0;
    let rounds = 1_500;
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors.index.json", "model-00001.safetensors"] {
        let good = fs::read(folder.path().join(name)).unwrap();
        for _ in 0..rounds / 5 {
            let mut bytes = good.clone();
            for _ in 0..=random.below(2) {
                // A safetensors file's header is what is read.
                let reach = bytes.len().min(3_000);
                let at = random.below(reach);
                match random.below(4) {
                    0 => bytes[at] = b"{}[],:\"0123456789-.e"[random.below(20)],
                    1 => bytes[at] ^= 1 << random.below(8),
                    2 => drop(bytes.splice(at..at, b"18446744073709551615".iter().copied())),
                    _ => drop(bytes.drain(at..(at + 1 + random.below(20)).min(reach))),
                }
            }
            folder.put(name, &bytes);
            let loaded = Folder::open(folder.path(), None).and_then(|folder| folder.tokenizer().map(|tokenizer| (folder, tokenizer)));
            match loaded {
                Err(error) => {
                    refused += 1;
                    assert!(error.to_string().len() < 8192, "a long message");
                }
                Ok((folder, tokenizer)) => {
                    let _ = tokenizer.encode("hello </s>", true, true);
                    let _ = Model::from_folder(&folder, 0, &Device::flex());
                }
            }
        }
        folder.put(name, good);
    }
    assert!((rounds / 4..rounds).contains(&refused), "{refused} of {rounds} refused");
}
