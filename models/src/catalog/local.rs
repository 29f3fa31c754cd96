//! The user's own models: `local.toml` in the weights folder.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{Catalog, Document, InvalidEntry, ModelEntry};

const FILE: &str = "local.toml";
/// Larger than any list that a person keeps.
const MAX_BYTES: u64 = 1 << 20;

/// Why the user's own models could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// `local.toml` is not what this program writes.
    #[error("{path} is not a valid list of models: {problem}; mend it or move it away")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The name belongs to the built-in catalog.
    #[error("`{0}` is a model of the built-in catalog: choose another name for your own")]
    Taken(String),
    /// The entry itself is not usable.
    #[error(transparent)]
    Invalid(#[from] InvalidEntry),
}

/// The user's models; none when there is no `local.toml`.
pub(super) fn read(dir: &Path) -> Result<Vec<ModelEntry>, LocalError> {
    let path = dir.join(FILE);
    let malformed = |problem: String| LocalError::Malformed { path: path.clone(), problem };
    match fs::metadata(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(LocalError::Io { path, source }),
        Ok(metadata) if metadata.len() > MAX_BYTES => return Err(malformed(format!("{} bytes are more than {MAX_BYTES}", metadata.len()))),
        Ok(_) => {}
    }
    let text = fs::read_to_string(&path).map_err(|source| LocalError::Io { path: path.clone(), source })?;
    let own = Catalog::parse(&text).map_err(malformed)?.models;
    let builtin = Catalog::builtin();
    match own.iter().find(|m| builtin.find(&m.name).is_ok()) {
        Some(model) => Err(malformed(format!("`{}` is a model of the built-in catalog", model.name))),
        None => Ok(own),
    }
}

/// Records a model of the user's own in `dir`, in place of one of the same name. Readers see the old list or the new one, never a part.
///
/// # Errors
/// [`LocalError`]
pub fn record(dir: &Path, entry: ModelEntry) -> Result<(), LocalError> {
    entry.check()?;
    if Catalog::builtin().find(&entry.name).is_ok() {
        return Err(LocalError::Taken(entry.name));
    }
    change(dir, |models| {
        models.retain(|m| m.name != entry.name);
        models.push(entry);
    })
}

/// Removes a model of the user's own from the list in `dir`; its files stay. Whether it was there.
///
/// # Errors
/// [`LocalError`]
pub fn forget(dir: &Path, name: &str) -> Result<bool, LocalError> {
    let mut found = false;
    change(dir, |models| {
        let before = models.len();
        models.retain(|m| m.name != name);
        found = models.len() < before;
    })?;
    Ok(found)
}

fn change(dir: &Path, edit: impl FnOnce(&mut Vec<ModelEntry>)) -> Result<(), LocalError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        |source| LocalError::Io { path, source }
    };
    fs::create_dir_all(dir).map_err(at(dir))?;
    // Two pulls at once must not lose each other's entry: the lock is held from the read to the rename, and goes with the file handle.
    let lock_path = dir.join(".local.lock");
    let lock = File::create(&lock_path).map_err(at(&lock_path))?;
    lock.lock().map_err(at(&lock_path))?;

    let mut models = read(dir)?;
    edit(&mut models);
    let text = toml::to_string_pretty(&Document { models }).expect("entries are plain data");
    let path = dir.join(FILE);
    let temporary = dir.join(".local.toml.new");
    let mut file = File::create(&temporary).map_err(at(&temporary))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(at(&temporary))?;
    fs::rename(&temporary, &path).map_err(at(&path))
}
