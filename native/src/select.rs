//! From what a user calls a model to the file or folder that is loaded.

use std::path::{Path, PathBuf};

use anyhow::Context;
use hearth_engine::{
    Quantization,
    catalog::{Catalog, Check, ModelEntry, load_path_of, verify},
};

use crate::{cli::models_dir, progress::Progress};

/// A model to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selected {
    /// What requests call it.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Its sha256, where it was verified.
    pub(crate) sha256: Option<String>,
}

/// Whether a user's word for a model is a path and not a name.
pub(crate) fn is_path(word: &str) -> bool {
    word.contains(std::path::is_separator) || word.ends_with(".gguf")
}

/// The models of `words`, or the default one where there are none. A model of the catalog is verified: what has another hash is not loaded. `quantize` is what folders
/// are loaded with: without a folder it is refused, as it would do nothing.
pub(crate) fn select(words: &[String], quantize: Option<Quantization>) -> anyhow::Result<Vec<Selected>> {
    let mut selected: Vec<Selected> = Vec::new();
    if words.is_empty() {
        let catalog = Catalog::builtin();
        selected.push(of_catalog(catalog.default_model(), &models_dir()?)?);
    }
    for word in words {
        let model = if let Some((name, path)) = word.split_once('=') {
            of_path(Some(name), Path::new(path))?
        } else if is_path(word) {
            of_path(None, Path::new(word))?
        } else {
            let dir = models_dir()?;
            of_catalog(Catalog::with_local(&dir)?.find(word)?, &dir)?
        };
        if let Some(other) = selected.iter().find(|other| other.name == model.name) {
            if other.path == model.path {
                continue;
            }
            let (one, other) = (other.path.display(), model.path.display());
            anyhow::bail!("two models would be called `{}`: {one} and {other}; give one a name of its own: --model NAME=PATH", model.name);
        }
        selected.push(model);
    }
    if let Some(quantize) = quantize
        && !selected.iter().any(|model| model.path.is_dir())
    {
        anyhow::bail!(
            "--quantize {quantize} is for folders as Hugging Face has them, and no model is one: a GGUF file comes quantized as it is"
        );
    }
    Ok(selected)
}

/// The default model, and all others of the catalog that are here.
pub(crate) fn all_here() -> anyhow::Result<Vec<Selected>> {
    let dir = models_dir()?;
    let catalog = Catalog::with_local(&dir)?;
    let mut selected = vec![of_catalog(catalog.default_model(), &dir)?];
    for model in &catalog.models()[1..] {
        if !load_path_of(&dir, model).exists() {
            continue;
        }
        match of_catalog(model, &dir) {
            Ok(model) => selected.push(model),
            // Half a pull, say: no reason not to serve the others.
            Err(error) => tracing::warn!("{} is not served: {error:#}", model.name),
        }
    }
    Ok(selected)
}

/// A file or folder, by the name that was given or else its own.
fn of_path(name: Option<&str>, path: &Path) -> anyhow::Result<Selected> {
    let metadata = path.metadata().with_context(|| format!("cannot read the model {}", path.display()))?;
    let its_own = if metadata.is_dir() {
        let what = "is a folder without config.json: name a folder as Hugging Face has them, or the .gguf file itself";
        anyhow::ensure!(path.join("config.json").exists(), "{} {what}", path.display());
        // `.` and `..` have names too.
        path.canonicalize()?.file_name().map(std::ffi::OsStr::to_os_string)
    } else {
        anyhow::ensure!(metadata.is_file(), "{} is neither a file nor a folder: name the .gguf file itself", path.display());
        path.file_stem().map(std::ffi::OsStr::to_os_string)
    };
    let name = name.map_or_else(|| its_own.unwrap_or_default().to_string_lossy().into_owned(), str::to_owned);
    // Names stand in a list with commas.
    anyhow::ensure!(
        !name.is_empty() && !name.contains(','),
        "`{name}` cannot be the name of {}: say another with --model NAME=PATH",
        path.display()
    );
    Ok(Selected { name, path: path.to_owned(), sha256: None })
}

fn of_catalog(model: &ModelEntry, dir: &Path) -> anyhow::Result<Selected> {
    let mut bar = None;
    let verified = verify(model, dir, Check::Marked, &mut |done, total| {
        bar.get_or_insert_with(|| Progress::new(&format!("verifying {}", model.name), Some(total))).set(done);
    })?;
    Ok(Selected { name: model.name.clone(), path: verified.path, sha256: verified.sha256 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Tiny.Q4.gguf");
        std::fs::write(&path, "").unwrap();
        let path = path.to_str().unwrap();
        let names = |words: &[String]| select(words, None).map(|models| models.into_iter().map(|model| model.name).collect::<Vec<_>>());
        let other = format!("mine={path}");
        assert_eq!(names(&[path.to_owned(), other.clone(), path.to_owned()]).unwrap(), ["Tiny.Q4", "mine"]);
        assert!(names(&[format!("a,b={path}")]).unwrap_err().to_string().contains("--model NAME=PATH"));
        std::fs::write(folder.path().join("mine.gguf"), "").unwrap();
        let clash = names(&[other, folder.path().join("mine.gguf").to_str().unwrap().to_owned()]).unwrap_err().to_string();
        assert!(clash.contains("two models would be called `mine`"), "{clash}");
    }

    #[test]
    fn folders_have_names_and_may_be_quantized() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("Tiny-1.5B");
        std::fs::create_dir(&model).unwrap();
        let words = [model.to_str().unwrap().to_owned()];
        let bare = select(&words, None).unwrap_err().to_string();
        assert!(bare.contains("without config.json"), "{bare}");
        std::fs::write(model.join("config.json"), "{}").unwrap();
        let selected = select(&words, Some(Quantization::Q8_0)).unwrap();
        assert_eq!(selected, [Selected { name: "Tiny-1.5B".into(), path: model, sha256: None }]);
        let file = folder.path().join("tiny.gguf");
        std::fs::write(&file, "").unwrap();
        let refused = select(&[file.to_str().unwrap().to_owned()], Some(Quantization::Q4K)).unwrap_err().to_string();
        assert!(refused.contains("--quantize q4_k"), "{refused}");
    }
}
