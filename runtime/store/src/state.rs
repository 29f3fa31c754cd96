//! The folder for what outlives the process: who uses it, and what is in it only for a while.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    time::{Duration, SystemTime},
};

use crate::{FILE_NAME, RedisUrl, Store, StoreError, private_folder};

/// The file that tells others that the folder is in use.
const LOCK: &str = "lock";
/// The folder of temporary files, with one for each process.
const TEMPORARY: &str = "tmp";

/// A state folder in use. Others may use it beside, until somebody asks for it alone.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    _lock: File,
}

impl StateFolder {
    /// Uses the folder, which is made where there is none, together with others.
    ///
    /// # Errors
    /// [`StoreError::Open`]; [`StoreError::Taken`] while somebody has it alone.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::lock(path, File::try_lock_shared, "a restore is under way there: wait for its end")
    }

    /// Uses the folder alone: to put another in its place.
    ///
    /// # Errors
    /// [`StoreError::Open`]; [`StoreError::Taken`] while anybody uses it.
    pub fn alone(path: &Path) -> Result<Self, StoreError> {
        Self::lock(path, File::try_lock, "a server or another command uses it: stop that first")
    }

    fn lock(path: &Path, lock: impl FnOnce(&File) -> Result<(), TryLockError>, taken: &'static str) -> Result<Self, StoreError> {
        let failed = |reason: io::Error| StoreError::Open { path: path.to_owned(), reason: reason.to_string() };
        private_folder(path).map_err(failed)?;
        let file = File::options().create(true).truncate(false).write(true).open(path.join(LOCK)).map_err(failed)?;
        match lock(&file) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Taken { path: path.to_owned(), reason: taken }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the store in it.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn store(&self) -> Result<Store, StoreError> {
        Store::open(self.path.join(FILE_NAME))
    }

    /// A place in it for temporary files; what processes left there that are no more is removed.
    ///
    /// # Errors
    /// [`StoreError::Open`]
    pub fn temporary(&self) -> Result<Temporary, StoreError> {
        Temporary::below(&self.path.join(TEMPORARY))
    }
}

/// A store, and the folder that it is in, where it is in one: as long as this is held, nobody may put another in its place.
#[derive(Debug)]
pub struct Kept {
    /// The store.
    pub store: Store,
    _folder: Option<(StateFolder, Temporary)>,
}

impl Kept {
    /// In a Redis, which need not be there at the moment: a warning says so.
    ///
    /// # Errors
    /// As [`Store::redis`].
    pub fn redis(url: &RedisUrl) -> Result<Self, StoreError> {
        let store = Store::redis(url)?;
        if let Err(error) = store.check() {
            tracing::warn!("{error}; what it holds is missing until it is back");
        }
        Ok(Self { store, _folder: None })
    }

    /// In a state folder, whose temporary files that nobody uses any more are removed.
    ///
    /// # Errors
    /// As [`StateFolder::open`], [`StateFolder::store`] and [`StateFolder::temporary`].
    pub fn folder(path: &Path) -> Result<Self, StoreError> {
        let folder = StateFolder::open(path)?;
        let (store, temporary) = (folder.store()?, folder.temporary()?);
        Ok(Self { store, _folder: Some((folder, temporary)) })
    }
}

/// How old a temporary file becomes in a process that goes on, and how often that is looked for.
const AGE: Duration = Duration::from_secs(24 * 60 * 60);
const EVERY: Duration = Duration::from_secs(60 * 60);

/// A folder for the temporary files of one process. What lies there for a day is removed; all of it when this is dropped, and where a process had no time for that, by the next
/// one.
#[derive(Debug)]
pub struct Temporary {
    path: PathBuf,
    _lock: File,
    /// Ends the cleaning when it is dropped.
    _cleaning: mpsc::Sender<()>,
}

impl Temporary {
    /// Makes one below `parent`.
    fn below(parent: &Path) -> Result<Self, StoreError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let path = parent.join(format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed)));
        let make = || -> io::Result<File> {
            private_folder(parent)?;
            sweep(parent)?;
            private_folder(&path)?;
            let lock = File::create(path.join(LOCK))?;
            lock.lock()?;
            Ok(lock)
        };
        let lock = make().map_err(|error| StoreError::Open { path: path.clone(), reason: error.to_string() })?;
        let (cleaning, ended) = mpsc::channel();
        let folder = path.clone();
        let clean = move || {
            while ended.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                // What cannot be removed now is looked at again in an hour.
                let _ = clean(&folder, AGE);
            }
        };
        let thread = std::thread::Builder::new().name("temporary files".into()).spawn(clean);
        thread.map_err(|error| StoreError::Open { path: path.clone(), reason: error.to_string() })?;
        Ok(Self { path, _lock: lock, _cleaning: cleaning })
    }

    /// Where files may be made.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what has not been written to for as long as `age`; how many files that were.
    ///
    /// # Errors
    /// When the folder cannot be read or a file not removed.
    pub fn clean(&self, age: Duration) -> io::Result<usize> {
        clean(&self.path, age)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now is by the next process.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn clean(folder: &Path, age: Duration) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let written = entry.metadata()?.modified()?;
        let old = SystemTime::now().duration_since(written).is_ok_and(|since| since >= age);
        if old && entry.file_name() != LOCK {
            remove(&entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes the folders of processes that are no more.
fn sweep(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let path = entry?.path();
        let abandoned = match File::open(path.join(LOCK)) {
            Ok(lock) => lock.try_lock().is_ok(),
            // One without a lock is being made, unless it has been so for long.
            Err(_) => fs::metadata(&path)
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|made| made.elapsed().is_ok_and(|age| age.as_secs() > 60)),
        };
        if abandoned {
            remove(&path)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    let done = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    // Another process may sweep at the same time.
    done.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
