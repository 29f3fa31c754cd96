//! Folders made of real models: the tokens are Hugging Face's own library's, the logits those of the same weights in a GGUF, to the bit.

mod data;
mod support;
mod texts;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use burn::tensor::Device;
use hearth_models::{Folder, Model, Quantization};
use serde_json::Value;
use support::folder::{divergence, logits};
use texts::nasty_texts;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hugging_face.py");

/// The Python that has the packages of `tests/python/requirements.txt`, if it is there.
fn python() -> Option<Command> {
    let python = std::env::var("HEARTH_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let can = Command::new(&python).args(["-c", "import gguf, numpy, tokenizers"]).stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        let why = format!(
            "{python} cannot import gguf and tokenizers; cargo xtask test installs them and names its python in HEARTH_TEST_PYTHON"
        );
        return data::skip(&why);
    }
    let mut command = Command::new(python);
    command.arg(SCRIPT).env("PYTHONUTF8", "1");
    Some(command)
}

/// A model as a folder and as a GGUF, both of which go with the test.
struct Real {
    at: PathBuf,
    folder: PathBuf,
    gguf: PathBuf,
}

impl Real {
    fn make(gguf: &str, dtype: &str, layers: usize) -> Option<Self> {
        let source = data::require(gguf)?;
        let at = std::env::temp_dir().join(format!("hearth-{gguf}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&at);
        std::fs::create_dir_all(&at).unwrap();
        let made = Self { folder: at.join("model"), gguf: at.join("model.gguf"), at };
        let status = python()?.arg("folder").arg(source).arg(&made.folder).args([dtype, &layers.to_string()]).status().unwrap();
        assert!(status.success(), "the folder could not be made");
        Some(made)
    }

    fn open(&self, quantize: Option<Quantization>) -> Model {
        Model::from_folder(&Folder::open(&self.folder, quantize).unwrap(), 0, &Device::flex()).unwrap()
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.at);
    }
}

/// The tokens of `texts` by Hugging Face's library: without begin and end tokens, and with them.
fn library(tokenizer: &Path, texts: &[String]) -> Option<[Vec<Vec<u32>>; 2]> {
    let mut child = python()?.arg("tokens").arg(tokenizer).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(texts).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the library failed");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    Some(["plain", "special"].map(|mode| serde_json::from_value(answer[mode].clone()).unwrap()))
}

/// Compares tokens with the library's and with the twin's. `differing` is how many texts the twin may take apart otherwise: SentencePiece's scores and ranked merges
/// agree on words, not on everything.
fn same_tokens(real: &Real, model: &Model, twin: &Model, differing: usize) {
    let texts = nasty_texts(600);
    let Some([plain, special]) = library(&real.folder.join("tokenizer.json"), &texts) else { return };
    let mut others = 0;
    for ((text, plain), special) in texts.iter().zip(plain).zip(special) {
        assert_eq!(model.tokenizer.encode(text, false, true).unwrap(), plain, "{text:?}");
        assert_eq!(model.tokenizer.encode(text, true, true).unwrap(), special, "{text:?}");
        others += usize::from(twin.tokenizer.encode(text, false, true).unwrap() != plain);
        assert_eq!(model.tokenizer.decode(&plain, true), twin.tokenizer.decode(&plain, true), "{text:?}");
    }
    assert!(others <= differing, "{others} of {} texts differ from the twin", texts.len());
    let ends = |model: &Model| (0..model.tokenizer.vocabulary() as u32).filter(|id| model.tokenizer.is_end(*id)).collect::<Vec<_>>();
    assert_eq!(ends(model), ends(twin));
    assert_eq!((model.tokenizer.bos(), model.tokenizer.eos()), (twin.tokenizer.bos(), twin.tokenizer.eos()));
    assert_eq!((model.context_length, model.template.is_some()), (twin.context_length, twin.template.is_some()));
}

const TEXT: &str = "The capital of France is Paris. The capital of Italy is Rome, and the capital of Spain is";

#[test]
fn smollm2_in_bf16_is_its_ggufs_twin() {
    let Some(real) = Real::make("smollm2.gguf", "BF16", usize::MAX) else { return };
    let (model, twin) = (real.open(None), Model::open(&real.gguf, None, 0, &Device::flex()).unwrap());
    same_tokens(&real, &model, &twin, 0);
    let tokens = model.tokenizer.encode(TEXT, true, true).unwrap();
    assert_eq!(tokens, twin.tokenizer.encode(TEXT, true, true).unwrap());
    let want = logits(support::decoder(&twin), &tokens);
    assert!(logits(support::decoder(&model), &tokens) == want, "the logits are others");
    drop((model, twin));
    for (quantize, bound) in [(Quantization::Q8_0, 0.006), (Quantization::Q4K, 0.07)] {
        let kl = divergence(&want, &logits(support::decoder(&real.open(Some(quantize))), &tokens));
        eprintln!("{quantize}: KL {kl:.6}");
        assert!(kl < bound, "{quantize}: KL {kl}");
    }
}

#[test]
fn gemma_3_in_f16_is_its_ggufs_twin() {
    let Some(real) = Real::make("gemma3.gguf", "F16", 6) else { return };
    let (model, twin) = (real.open(None), Model::open(&real.gguf, None, 0, &Device::flex()).unwrap());
    same_tokens(&real, &model, &twin, 20);
    let tokens = model.tokenizer.encode(TEXT, true, true).unwrap();
    assert_eq!(tokens, twin.tokenizer.encode(TEXT, true, true).unwrap());
    assert!(logits(support::decoder(&model), &tokens) == logits(support::decoder(&twin), &tokens), "the logits are others");
}
