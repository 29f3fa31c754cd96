//! The configuration of `hearth serve`: where its layers are, and what they come to.

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::FromArgMatches;
use hearth_config::{Environment, Failure, Keys, Layers, PlainName, Problem, Problems, Rank, Resolved, Search};

use crate::cli::{SERVE, ServeArgs, command};

mod commands;
mod init;
mod master_key;

pub(crate) use commands::run;
pub(crate) use init::run as init;
pub(crate) use master_key::{check as check_master_key, master_key, read as read_master_key};

/// Names that platforms set, beside `HEARTH_…`.
pub(crate) const PLAIN_NAMES: [PlainName; 6] = [
    // Some shells set it to the machine's name.
    PlainName { variable: "HOST", key: "host", meant: |text| text == "localhost" || text.parse::<std::net::IpAddr>().is_ok() },
    PlainName { variable: "PORT", key: "port", meant: |_| true },
    PlainName { variable: "WORKERS", key: "workers", meant: |_| true },
    PlainName { variable: "MAX_WORKERS", key: "workers", meant: |_| true },
    PlainName { variable: "MODEL_PATH", key: "model", meant: |_| true },
    PlainName { variable: "API_KEY", key: "api-key", meant: |_| true },
];
/// Ours, but no keys.
const OTHER_VARIABLES: [&str; 4] = ["HEARTH_CONFIG", "HEARTH_MODELS", "HEARTH_KERNELS", "HEARTH_TEST_DATA"];

/// A service as it is configured.
#[derive(Debug)]
pub(crate) struct Service {
    /// With the address that the layers come to in `listen`.
    pub(crate) args: ServeArgs,
    pub(crate) resolved: Resolved,
}

/// The flags of `hearth serve` that are keys.
pub(crate) fn keys() -> Keys {
    command().find_subcommand(SERVE).map_or_else(|| Keys::of(&clap::Command::new(SERVE), &[]), |serve| Keys::of(serve, &["config"]))
}

/// The files that are looked for where none is named.
pub(crate) fn search() -> Search {
    Search { here: Some("hearth.toml".into()), elsewhere: user_file().into_iter().chain(["/etc/hearth/hearth.toml".into()]).collect() }
}

/// The user's own file.
pub(crate) fn user_file() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = folder("XDG_CONFIG_HOME").filter(|path| path.is_absolute()).or_else(|| Some(folder("HOME")?.join(".config")));
    Some(config?.join("hearth/hearth.toml"))
}

/// The service of a whole command line of `hearth serve`, the program's name first.
///
/// # Errors
/// [`Failure`]
pub(crate) fn load(arguments: &[OsString]) -> Result<Service, Failure> {
    let layers = Layers {
        program: command(),
        subcommand: SERVE,
        arguments,
        environment: &Environment::of_process(),
        prefix: "HEARTH_",
        other_variables: &OTHER_VARIABLES,
        plain_names: &PLAIN_NAMES,
        search: search(),
    };
    let resolved = layers.resolve()?;
    let matches = resolved.matches.subcommand_matches(SERVE).cloned().unwrap_or_default();
    let mut args = ServeArgs::from_arg_matches(&matches).map_err(|error| Failure::CommandLine(Box::new(error)))?;
    let problems = |problem| Failure::Problems(Problems { file: resolved.file.clone(), problems: vec![problem] });
    args.listen = address(&args, &resolved).map_err(problems)?;
    Ok(Service { args, resolved })
}

/// The service as other commands see it: all layers but a command line.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn load_file(file: Option<&Path>) -> Result<Service, Failure> {
    let mut arguments: Vec<OsString> = vec!["hearth".into(), SERVE.into()];
    if let Some(file) = file {
        arguments.extend(["--config".into(), file.into()]);
    }
    load(&arguments)
}

/// What `listen`, `host` and `port` come to: of the address, and of the port, the highest layer counts that names it.
fn address(args: &ServeArgs, resolved: &Resolved) -> Result<SocketAddr, Problem> {
    let listen = resolved.rank("listen");
    let part = |name: &str| {
        let rank = resolved.rank(name);
        if rank == listen && rank > Rank::Default {
            let place = resolved.setting(name).map_or(String::new(), |setting| setting.source.to_string());
            return Err(Problem { place, message: format!("`listen` and `{name}` are both set: choose one") });
        }
        Ok(rank > listen)
    };
    let ip = if part("host")? { args.host } else { None };
    let port = if part("port")? { args.port } else { None };
    Ok(SocketAddr::new(ip.unwrap_or(args.listen.ip()), port.unwrap_or(args.listen.port())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documentation has the keys as the flags have them. With HEARTH_WRITE_DOCS=1 it is written.
    #[test]
    fn the_documentation_has_every_key() {
        const MARK: &str = "<!-- keys -->\n";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (head, table) = text.split_once(MARK).unwrap();
        let expected = hearth_config::table(&keys(), &crate::reload::live_keys(), &PLAIN_NAMES);
        if std::env::var_os("HEARTH_WRITE_DOCS").is_some() {
            std::fs::write(&path, format!("{head}{MARK}{expected}")).unwrap();
        } else {
            assert!(table == expected, "docs/configuration.md is not what the flags are: run this test with HEARTH_WRITE_DOCS=1");
        }
    }

    #[test]
    fn live_keys_and_plain_names_are_keys() {
        let keys = keys();
        for name in crate::reload::live_keys().into_iter().chain(PLAIN_NAMES.map(|plain| plain.key)) {
            assert_eq!(keys.find(name).map(hearth_config::Key::name), Some(name));
        }
    }
}
