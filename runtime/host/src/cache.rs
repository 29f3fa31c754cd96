//! Compiled components on disk, so that a second start does not compile again.
//!
//! A file is named by the hash of the wasm and of all that its machine code depends on, and begins with the hash of its own contents: a file that was cut short or
//! damaged is compiled anew. Files are made whole under another name and renamed. The folder belongs to this user alone; one that others can write to is not used.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::SystemTime,
};

use sha2::{Digest, Sha256};
use wasmtime::{Engine, component::Component};

/// Compiled components that are kept; beyond, the oldest go.
const FILES_MAX: usize = 32;
const EXTENSION: &str = "cwasm";

/// The folder of compiled components.
#[derive(Debug, Clone)]
pub(crate) struct Cache(PathBuf);

impl Cache {
    /// The folder of this user: `$XDG_CACHE_HOME/hearth/components`, else `~/.cache/hearth/components`.
    pub(crate) fn folder_of_user() -> Option<PathBuf> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
        Some(cache.join("hearth/components"))
    }

    /// Makes the folder where there is none.
    ///
    /// # Errors
    /// Where it cannot be made, or where others than this user can write to it.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
        own(folder)?;
        Ok(Self(folder.to_owned()))
    }

    /// The compiled form of `wasm`: from the disk, or compiled now and kept.
    ///
    /// # Errors
    /// What compiling gives; the disk's troubles only cost time.
    pub(crate) fn component(&self, engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Component> {
        let path = self.0.join(format!("{}.{EXTENSION}", key(engine, wasm)));
        match read(&path) {
            Ok(Some(code)) => match deserialize(engine, &code) {
                Ok(component) => return Ok(component),
                Err(error) => tracing::debug!("{} is not used: {error:#}", path.display()),
            },
            Ok(None) => {}
            Err(error) => tracing::debug!("{} is not used: {error}", path.display()),
        }
        let component = Component::new(engine, wasm)?;
        if let Err(error) = component.serialize().map_err(io::Error::other).and_then(|code| self.write(&path, &code)) {
            tracing::debug!("the compiled component is not kept: {error}");
        }
        Ok(component)
    }

    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        let mut bytes = Sha256::digest(code).to_vec();
        bytes.extend_from_slice(code);
        // A name of its own for each writer, of this process and of others.
        static WRITERS: AtomicU32 = AtomicU32::new(0);
        let partial = path.with_extension(format!("{}-{}.partial", std::process::id(), WRITERS.fetch_add(1, Relaxed)));
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&partial).and_then(|mut file| io::Write::write_all(&mut file, &bytes));
        written.and_then(|()| fs::rename(&partial, path)).inspect_err(|_| drop(fs::remove_file(&partial)))?;
        self.forget_oldest()
    }

    fn forget_oldest(&self) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.0)?
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let path = entry.path();
                (path.extension()? == EXTENSION).then_some(())?;
                Some((entry.metadata().ok()?.modified().ok()?, path))
            })
            .collect();
        files.sort();
        for (_, path) in files.iter().take(files.len().saturating_sub(FILES_MAX)) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// Names `wasm` together with wasmtime's version, its settings and this machine's processor.
fn key(engine: &Engine, wasm: &[u8]) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut settings = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut settings);
    let digest = Sha256::digest(wasm);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{digest}-{:016x}", settings.finish())
}

/// What follows the hash at the beginning, if it is what was hashed; `None` where there is no file.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    own(path)?;
    let code = bytes.split_off(bytes.len().min(32));
    if Sha256::digest(&code)[..] != bytes[..] {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its contents are not what was written"));
    }
    Ok(Some(code))
}

#[allow(unsafe_code)]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` wants bytes that `Component::serialize` made, since it runs them. These come from a file that only this user can write (`own`), whose
    // contents are those that this program wrote (the hash at its beginning); wasmtime itself refuses those of another version, other settings or another processor.
    unsafe { Component::deserialize(engine, code) }
}

/// Refuses what belongs to another user, or what others may write to.
fn own(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let metadata = fs::metadata(path)?;
        if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
            let message = format!("{} belongs to another user or can be written by others", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
    }
    let _ = path;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &[u8] = &[0, b'a', b's', b'm', 0x0d, 0, 1, 0];

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("hearth-cache-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn a_damaged_file_is_made_anew() {
        let (folder, engine) = (folder("damaged"), Engine::default());
        let cache = Cache::open(&folder).unwrap();
        cache.component(&engine, EMPTY).unwrap();
        let [path] = &files(&folder)[..] else { panic!("one file") };
        let good = fs::read(path).unwrap();
        assert_eq!(read(path).unwrap().unwrap(), &good[32..]);
        for damaged in [&good[..good.len() - 1], &good[..10], &[]] {
            fs::write(path, damaged).unwrap();
            assert!(read(path).is_err());
            cache.component(&engine, EMPTY).unwrap();
            assert_eq!(fs::read(path).unwrap(), good);
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn what_others_can_write_to_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder("shared");
        Cache::open(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Cache::open(&folder).unwrap_err().to_string().contains("written by others"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_oldest_files_go() {
        let folder = folder("oldest");
        let cache = Cache::open(&folder).unwrap();
        for at in 0..FILES_MAX + 3 {
            cache.write(&folder.join(format!("{at}.{EXTENSION}")), b"code").unwrap();
        }
        assert_eq!(files(&folder).len(), FILES_MAX);
        fs::remove_dir_all(folder).unwrap();
    }
}
