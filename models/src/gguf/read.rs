//! A model file of which only the header stays in memory, for systems that map no files: WebAssembly.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::{Gguf, GgufError, MakeTensor, header, map::read_hint};

/// Bytes that are read at once: most headers, vocabulary included, are shorter.
const HEAD: usize = 8 << 20;

/// A file that is read as its tensors are asked for.
#[derive(Debug)]
pub struct ReadFile {
    path: PathBuf,
    file: Mutex<File>,
    /// The file's beginning, with all of its header, or all of what cannot be parsed.
    head: Vec<u8>,
    size: usize,
}

impl ReadFile {
    /// Opens `path` and reads its header.
    ///
    /// # Errors
    /// [`GgufError::Io`], with the file's mode and the cure when it is not readable.
    pub fn open(path: &Path) -> Result<Self, GgufError> {
        let failed = |source: io::Error| GgufError::Io { path: path.display().to_string(), hint: read_hint(path, &source), source };
        let mut file = File::open(path).map_err(failed)?;
        let size = usize::try_from(file.metadata().map_err(failed)?.len()).map_err(|_| {
            failed(io::Error::new(io::ErrorKind::FileTooLarge, "larger than a program of 32 bits can address: choose a smaller model"))
        })?;
        let (mut head, mut wanted) = (Vec::new(), HEAD.min(size));
        loop {
            let more = (wanted - head.len()) as u64;
            head.reserve_exact(more as usize);
            if (&mut file).take(more).read_to_end(&mut head).map_err(failed)? < more as usize {
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
            // What is wrong with a header that was read as far as there is one is told by `gguf`.
            if wanted == size || header::parse(&head, size).is_ok() {
                return Ok(Self { path: path.into(), file: Mutex::new(file), head, size });
            }
            wanted = wanted.saturating_mul(2).min(size);
        }
    }

    /// Parses the header.
    ///
    /// # Errors
    /// As [`Gguf::parse`].
    pub fn gguf(&self) -> Result<Gguf<'_>, GgufError> {
        Ok(Gguf { maker: Some(self), ..header::parse(&self.head, self.size)? })
    }

    fn read(&self, range: Range<usize>) -> io::Result<Vec<u8>> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(range.start as u64))?;
        let mut bytes = vec![0; range.len()];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

impl MakeTensor for ReadFile {
    /// # Panics
    /// When the file has become unreadable since it was opened, which a mapped file would answer with a signal.
    fn make(&self, range: Range<usize>) -> Cow<'_, [u8]> {
        match self.head.get(range.clone()) {
            Some(bytes) => Cow::Borrowed(bytes),
            None => match self.read(range) {
                Ok(bytes) => Cow::Owned(bytes),
                Err(error) => panic!("{}: {error}: it was changed while it was being loaded", self.path.display()),
            },
        }
    }
}
