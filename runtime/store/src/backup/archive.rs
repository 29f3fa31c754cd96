//! All backups of one place: taking, listing, and dropping those that are old.

use std::{
    collections::{BTreeSet, HashSet},
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use ring::digest::{Context, SHA256};

use super::{
    BackupError, BackupKey, CHUNK, MANIFEST_MAX, Manifest, Root, Shelf, StoredFile, StoredModel,
    key::hex,
    object::{self, OVERHEAD},
};
use crate::{FILE_NAME, StateFolder, Store, StoreError};

const CHUNKS: &str = "chunks";
const MANIFESTS: &str = "manifests";

/// The backups of one place.
pub struct Archive<'a> {
    pub(super) shelf: &'a dyn Shelf,
    pub(super) key: &'a BackupKey,
}

/// A backup by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// As it is asked for.
    pub name: String,
    /// What it holds.
    pub manifest: Manifest,
}

/// What goes into a backup.
#[derive(Debug, Default)]
pub struct Contents {
    /// Files that are no part of the state folder, as the configuration.
    pub included: Vec<PathBuf>,
    /// The models that are here.
    pub models: Vec<StoredModel>,
    /// Files of models, with where they are below the folder of models; empty where only their hashes are kept.
    pub model_files: Vec<(String, PathBuf)>,
}

/// What taking a backup came to.
#[derive(Debug)]
pub struct Taken {
    /// The backup.
    pub backup: Named,
    /// Chunks that were written, and the bytes that they take at their place.
    pub written: (usize, u64),
    /// Chunks that were there.
    pub reused: usize,
}

/// Which backups are kept: the newest of each of so many days and of each of so many hours; and the newest of all in any case.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// Days on which there is one.
    pub daily: usize,
    /// Hours in which there is one.
    pub hourly: usize,
}

impl<'a> Archive<'a> {
    /// Those at `shelf` that `key` opens.
    pub fn new(shelf: &'a dyn Shelf, key: &'a BackupKey) -> Self {
        Self { shelf, key }
    }

    /// Takes a backup of a state folder, and of the store in it or the one in Redis, while others use them. A `full` one reads every chunk that it needs and is there, and writes those again that are damaged; one that is not
    /// trusts their names.
    ///
    /// # Errors
    /// [`BackupError::File`], [`BackupError::Shelf`], [`BackupError::Store`].
    pub fn take(&self, store: &Store, state: &StateFolder, contents: &Contents, full: bool) -> Result<Taken, BackupError> {
        let temporary = state.temporary()?;
        let copy = temporary.path().join(FILE_NAME);
        let mut files = vec![(Root::State, FILE_NAME.to_owned(), copy.clone())];
        if !store.copy(&copy)? {
            return Err(BackupError::Store(StoreError::Address("a store in memory cannot be copied".to_owned())));
        }
        beside(state.path(), "", &mut files)?;
        let mut names = HashSet::new();
        for (at, path) in contents.included.iter().enumerate() {
            let name = path.file_name().map_or_else(|| at.to_string(), |name| name.to_string_lossy().into_owned());
            let name = if names.insert(name.clone()) { name } else { format!("{at}-{name}") };
            files.push((Root::Included, name, path.clone()));
        }
        files.extend(contents.model_files.iter().map(|(name, path)| (Root::Models, name.clone(), path.clone())));

        let made = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut manifest = Manifest::new(made, full, env!("CARGO_PKG_VERSION"), contents.models.clone());
        let mut there: HashSet<String> = self.shelf.list(CHUNKS)?.into_iter().collect();
        let (mut written, mut bytes, mut reused) = (BTreeSet::new(), 0, 0);
        for (root, path, file) in &files {
            manifest.files.push(self.store_file(*root, path, file, |name, chunk| {
                if there.contains(name) && (!full || written.contains(name) || self.is_whole(name, chunk)?) {
                    reused += 1;
                    return Ok(());
                }
                let sealed = object::seal(self.key, name, chunk)?;
                self.shelf.put(name, &sealed)?;
                bytes += sealed.len() as u64;
                written.insert(name.to_owned());
                there.insert(name.to_owned());
                Ok(())
            })?);
        }
        let sealed_name = format!("{MANIFESTS}/{}", self.free_name(made, full)?);
        let document = manifest.write()?;
        // What cannot be read back is not called a backup.
        Manifest::parse(&document)?;
        self.shelf.put(&sealed_name, &object::seal(self.key, &sealed_name, &document)?)?;
        // Somebody may have pruned meanwhile, who could not know of this one.
        let there: HashSet<String> = self.shelf.list(CHUNKS)?.into_iter().collect();
        if let Some(gone) =
            manifest.files.iter().flat_map(|file| &file.chunks).map(|chunk| chunk_name(chunk)).find(|name| !there.contains(name))
        {
            self.shelf.delete(&sealed_name)?;
            return Err(BackupError::Missing(format!("{gone}, which was removed while the backup was taken,")));
        }
        let name = sealed_name[MANIFESTS.len() + 1..].to_owned();
        Ok(Taken { backup: Named { name, manifest }, written: (written.len(), bytes), reused })
    }

    /// Cuts a file into chunks.
    fn store_file(
        &self,
        root: Root,
        path: &str,
        file: &Path,
        mut keep: impl FnMut(&str, &[u8]) -> Result<(), BackupError>,
    ) -> Result<StoredFile, BackupError> {
        let failed = |error: io::Error| BackupError::file(file, &error);
        let mut source = File::open(file).map_err(failed)?;
        let (mut hash, mut size, mut chunks) = (Context::new(&SHA256), 0, Vec::new());
        let mut chunk = Vec::with_capacity(CHUNK);
        loop {
            chunk.clear();
            (&mut source).take(CHUNK as u64).read_to_end(&mut chunk).map_err(failed)?;
            if chunk.is_empty() {
                break;
            }
            hash.update(&chunk);
            size += chunk.len() as u64;
            let id = self.key.name_of(&chunk);
            keep(&chunk_name(&id), &chunk)?;
            chunks.push(id);
        }
        Ok(StoredFile { root, path: path.to_owned(), size, sha256: hex(hash.finish().as_ref()), chunks })
    }

    /// Whether a chunk can be read back.
    fn is_whole(&self, name: &str, chunk: &[u8]) -> Result<bool, BackupError> {
        // One that is too long is as damaged as one that does not open.
        let Ok(Some(bytes)) = self.shelf.get(name, CHUNK + OVERHEAD) else { return Ok(false) };
        Ok(object::open(self.key, name, bytes, CHUNK).is_ok_and(|found| found == chunk))
    }

    /// A name that sorts by time.
    fn free_name(&self, made: u64, full: bool) -> Result<String, BackupError> {
        let taken: HashSet<String> = self.shelf.list(MANIFESTS)?.into_iter().collect();
        let kind = if full { "full" } else { "incremental" };
        let time = stamp(made);
        let names = (0..).map(|at| if at == 0 { format!("{time}-{kind}") } else { format!("{time}.{at}-{kind}") });
        Ok(names.into_iter().find(|name| !taken.contains(&format!("{MANIFESTS}/{name}"))).unwrap_or_default())
    }

    /// The names of all backups, oldest first.
    ///
    /// # Errors
    /// [`BackupError::Shelf`]
    pub fn names(&self) -> Result<Vec<String>, BackupError> {
        let names = self.shelf.list(MANIFESTS)?;
        let mut names: Vec<_> =
            names.into_iter().filter_map(|name| Some(name.strip_prefix(MANIFESTS)?.strip_prefix('/')?.to_owned())).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// A backup, without a name the newest.
    ///
    /// # Errors
    /// [`BackupError::None`], [`BackupError::Damaged`], [`BackupError::Manifest`], [`BackupError::Shelf`].
    pub fn find(&self, name: Option<&str>) -> Result<Named, BackupError> {
        let names = self.names()?;
        let name = match name {
            Some(name) => names.into_iter().find(|found| found == name).ok_or_else(|| BackupError::None(name.to_owned()))?,
            None => names.into_iter().next_back().ok_or_else(|| BackupError::None(format!("at {}", self.shelf.place())))?,
        };
        let object = format!("{MANIFESTS}/{name}");
        let bytes = self.shelf.get(&object, MANIFEST_MAX + OVERHEAD)?.ok_or_else(|| BackupError::Missing(object.clone()))?;
        let manifest = Manifest::parse(&object::open(self.key, &object, bytes, MANIFEST_MAX)?)?;
        Ok(Named { name, manifest })
    }

    /// Removes the backups that `kept` does not keep, and the chunks that none of the others needs; the names of those backups and how many chunks.
    ///
    /// # Errors
    /// [`BackupError::Shelf`]; [`BackupError::Damaged`] where a backup to keep cannot be read, before anything is removed.
    pub fn prune(&self, kept: Kept) -> Result<(Vec<String>, usize), BackupError> {
        // Chunks before names: what a backup under way writes from now on is not looked at.
        let chunks = self.shelf.list(CHUNKS)?;
        let names = self.names()?;
        let keep = choose(&names, kept);
        let mut needed = HashSet::new();
        for name in &keep {
            needed.extend(self.needs(name)?);
        }
        let dropped: Vec<_> = names.iter().filter(|name| !keep.contains(*name)).cloned().collect();
        for name in &dropped {
            self.shelf.delete(&format!("{MANIFESTS}/{name}"))?;
        }
        let removed: HashSet<_> = chunks.into_iter().filter(|chunk| !needed.contains(chunk)).collect();
        for chunk in &removed {
            self.shelf.delete(chunk)?;
        }
        // A backup that ended meanwhile may have counted on one of them; one that ends later looks for itself.
        for name in self.names()?.iter().filter(|name| !names.contains(name)) {
            if self.needs(name)?.iter().any(|chunk| removed.contains(chunk)) {
                self.shelf.delete(&format!("{MANIFESTS}/{name}"))?;
                return Err(BackupError::Missing(format!("a chunk of {name}, which was taken meanwhile and is dropped,")));
            }
        }
        Ok((dropped, removed.len()))
    }

    /// The objects that a backup consists of.
    fn needs(&self, name: &str) -> Result<Vec<String>, BackupError> {
        let manifest = self.find(Some(name))?.manifest;
        Ok(manifest.files.into_iter().flat_map(|file| file.chunks).map(|chunk| chunk_name(&chunk)).collect())
    }
}

/// The names to keep.
fn choose(names: &[String], kept: Kept) -> HashSet<String> {
    let mut keep: HashSet<String> = names.iter().next_back().cloned().into_iter().collect();
    // Names begin `YYYYMMDDTHH`.
    for (length, most) in [(8, kept.daily), (11, kept.hourly)] {
        let mut spans = HashSet::new();
        for name in names.iter().rev() {
            let Some(span) = name.get(..length) else { continue };
            if spans.len() < most && spans.insert(span) {
                keep.insert(name.clone());
            }
        }
    }
    keep
}

pub(super) fn chunk_name(id: &str) -> String {
    format!("{CHUNKS}/{}/{id}", &id[..2])
}

/// The files of a state folder that are neither the store nor for a while.
fn beside(folder: &Path, below: &str, files: &mut Vec<(Root, String, PathBuf)>) -> Result<(), BackupError> {
    let failed = |error: io::Error| BackupError::file(folder, &error);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if below.is_empty() && (name == "lock" || name == "tmp" || name.starts_with(FILE_NAME)) {
            continue;
        }
        let (path, kind) = (format!("{below}{name}"), entry.file_type().map_err(failed)?);
        if kind.is_dir() {
            beside(&entry.path(), &format!("{path}/"), files)?;
        } else if kind.is_file() {
            files.push((Root::State, path, entry.path()));
        }
    }
    Ok(())
}

/// A time in UTC, `20261124T160500Z`.
fn stamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86400, seconds % 86400);
    // The civil calendar from days, in eras of 400 years that begin on 1 March.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (date, month) = (of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}{month:02}{date:02}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}
