//! Where backups go: objects by name. A folder here; whoever has HTTP brings one for S3.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::BackupError;
use crate::private_folder;

/// A place for objects. A name has letters, digits, `-`, `.` and `/` alone.
pub trait Shelf {
    /// What a person calls it; without a password.
    fn place(&self) -> String;

    /// Puts an object, whole or not at all, in the place of one of the same name.
    ///
    /// # Errors
    /// [`BackupError::Shelf`]
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), BackupError>;

    /// An object; `None` where there is none. One of more than `longest` bytes is an error.
    ///
    /// # Errors
    /// [`BackupError::Shelf`]
    fn get(&self, name: &str, longest: usize) -> Result<Option<Vec<u8>>, BackupError>;

    /// The names that begin with `folder` and a slash, in any order.
    ///
    /// # Errors
    /// [`BackupError::Shelf`]
    fn list(&self, folder: &str) -> Result<Vec<String>, BackupError>;

    /// Removes an object, which need not be there.
    ///
    /// # Errors
    /// [`BackupError::Shelf`]
    fn delete(&self, name: &str) -> Result<(), BackupError>;
}

/// A folder of this machine, or one that is mounted.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`, which is made when something is put there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    fn failed(&self, error: &io::Error) -> BackupError {
        BackupError::Shelf { place: self.place(), reason: error.to_string() }
    }
}

impl Shelf for Folder {
    fn place(&self) -> String {
        self.0.display().to_string()
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
        let path = self.0.join(name);
        let partial = path.with_extension(format!("{}.partial", std::process::id()));
        let put = || -> io::Result<()> {
            let parent = path.parent().unwrap_or(Path::new("."));
            private_folder(parent)?;
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).truncate(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&partial)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&partial, &path)?;
            // The name, too, must be on the disk.
            fs::File::open(parent)?.sync_all()
        };
        put().map_err(|error| {
            let _ = fs::remove_file(&partial);
            self.failed(&error)
        })
    }

    fn get(&self, name: &str, longest: usize) -> Result<Option<Vec<u8>>, BackupError> {
        let file = match fs::File::open(self.0.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(&error)),
        };
        let mut bytes = Vec::new();
        file.take(longest as u64 + 1).read_to_end(&mut bytes).map_err(|error| self.failed(&error))?;
        if bytes.len() > longest {
            return Err(self.failed(&io::Error::other(format!("{name} has more than {longest} bytes"))));
        }
        Ok(Some(bytes))
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, BackupError> {
        let mut names = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(self.0.join(&folder)) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(self.failed(&error)),
            };
            for entry in entries {
                let entry = entry.map_err(|error| self.failed(&error))?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let name = format!("{folder}/{name}");
                if entry.file_type().map_err(|error| self.failed(&error))?.is_dir() {
                    folders.push(name);
                } else if !name.ends_with(".partial") {
                    names.push(name);
                }
            }
        }
        Ok(names)
    }

    fn delete(&self, name: &str) -> Result<(), BackupError> {
        match fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(&error)),
            _ => Ok(()),
        }
    }
}
