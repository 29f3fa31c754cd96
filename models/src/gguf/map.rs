//! A model file mapped into memory.

use std::{
    fs::File,
    io,
    ops::{Deref, Range},
    path::Path,
};

#[cfg(not(target_family = "wasm"))]
use memmap2::Mmap;
#[cfg(unix)]
use memmap2::UncheckedAdvice;

use super::{Gguf, GgufError};

/// WebAssembly has no maps: there a file is read as a whole.
#[cfg(target_family = "wasm")]
type Mmap = Vec<u8>;

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
        #[cfg(target_family = "wasm")]
        let map = std::fs::read(path).map_err(failed)?;
        // SAFETY: the map is private and read-only, and only plain bytes are read from it, for which every value is valid. Another process that writes to the file
        // while it is mapped could change bytes under a borrow or, by truncating it, kill this process with SIGBUS: model files are written under a temporary name
        // and renamed when they are whole, and the map lives only while a model is loaded.
        #[cfg(not(target_family = "wasm"))]
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
        Ok(Self { map })
    }

    /// Parses the header. What was read of its tensors can then be let go again.
    ///
    /// # Errors
    /// As [`Gguf::parse`].
    pub fn gguf(&self) -> Result<Gguf<'_>, GgufError> {
        Ok(Gguf { map: Some(self), ..Gguf::parse(self)? })
    }

    /// Lets the pages of these bytes go from this process's memory. They stay in the kernel's cache, from where reading them brings them back.
    pub(crate) fn release(&self, range: Range<usize>) {
        // SAFETY: the map is private and nothing was written to it, so that a page that comes back holds the file's bytes as before.
        #[cfg(unix)]
        #[allow(unsafe_code)]
        let released = unsafe { self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, range.start, range.len()) };
        #[cfg(unix)]
        if let Err(error) = released {
            tracing::debug!(%error, "pages of a mapped file stay in memory");
        }
        let _ = range;
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
    let _ = path;
    "; give this user the right to read it".into()
}
