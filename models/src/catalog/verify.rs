//! Whether the files that lie here are the ones that the catalog pins.
//!
//! Hashing a large model takes seconds, so a file that was verified gets a marker beside it (`<file>.sha256`) with its size, time of change and hash. The marker saves
//! time and proves nothing: it is believed only while size and time agree, and a [`Check::Full`] ignores it.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use sha2::{Digest, Sha256};

use super::{ModelEntry, ModelFile, load_path_of, path_of};
use crate::gguf::read_hint;

/// How thoroughly to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Believe the marker of an unchanged file, else hash it: for a start.
    Marked,
    /// Hash every byte.
    Full,
}

/// A model whose bytes are the pinned ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The file or folder to load.
    pub path: PathBuf,
    /// The file's sha256, lower-case hexadecimal; a folder has none of its own.
    pub sha256: Option<String>,
    /// Whether bytes were hashed now, and not all hashes taken from markers.
    pub hashed: bool,
}

/// Why a file may not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is not here.
    #[error("the model `{model}` is not on this machine ({path} is missing); get it with: hearth pull {model}")]
    Missing {
        /// The model.
        model: String,
        /// Where its file would lie.
        path: PathBuf,
    },
    /// It is cut short or too long.
    #[error("{path} has {got} bytes, but `{model}` has {expected}: it is not loaded; get it again with: hearth pull {model}")]
    Size {
        /// The model.
        model: String,
        /// The file.
        path: PathBuf,
        /// Bytes in the catalog.
        expected: u64,
        /// Bytes of the file.
        got: u64,
    },
    /// Its bytes are others.
    #[error("{path} has the sha256 {got}, but `{model}` has {expected}: it is not loaded; get it again with: hearth pull {model}")]
    Hash {
        /// The model.
        model: String,
        /// The file.
        path: PathBuf,
        /// The hash in the catalog.
        expected: String,
        /// The hash of the file.
        got: String,
    },
    /// The system refused.
    #[error("cannot read {path}: {source}{hint}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
        /// The file's mode and the cure, as far as known.
        hint: String,
    },
}

/// Verifies every file of `model` in the weights folder `dir` and returns what to load. `progress` gets the bytes hashed so far and the bytes of all files; it is not
/// called where the markers suffice.
///
/// # Errors
/// [`VerifyError`]
pub fn verify(model: &ModelEntry, dir: &Path, check: Check, progress: &mut dyn FnMut(u64, u64)) -> Result<Verified, VerifyError> {
    let total = model.size();
    let mut before = 0;
    let mut hashed = false;
    for file in &model.files {
        hashed |= verify_file(model, file, dir, check, &mut |done| progress(before + done, total))?;
        before += file.size;
    }
    let sha256 = (!model.is_folder()).then(|| model.main_file().sha256.clone());
    Ok(Verified { path: load_path_of(dir, model), sha256, hashed })
}

/// Whether the file's bytes were hashed for it.
fn verify_file(model: &ModelEntry, file: &ModelFile, dir: &Path, check: Check, progress: &mut dyn FnMut(u64)) -> Result<bool, VerifyError> {
    let path = path_of(dir, model, file);
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => VerifyError::Missing { model: model.name.clone(), path: path.clone() },
        _ => VerifyError::Io { hint: read_hint(&path, &source), path: path.clone(), source },
    };
    let metadata = fs::metadata(&path).map_err(failed)?;
    if metadata.len() != file.size {
        return Err(VerifyError::Size { model: model.name.clone(), expected: file.size, got: metadata.len(), path });
    }
    // Opened even where the marker suffices: a file that cannot be read must fail here, with its name.
    File::open(&path).map_err(failed)?;
    let line = marker_line(&metadata, &file.sha256);
    if check == Check::Marked && line.is_some() && fs::read_to_string(marker_path(&path)).ok() == line {
        return Ok(false);
    }
    let got = sha256_file(&path, progress).map_err(failed)?;
    if got != file.sha256 {
        return Err(VerifyError::Hash { model: model.name.clone(), path, expected: file.sha256.clone(), got });
    }
    // If the file changed while it was read, what was hashed is not what lies there now: then there is no marker, and the next start hashes again.
    let after = fs::metadata(&path).map_err(failed)?;
    if marker_line(&after, &got) == line {
        write_marker(&path, line);
    }
    Ok(true)
}

/// Marks `path` as having this hash, so that the next [`verify`] need not read it again: for a pull, which has hashed the bytes as they came.
pub fn mark_verified(path: &Path, sha256: &str) {
    if let Ok(metadata) = fs::metadata(path) {
        write_marker(path, marker_line(&metadata, sha256));
    }
}

/// The sha256 of a file, lower-case hexadecimal. `progress` gets the bytes read so far.
///
/// # Errors
/// What reading the file gives.
pub fn sha256_file(path: &Path, progress: &mut dyn FnMut(u64)) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                hasher.update(&buffer[..n]);
                done += n as u64;
                progress(done);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn marker_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sha256");
    name.into()
}

/// What a marker of the file in this state says.
fn marker_line(metadata: &Metadata, sha256: &str) -> Option<String> {
    let changed = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("sha256 {sha256} size {} mtime {}.{:09}\n", metadata.len(), changed.as_secs(), changed.subsec_nanos()))
}

/// A folder that cannot be written (weights in a container's image) is no error: the file is hashed at each start then.
fn write_marker(path: &Path, line: Option<String>) {
    if let Some(line) = line {
        let _ = fs::write(marker_path(path), line);
    }
}
