//! The catalog of pinned models: names, files, sources, sizes and hashes (`models/catalog.toml`), and where their files lie on this machine.
//!
//! Models that a user pulled from a path or URL, with a hash of their own, stand in `local.toml` of the weights folder and are found by the same names. Nothing here
//! opens a socket: the command line fetches what a [`Source`] names, and [`verify`] says whether what lies here is it.

mod entry;
mod local;
mod store;
mod verify;

use std::path::Path;

pub use entry::{InvalidEntry, ModelEntry, ModelFile, PypiPart, Source};
pub use local::{LocalError, forget, record};
pub use store::{load_path_of, models_dir, path_of};
pub use verify::{Check, Verified, VerifyError, mark_verified, sha256_file, verify};

/// Models by name: those that are pinned with the program, then the user's own.
#[derive(Debug, Clone)]
pub struct Catalog {
    models: Vec<ModelEntry>,
}

/// There is no model of that name; the message has the nearest ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no model `{name}`{hint}")]
pub struct UnknownModel {
    /// The name that was asked for.
    pub name: String,
    hint: String,
}

#[derive(serde::Serialize, serde::Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    models: Vec<ModelEntry>,
}

impl Catalog {
    /// The catalog that the program carries.
    ///
    /// # Panics
    /// Never: a test reads the catalog that is compiled in.
    pub fn builtin() -> Self {
        Self::parse(include_str!("../../catalog.toml")).expect("the built-in catalog is tested")
    }

    /// The built-in catalog and the user's own models, recorded in `dir`.
    ///
    /// # Errors
    /// [`LocalError`] when `local.toml` is not readable or not valid.
    pub fn with_local(dir: &Path) -> Result<Self, LocalError> {
        let mut catalog = Self::builtin();
        catalog.models.extend(local::read(dir)?);
        Ok(catalog)
    }

    /// The models, the default one first.
    pub fn models(&self) -> &[ModelEntry] {
        &self.models
    }

    /// The model that is served when none is named.
    pub fn default_model(&self) -> &ModelEntry {
        &self.models[0]
    }

    /// The model called `name`.
    ///
    /// # Errors
    /// [`UnknownModel`] with the nearest name, or with all of them when none is near.
    pub fn find(&self, name: &str) -> Result<&ModelEntry, UnknownModel> {
        self.models
            .iter()
            .find(|m| m.name == name)
            .ok_or_else(|| UnknownModel { name: name.chars().take(80).collect(), hint: self.hint(name) })
    }

    fn hint(&self, name: &str) -> String {
        let name: String = name.to_lowercase().chars().take(80).collect();
        // A part of a name is as good as a typo of it: `smollm2` means `smollm2-135m-instruct`.
        let near = |m: &&ModelEntry| (name.len() > 2 && m.name.contains(&name)) || distance(&name, &m.name) <= m.name.len() / 3;
        match self.models.iter().filter(near).min_by_key(|m| distance(&name, &m.name)) {
            Some(model) => format!("; did you mean `{}`?", model.name),
            None => {
                let names: Vec<_> = self.models.iter().map(|m| format!("`{}`", m.name)).collect();
                format!("; there are {}", names.join(", "))
            }
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let Document { models } = toml::from_str(text).map_err(|e| e.to_string())?;
        let mut seen = std::collections::BTreeSet::new();
        for model in &models {
            model.check().map_err(|e| e.to_string())?;
            if !seen.insert(&model.name) {
                return Err(format!("the model `{}` stands there twice", model.name));
            }
        }
        Ok(Self { models })
    }
}

/// Levenshtein's distance in bytes. Names are ASCII and short.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_catalog_is_valid_and_begins_with_the_default() {
        let catalog = Catalog::builtin();
        assert_eq!(catalog.default_model().name, "smollm2-135m-instruct");
        assert_eq!(catalog.default_model().main_file().size, 98_362_432);
        let gemma = catalog.find("gemma-3-270m").unwrap();
        assert!(!gemma.chat);
        let Source::Pypi(parts) = &gemma.main_file().sources[0] else { panic!("gemma comes from packages") };
        assert_eq!(parts.len(), 4);
        assert!(catalog.models().iter().all(|m| m.files.iter().all(|f| !f.sources.is_empty())));
    }

    #[test]
    fn a_typo_gets_the_nearest_name_and_nonsense_gets_all() {
        let catalog = Catalog::builtin();
        let hint = |name: &str| catalog.find(name).unwrap_err().to_string();
        assert_eq!(hint("smollm2-135-instruct"), "there is no model `smollm2-135-instruct`; did you mean `smollm2-135m-instruct`?");
        assert!(hint("SmolLM2").ends_with("did you mean `smollm2-135m-instruct`?"));
        assert!(hint("gemma3-270m").ends_with("did you mean `gemma-3-270m`?"));
        assert!(hint("gpt-oss").ends_with("there are `smollm2-135m-instruct`, `gemma-3-270m`, `all-minilm-l6-v2`"));
        assert!(hint(&"x".repeat(100_000)).len() < 300);
    }

    #[test]
    fn entries_that_could_leave_the_folder_or_pin_nothing_are_refused() {
        let entry = |name: &str, file: &str, hash: &str| {
            Catalog::parse(&format!(
                "[[models]]\nname = '{name}'\ndescription = ''\nlicence = ''\ncontext = 1\nchat = false\n\
                 [[models.files]]\nname = '{file}'\nsize = 1\nsha256 = '{hash}'\nsources = []\n"
            ))
        };
        let hash = "0".repeat(64);
        assert!(entry("a", "a.gguf", &hash).is_ok());
        for (name, file, hash) in [
            ("../a", "a.gguf", &*hash),
            ("", "a.gguf", &hash),
            (".a", "a.gguf", &hash),
            ("A b", "a.gguf", &hash),
            ("a", "../a.gguf", &hash),
            ("a", "/a.gguf", &hash),
            ("a", "", &hash),
            ("a", ".hidden", &hash),
            ("a", "a.gguf", "00"),
            ("a", "a.gguf", &"g".repeat(64)),
            ("a", "a.gguf", &"A".repeat(64)),
        ] {
            assert!(entry(name, file, hash).is_err(), "{name} {file} {hash}");
        }
    }

    #[test]
    fn distance_is_levenshteins() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
