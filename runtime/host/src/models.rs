//! Which models an application serves, and the files and folders behind their names.

use std::path::{Path, PathBuf};

use hearth_engine::catalog::{Catalog, Check, models_dir, verify};

use crate::app::{
    App,
    variables::{Given, MODELS, split_names},
};

/// A model to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The name that requests use.
    pub name: String,
    /// Its file or folder.
    pub path: PathBuf,
    /// Its sha256, where it was verified.
    pub sha256: Option<String>,
}

/// The names to serve, in order: the command line's, else the variable `models` where somebody set it, else the trigger's, else that variable's default, else the
/// catalog's default model.
pub fn wanted(app: &App, flags: &[String], given: &Given) -> Vec<String> {
    let default = || app.variables.get(MODELS).and_then(|variable| variable.default.as_deref()).map(split_names);
    let candidates = [Some(flags.to_vec()), given.models(), Some(app.models.clone()), default()];
    let mut names = candidates.into_iter().flatten().find(|names| !names.is_empty()).unwrap_or_else(default_model);
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn default_model() -> Vec<String> {
    vec![Catalog::builtin().default_model().name.clone()]
}

/// Whether what was `wanted` is a path and not a name.
fn is_path(wanted: &str) -> bool {
    wanted.contains(std::path::is_separator) || wanted.ends_with(".gguf")
}

/// The name that requests use for what was `wanted`: a name of the catalog, a path to a `.gguf` or a Hugging Face folder, or `NAME=PATH`.
///
/// # Errors
/// Where there is nothing to call it by: a message for a person.
pub fn name_of(wanted: &str) -> Result<String, String> {
    let path = Path::new(wanted);
    let name = match wanted.split_once('=') {
        Some((name, _)) => name.to_owned(),
        // A folder's name may have a full stop that begins no ending.
        None if is_path(wanted) => {
            let name = if wanted.ends_with(".gguf") { path.file_stem() } else { path.file_name() };
            name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        }
        None => wanted.to_owned(),
    };
    if name.is_empty() { Err(format!("--model {wanted} names no model: say NAME=PATH")) } else { Ok(name) }
}

/// What is behind a name of the catalog (verified), a path to a `.gguf` or a Hugging Face folder, or `NAME=PATH`.
///
/// # Errors
/// What is missing or wrong, and the cure: a message for a person.
pub fn locate(wanted: &str) -> Result<Served, String> {
    let name = name_of(wanted)?;
    let path = wanted.split_once('=').map(|(_, path)| path).or_else(|| is_path(wanted).then_some(wanted));
    if let Some(path) = path.map(PathBuf::from) {
        std::fs::File::open(&path).map_err(|error| unreadable(&path, &error))?;
        if path.is_dir() && !path.join("config.json").exists() {
            return Err(format!(
                "{} is a folder without config.json: name a folder as Hugging Face has them, or the .gguf file itself",
                path.display()
            ));
        }
        return Ok(Served { name, path, sha256: None });
    }
    let folder = models_dir().ok_or("there is no folder for models: set HEARTH_MODELS, or HOME")?;
    let catalog = Catalog::with_local(&folder).map_err(|error| error.to_string())?;
    let entry = catalog.find(wanted).map_err(|error| error.to_string())?;
    let file = verify(entry, &folder, Check::Marked, &mut |_, _| {}).map_err(|error| error.to_string())?;
    Ok(Served { name, path: file.path, sha256: file.sha256 })
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    #[cfg(unix)]
    if error.kind() == std::io::ErrorKind::PermissionDenied
        && let Ok(metadata) = std::fs::metadata(path)
    {
        use std::os::unix::fs::PermissionsExt;
        return format!(
            "cannot read {0}: its mode is {1:o}; give this user the right with: chmod u+r {0}",
            path.display(),
            metadata.permissions().mode() & 0o777
        );
    }
    format!("cannot read the model {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Variable;

    #[test]
    fn flags_go_over_the_variable_over_the_trigger_over_defaults() {
        let mut app = App::default();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let given = |app: &App, value: Option<&str>| {
            Given::collect(app, value.map(|value| ("models".to_owned(), value.to_owned())), |_| None).unwrap()
        };
        assert_eq!(wanted(&app, &[], &Given::default()), default_model());
        app.variables.insert(MODELS.into(), Variable { default: Some("a, b".into()), secret: false });
        assert_eq!(wanted(&app, &[], &given(&app, None)), ["a", "b"]);
        app.models = names(&["c"]);
        assert_eq!(wanted(&app, &[], &given(&app, None)), ["c"]);
        assert_eq!(wanted(&app, &[], &given(&app, Some("d"))), ["d"]);
        assert_eq!(wanted(&app, &names(&["e", "f", "e"]), &given(&app, Some("d"))), ["e", "f"]);
    }

    #[test]
    fn files_have_names() {
        let file = std::env::temp_dir().join(format!("tiny-{}.gguf", std::process::id()));
        std::fs::write(&file, "").unwrap();
        let path = file.to_str().unwrap();
        assert_eq!(locate(path).unwrap(), Served { name: format!("tiny-{}", std::process::id()), path: file.clone(), sha256: None });
        assert_eq!(locate(&format!("mine={path}")).unwrap().name, "mine");
        assert!(locate(&format!("={path}")).unwrap_err().contains("names no model"));
        std::fs::remove_file(&file).unwrap();
        assert!(locate(path).unwrap_err().contains("cannot read"));

        let folder = std::env::temp_dir().join(format!("Tiny-1.5B-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert!(locate(folder.to_str().unwrap()).unwrap_err().contains("without config.json"));
        std::fs::write(folder.join("config.json"), "{}").unwrap();
        let name = format!("Tiny-1.5B-{}", std::process::id());
        assert_eq!(locate(folder.to_str().unwrap()).unwrap(), Served { name, path: folder.clone(), sha256: None });
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
