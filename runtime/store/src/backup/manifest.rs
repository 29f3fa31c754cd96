//! The list of contents of one backup. Nothing in it is trusted before it is checked here: its paths stay below the folder that they are for, its numbers within their bounds.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{BackupError, CHUNK};

/// The format that this version writes and reads.
const FORMAT: u32 = 1;
/// Bytes of a manifest, files in it, and bytes of a path at most.
pub const MANIFEST_MAX: usize = 64 << 20;
const FILES_MAX: usize = 100_000;
const PATH_MAX: usize = 1024;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: u32,
    /// When it was taken, in Unix seconds.
    pub made: u64,
    /// Whether every chunk was read again or written, or only what had changed.
    pub full: bool,
    /// The version of Hearth that took it.
    pub version: String,
    /// Its files.
    pub files: Vec<StoredFile>,
    /// The models that were there, with or without their files.
    pub models: Vec<StoredModel>,
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredFile {
    /// Of what it is a part.
    pub root: Root,
    /// Where it is below that, with slashes.
    pub path: String,
    /// Its bytes.
    pub size: u64,
    /// Their SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// The chunks that it consists of, each of [`CHUNK`] bytes but the last.
    pub chunks: Vec<String>,
}

/// What a file is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Root {
    /// The state folder: the store and what lies beside it.
    State,
    /// Files that were named, as configuration and keys.
    Included,
    /// The folder of models.
    Models,
}

/// A model that was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredModel {
    /// Its name in the catalog.
    pub name: String,
    /// The SHA-256 of its main file.
    pub sha256: String,
}

impl Manifest {
    pub(super) fn new(made: u64, full: bool, version: &str, models: Vec<StoredModel>) -> Self {
        Self { format: FORMAT, made, full, version: version.to_owned(), files: Vec::new(), models }
    }

    pub(super) fn write(&self) -> Result<Vec<u8>, BackupError> {
        serde_json::to_vec(self).map_err(|error| BackupError::Manifest(error.to_string()))
    }

    /// Reads and checks one.
    ///
    /// # Errors
    /// [`BackupError::Manifest`]
    pub fn parse(bytes: &[u8]) -> Result<Self, BackupError> {
        let wrong = |reason: String| BackupError::Manifest(reason);
        if bytes.len() > MANIFEST_MAX {
            return Err(wrong(format!("they have more than {MANIFEST_MAX} bytes")));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        if manifest.format != FORMAT {
            return Err(wrong(format!("they have format {}, and this version of Hearth reads format {FORMAT}", manifest.format)));
        }
        if manifest.files.len() > FILES_MAX || manifest.models.len() > FILES_MAX {
            return Err(wrong(format!("they name more than {FILES_MAX} files or models")));
        }
        let mut seen = HashSet::new();
        for file in &manifest.files {
            file.check()?;
            if !seen.insert((file.root, file.path.as_str())) {
                return Err(wrong(format!("{:?} is there twice", file.path)));
            }
        }
        Ok(manifest)
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }
}

impl StoredFile {
    fn check(&self) -> Result<(), BackupError> {
        let wrong = |reason: &str| BackupError::Manifest(format!("{:?}: {reason}", self.path));
        let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']);
        if self.path.len() > PATH_MAX || !self.path.split('/').all(plain) {
            return Err(wrong("such a path could lead out of its folder"));
        }
        if !is_hash(&self.sha256) || !self.chunks.iter().all(|chunk| is_hash(chunk)) {
            return Err(wrong("a hash is not 64 hexadecimal digits"));
        }
        if self.size.div_ceil(CHUNK as u64) != self.chunks.len() as u64 {
            return Err(wrong("its size does not fit its chunks"));
        }
        Ok(())
    }

    /// Bytes of its chunk number `at`.
    pub(super) fn chunk_size(&self, at: usize) -> u64 {
        (self.size - (at as u64 * CHUNK as u64)).min(CHUNK as u64)
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
