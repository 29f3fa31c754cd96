//! A `spin.toml` (manifest version 2), read directly, so that an application runs without Spin.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use toml::Value;

use super::{App, AppError, Component, Mount, Names, TRIGGER, Trigger, Variable, read_bounded};

/// Reads the manifest at `path`; paths in it are relative to its folder.
///
/// # Errors
/// [`AppError`]
pub fn read(path: &Path) -> Result<App, AppError> {
    let text = read_bounded(path)?;
    parse(&text, path)
}

fn parse(text: &str, path: &Path) -> Result<App, AppError> {
    let malformed = |reason: String| AppError::Malformed { path: path.to_owned(), what: "Spin manifest", reason };
    let manifest: Manifest = toml::from_str(text).map_err(|error| malformed(error.to_string()))?;
    if manifest.spin_manifest_version != 2 {
        return Err(AppError::Unsupported(format!(
            "{} has spin_manifest_version {}; this host reads version 2 (`spin doctor` upgrades a manifest)",
            path.display(),
            manifest.spin_manifest_version
        )));
    }
    let mut app = App { name: manifest.application.name, ..App::default() };
    for (name, variable) in manifest.variables {
        if variable.required == (variable.default.is_some()) {
            return Err(malformed(format!("variable '{name}' has either a default or required = true")));
        }
        app.variables.insert(name, Variable { default: variable.default, secret: variable.secret });
    }
    let settings = manifest.application.trigger.get(TRIGGER);
    app.add_models(settings.and_then(|settings| settings.get("model")).cloned().and_then(|model| model.try_into().ok()));
    let triggers = manifest.trigger.get(TRIGGER).cloned().unwrap_or(Value::Array(Vec::new()));
    let triggers: Vec<ManifestTrigger> = triggers.try_into().map_err(|error| malformed(format!("[[trigger.{TRIGGER}]]: {error}")))?;
    for trigger in triggers {
        app.add_models(trigger.model);
        app.triggers.push(Trigger { route: trigger.route, component: trigger.component });
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let components = manifest.component.into_iter().map(|(id, component)| component.into_component(id, folder));
    app.components = components.collect::<Result<_, _>>()?;
    app.linked()
}

#[derive(Deserialize)]
struct Manifest {
    spin_manifest_version: u64,
    application: Application,
    #[serde(default)]
    variables: BTreeMap<String, ManifestVariable>,
    #[serde(default)]
    trigger: BTreeMap<String, Value>,
    #[serde(default)]
    component: BTreeMap<String, ManifestComponent>,
}

#[derive(Deserialize)]
struct Application {
    name: String,
    #[serde(default)]
    trigger: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct ManifestVariable {
    #[serde(default)]
    default: Option<String>,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    secret: bool,
}

#[derive(Deserialize)]
struct ManifestTrigger {
    route: String,
    component: String,
    #[serde(default)]
    model: Option<Names>,
}

/// Every field that a manifest may have, so that one which this host would pass over in silence is refused instead.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestComponent {
    source: Source,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    files: Vec<File>,
    #[serde(default)]
    key_value_stores: Vec<String>,
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(default)]
    dependencies: BTreeMap<String, Value>,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default, rename = "build")]
    _build: Option<Value>,
    #[serde(default, rename = "tool")]
    _tool: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Source {
    Path(String),
    Elsewhere(BTreeMap<String, Value>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum File {
    Pattern(String),
    Mount { source: String, destination: String },
}

impl ManifestComponent {
    fn into_component(self, id: String, folder: &Path) -> Result<Component, AppError> {
        let refuse = |reason: String| Err(AppError::Unsupported(format!("component '{id}': {reason}")));
        let source = match self.source {
            Source::Path(path) => folder.join(path),
            Source::Elsewhere(fields) => {
                let fields: Vec<_> = fields.keys().map(String::as_str).collect();
                return refuse(format!(
                    "its source is fetched from elsewhere ({}), which only `spin up` does: name a file",
                    fields.join(", ")
                ));
            }
        };
        if let Some(name) = self.dependencies.keys().next() {
            return refuse(format!("the dependency '{name}' is composed by `spin up` only: compose the component when it is built"));
        }
        let mut mounts = Vec::new();
        for file in self.files {
            match file {
                File::Pattern(pattern) => {
                    return refuse(format!(
                        "files = [\"{pattern}\"] is a pattern, which only `spin up` copies: mount a folder with {{ source = \"…\", destination = \"/…\" }}"
                    ));
                }
                File::Mount { source, destination } => mounts.push(Mount { source: folder.join(source), destination }),
            }
        }
        Ok(Component {
            source,
            environment: self.environment,
            mounts,
            key_value_stores: self.key_value_stores,
            allowed_outbound_hosts: self.allowed_outbound_hosts,
            variables: self.variables,
            id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
        spin_manifest_version = 2
        [application]
        name = "demo"
        version = "0.1.0"
        [application.trigger.nn-http]
        model = "one"
        [variables]
        models = { default = "one" }
        key = { required = true, secret = true }
        [[trigger.nn-http]]
        route = "/..."
        component = "chat"
        model = ["one", "two"]
        [[trigger.http]]
        route = "/other"
        component = "web"
        [component.chat]
        source = "chat.wasm"
        environment = { A = "b" }
        files = [{ source = "assets", destination = "/" }]
        key_value_stores = ["default"]
        allowed_outbound_hosts = ["https://example.com"]
        [component.chat.variables]
        models = "{{ models }}"
        [component.chat.build]
        command = "true"
        [component.web]
        source = "web.wasm"
    "#;

    #[test]
    fn reads_a_manifest() {
        let app = parse(MANIFEST, Path::new("folder/spin.toml")).unwrap();
        assert_eq!((app.name.as_str(), app.models.as_slice()), ("demo", &["one".to_owned(), "two".into()][..]));
        assert_eq!(app.triggers.len(), 1);
        assert_eq!(app.variables["key"], Variable { default: None, secret: true });
        let [chat] = app.components.as_slice() else { panic!("only components of this trigger: {:?}", app.components) };
        assert_eq!(chat.source, Path::new("folder/chat.wasm"));
        assert_eq!(chat.mounts, [Mount { source: "folder/assets".into(), destination: "/".into() }]);
        assert_eq!(chat.environment["A"], "b");
        assert_eq!(chat.variables["models"], "{{ models }}");
    }

    #[test]
    fn refuses_what_it_does_not_do() {
        for (from, to, expected) in [
            ("spin_manifest_version = 2", "spin_manifest_version = 1", "spin_manifest_version 1"),
            ("source = \"chat.wasm\"", "source = { url = \"x\", digest = \"y\" }", "digest, url"),
            ("files = [{ source = \"assets\", destination = \"/\" }]", "files = [\"*.txt\"]", "*.txt"),
            ("environment = { A = \"b\" }", "dependencies = { \"wasi:nn\" = \"1\" }", "'wasi:nn'"),
            ("environment = { A = \"b\" }", "sqlite_databases = [\"default\"]", "sqlite_databases"),
            ("key = { required = true, secret = true }", "key = { secret = true }", "'key'"),
            ("component = \"chat\"", "component = \"chap\"", "'chap'"),
            ("[[trigger.nn-http]]", "[[trigger.redis]]", "[[trigger.nn-http]]"),
            ("[application]", "[application", "spin.toml"),
        ] {
            assert!(MANIFEST.contains(from), "{from}");
            let error = parse(&MANIFEST.replace(from, to), Path::new("spin.toml")).unwrap_err().to_string();
            assert!(error.contains(expected), "{to}: {error}");
        }
    }
}
