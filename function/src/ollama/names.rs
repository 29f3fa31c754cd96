//! Models' names as Ollama has them: with a tag, which is `latest` where none is said.

use crate::{
    models,
    ports::Ports,
    wire::{
        fields::Fields,
        table::{Field, Kind},
    },
};

pub(super) const MODEL: Field =
    Field::new("model", Kind::Text, "A name of /api/tags, with ':latest' or without. Without it, or empty, it is the default.");

const LATEST: &str = ":latest";

/// A served model's name with its tag.
pub(super) fn tagged(name: &str) -> String {
    if name.contains(':') { name.to_owned() } else { format!("{name}{LATEST}") }
}

/// A model as a client asks for it.
#[derive(Debug)]
pub(super) struct Wanted {
    /// In the client's words, as it is told in answers; `None` is the default.
    pub(super) said: Option<String>,
    /// Among those that are served.
    pub(super) name: Option<String>,
}

/// Reads which model a request asks for.
pub(super) async fn wanted<P: Ports>(ports: &P, fields: &mut Fields) -> Wanted {
    let said = fields.text("model").filter(|name| !name.is_empty());
    let served = models::served(ports).await;
    let name = said.clone().map(|said| match said.strip_suffix(LATEST) {
        Some(plain) if !served.contains(&said) => plain.to_owned(),
        _ => said,
    });
    Wanted { said, name }
}

impl Wanted {
    /// The name to tell in an answer of the model that is called `loaded` here.
    pub(super) fn told(self, loaded: &str) -> String {
        self.said.unwrap_or_else(|| tagged(loaded))
    }
}
