//! `hearth verify`: every byte hashed again.

use std::path::Path;

use hearth_engine::catalog::{Catalog, Check, ModelEntry, VerifyError, path_of, verify};

use crate::{
    cli::{VerifyArgs, models_dir},
    progress::Progress,
};

pub(crate) fn run(args: &VerifyArgs) -> anyhow::Result<()> {
    let dir = models_dir()?;
    let catalog = Catalog::with_local(&dir)?;
    let models: Vec<&ModelEntry> = if args.names.is_empty() {
        let is_here = |model: &&ModelEntry| model.files.iter().any(|file| path_of(&dir, model, file).exists());
        catalog.models().iter().filter(is_here).collect()
    } else {
        args.names.iter().map(|name| catalog.find(name)).collect::<Result<_, _>>()?
    };
    if models.is_empty() {
        println!("no model is here yet ({}); fetch the default one with: hearth pull", dir.display());
        return Ok(());
    }
    let mut failed = 0;
    for model in &models {
        match hash(model, &dir) {
            Ok(()) if model.is_folder() => println!("{}: verified, {} files", model.name, model.files.len()),
            Ok(()) => println!("{}: verified, sha256 {}", model.name, model.main_file().sha256),
            Err(error) => {
                failed += 1;
                eprintln!("{}: {error}", model.name);
            }
        }
    }
    anyhow::ensure!(failed == 0, "{failed} of {} models did not pass", models.len());
    Ok(())
}

fn hash(model: &ModelEntry, dir: &Path) -> Result<(), VerifyError> {
    let mut bar = Progress::new(&format!("verifying {}", model.name), Some(model.size()));
    verify(model, dir, Check::Full, &mut |done, _| bar.set(done)).map(|_| ())
}
