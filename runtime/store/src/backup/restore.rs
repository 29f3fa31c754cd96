//! The way back: every byte is checked before anything is put in the place of what is there.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use ring::digest::{Context, SHA256};

use super::{
    Archive, BackupError, CHUNK, Manifest, Root, StoredFile,
    archive::chunk_name,
    key::hex,
    object::{self, OVERHEAD},
};
use crate::{FILE_NAME, StateFolder, Store, private_folder};

/// A backup that lies on this machine, whole and checked, and is in use nowhere yet.
#[derive(Debug)]
pub struct Restored {
    /// The state folder.
    pub state: PathBuf,
    /// The files that were included, where there are any.
    pub included: Option<PathBuf>,
    /// The files of models, where there are any.
    pub models: Option<PathBuf>,
}

impl Archive<'_> {
    /// Reads all of a backup and compares all hashes; the bytes that it has.
    ///
    /// # Errors
    /// [`BackupError::Damaged`], [`BackupError::Missing`], [`BackupError::Shelf`].
    pub fn verify(&self, manifest: &Manifest) -> Result<u64, BackupError> {
        for file in &manifest.files {
            self.read_file(file, &mut std::io::sink(), Path::new(&file.path))?;
        }
        Ok(manifest.size())
    }

    /// Writes a backup into the folder `target`, which must not exist yet, and checks it.
    ///
    /// # Errors
    /// [`BackupError::Damaged`], [`BackupError::Missing`], [`BackupError::Shelf`], [`BackupError::File`]; [`BackupError::Store`] where the store does not open.
    pub fn restore(&self, manifest: &Manifest, target: &Path) -> Result<Restored, BackupError> {
        if target.exists() {
            return Err(BackupError::File { path: target.to_owned(), reason: "it exists already".to_owned() });
        }
        let place = |root: Root| {
            target.join(match root {
                Root::State => "state",
                Root::Included => "included",
                Root::Models => "models",
            })
        };
        private_folder(&place(Root::State)).map_err(|error| BackupError::file(target, &error))?;
        for file in &manifest.files {
            // Its parts were checked when the manifest was read: none leads out of the folder.
            let path = place(file.root).join(&file.path);
            let failed = |error: std::io::Error| BackupError::file(&path, &error);
            private_folder(path.parent().unwrap_or(target)).map_err(failed)?;
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut out = options.open(&path).map_err(failed)?;
            self.read_file(file, &mut out, &path)?;
            out.sync_all().map_err(failed)?;
        }
        let state = place(Root::State);
        if manifest.files.iter().any(|file| file.root == Root::State && file.path == FILE_NAME) {
            Store::open(state.join(FILE_NAME))?.check()?;
        }
        let holds = |root: Root| manifest.files.iter().any(|file| file.root == root).then(|| place(root));
        Ok(Restored { state, included: holds(Root::Included), models: holds(Root::Models) })
    }

    /// Writes a file chunk by chunk, each of which is checked, and checks the whole.
    fn read_file(&self, file: &StoredFile, out: &mut dyn Write, path: &Path) -> Result<(), BackupError> {
        let mut hash = Context::new(&SHA256);
        for (at, id) in file.chunks.iter().enumerate() {
            let name = chunk_name(id);
            let damaged = |reason: &str| BackupError::Damaged { name: name.clone(), reason: reason.to_owned() };
            let bytes = self.shelf.get(&name, CHUNK + OVERHEAD)?.ok_or_else(|| BackupError::Missing(name.clone()))?;
            let chunk = object::open(self.key, &name, bytes, CHUNK)?;
            if chunk.len() as u64 != file.chunk_size(at) || self.key.name_of(&chunk) != *id {
                return Err(damaged("it is another chunk"));
            }
            hash.update(&chunk);
            out.write_all(&chunk).map_err(|error| BackupError::file(path, &error))?;
        }
        if hex(hash.finish().as_ref()) != file.sha256 {
            return Err(BackupError::Damaged { name: file.path.clone(), reason: "its hash is another".to_owned() });
        }
        Ok(())
    }
}

/// Puts the state folder `restored` in the place of `state`, in one step, while nobody uses it; where the one that was there is now, if there was one.
///
/// # Errors
/// [`BackupError::Store`] while a server uses it; [`BackupError::File`].
pub fn swap(restored: &Path, state: &Path, aside: &Path) -> Result<Option<PathBuf>, BackupError> {
    let failed = |error: std::io::Error| BackupError::file(state, &error);
    if !state.exists() {
        if let Some(parent) = state.parent() {
            private_folder(parent).map_err(failed)?;
        }
        fs::rename(restored, state).map_err(failed)?;
        return Ok(None);
    }
    // Held until it is out of the way: who begins to use the folder meanwhile is refused.
    let _alone = StateFolder::alone(state)?;
    let exchange = || rustix::fs::renameat_with(rustix::fs::CWD, restored, rustix::fs::CWD, state, rustix::fs::RenameFlags::EXCHANGE);
    match exchange() {
        // What was there lies where the restored one was, which is removed at the end: it must not stay there.
        Ok(()) => {
            if let Err(error) = fs::rename(restored, aside) {
                let _ = exchange();
                return Err(BackupError::file(aside, &error));
            }
        }
        // A file system that cannot exchange: two steps, and back where the second fails.
        Err(_) => {
            fs::rename(state, aside).map_err(failed)?;
            if let Err(error) = fs::rename(restored, state) {
                let _ = fs::rename(aside, state);
                return Err(failed(error));
            }
        }
    }
    if let Some(parent) = state.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
    }
    Ok(Some(aside.to_owned()))
}
