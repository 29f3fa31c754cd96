//! The weights folder: `<models_dir>/<model>/<file>`.

use std::{
    env,
    path::{Path, PathBuf},
};

use super::{ModelEntry, ModelFile};

/// The weights folder of this user: `HEARTH_MODELS`, else `$XDG_DATA_HOME/hearth/models`, else `~/.local/share/hearth/models`; `None` where not even a home is set.
pub fn models_dir() -> Option<PathBuf> {
    choose(|key| env::var_os(key).filter(|value| !value.is_empty()).map(PathBuf::from))
}

fn choose(var: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    if let Some(dir) = var("HEARTH_MODELS") {
        return Some(dir);
    }
    // The XDG specification has relative paths ignored.
    let data = var("XDG_DATA_HOME").filter(|dir| dir.is_absolute()).or_else(|| Some(var("HOME")?.join(".local/share")))?;
    Some(data.join("hearth/models"))
}

/// Where `file` of `model` lies, or would lie, in the weights folder `dir`.
pub fn path_of(dir: &Path, model: &ModelEntry, file: &ModelFile) -> PathBuf {
    dir.join(&model.name).join(&file.name)
}

/// What of `model` in the weights folder `dir` is loaded: its first file, or all of its folder.
pub fn load_path_of(dir: &Path, model: &ModelEntry) -> PathBuf {
    if model.is_folder() { dir.join(&model.name) } else { path_of(dir, model, model.main_file()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_folder_follows_the_environment() {
        let dir = |vars: &[(&str, &str)]| choose(|key| vars.iter().find(|(k, _)| *k == key).map(|(_, v)| PathBuf::from(v)));
        assert_eq!(dir(&[("HEARTH_MODELS", "/w"), ("XDG_DATA_HOME", "/d"), ("HOME", "/h")]), Some("/w".into()));
        assert_eq!(dir(&[("XDG_DATA_HOME", "/d"), ("HOME", "/h")]), Some("/d/hearth/models".into()));
        assert_eq!(dir(&[("XDG_DATA_HOME", "relative"), ("HOME", "/h")]), Some("/h/.local/share/hearth/models".into()));
        assert_eq!(dir(&[]), None);
    }
}
