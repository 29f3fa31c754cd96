//! `hearth restore`: a backup in the place of the state folder, after every hash was compared.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use hearth_engine::catalog::Catalog;
use hearth_store::{
    FILE_NAME, StateFolder,
    backup::{Restored, StoredModel, swap},
};

use super::{cli::RestoreArgs, models_here, place::Place};
use crate::cli::{models_dir, state_dir};

pub(crate) fn run(args: &RestoreArgs) -> anyhow::Result<()> {
    let place = Place::open(&args.place)?;
    let redis = args.redis.store()?;
    let archive = place.archive();
    let backup = archive.find(args.name.as_deref())?;
    let state = std::path::absolute(state_dir(args.state_dir.clone())?)?;
    if state.exists() {
        // Now, and not after all was fetched; the swap looks again.
        StateFolder::alone(&state)?;
    }
    let beside = |what: &str| -> anyhow::Result<PathBuf> {
        let name = state.file_name().context("the state folder is no folder of a name")?.to_string_lossy();
        Ok(state.with_file_name(format!("{name}.{what}")))
    };
    // On the same disk as what it takes the place of.
    let scratch = Scratch(beside(&format!("restoring-{}", std::process::id()))?);
    let restored = archive.restore(&backup.manifest, &scratch.0).context("nothing was changed")?;
    let Restored { state: new, included, models } = restored;
    if let Some(models) = models {
        place_models(&models, &models_dir()?)?;
    }
    if let Some(redis) = redis {
        let file = new.join(FILE_NAME);
        let records = redis.fill(&file).context("nothing was changed")?;
        // What is deleted in Redis from now on is not to be found here.
        fs::remove_file(&file).with_context(|| format!("{} cannot be removed", file.display()))?;
        println!("{records} records are in Redis");
    }
    let aside = free(&beside("before")?);
    let old = swap(&new, &state, &aside).context("nothing was changed")?;
    println!("{} is restored to {}", backup.name, state.display());
    if let Some(old) = old {
        println!("what was there before is in {}: remove it when all is well", old.display());
    }
    if let Some(included) = included {
        let kept = free(&beside("included")?);
        fs::rename(&included, &kept).with_context(|| format!("the included files cannot be moved to {}", kept.display()))?;
        println!("the files that were included are in {}: put them where they belong", kept.display());
    }
    missing(&backup.manifest.models)
}

/// Removed at the end, however that comes.
pub(super) struct Scratch(pub(super) PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A path like this one where nothing is.
fn free(path: &Path) -> PathBuf {
    let numbered = |at: u32| {
        if at == 0 {
            path.to_owned()
        } else {
            path.with_file_name(format!("{}-{at}", path.file_name().unwrap_or_default().to_string_lossy()))
        }
    };
    (0..u32::MAX).map(numbered).find(|path| !path.exists()).unwrap_or_else(|| path.to_owned())
}

/// Puts files of models where there are none yet; those that are there were verified when they came.
fn place_models(from: &Path, dir: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let target = dir.join(name);
        if path.is_dir() {
            place_models(&path, &target)?;
        } else if !target.exists() {
            let parent = target.parent().unwrap_or(dir);
            fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
            // Under another name first: the folders may be on different disks.
            let partial = target.with_extension(format!("restoring-{}", std::process::id()));
            fs::copy(&path, &partial)
                .and_then(|_| fs::File::open(&partial)?.sync_all())
                .and_then(|()| fs::rename(&partial, &target))
                .with_context(|| {
                    let _ = fs::remove_file(&partial);
                    format!("the model file {} cannot be written", target.display())
                })?;
            println!("{} is restored", target.display());
        }
    }
    Ok(())
}

/// Names the models of the backup that are not here as they were.
fn missing(models: &[StoredModel]) -> anyhow::Result<()> {
    let dir = models_dir()?;
    let here = models_here(&Catalog::with_local(&dir)?, &dir);
    for model in models.iter().filter(|model| !here.iter().any(|here| here.name == model.name && here.main_file().sha256 == model.sha256)) {
        println!("the model {} ({}) is not on this machine: get it with `hearth pull {}`", model.name, model.sha256, model.name);
    }
    Ok(())
}
