//! `hearth models`: the catalog and what of it is here.

use std::io::Write;

use hearth_engine::catalog::{Catalog, ModelEntry, load_path_of, path_of};

use crate::{
    cli::{ModelsArgs, models_dir},
    text,
};

pub(crate) fn run(args: &ModelsArgs) -> anyhow::Result<()> {
    let dir = models_dir()?;
    let mut out = std::io::stdout().lock();
    if args.folder {
        writeln!(out, "{}", dir.display())?;
        return Ok(());
    }
    let catalog = Catalog::with_local(&dir)?;
    if let Some(name) = &args.path {
        let model = catalog.find(name)?;
        let path = load_path_of(&dir, model);
        anyhow::ensure!(path.exists(), "the model `{name}` is not on this machine; get it with: hearth pull {name}");
        writeln!(out, "{}", path.display())?;
        return Ok(());
    }
    let is_here = |model: &ModelEntry| {
        model.files.iter().all(|file| path_of(&dir, model, file).metadata().is_ok_and(|metadata| metadata.len() == file.size))
    };
    let rows: Vec<[String; 5]> = catalog
        .models()
        .iter()
        .map(|model| {
            let context = if model.context == 0 { "?".to_owned() } else { model.context.to_string() };
            let here = if is_here(model) { "yes" } else { "no" };
            [model.name.clone(), here.to_owned(), text::bytes(model.size()), context, model.licence.clone()]
        })
        .collect();
    let head = ["NAME", "HERE", "SIZE", "CONTEXT", "LICENCE"].map(str::to_owned);
    let widths: Vec<usize> =
        (0..head.len()).map(|at| rows.iter().chain([&head]).map(|row| row[at].chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &[String; 5]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    writeln!(out, "{}", line(&head))?;
    for (model, row) in catalog.models().iter().zip(&rows) {
        writeln!(out, "{}\n    {}", line(row), model.description)?;
    }
    writeln!(out, "\nThey lie in {}. Fetch one with: hearth pull NAME", dir.display())?;
    Ok(())
}
