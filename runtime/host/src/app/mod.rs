//! A Spin application as this host needs it: routes, components and what each may use. Two readers make it: [`locked`] from the file that `spin up` writes, and
//! [`spin_toml`] from a manifest directly. Pure description: nothing here opens a component or a socket.

pub mod locked;
pub mod routes;
pub mod spin_toml;
pub mod template;
pub mod variables;

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

/// The trigger type that this host serves.
pub const TRIGGER: &str = "nn-http";

/// Bytes of a manifest or locked application at most.
pub const DOCUMENT_MAX: u64 = 8 << 20;

/// An application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct App {
    /// Its name.
    pub name: String,
    /// The variables that it declares.
    pub variables: BTreeMap<String, Variable>,
    /// Models named by the trigger's configuration, in order.
    pub models: Vec<String>,
    /// Its routes, in order.
    pub triggers: Vec<Trigger>,
    /// The components that the routes name.
    pub components: Vec<Component>,
}

/// A variable of the application.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variable {
    /// The value where none is given; without one the variable is required.
    pub default: Option<String>,
    /// Whether the value must not be shown.
    pub secret: bool,
}

/// One `[[trigger.nn-http]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// `/path` or `/path/...`.
    pub route: String,
    /// The component that serves it.
    pub component: String,
}

/// A component and what it may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Component {
    /// Its name in the application.
    pub id: String,
    /// The wasm file.
    pub source: PathBuf,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// Folders that it sees.
    pub mounts: Vec<Mount>,
    /// Key-value stores that it may open.
    pub key_value_stores: Vec<String>,
    /// Hosts that it may call.
    pub allowed_outbound_hosts: Vec<String>,
    /// Its variables: templates over the application's.
    pub variables: BTreeMap<String, String>,
}

/// A folder of the host that a component sees, read-only unless the operator says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The folder here.
    pub source: PathBuf,
    /// Where the component sees it.
    pub destination: String,
}

/// A description that cannot be read or asks for what this host does not do.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file is larger than any application needs.
    #[error("{path} has {size} bytes; an application's description has at most {DOCUMENT_MAX}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: u64,
    },
    /// The file is not what it should be.
    #[error("{path} is not a valid {what}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// "Spin manifest" or "locked application".
        what: &'static str,
        /// What the parser says.
        reason: String,
    },
    /// It asks for what this host does not do.
    #[error("{0}")]
    Unsupported(String),
    /// A trigger names a component that does not exist.
    #[error("the route '{route}' names the component '{component}', which the application does not define")]
    NoSuchComponent {
        /// The route.
        route: String,
        /// The name.
        component: String,
    },
    /// There is no trigger of our type.
    #[error("the application '{0}' has no [[trigger.{TRIGGER}]]: add one with a route and a component")]
    NoTrigger(String),
}

/// `model = "name"` or `model = ["name", …]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Many(Vec<String>),
}

impl Names {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(name) => vec![name],
            Self::Many(names) => names,
        }
    }
}

impl App {
    /// Keeps the components that a trigger names, and checks that every trigger names one.
    fn linked(mut self) -> Result<Self, AppError> {
        if self.triggers.is_empty() {
            return Err(AppError::NoTrigger(self.name));
        }
        for trigger in &self.triggers {
            if !self.components.iter().any(|component| component.id == trigger.component) {
                return Err(AppError::NoSuchComponent { route: trigger.route.clone(), component: trigger.component.clone() });
            }
        }
        self.components.retain(|component| self.triggers.iter().any(|trigger| trigger.component == component.id));
        Ok(self)
    }

    fn add_models(&mut self, names: Option<Names>) {
        for name in names.map(Names::into_vec).unwrap_or_default() {
            if !self.models.contains(&name) {
                self.models.push(name);
            }
        }
    }
}

/// Reads a whole text file of bounded size.
fn read_bounded(path: &std::path::Path) -> Result<String, AppError> {
    use std::io::Read;
    let read = |source| AppError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(read)?;
    let size = file.metadata().map_err(read)?.len();
    let mut text = String::new();
    // Read one byte beyond the limit: what `metadata` says of a pipe or a growing file is not believed.
    file.take(DOCUMENT_MAX + 1).read_to_string(&mut text).map_err(read)?;
    if text.len() as u64 > DOCUMENT_MAX {
        return Err(AppError::TooLarge { path: path.to_owned(), size: size.max(text.len() as u64) });
    }
    Ok(text)
}
