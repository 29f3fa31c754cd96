//! A model file mapped into memory.

use std::{fs::File, io, ops::Deref, path::Path};

use memmap2::Mmap;

use super::GgufError;

/// A read-only map of a whole file: its pages are the kernel's cache, shared by every process that maps it.
#[derive(Debug)]
pub struct MappedFile {
    map: Mmap,
}

impl MappedFile {
    /// Maps `path`.
    ///
    /// # Errors
    /// [`GgufError::Io`], with the file's mode and the cure when it is not readable.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        let failed = |source: io::Error| GgufError::Io { path: path.display().to_string(), hint: read_hint(path, &source), source };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        // SAFETY: the map is private and read-only, and only plain bytes are read from it, for which every value is valid. Another process that writes to the file
        // while it is mapped could change bytes under a borrow or, by truncating it, kill this process with SIGBUS: model files are written under a temporary name
        // and renamed when they are whole, and the map lives only while a model is loaded.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
        Ok(Self { map })
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

/// Why `path` cannot be read, as far as its mode tells, and the cure.
pub(crate) fn read_hint(path: &Path, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return String::new();
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if let Ok(metadata) = std::fs::metadata(path) {
            let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
            return format!(" (mode {mode:04o}, owned by user {owner}); make it readable: chmod a+r '{}'", path.display());
        }
        // The file cannot even be looked at: a folder above it is closed.
        for folder in path.ancestors().skip(1) {
            if let Ok(metadata) = std::fs::metadata(folder) {
                let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
                let folder = folder.display();
                return format!(
                    " (its folder {folder} has mode {mode:04o} and is owned by user {owner}); let this user through: chmod a+x '{folder}'"
                );
            }
        }
    }
    "; give this user the right to read it".into()
}
