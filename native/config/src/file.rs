//! The file: where it is looked for, whether it can be trusted, and what it says.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use crate::{
    format::{Entry, Format, parse},
    problem::Problem,
};

/// Bytes of a file at most.
pub const BYTES_MAX: u64 = 256 << 10;

/// How a file was found, which says what it may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It was named, or lies where only its owner or the administrator puts files.
    Named,
    /// It lay in the working folder, which may be anybody's: keys that name commands to run are refused.
    Found,
}

/// Where files are looked for that nobody named.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// The file of the working folder.
    pub here: Option<PathBuf>,
    /// Those of the user and the machine. The first file that exists is read, and no other.
    pub elsewhere: Vec<PathBuf>,
}

impl Search {
    /// The first that is there.
    pub(crate) fn find(&self) -> Option<(PathBuf, Trust)> {
        let here = self.here.iter().map(|path| (path, Trust::Found));
        let mut all = here.chain(self.elsewhere.iter().map(|path| (path, Trust::Named)));
        all.find(|(path, _)| path.exists()).map(|(path, trust)| (path.clone(), trust))
    }
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it lies.
    pub path: PathBuf,
    /// How it was found.
    pub trust: Trust,
    /// What it says, in the order of its lines.
    pub entries: Vec<Entry>,
    /// Whether other users may read it.
    pub readable_by_others: bool,
}

impl File {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is missing, longer than [`BYTES_MAX`], not UTF-8 or not of its [`Format`]; when other users may write it; and when it was only found, but is somebody
    /// else's.
    pub fn read(path: &Path, trust: Trust) -> Result<Self, Problem> {
        let problem = |message: String| Problem::in_file(path, None, message);
        let cannot = |error: std::io::Error| problem(format!("cannot be read: {error}"));
        let file = std::fs::File::open(path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        if metadata.is_dir() {
            return Err(problem("is a folder: name the file in it".to_owned()));
        }
        let readable_by_others = check_owner(&metadata, trust).map_err(problem)?;
        let mut bytes = Vec::new();
        file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(problem(format!("is longer than {} KiB, which no configuration is", BYTES_MAX >> 10)));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            Problem::in_file(path, Some(line), "is not UTF-8")
        })?;
        let entries = parse(&text, Format::of(path)).map_err(|error| Problem::in_file(path, error.line, error.message))?;
        Ok(Self { path: path.to_owned(), trust, entries, readable_by_others })
    }
}

/// Whether others may read it.
#[cfg(unix)]
fn check_owner(metadata: &std::fs::Metadata, trust: Trust) -> Result<bool, String> {
    use std::os::unix::fs::MetadataExt;
    let (mode, owner, user) = (metadata.mode(), metadata.uid(), rustix::process::geteuid().as_raw());
    if metadata.is_file() && mode & 0o002 != 0 {
        return Err("every user may write it, and so say what this service does: chmod o-w it".to_owned());
    }
    if trust == Trust::Found && owner != user && owner != 0 {
        return Err(format!("lies in the working folder and belongs to user {owner}, not to you: name it with --config if it is meant"));
    }
    Ok(metadata.is_file() && mode & 0o044 != 0)
}

#[cfg(not(unix))]
fn check_owner(_metadata: &std::fs::Metadata, _trust: Trust) -> Result<bool, String> {
    Ok(false)
}
