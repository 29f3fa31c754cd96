//! The files of a folder: JSON of bounded length, and the safetensors, in one file or in shards.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::FolderError;
use crate::{
    gguf::{GgufError, MappedFile, read_hint},
    safetensors::{Safetensors, SafetensorsError, TensorInfo},
};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Bytes of an index: a hundred for each tensor.
const MAX_INDEX: u64 = 32 << 20;
/// Shards of a model. The largest known ones have some two hundred.
const MAX_SHARDS: usize = 4096;

/// Mapped safetensors files and the tensors in them.
#[derive(Debug)]
pub(super) struct Weights {
    files: Vec<MappedFile>,
    /// By Hugging Face's name: the file and the place in it.
    pub(super) tensors: BTreeMap<String, (usize, TensorInfo)>,
}

/// `model.safetensors.index.json`.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// Maps the safetensors of `folder`.
    pub(super) fn open(folder: &Path) -> Result<Self, FolderError> {
        let index_path = folder.join(INDEX);
        let index: Option<Index> = match read(&index_path, MAX_INDEX)? {
            Some(bytes) => Some(serde_json::from_slice(&bytes).map_err(|error| FolderError::file(&index_path, error.to_string()))?),
            None => None,
        };
        let Some(Index { weight_map }) = index else {
            let path = folder.join(SINGLE);
            if !path.exists() {
                return Err(FolderError::file(folder, format!("has neither {SINGLE} nor {INDEX}{}", other_weights(folder))));
            }
            let mut weights = Self { files: Vec::new(), tensors: BTreeMap::new() };
            weights.add(&path)?;
            return Ok(weights);
        };
        let shards: BTreeSet<&str> = weight_map.values().map(String::as_str).collect();
        if shards.len() > MAX_SHARDS {
            return Err(FolderError::file(&index_path, format!("names {} files, more than {MAX_SHARDS}", shards.len())));
        }
        let mut weights = Self { files: Vec::new(), tensors: BTreeMap::new() };
        for shard in &shards {
            // A name and no path: an index must not lead out of its folder.
            if Path::new(shard).file_name().is_none_or(|name| name != *shard) {
                let shown: String = shard.chars().take(80).collect();
                return Err(FolderError::file(&index_path, format!("names the file `{shown}`, which is not a plain file name")));
            }
            let path = folder.join(shard);
            if !path.exists() {
                return Err(FolderError::file(&path, format!("is missing; {INDEX} names it: download the folder again")));
            }
            weights.add(&path)?;
        }
        match weight_map.iter().find(|(name, _)| !weights.tensors.contains_key(*name)) {
            Some((name, shard)) => Err(FolderError::tensor(
                folder,
                name,
                format!("{INDEX} says that it is in {shard}, where it is not: download the folder again"),
            )),
            None => Ok(weights),
        }
    }

    fn add(&mut self, path: &Path) -> Result<(), FolderError> {
        let file = MappedFile::open(path).map_err(|error| match error {
            GgufError::Io { path, source, hint } => FolderError::Io { path: path.into(), source, hint },
            other => FolderError::file(path, other.to_string()),
        })?;
        let parsed = Safetensors::parse(&file).map_err(|error| match error {
            SafetensorsError::Malformed(_) => FolderError::file(path, format!("{error}; download it again")),
            SafetensorsError::Tensor { name, problem } => FolderError::tensor(path, &name, problem),
        })?;
        let number = self.files.len();
        for (name, info) in parsed.tensors {
            if self.tensors.contains_key(&name) {
                return Err(FolderError::tensor(path, &name, "stands in another file as well"));
            }
            self.tensors.insert(name, (number, info));
        }
        self.files.push(file);
        Ok(())
    }

    /// The bytes of a tensor of these files.
    pub(super) fn bytes(&self, file: usize, info: &TensorInfo) -> &[u8] {
        &self.files[file][info.range.clone()]
    }
}

/// What else there is, and what to do with it.
fn other_weights(folder: &Path) -> &'static str {
    let Ok(entries) = std::fs::read_dir(folder) else { return "" };
    let names: Vec<String> = entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    let any = |ending: &str| names.iter().any(|name| name.ends_with(ending));
    if any(".gguf") {
        "; it has a GGUF: name the .gguf file itself"
    } else if any(".bin") || any(".pth") || any(".pt") {
        "; its weights are Python's pickles, which are not read: convert them to safetensors (`model.save_pretrained(folder)` of transformers)"
    } else {
        "; download the folder again"
    }
}

/// The bytes of a file of at most `limit` bytes; `None` where there is none.
pub(super) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FolderError> {
    let failed = |source: io::Error| FolderError::Io { path: PathBuf::from(path), hint: read_hint(path, &source), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > limit {
        true => Err(FolderError::file(path, format!("is longer than {limit} bytes, which no such file needs"))),
        false => Ok(Some(bytes)),
    }
}

/// The JSON object in a file of at most `limit` bytes; `None` where there is none.
pub(super) fn read_json(path: &Path, limit: u64) -> Result<Option<Map<String, Value>>, FolderError> {
    let Some(bytes) = read(path, limit)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| FolderError::file(path, format!("is not a JSON object: {error}")))
}
