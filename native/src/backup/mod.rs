//! `hearth backup` and `hearth restore`: what is taken, where it goes, and the way back. How backups are made is `hearth_store::backup`'s.

mod cli;
mod drill;
mod place;
mod restore;
mod s3;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use hearth_engine::catalog::{Catalog, ModelEntry, path_of};
use hearth_store::{
    StateFolder,
    backup::{Archive, BackupKey, Contents, Kept, StoredModel},
};

pub(crate) use cli::{BackupArgs, RestoreArgs};
pub(crate) use restore::run as restore;

use crate::{
    cli::{models_dir, state_dir},
    text,
};
use cli::{BackupCommand, TakeArgs};
use place::Place;

pub(crate) fn run(args: BackupArgs) -> anyhow::Result<()> {
    match args.command {
        None => take(&args.take),
        Some(BackupCommand::Key { out }) => {
            BackupKey::create(&out)?;
            println!("{} is the key of backups. Keep a copy where the backups are not: without it nobody reads them.", out.display());
            Ok(())
        }
        Some(BackupCommand::List(place)) => list(&Place::open(&place)?),
        Some(BackupCommand::Verify { place, name, all }) => verify(&Place::open(&place)?, name.as_deref(), all),
        Some(BackupCommand::Prune { place, keep_daily, keep_hourly }) => {
            let (dropped, chunks) = Place::open(&place)?.archive().prune(Kept { daily: keep_daily, hourly: keep_hourly })?;
            dropped.iter().for_each(|name| println!("removed {name}"));
            println!("{} backups and {chunks} chunks that only they needed are removed", dropped.len());
            Ok(())
        }
        Some(BackupCommand::Drill { place, model, against, scratch }) => {
            drill::run(&Place::open(&place)?, model, against.as_deref(), scratch.unwrap_or_else(std::env::temp_dir))
        }
    }
}

fn take(args: &TakeArgs) -> anyhow::Result<()> {
    let place = Place::open(&args.place)?;
    let folder = state_dir(args.state_dir.clone())?;
    let redis = args.redis.store()?;
    anyhow::ensure!(
        redis.is_some() || folder.is_dir(),
        "there is no state folder {}: --state-dir says where the server keeps it",
        folder.display()
    );
    let state = StateFolder::open(&folder)?;
    let store = match redis {
        Some(redis) => redis,
        None => state.store()?,
    };
    let dir = models_dir()?;
    let here = models_here(&Catalog::with_local(&dir)?, &dir);
    let contents = Contents {
        included: args.included.clone(),
        models: here.iter().map(|model| StoredModel { name: model.name.clone(), sha256: model.main_file().sha256.clone() }).collect(),
        model_files: if args.with_models { model_files(&here, &dir)? } else { Vec::new() },
    };
    let taken = place.archive().take(&store, &state, &contents, !args.incremental).context("no backup was taken")?;
    let (chunks, bytes) = taken.written;
    println!(
        "{}: {} files of {}, {} models; {chunks} chunks written ({}), {} were there",
        taken.backup.name,
        taken.backup.manifest.files.len(),
        text::bytes(taken.backup.manifest.size()),
        taken.backup.manifest.models.len(),
        text::bytes(bytes),
        taken.reused
    );
    Ok(())
}

/// The models whose files are all on this machine.
fn models_here(catalog: &Catalog, dir: &Path) -> Vec<ModelEntry> {
    let is_here = |model: &&ModelEntry| {
        model.files.iter().all(|file| path_of(dir, model, file).metadata().is_ok_and(|metadata| metadata.len() == file.size))
    };
    catalog.models().iter().filter(is_here).cloned().collect()
}

/// Their files, with where they are below the folder of models.
fn model_files(models: &[ModelEntry], dir: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    for model in models {
        for file in &model.files {
            let path = path_of(dir, model, file);
            let below = path.strip_prefix(dir).with_context(|| format!("{} is not in {}", path.display(), dir.display()))?;
            let name = below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
            // Two models may share a file.
            if !files.iter().any(|(other, _)| *other == name) {
                files.push((name, path));
            }
        }
    }
    Ok(files)
}

fn list(place: &Place) -> anyhow::Result<()> {
    let archive = place.archive();
    let names = archive.names()?;
    for name in &names {
        // One that is damaged must not hide the others.
        match archive.find(Some(name)) {
            Ok(backup) => println!(
                "{name}  {} files of {}, {} models, by hearth {}",
                backup.manifest.files.len(),
                text::bytes(backup.manifest.size()),
                backup.manifest.models.len(),
                backup.manifest.version
            ),
            Err(error) => println!("{name}  {error}"),
        }
    }
    if names.is_empty() {
        println!("there is no backup yet: take one with `hearth backup`");
    }
    Ok(())
}

fn verify(place: &Place, name: Option<&str>, all: bool) -> anyhow::Result<()> {
    let archive = place.archive();
    let names = if all { archive.names()? } else { vec![archive.find(name)?.name] };
    let mut failed = 0;
    for name in &names {
        match check(&archive, name) {
            Ok(bytes) => println!("{name}: all {} are what was written", text::bytes(bytes)),
            Err(error) => {
                failed += 1;
                eprintln!("{name}: {error:#}");
            }
        }
    }
    anyhow::ensure!(failed == 0, "{failed} of {} backups cannot be restored", names.len());
    Ok(())
}

fn check(archive: &Archive<'_>, name: &str) -> anyhow::Result<u64> {
    Ok(archive.verify(&archive.find(Some(name))?.manifest)?)
}
