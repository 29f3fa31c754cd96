//! The layers, one over the other.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use clap::{ArgMatches, Command, error::ErrorKind, parser::ValueSource};

use crate::{
    file::{File, Search, Trust},
    format::{Format, Scalar, Values},
    keys::{Key, Keys, bare, nearest},
    problem::{Failure, Problem, Problems},
};

/// Bytes of a secret's file at most.
const SECRET_MAX: u64 = 16 << 10;
/// What a flag is called that names the file: no key itself.
const CONFIG: &str = "config";

/// The variables of a process. An empty one counts as not set, as compose files and units often pass such on.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// That of this process.
    pub fn of_process() -> Self {
        std::env::vars_os().collect()
    }

    /// The value, where it is not empty.
    fn get(&self, name: &str) -> Option<&OsString> {
        self.0.get(name).filter(|value| !value.is_empty())
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        Self(variables.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect())
    }
}

/// A variable without the service's prefix that platforms set.
#[derive(Debug, Clone, Copy)]
pub struct PlainName {
    /// Its name.
    pub variable: &'static str,
    /// The key it is for.
    pub key: &'static str,
    /// Whether a value is meant for us; another is passed over with a warning. For names that shells set as well.
    pub meant: fn(&str) -> bool,
}

/// Which layer a value is of, the lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Nobody said anything.
    Default,
    /// The file.
    File,
    /// A variable without prefix.
    PlainEnvironment,
    /// The key's own variable.
    Environment,
    /// A flag.
    CommandLine,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// The file.
    File {
        /// Where it lies.
        path: PathBuf,
        /// From 1.
        line: Option<usize>,
    },
    /// This variable.
    Environment(String),
    /// A flag.
    CommandLine(String),
    /// A file that holds the secret, named by another source.
    SecretFile(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "${name}"),
            Self::CommandLine(name) => write!(f, "--{name}"),
            Self::SecretFile(path) => write!(f, "the file {}", path.display()),
        }
    }
}

/// A key, what it is set to, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key.
    pub name: String,
    /// What clap calls it.
    pub id: String,
    /// Its values as they were written; none where it is not set. Those of secrets are [`Setting::MASK`].
    pub values: Vec<String>,
    /// The layer.
    pub rank: Rank,
    /// The place in it.
    pub source: Source,
    /// Whether its value is masked.
    pub is_secret: bool,
    /// Tells two values apart, also of secrets.
    fingerprint: u64,
}

impl Setting {
    /// What stands for the value of a secret.
    pub const MASK: &'static str = "***";

    /// Whether another reading gave another value.
    pub fn differs(&self, other: &Self) -> bool {
        self.fingerprint != other.fingerprint
    }
}

/// What the layers say together.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// Of the whole command, as if all had been typed.
    pub matches: ArgMatches,
    /// Every key, in the order of help.
    pub settings: Vec<Setting>,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// What is not wrong but should be known.
    pub warnings: Vec<String>,
}

impl Resolved {
    /// The setting of a key.
    pub fn setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    /// The layer that a key has its value of.
    pub fn rank(&self, name: &str) -> Rank {
        self.setting(name).map_or(Rank::Default, |setting| setting.rank)
    }
}

/// All layers of one command.
#[derive(Debug)]
pub struct Layers<'a> {
    /// The program, its subcommand made ready by [`crate::prepare`].
    pub program: Command,
    /// The subcommand whose flags are the keys. Its flag `config`, where it has one, names the file.
    pub subcommand: &'a str,
    /// What was typed, the program's name first.
    pub arguments: &'a [OsString],
    /// The variables.
    pub environment: &'a Environment,
    /// What all variables of the service begin with.
    pub prefix: &'a str,
    /// Variables with that prefix that are no keys.
    pub other_variables: &'a [&'a str],
    /// Variables without it.
    pub plain_names: &'a [PlainName],
    /// Where the file is looked for.
    pub search: Search,
}

/// What one layer says of one key.
#[derive(Debug, Clone)]
struct Value {
    values: Vec<String>,
    rank: Rank,
    source: Source,
}

impl Layers<'_> {
    /// Reads all layers.
    ///
    /// # Errors
    /// [`Failure::CommandLine`] for what clap answers itself, help included; else all that is wrong, at once.
    pub fn resolve(self) -> Result<Resolved, Failure> {
        let Some(service) = self.program.find_subcommand(self.subcommand) else {
            let problem = Problem::new(self.subcommand, "there is no such command");
            return Err(Problems { file: None, problems: vec![problem] }.into());
        };
        let keys = Keys::of(service, &[CONFIG]);
        let typed = self.program.clone().mut_subcommand(self.subcommand, bare);
        let typed = match typed.clone().try_get_matches_from(self.arguments) {
            // What it needs or is at odds with is for all layers to say.
            Err(error) if matches!(error.kind(), ErrorKind::MissingRequiredArgument | ErrorKind::ArgumentConflict) => {
                typed.ignore_errors(true).try_get_matches_from(self.arguments)
            }
            matches => matches,
        };
        let typed = typed.map_err(|error| Failure::CommandLine(Box::new(error)))?;
        let typed = typed.subcommand_matches(self.subcommand).cloned().unwrap_or_default();

        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let file = self.file(service, &typed).unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        // A later layer goes over an earlier one.
        let mut chosen: BTreeMap<String, Value> = BTreeMap::new();
        if let Some(file) = &file {
            self.read_file(&keys, file, &mut chosen, &mut problems);
        }
        self.read_environment(&keys, &mut chosen, &mut problems, &mut warnings);
        for key in keys.iter().filter(|key| typed.value_source(key.id()) == Some(ValueSource::CommandLine)) {
            let source = Source::CommandLine(key.name().to_owned());
            if key.is_secret() {
                problems.push(not_typed(key));
                continue;
            }
            let values = typed.get_raw(key.id()).map(|values| values.map(|value| value.to_string_lossy().into_owned()).collect());
            chosen.insert(key.name().to_owned(), Value { values: values.unwrap_or_default(), rank: Rank::CommandLine, source });
        }
        read_secrets(&keys, &mut chosen, &mut problems);
        if let Some(file) = file.as_ref().filter(|file| file.readable_by_others) {
            let held = |key: &&Key| {
                key.is_secret()
                    && chosen
                        .get(key.name())
                        .is_some_and(|value| value.rank == Rank::File && !matches!(value.source, Source::SecretFile(_)))
            };
            if let Some(key) = keys.iter().find(held) {
                let path = file.path.display();
                warnings.push(format!("{path} holds `{}`, a secret, and every user may read it: chmod 600 {path}", key.name()));
            }
        }
        let path = file.map(|file| file.path);
        if !problems.is_empty() {
            return Err(Problems { file: path, problems }.into());
        }

        // What was not typed is added as if it had been, so that clap holds all layers together to what flags need of each other.
        let mut arguments = self.arguments.to_vec();
        for key in keys.iter() {
            let Some(Value { values, rank, .. }) = chosen.get(key.name()) else { continue };
            // A switch that is off is as if it were not there: it is at odds with nothing.
            let values = values.iter().filter(|value| !(key.is_switch() && is_off(value)));
            if *rank < Rank::CommandLine {
                arguments.extend(values.map(|value| OsString::from(format!("--{}={value}", key.name()))));
            }
        }
        let program = self.program.clone().mut_subcommand(self.subcommand, bare);
        let matches = program.try_get_matches_from(arguments).map_err(|error| {
            let message = at_odds(&error, &chosen);
            Problems { file: path.clone(), problems: vec![Problem::new("the configuration", message)] }
        })?;
        let settings = keys.iter().map(|key| setting(key, chosen.remove(key.name()))).collect();
        Ok(Resolved { matches, settings, file: path, warnings })
    }

    /// The file that was named, or the first that is found.
    fn file(&self, service: &Command, typed: &ArgMatches) -> Result<Option<File>, Problem> {
        let flag = service.get_arguments().find(|arg| arg.get_long() == Some(CONFIG));
        let typed = flag.and_then(|flag| typed.get_raw(flag.get_id().as_str())?.next().map(PathBuf::from));
        let named = typed.or_else(|| self.environment.get(flag?.get_env()?.to_str()?).map(PathBuf::from));
        match named.map(|path| (path, Trust::Named)).or_else(|| self.search.find()) {
            Some((path, trust)) => File::read(&path, trust).map(Some),
            None => Ok(None),
        }
    }

    fn read_file(&self, keys: &Keys, file: &File, chosen: &mut BTreeMap<String, Value>, problems: &mut Vec<Problem>) {
        let is_ini = Format::of(&file.path) == Format::Ini;
        for entry in &file.entries {
            let problem = |message: String| Problem::in_file(&file.path, entry.line, message);
            let Some(key) = keys.find(&entry.key) else {
                let shown: String = entry.key.chars().take(64).collect();
                let near = keys
                    .nearest(&entry.key)
                    .map_or(String::from("`hearth config show` lists them"), |near| format!("did you mean `{near}`?"));
                problems.push(problem(format!("there is no key `{shown}`; {near}")));
                continue;
            };
            let source = Source::File { path: file.path.clone(), line: entry.line };
            if let Some(first) = chosen.get(key.name()) {
                problems.push(problem(format!("`{}` was set before, at {}", key.name(), first.source)));
                continue;
            }
            if key.is_command() && file.trust == Trust::Found {
                let message = "names a command to run, which a file that merely lies in the working folder may not: name the file with --config, or move it to";
                problems.push(problem(format!("`{}` {message} ~/.config/hearth/hearth.toml", key.name())));
                continue;
            }
            match values_of(key, &entry.values, is_ini) {
                Ok(values) => {
                    chosen.insert(key.name().to_owned(), Value { values, rank: Rank::File, source });
                }
                Err(message) => problems.push(problem(message)),
            }
        }
    }

    fn read_environment(&self, keys: &Keys, chosen: &mut BTreeMap<String, Value>, problems: &mut Vec<Problem>, warnings: &mut Vec<String>) {
        let mut take = |key: &Key, name: &str, text: &OsString, rank: Rank| {
            let values = text.to_str().ok_or_else(|| "is not UTF-8".to_owned()).map(|text| key.split(text));
            match values.and_then(|values| values.iter().try_for_each(|value| check(key, value)).map(|()| values)) {
                Ok(values) => {
                    chosen.insert(key.name().to_owned(), Value { values, rank, source: Source::Environment(name.to_owned()) });
                }
                Err(message) => problems.push(Problem::new(format!("${name}"), message)),
            }
        };
        for PlainName { variable, key, meant } in self.plain_names {
            let (Some(key), Some(text)) = (keys.find(key), self.environment.get(variable)) else { continue };
            if text.to_str().is_some_and(meant) {
                take(key, variable, text, Rank::PlainEnvironment);
            } else {
                let own = key.variable().unwrap_or_default();
                warnings.push(format!("${variable} is not taken for `{}`, as other programs set it too; ${own} is ours", key.name()));
            }
        }
        // Kubernetes sets <SERVICE>_PORT and more for each service: with one that is called as this program is, these look like ours.
        let linked = |text: &OsString| {
            self.environment.get(&format!("{}SERVICE_HOST", self.prefix)).is_some()
                && text.to_str().is_some_and(|text| text.contains("://"))
        };
        for key in keys.iter() {
            let Some(name) = key.variable() else { continue };
            if let Some(text) = self.environment.get(name).filter(|text| !linked(text)) {
                take(key, name, text, Rank::Environment);
            }
        }
        let variables: Vec<&str> = keys.iter().filter_map(Key::variable).chain(self.other_variables.iter().copied()).collect();
        for name in self.environment.0.keys().filter(|name| name.starts_with(self.prefix) && !variables.contains(&name.as_str())) {
            // All share the prefix, which would make all alike.
            let own = variables.iter().filter_map(|name| name.strip_prefix(self.prefix));
            if let Some(near) = nearest(&name[self.prefix.len()..], own) {
                warnings.push(format!("${name} is no variable of this service; did you mean ${}{near}?", self.prefix));
            }
        }
    }
}

/// Whether a switch's value is one that clap takes for no.
fn is_off(value: &str) -> bool {
    ["n", "no", "f", "false", "off", "0"].contains(&value.to_ascii_lowercase().as_str())
}

/// What clap says of flags that do not go together, and where they were set. No value of a secret is in it: each value was checked alone before.
fn at_odds(error: &clap::Error, chosen: &BTreeMap<String, Value>) -> String {
    let message = error.to_string();
    let lines = message.lines().take_while(|line| !line.is_empty()).map(str::trim).collect::<Vec<_>>().join(" ");
    let message = lines.trim_start_matches("error: ").to_owned();
    let told = |name: &str| message.split(|c: char| !(c.is_alphanumeric() || c == '-')).any(|word| word.strip_prefix("--") == Some(name));
    let places: Vec<String> =
        chosen.iter().filter(|(name, _)| told(name)).map(|(name, value)| format!("`{name}` is set by {}", value.source)).collect();
    if places.is_empty() { message } else { format!("{message} ({})", places.join(", ")) }
}

/// The values of a file's key as they would be typed.
fn values_of(key: &Key, values: &Values, is_ini: bool) -> Result<Vec<String>, String> {
    let scalars = match values {
        Values::One(scalar) => std::slice::from_ref(scalar),
        Values::Many(scalars) if key.is_list() => scalars.as_slice(),
        Values::Many(_) => return Err(format!("`{}` takes one value, and no list", key.name())),
        Values::Unfit(what) => return Err(format!("`{}` cannot be {what}", key.name())),
    };
    let mut texts = Vec::new();
    for scalar in scalars {
        // A parser that takes any text would take these words too.
        if matches!(scalar, Scalar::Boolean(_)) && key.check("true").is_ok() && key.check("\u{1}").is_ok() {
            return Err(format!("`{}` is a text: write it in quotes", key.name()));
        }
        let text = scalar.clone().into_text();
        let split = if is_ini { key.split(&text) } else { vec![text] };
        for text in &split {
            check(key, text)?;
        }
        texts.extend(split);
    }
    Ok(texts)
}

fn check(key: &Key, value: &str) -> Result<(), String> {
    if value.contains('\0') {
        return Err(format!("`{}` holds a character that no value can have", key.name()));
    }
    key.check(value)
}

fn not_typed(key: &Key) -> Problem {
    let name = key.name();
    let variable = key.variable().map_or(String::new(), |variable| format!("${variable}, "));
    let message = format!(
        "a secret is not taken on the command line, where every user of this machine can read it: use {variable}`{name}` in the configuration file, or --{name}-file FILE"
    );
    Problem::new(format!("--{name}"), message)
}

/// Secrets whose companion, the name of a file, is said by a higher layer than they are themselves.
fn read_secrets(keys: &Keys, chosen: &mut BTreeMap<String, Value>, problems: &mut Vec<Problem>) {
    for (companion, secret) in keys.iter().filter_map(|key| Some((key, keys.secret_of(key)?))) {
        let Some(value) = chosen.get(companion.name()) else { continue };
        let place = value.source.to_string();
        let own = chosen.get(secret.name()).map(|value| value.rank);
        if own == Some(value.rank) {
            problems.push(Problem::new(place, format!("`{}` and `{}` are both set: choose one", secret.name(), companion.name())));
            continue;
        }
        if own > Some(value.rank) {
            continue;
        }
        let path = PathBuf::from(value.values.first().cloned().unwrap_or_default());
        let rank = value.rank;
        match secret_in(&path).and_then(|text| check(secret, &text).map(|()| text)) {
            // Typed is only the file's name: the value itself comes in below the command line.
            Ok(text) => {
                let rank = rank.min(Rank::Environment);
                chosen.insert(secret.name().to_owned(), Value { values: vec![text], rank, source: Source::SecretFile(path) });
            }
            Err(message) => problems.push(Problem::new(place, format!("`{}`: {}: {message}", companion.name(), path.display()))),
        }
    }
}

/// The one line of a secret's file.
fn secret_in(path: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut std::io::Read::take(file, SECRET_MAX + 1), &mut text).map_err(cannot)?;
    if text.len() as u64 > SECRET_MAX {
        return Err(format!("is longer than {} KiB, which no secret is", SECRET_MAX >> 10));
    }
    let text = text.trim_end_matches(['\n', '\r']);
    if text.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(text.to_owned())
}

fn setting(key: &Key, value: Option<Value>) -> Setting {
    use std::hash::{Hash, Hasher};
    let Value { values, rank, source } =
        value.unwrap_or_else(|| Value { values: key.defaults(), rank: Rank::Default, source: Source::Default });
    let mut hasher = std::hash::DefaultHasher::new();
    values.hash(&mut hasher);
    let fingerprint = hasher.finish();
    let values = if key.is_secret() { values.iter().map(|_| Setting::MASK.to_owned()).collect() } else { values };
    Setting { name: key.name().to_owned(), id: key.id().to_owned(), values, rank, source, is_secret: key.is_secret(), fingerprint }
}
