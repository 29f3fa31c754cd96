//! The keys: the flags of a command.
//!
//! A flag with `hide_env_values` is a secret: it is a key of the file and a variable of the environment, but it is refused on the command line, where every user of the
//! machine can read it, and is masked where values are shown. [`prepare`] gives each secret `NAME` a companion `NAME-file` (and `<VARIABLE>_FILE`), which holds it.

use clap::{
    Arg, ArgAction, Command,
    builder::{BoolishValueParser, Resettable},
    error::{ContextKind, ContextValue, ErrorKind},
};

/// The end of a secret's companion.
const FILE: &str = "-file";
/// What stands for the value of a switch in help.
const SWITCH: &str = "true|false";
/// The end of keys whose value is run.
const COMMAND: &str = "-command";
/// Names nearer than this are offered in place of one that is not known.
const NEAR: f64 = 0.8;

/// The flags of `command` made ready for layers: a secret is hidden from help and gets its companion; a switch can also be given a value (`--preload=false`), so that each
/// layer can say both.
pub fn prepare(mut command: Command) -> Command {
    let secrets: Vec<(String, Option<String>)> = command
        .get_arguments()
        .filter(|arg| arg.is_hide_env_values_set())
        .filter_map(|arg| Some((arg.get_long()?.to_owned(), arg.get_env().and_then(|name| name.to_str()).map(str::to_owned))))
        .collect();
    for (name, variable) in secrets {
        let id = format!("{name}{FILE}");
        if command.get_arguments().any(|arg| arg.get_long() == Some(&id)) {
            continue;
        }
        let arg = Arg::new(id.clone()).long(id).value_name("FILE");
        command = command.arg(match variable {
            Some(variable) => arg
                .help(format!("File with the value of `{name}`; ${variable} has it itself. It is not taken on the command line"))
                .env(format!("{variable}_FILE")),
            None => arg.help(format!("File with the value of `{name}`, which is not taken on the command line")),
        });
    }
    command.mut_args(|arg| {
        if arg.is_hide_env_values_set() {
            arg.hide(true)
        } else if matches!(arg.get_action(), ArgAction::SetTrue) {
            let parser = BoolishValueParser::new();
            let arg = arg.action(ArgAction::Set).num_args(0..=1).require_equals(true).default_missing_value("true").default_value("false");
            arg.value_parser(parser).value_name(SWITCH).hide_default_value(true).hide_possible_values(true)
        } else {
            arg
        }
    })
}

/// `command` without what the environment says: what was typed, and nothing else.
pub fn bare(command: Command) -> Command {
    command.mut_args(|arg| arg.env(Resettable::Reset))
}

/// A key.
#[derive(Debug, Clone)]
pub struct Key {
    arg: Arg,
    name: String,
}

impl Key {
    /// The flag's long name, in kebab case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What clap calls it.
    pub fn id(&self) -> &str {
        self.arg.get_id().as_str()
    }

    /// Its variable of the environment.
    pub fn variable(&self) -> Option<&str> {
        self.arg.get_env()?.to_str()
    }

    /// Other names for it in a file.
    pub fn aliases(&self) -> Vec<&str> {
        self.arg.get_all_aliases().unwrap_or_default()
    }

    /// Whether its value is shown to nobody.
    pub fn is_secret(&self) -> bool {
        self.arg.is_hide_env_values_set()
    }

    /// Whether its value is a command to run.
    pub fn is_command(&self) -> bool {
        self.name.ends_with(COMMAND)
    }

    /// Whether it takes a list.
    pub fn is_list(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::Append)
    }

    /// Whether help has it.
    pub fn is_hidden(&self) -> bool {
        self.arg.is_hide_set() && !self.is_secret()
    }

    /// Whether it is yes or no.
    pub fn is_switch(&self) -> bool {
        matches!(self.arg.get_action(), ArgAction::Set) && self.value_name() == Some(SWITCH)
    }

    /// What stands for its value in help.
    pub fn value_name(&self) -> Option<&str> {
        self.arg.get_value_names()?.first().map(|name| name.as_str())
    }

    /// The first sentence of its help.
    pub fn help(&self) -> String {
        self.arg.get_help().map(ToString::to_string).unwrap_or_default()
    }

    /// The values it has where no layer says another.
    pub fn defaults(&self) -> Vec<String> {
        self.arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect()
    }

    /// The values that it takes, where they are few.
    pub fn choices(&self) -> Vec<String> {
        if self.is_switch() {
            return Vec::new();
        }
        self.arg.get_possible_values().iter().filter(|value| !value.is_hide_set()).map(|value| value.get_name().to_owned()).collect()
    }

    /// Whether the flag's own parser takes `value`; if not, why, with the value unless it is a secret.
    pub(crate) fn check(&self, value: &str) -> Result<(), String> {
        let arg = Arg::new("value").long("value").value_parser(self.arg.get_value_parser().clone()).action(ArgAction::Set);
        let probe = Command::new("probe").no_binary_name(true).disable_help_flag(true).arg(arg);
        let Err(error) = probe.try_get_matches_from([format!("--value={value}")]) else { return Ok(()) };
        if self.is_secret() {
            return Err(format!("the value of `{}` is not valid (it is a secret and so not shown)", self.name));
        }
        let list = |kind| match error.get(kind) {
            Some(ContextValue::Strings(words)) => words.clone(),
            Some(ContextValue::String(word)) => vec![word.clone()],
            _ => Vec::new(),
        };
        let shown: String =
            if value.chars().count() > 80 { value.chars().take(80).chain("…".chars()).collect() } else { value.to_owned() };
        let why = match (error.kind(), std::error::Error::source(&error)) {
            (_, Some(source)) => source.to_string(),
            (ErrorKind::InvalidValue, _) if value.is_empty() => "a value is needed".to_owned(),
            (ErrorKind::InvalidValue, _) => {
                let near = list(ContextKind::SuggestedValue).first().map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                format!("it is one of {}{near}", list(ContextKind::ValidValue).join(", "))
            }
            _ => "it is not valid".to_owned(),
        };
        Err(format!("`{}` cannot be `{shown}`: {why}", self.name))
    }

    /// A text of the environment or of INI as the list that it is.
    pub(crate) fn split(&self, text: &str) -> Vec<String> {
        if !self.is_list() {
            return vec![text.to_owned()];
        }
        text.split(',').map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned).collect()
    }
}

/// All keys of a command.
#[derive(Debug, Clone)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// The flags of `command` that have a long name, `except` those of these names.
    pub fn of(command: &Command, except: &[&str]) -> Self {
        let takes_value = |arg: &&Arg| matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
        let keys = command.get_arguments().filter(takes_value).filter_map(|arg| {
            let name = arg.get_long().filter(|name| !except.contains(name))?.to_owned();
            Some(Key { arg: arg.clone(), name })
        });
        Self(keys.collect())
    }

    /// In the order of help.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// The key that is written so: in kebab or snake case, small or capital letters, by its name or an alias.
    pub fn find(&self, written: &str) -> Option<&Key> {
        let name = normal(written);
        self.0.iter().find(|key| key.name == name || key.aliases().iter().any(|alias| normal(alias) == name))
    }

    /// The nearest name to one that is not known.
    pub fn nearest(&self, written: &str) -> Option<&str> {
        let name = normal(written);
        let names = self.0.iter().flat_map(|key| std::iter::once(key.name.as_str()).chain(key.aliases()));
        nearest(&name, names)
    }

    /// The secret whose companion this is.
    pub(crate) fn secret_of(&self, key: &Key) -> Option<&Key> {
        let name = key.name.strip_suffix(FILE)?;
        self.0.iter().find(|secret| secret.name == name && secret.is_secret())
    }
}

/// The name that is most like `written`, if one is like it.
pub(crate) fn nearest<'n>(written: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    // Bounded, as the comparison takes the product of both lengths.
    let written: String = written.chars().take(64).collect();
    names
        .map(|name| (strsim::jaro_winkler(&written, name).max(strsim::normalized_damerau_levenshtein(&written, name)), name))
        .filter(|(like, _)| *like >= NEAR)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

fn normal(name: &str) -> String {
    name.trim().to_ascii_lowercase().replace('_', "-")
}
