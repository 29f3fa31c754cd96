//! A log file that is put aside when it is large or old: `service.log` becomes `service.log.1`, that one `service.log.2`, and the last is removed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tracing_subscriber::fmt::MakeWriter;

/// When a file is put aside, and how many are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rotation {
    /// No file grows larger, but for a single line.
    pub(super) bytes: u64,
    /// How long one is written.
    pub(super) age: Option<Duration>,
    /// Files beside the one that is written.
    pub(super) kept: u32,
}

/// The file that is written.
#[derive(Debug)]
pub(super) struct RollingFile {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    /// Bytes in it.
    length: u64,
    begun: SystemTime,
}

impl RollingFile {
    /// Goes on with the file at `path`, whose folder is made if it is not there.
    pub(super) fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let file = append(path)?;
        let metadata = file.metadata()?;
        // Not every file system knows when a file was made.
        let begun = metadata.created().or_else(|_| metadata.modified()).unwrap_or_else(|_| SystemTime::now());
        Ok(Self { path: path.to_owned(), rotation, file, length: metadata.len(), begun })
    }

    fn is_due(&self, more: usize) -> bool {
        let old = self.rotation.age.is_some_and(|age| self.begun.elapsed().is_ok_and(|elapsed| elapsed >= age));
        self.length > 0 && (old || self.length + more as u64 > self.rotation.bytes)
    }

    fn rotate(&mut self) -> io::Result<()> {
        let aside = |number: u32| match number {
            0 => self.path.clone(),
            number => {
                let mut name = self.path.clone().into_os_string();
                name.push(format!(".{number}"));
                name.into()
            }
        };
        let missing = |error: io::Error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) };
        fs::remove_file(aside(self.rotation.kept)).or_else(missing)?;
        for number in (0..self.rotation.kept).rev() {
            fs::rename(aside(number), aside(number + 1)).or_else(missing)?;
        }
        self.file = append(&self.path)?;
        Ok(())
    }
}

/// The folder of the state is the service's own; a log tells who has asked for what, and is no one else's.
fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

impl Write for RollingFile {
    /// Writes all of `line`, in one file.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.is_due(line.len()) {
            if let Err(error) = self.rotate() {
                // To the log's own file it goes on, and it is tried again after as many bytes or as much time.
                eprintln!("the log file {} cannot be put aside: {error}", self.path.display());
            }
            (self.length, self.begun) = (0, SystemTime::now());
        }
        self.file.write_all(line)?;
        self.length += line.len() as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The file of all threads. A line is written at once: what is logged is there, even if the process is killed.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Mutex<RollingFile>>);

impl Shared {
    pub(super) fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        Ok(Self(Arc::new(Mutex::new(RollingFile::open(path, rotation)?))))
    }
}

/// The right to write a line.
pub(super) struct Turn<'a>(MutexGuard<'a, RollingFile>);

impl Write for Turn<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<'a> MakeWriter<'a> for Shared {
    type Writer = Turn<'a>;

    fn make_writer(&'a self) -> Turn<'a> {
        Turn(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> Option<String> {
        fs::read_to_string(path).ok()
    }

    #[test]
    fn a_full_file_is_put_aside_and_so_many_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/service.log");
        let rotation = Rotation { bytes: 10, age: None, kept: 2 };
        let mut file = RollingFile::open(&path, rotation).unwrap();
        for line in ["one..\n", "two\n", "three....\n", "a line that is longer than a file\n", "five\n"] {
            file.write_all(line.as_bytes()).unwrap();
        }
        let aside = |number: u32| text(&folder.path().join(format!("logs/service.log.{number}")));
        assert_eq!(text(&path).unwrap(), "five\n");
        assert_eq!(aside(1).unwrap(), "a line that is longer than a file\n");
        assert_eq!(aside(2).unwrap(), "three....\n");
        assert_eq!(aside(3), None);
        // The next process goes on where this one was.
        let mut next = RollingFile::open(&path, rotation).unwrap();
        next.write_all(b"six\n").unwrap();
        assert_eq!(text(&path).unwrap(), "five\nsix\n");
    }

    #[test]
    fn an_old_file_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("service.log");
        let mut file = RollingFile::open(&path, Rotation { bytes: 1000, age: Some(Duration::from_secs(60)), kept: 1 }).unwrap();
        file.write_all(b"old\n").unwrap();
        file.write_all(b"older\n").unwrap();
        assert_eq!(text(&path).unwrap(), "old\nolder\n");
        file.begun -= Duration::from_secs(61);
        file.write_all(b"new\n").unwrap();
        assert_eq!(
            (text(&path).unwrap().as_str(), text(&folder.path().join("service.log.1")).unwrap().as_str()),
            ("new\n", "old\nolder\n")
        );
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("service.log");
        RollingFile::open(&path, Rotation { bytes: 10, age: None, kept: 0 }).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn without_kept_files_it_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("service.log");
        let mut file = RollingFile::open(&path, Rotation { bytes: 4, age: None, kept: 0 }).unwrap();
        for line in ["one\n", "two\n"] {
            file.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(text(&path).unwrap(), "two\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
