//! From what a user calls a model to the file that is loaded.

use std::path::{Path, PathBuf};

use anyhow::Context;
use hearth_engine::catalog::{Catalog, Check, ModelEntry, verify};

use crate::{cli::models_dir, progress::Progress, text};

/// A model to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selected {
    /// What requests call it.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// Whether a user's word for a model is a path and not a name.
pub(crate) fn is_path(word: &str) -> bool {
    word.contains(std::path::is_separator) || word.ends_with(".gguf")
}

/// The models of `words`, or the default one where there are none. A model of the catalog is verified: what has another hash is not loaded.
pub(crate) fn select(words: &[String]) -> anyhow::Result<Vec<Selected>> {
    let mut selected: Vec<Selected> = Vec::new();
    if words.is_empty() {
        let catalog = Catalog::builtin();
        selected.push(of_catalog(catalog.default_model(), &models_dir()?)?);
    }
    for word in words {
        let model = if is_path(word) {
            of_path(Path::new(word))?
        } else {
            let dir = models_dir()?;
            of_catalog(Catalog::with_local(&dir)?.find(word)?, &dir)?
        };
        if let Some(other) = selected.iter().find(|other| other.name == model.name) {
            if other.path == model.path {
                continue;
            }
            anyhow::bail!(
                "two models would be called `{}`: {} and {}; rename one of the files",
                model.name,
                other.path.display(),
                model.path.display()
            );
        }
        selected.push(model);
    }
    Ok(selected)
}

fn of_path(path: &Path) -> anyhow::Result<Selected> {
    let metadata = path.metadata().with_context(|| format!("cannot read the model {}", path.display()))?;
    anyhow::ensure!(metadata.is_file(), "{} is not a file: name the .gguf file itself", path.display());
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Selected { name: text::model_name(&file), path: path.to_owned() })
}

fn of_catalog(model: &ModelEntry, dir: &Path) -> anyhow::Result<Selected> {
    let mut bar = None;
    let verified = verify(model, dir, Check::Marked, &mut |done, total| {
        bar.get_or_insert_with(|| Progress::new(&format!("verifying {}", model.name), Some(total))).set(done);
    })?;
    Ok(Selected { name: model.name.clone(), path: verified.path })
}
