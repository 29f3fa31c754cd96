//! The files about texts: `tokenizer.json`, and what `tokenizer_config.json`, `generation_config.json` and `chat_template.jinja` add to it.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{
    FolderError,
    config::Config,
    files::{read, read_json},
};
use crate::tokenizer::{Named, Tokenizer};

/// Bytes of a `tokenizer.json`. Gemma's has 33 million.
const MAX_TOKENIZER: u64 = 128 << 20;
/// Bytes of the other files: lists of added tokens make some a megabyte.
const MAX_CONFIG: u64 = 16 << 20;

/// What the folder says of texts.
#[derive(Debug)]
pub(super) struct Text {
    path: PathBuf,
    tokenizer: Vec<u8>,
    begin: Named,
    end: Named,
    /// Ids of tokens that end a generation.
    ends: Vec<u32>,
    /// The chat template's source.
    pub(super) template: Option<String>,
}

impl Text {
    /// Reads the files of `folder`, whose `config.json` is `config`.
    pub(super) fn read(folder: &Path, config: &Config) -> Result<Self, FolderError> {
        let path = folder.join("tokenizer.json");
        let Some(tokenizer) = read(&path, MAX_TOKENIZER)? else {
            let cure = "AutoTokenizer.from_pretrained(folder).save_pretrained(folder) of transformers makes it";
            return Err(FolderError::file(&path, format!("is missing; a vocabulary in other files is not read: {cure}")));
        };
        let tokens = read_json(&folder.join("tokenizer_config.json"), MAX_CONFIG)?.unwrap_or_default();
        let generation = Config::read_from(&folder.join("generation_config.json"))?;
        let ids =
            |key: &str| Ok::<_, FolderError>([config.ids(key)?, generation.as_ref().map_or(Ok(Vec::new()), |g| g.ids(key))?].concat());
        let (begins, ends) = (ids("bos_token_id")?, ids("eos_token_id")?);
        Ok(Self {
            begin: Named { text: token(&tokens, "bos_token"), id: begins.first().copied() },
            end: Named { text: token(&tokens, "eos_token"), id: ends.first().copied() },
            ends,
            template: template(folder, &tokens)?,
            path,
            tokenizer,
        })
    }

    /// Builds the tokenizer, for an embedding of `rows` tokens.
    pub(super) fn tokenizer(&self, rows: usize) -> Result<Tokenizer, FolderError> {
        Tokenizer::from_hugging_face(&self.tokenizer, &self.begin, &self.end, &self.ends, rows)
            .map_err(|error| FolderError::file(&self.path, error.to_string()))
    }
}

/// A token that the tokenizer's configuration names: by its text, or as an object with it.
fn token(tokens: &Map<String, Value>, key: &str) -> Option<String> {
    let value = tokens.get(key)?;
    Some(value.as_str().or_else(|| value.get("content")?.as_str())?.to_owned())
}

/// The chat template: a file of its own goes before what stands in the configuration, which may be a list of several.
fn template(folder: &Path, tokens: &Map<String, Value>) -> Result<Option<String>, FolderError> {
    let path = folder.join("chat_template.jinja");
    if let Some(bytes) = read(&path, MAX_CONFIG)? {
        return String::from_utf8(bytes).map(Some).map_err(|_| FolderError::file(&path, "is not UTF-8"));
    }
    let separate = read_json(&folder.join("chat_template.json"), MAX_CONFIG)?;
    let template = separate.as_ref().and_then(|object| object.get("chat_template")).or_else(|| tokens.get("chat_template"));
    Ok(match template {
        Some(Value::String(source)) => Some(source.clone()),
        Some(Value::Array(named)) => {
            let default = named.iter().find(|entry| entry.get("name").and_then(Value::as_str) == Some("default"));
            default.and_then(|entry| entry.get("template")?.as_str()).map(str::to_owned)
        }
        _ => None,
    })
}
