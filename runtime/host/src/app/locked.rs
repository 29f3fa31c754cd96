//! The locked application: the JSON file that `spin up` writes for a trigger.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;

use super::{App, AppError, Component, Mount, Names, TRIGGER, Trigger, Variable, read_bounded};

/// Reads the locked application behind `SPIN_LOCKED_URL`.
///
/// # Errors
/// [`AppError`]
pub fn read(url: &str) -> Result<App, AppError> {
    let path = file_path(url)
        .ok_or_else(|| AppError::Unsupported(format!("SPIN_LOCKED_URL is '{url}': only file:// URLs are read, as `spin up` sets them")))?;
    let text = read_bounded(&path)?;
    parse(&text, &path)
}

/// What of a locked application this host cannot do without.
const UNDERSTOOD: [&str; 1] = ["host_requirements"];

fn parse(text: &str, path: &Path) -> Result<App, AppError> {
    let malformed = |reason: String| AppError::Malformed { path: path.to_owned(), what: "locked application", reason };
    let locked: Locked = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
    if locked.spin_lock_version > 1 {
        return Err(AppError::Unsupported(format!(
            "the locked application has version {}; this host reads 0 and 1: update it, or use an older Spin",
            locked.spin_lock_version
        )));
    }
    for name in &locked.must_understand {
        if !UNDERSTOOD.contains(&name.as_str()) {
            return Err(AppError::Unsupported(format!(
                "the application demands '{name}' of its host (must_understand), which this one does not know"
            )));
        }
    }
    for (name, value) in &locked.host_requirements {
        if value.as_str() != Some("optional") {
            return Err(AppError::Unsupported(format!(
                "the application requires '{name}' of its host (host_requirements), which this one does not offer: remove what needs it from spin.toml"
            )));
        }
    }
    let name = locked.metadata.get("name").and_then(Value::as_str).unwrap_or("app").to_owned();
    let mut app = App { name, variables: locked.variables, ..App::default() };
    let global = locked.metadata.get("triggers").and_then(|triggers| triggers.get(TRIGGER));
    app.add_models(global.and_then(|settings| settings.get("model")).and_then(|model| Names::deserialize(model).ok()));
    for trigger in locked.triggers {
        if trigger.trigger_type != TRIGGER {
            continue;
        }
        let config: TriggerConfig =
            serde_json::from_value(trigger.trigger_config).map_err(|error| malformed(format!("trigger '{}': {error}", trigger.id)))?;
        app.add_models(config.model);
        app.triggers.push(Trigger { route: config.route, component: config.component });
    }
    app.components = locked.components.into_iter().map(LockedComponent::into_component).collect::<Result<_, _>>()?;
    app.linked()
}

/// The path of a `file://` URL on this machine.
fn file_path(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("file://")?;
    let path = path.strip_prefix("localhost").unwrap_or(path);
    if !path.starts_with('/') {
        return None;
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

#[derive(Deserialize)]
struct Locked {
    spin_lock_version: u64,
    #[serde(default)]
    must_understand: Vec<String>,
    #[serde(default)]
    host_requirements: BTreeMap<String, Value>,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    triggers: Vec<LockedTrigger>,
    components: Vec<LockedComponent>,
}

#[derive(Deserialize)]
struct LockedTrigger {
    id: String,
    trigger_type: String,
    trigger_config: Value,
}

#[derive(Deserialize)]
struct TriggerConfig {
    component: String,
    #[serde(default = "everything")]
    route: String,
    #[serde(default)]
    model: Option<Names>,
}

fn everything() -> String {
    "/...".into()
}

#[derive(Deserialize)]
struct LockedComponent {
    id: String,
    #[serde(default)]
    metadata: ComponentMetadata,
    source: Source,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    files: Vec<File>,
    #[serde(default)]
    config: BTreeMap<String, String>,
    #[serde(default)]
    dependencies: BTreeMap<String, Value>,
}

#[derive(Deserialize, Default)]
struct ComponentMetadata {
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    key_value_stores: Vec<String>,
}

#[derive(Deserialize)]
struct Source {
    content_type: String,
    #[serde(default)]
    source: Option<String>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    source: Option<String>,
    path: String,
}

impl LockedComponent {
    fn into_component(self) -> Result<Component, AppError> {
        let id = self.id;
        if let Some(name) = self.dependencies.keys().next() {
            return Err(AppError::Unsupported(format!(
                "component '{id}' has the dependency '{name}', and Spin leaves composing it to the trigger, which this one does not do: \
                 compose the component when it is built (for example with `wac plug`) and name the result as its source"
            )));
        }
        if self.source.content_type != "application/wasm" {
            return Err(AppError::Unsupported(format!(
                "component '{id}' is of content type '{}'; this host runs 'application/wasm'",
                self.source.content_type
            )));
        }
        let local = |source: Option<String>, what: &str| {
            source.as_deref().and_then(file_path).ok_or_else(|| {
                AppError::Unsupported(format!(
                    "component '{id}': {what} is {}, not a file:// URL as `spin up` writes it",
                    source.as_deref().map_or("given inline".into(), |source| format!("'{source}'"))
                ))
            })
        };
        Ok(Component {
            source: local(self.source.source, "its source")?,
            mounts: self
                .files
                .into_iter()
                .map(|file| Ok(Mount { source: local(file.source, "a file")?, destination: file.path }))
                .collect::<Result<_, AppError>>()?,
            environment: self.env,
            key_value_stores: self.metadata.key_value_stores,
            allowed_outbound_hosts: self.metadata.allowed_outbound_hosts,
            variables: self.config,
            id,
        })
    }
}

impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            #[serde(default)]
            default: Option<String>,
            #[serde(default)]
            secret: bool,
        }
        let Fields { default, secret } = Fields::deserialize(deserializer)?;
        Ok(Self { default, secret })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKED: &str = include_str!("../../tests/data/spin.lock");

    fn read_json(value: &Value) -> Result<App, String> {
        parse(&value.to_string(), Path::new("spin.lock")).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_what_spin_writes() {
        let app = parse(LOCKED, Path::new("spin.lock")).unwrap();
        assert_eq!(app.name, "chat");
        assert_eq!(app.models, ["smollm2"]);
        assert_eq!(app.triggers, [Trigger { route: "/...".into(), component: "chat".into() }]);
        assert_eq!(app.variables["api_key"], Variable { default: Some(String::new()), secret: true });
        let chat = &app.components[0];
        assert_eq!(chat.source, Path::new("/app/chat.wasm"));
        assert_eq!(chat.key_value_stores, ["default"]);
        assert_eq!(chat.variables["api_key"], "{{ api_key }}");
    }

    #[test]
    fn refuses_what_it_does_not_do() {
        let base: Value = serde_json::from_str(LOCKED).unwrap();
        let mut cases: Vec<(&str, Value, &str)> = vec![
            ("/spin_lock_version", 2.into(), "version 2"),
            ("/must_understand", serde_json::json!(["magic"]), "'magic'"),
            ("/host_requirements", serde_json::json!({"local-service-chaining": "required"}), "'local-service-chaining'"),
            ("/components/0/source/content_type", "text/plain".into(), "'text/plain'"),
            ("/components/0/source/source", "https://example.invalid/a.wasm".into(), "not a file:// URL"),
            ("/components/0/dependencies", serde_json::json!({"wasi:nn@0.2.0": {}}), "'wasi:nn@0.2.0'"),
            ("/triggers/0/trigger_config/component", "other".into(), "'other'"),
            ("/triggers/0/trigger_type", "http".into(), "[[trigger.nn-http]]"),
        ];
        for (pointer, value, expected) in cases.drain(..) {
            let mut document = base.clone();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            document.pointer_mut(parent).unwrap()[key] = value;
            let error = read_json(&document).unwrap_err();
            assert!(error.contains(expected), "{pointer}: {error}");
        }
        let mut optional = base;
        optional["host_requirements"] = serde_json::json!({"anything": "optional"});
        optional["must_understand"] = serde_json::json!(["host_requirements"]);
        read_json(&optional).unwrap();
    }

    #[test]
    fn file_urls() {
        assert_eq!(file_path("file:///a/b%20c").unwrap(), Path::new("/a/b c"));
        assert_eq!(file_path("file://localhost/a").unwrap(), Path::new("/a"));
        for bad in ["http://a/b", "file://host/a", "file:///a%2", "file:///a%zz", "file:///%ff"] {
            assert_eq!(file_path(bad), None, "{bad}");
        }
    }
}
