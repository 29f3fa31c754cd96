//! Folders as Hugging Face has them: `config.json`, safetensors and `tokenizer.json`, read as if they were a GGUF.
//!
//! A folder answers by GGUF's keys and tensor names, so that no architecture knows where its weights come from. The configuration becomes metadata (`parameters`), the
//! tensors get their names and what llama.cpp's conversion changes in them (`families`, `tensors`), and the bytes of a tensor are made when it is loaded: from the mapped
//! files as they are, or changed, or quantized. Nothing here is trusted: every length is checked against the files before it is believed.

mod config;
mod families;
mod files;
mod parameters;
mod quantization;
mod rope;
mod tensors;
mod text;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io,
    ops::Range,
    path::{Path, PathBuf},
};

pub use quantization::Quantization;

use crate::{
    arch::{ARCHITECTURES, ENCODERS},
    gguf::{Gguf, GgufError, MakeTensor, TensorInfo},
    tokenizer::Tokenizer,
};
use config::Config;
use families::{FAMILIES, Family};
use files::Weights;
use parameters::Parameters;
use tensors::Tensor;
use text::Text;

/// Rows of an embedding, far above any vocabulary: each costs the tokenizer some memory.
const MAX_ROWS: u64 = 1 << 22;

/// Why a folder could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file could not be opened or read.
    #[error("cannot read {path}: {source}{hint}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
        /// What stands in the way and what would cure it; empty when nothing is known.
        hint: String,
    },
    /// A file is missing or not what it should be.
    #[error("{path}: {problem}")]
    File {
        /// The file, or the folder that lacks it.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor is missing, or of another shape or type than needed.
    #[error("{path}: tensor `{name}`: {problem}")]
    Tensor {
        /// The file or folder.
        path: PathBuf,
        /// The tensor, by Hugging Face's name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl FolderError {
    fn file(path: &Path, problem: impl Into<String>) -> Self {
        Self::File { path: path.into(), problem: problem.into() }
    }

    fn tensor(path: &Path, name: &str, problem: impl Into<String>) -> Self {
        Self::Tensor { path: path.into(), name: name.into(), problem: problem.into() }
    }
}

/// A folder whose files are open and whose tensors are known.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    family: &'static Family,
    weights: Weights,
    /// The metadata as a GGUF without tensors.
    metadata: Vec<u8>,
    /// By GGUF's name.
    tensors: BTreeMap<String, Tensor>,
    /// Names by the beginning of the range that a tensor has behind the metadata's end.
    names: BTreeMap<usize, String>,
    text: Text,
}

impl Folder {
    /// Reads what the folder at `path` says of itself and maps its weights, whose matrices `quantize` quantizes as they are loaded.
    ///
    /// # Errors
    /// [`FolderError`]
    pub fn open(path: &Path, quantize: Option<Quantization>) -> Result<Self, FolderError> {
        let Some(whole) = Config::read(path)? else {
            return Err(FolderError::file(path, "has no config.json: name a folder as Hugging Face has them, or the .gguf file itself"));
        };
        let family = family(&whole)?;
        let text = Text::read(path, &whole)?;
        let config = match whole.object("text_config")? {
            Some(config) if family.architecture == "gemma3" => config,
            _ => whole,
        };
        let Parameters { mut metadata, tensors: extra, heads, kv_heads, experts, tied } = parameters::read(family, &config)?;
        if let Some(template) = &text.template {
            metadata.str("tokenizer.chat_template", template);
        }
        if family.architecture == "bert" {
            parameters::pooling(path, &mut metadata)?;
        }
        let weights = Weights::open(path)?;
        let plan = tensors::Plan { folder: path, family, heads, kv_heads, experts, tied, quantize };
        let tensors = plan.tensors(&weights, extra)?;
        let metadata = metadata.build();
        let mut names = BTreeMap::new();
        let mut at = metadata.len();
        for (name, tensor) in &tensors {
            names.insert(at, name.clone());
            at = at
                .checked_add(tensor.len())
                .ok_or_else(|| FolderError::file(path, "its tensors have no size that a computer could hold"))?;
        }
        Ok(Self { path: path.into(), family, weights, metadata, tensors, names, text })
    }

    /// Bytes of the weights as they are loaded.
    pub fn weight_bytes(&self) -> u64 {
        self.tensors.values().map(|tensor| tensor.len() as u64).sum()
    }

    /// The folder as a GGUF.
    ///
    /// # Errors
    /// Never, as the metadata are written here; the parser's error if they were not.
    pub(crate) fn gguf(&self) -> Result<Gguf<'_>, GgufError> {
        let mut gguf = Gguf::parse(&self.metadata)?;
        for (&start, name) in &self.names {
            let tensor = &self.tensors[name];
            let range = start..start + tensor.len();
            gguf.tensors.insert(name, TensorInfo { dimensions: tensor.dimensions.clone(), ty: tensor.ty, range });
        }
        gguf.maker = Some(self);
        Ok(gguf)
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// [`FolderError`] when the files do not make one up, or have no embedding to take tokens.
    pub fn tokenizer(&self) -> Result<Tokenizer, FolderError> {
        let name = "token_embd.weight";
        let rows = self.tensors.get(name).map(|embedding| embedding.dimensions.get(1).copied().unwrap_or(1));
        let wrong = |problem: String| self.explain(GgufError::Tensor { name: name.into(), problem });
        match rows.ok_or_else(|| wrong("missing; every model needs it: download the folder again".into()))? {
            rows if rows <= MAX_ROWS => self.text.tokenizer(rows as usize),
            rows => Err(wrong(format!("has {rows} rows, more than {MAX_ROWS}"))),
        }
    }

    /// What an architecture said of the view, by the names of the folder's own files.
    pub(crate) fn explain(&self, error: GgufError) -> FolderError {
        match error {
            GgufError::Tensor { name, problem } => match self.family.theirs(&name) {
                Some(theirs) => FolderError::tensor(&self.path, &theirs, format!("(`{name}` as a GGUF has it, columns first) {problem}")),
                None => FolderError::tensor(&self.path, &name, problem),
            },
            GgufError::Metadata { key, problem } => {
                FolderError::file(&self.path.join("config.json"), format!("what a GGUF has as `{key}`: {problem}"))
            }
            other => FolderError::file(&self.path, other.to_string()),
        }
    }
}

impl MakeTensor for Folder {
    fn make(&self, Range { start, .. }: Range<usize>) -> Cow<'_, [u8]> {
        let name = self.names.get(&start).expect("a range of this folder's view begins there");
        self.tensors[name].bytes(&self.weights)
    }
}

/// The family of the configuration's model class.
fn family(config: &Config) -> Result<&'static Family, FolderError> {
    let supported = |family: &&Family| ARCHITECTURES.iter().chain(&ENCODERS).any(|known| *known == family.architecture);
    let class = config.opt_strings("architectures")?.and_then(|classes| classes.first().copied());
    let class: &str = class.ok_or_else(|| config.wrong("architectures", "missing; the model's class is needed"))?;
    Family::of(class).filter(supported).ok_or_else(|| {
        let known: Vec<_> = FAMILIES.into_iter().filter(supported).flat_map(|family| family.classes).copied().collect();
        let shown: String = class.chars().take(80).collect();
        config.wrong("architectures", format!("the model class `{shown}` is not supported; supported are {}", known.join(", ")))
    })
}
