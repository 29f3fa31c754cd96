//! Files that only this user may read: keys.

use std::{
    fs::{DirBuilder, OpenOptions},
    io::{self, Write},
    path::Path,
};

use super::TlsError;

/// Writes all of `bytes` or nothing, readable for this user alone, and makes the folder.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), TlsError> {
    whole(path, bytes).map_err(|source| TlsError::Write { path: path.to_owned(), source })
}

fn whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut make = DirBuilder::new();
    make.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut make, 0o700);
    make.create(folder)?;
    let new = path.with_extension("new");
    // Left over from a run that was killed: opening it would keep whatever mode it has.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

/// The file's bytes; `None` where there is no file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, TlsError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TlsError::Read { path: path.to_owned(), source }),
    }
}
