//! What was resolved, for people and for scripts; and the keys, for the documentation.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::{
    keys::{Key, Keys},
    layers::{Resolved, Setting},
};

/// A line for each key: name, value, where it came from.
pub fn text(resolved: &Resolved) -> String {
    let shown = |setting: &Setting| match setting.values.as_slice() {
        [] => "-".to_owned(),
        [value] if !value.is_empty() => value.clone(),
        values => format!("{values:?}"),
    };
    let rows: Vec<(&str, String, String)> =
        resolved.settings.iter().map(|setting| (setting.name.as_str(), shown(setting), setting.source.to_string())).collect();
    let names = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    let values = rows.iter().map(|(_, value, _)| value.chars().count()).max().unwrap_or(0).min(40);
    let mut out = String::new();
    for (name, value, source) in rows {
        let _ = writeln!(out, "{name:names$}  {value:values$}  {source}");
    }
    out
}

/// `{"file", "settings": [{"key", "value", "source", "rank", "secret"}]}`; the value of a list is a list, of what is not set null.
pub fn json(resolved: &Resolved, keys: &Keys) -> Value {
    let settings: Vec<Value> = resolved
        .settings
        .iter()
        .map(|setting| {
            let is_list = keys.find(&setting.name).is_some_and(Key::is_list);
            let value = if is_list { json!(setting.values) } else { json!(setting.values.first()) };
            let layer = match setting.rank {
                crate::Rank::Default => "default",
                crate::Rank::File => "file",
                crate::Rank::PlainEnvironment | crate::Rank::Environment => "environment",
                crate::Rank::CommandLine => "command line",
            };
            json!({ "key": setting.name, "value": value, "layer": layer, "source": setting.source.to_string(), "secret": setting.is_secret })
        })
        .collect();
    json!({ "file": resolved.file, "settings": settings, "warnings": resolved.warnings })
}

/// The keys as a table in Markdown. `live` are those that a running service takes over; `plain` tells the variables without prefix.
pub fn table(keys: &Keys, live: &[&str], plain: &[crate::PlainName]) -> String {
    let mut out = String::from("| key | variable | default | live | what it says |\n|---|---|---|---|---|\n");
    for key in keys.iter().filter(|key| !key.is_hidden()) {
        let variables = key.variable().into_iter().chain(plain.iter().filter(|plain| plain.key == key.name()).map(|plain| plain.variable));
        let variables: Vec<String> = variables.map(|name| format!("`{name}`")).collect();
        let aliases: Vec<String> = key.aliases().iter().map(|alias| format!("`{alias}`")).collect();
        let name = if aliases.is_empty() { format!("`{}`", key.name()) } else { format!("`{}`, {}", key.name(), aliases.join(", ")) };
        let defaults: Vec<String> = key.defaults().iter().map(|value| format!("`{value}`")).collect();
        let mut help = key.help().replace('|', "\\|").replace('\n', " ");
        let choices = key.choices();
        if !choices.is_empty() {
            let _ = write!(help, ". One of {}", choices.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "));
        }
        if key.is_secret() {
            help += ". A secret: not on the command line";
        }
        let live = if live.contains(&key.name()) { "yes" } else { "" };
        let _ = writeln!(out, "| {name} | {} | {} | {live} | {help} |", variables.join(", "), defaults.join(", "));
    }
    out
}
