//! The models that would be served: whether they are here, and are what they should be.

use hearth_engine::catalog::{Catalog, Check, verify};

use super::Report;
use crate::{
    cli::{ServeArgs, models_dir},
    select::{Selected, all_here, is_path, select},
    text,
};

/// The models that a server would have, the first as the default; `deep` hashes those of the catalog again.
pub(super) fn files(report: &mut Report, args: &ServeArgs, deep: bool) -> Vec<Selected> {
    let found = if args.no_models {
        Ok(Vec::new())
    } else if args.models.is_empty() && args.engine.quantize.is_none() {
        all_here()
    } else {
        select(&args.models, args.engine.quantize)
    };
    let selected = match found {
        Ok(selected) => selected,
        Err(error) => {
            report.failed("models", &error);
            return Vec::new();
        }
    };
    for model in &selected {
        let size = text::bytes(bytes(model));
        if !deep {
            let known = if model.sha256.is_some() { ", its hash as when it came" } else { "" };
            report.ok("models", format!("{} ({size}){known}", model.name));
            continue;
        }
        let pinned = models_dir().ok().and_then(|dir| {
            let catalog = Catalog::with_local(&dir).ok()?;
            let entry = catalog.find(&model.name).ok()?.clone();
            (!args.models.iter().any(|word| is_path(word) && word.contains(&model.name))).then_some((dir, entry))
        });
        match pinned.map(|(dir, entry)| verify(&entry, &dir, Check::Full, &mut |_, _| {})) {
            None => report.note("models", format!("{} ({size}) is a file of yours: no hash is known", model.name)),
            Some(Ok(_)) => report.ok("models", format!("{} ({size}): every byte is as pinned", model.name)),
            Some(Err(error)) => report.error("models", error.to_string(), format!("hearth pull {}", model.name)),
        }
    }
    selected
}

/// Bytes of a model's file, or of the files of its folder.
pub(super) fn bytes(model: &Selected) -> u64 {
    let Ok(metadata) = model.path.metadata() else { return 0 };
    if metadata.is_file() {
        return metadata.len();
    }
    let Ok(entries) = model.path.read_dir() else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).filter(std::fs::Metadata::is_file).map(|metadata| metadata.len()).sum()
}
