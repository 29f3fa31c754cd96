//! `hearth init`: what a service needs before its first start.

use std::{
    fmt::Write as _,
    fs,
    io::Write,
    path::{Path, absolute},
};

use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use hearth_config::Key;
use hearth_function::keys::{self, Created, KeysError};

use crate::{
    cli::{InitArgs, state_dir},
    config, keys as commands,
    state::{self, blocking},
};

pub(crate) fn run(args: &InitArgs) -> anyhow::Result<()> {
    let file = args.config.clone().or_else(config::user_file).context("no home folder is set: say where with --config FILE")?;
    let (file, state) = (absolute(file)?, absolute(state_dir(args.state_dir.clone())?)?);
    ensure!(!file.exists(), "{} is there already, and is left as it is: name another with --config, or remove it", file.display());
    let folder = file.parent().context("the configuration needs a folder")?;
    private_folder(folder)?;
    private_folder(&state)?;
    let master = folder.join("master.key");
    let made_master = master_key(&master)?;
    write_new(&file, &text(&state, &master))?;
    let keys = first_keys(&state).inspect_err(|_| {
        // Half of it would be in the way of the next try.
        let _ = fs::remove_file(&file);
    })?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "configuration  {}", file.display())?;
    writeln!(out, "state          {}", state.display())?;
    writeln!(out, "master key     {}{}", master.display(), if made_master { "" } else { " (was there already)" })?;
    match keys {
        Some(keys) => {
            writeln!(out, "\nThese keys are shown this once. A client sends one as `Authorization: Bearer KEY` or `x-api-key: KEY`:\n")?;
            for key in &keys {
                commands::print(&mut out, key)?;
            }
        }
        None => writeln!(out, "\nThere are keys already, so none were made: hearth keys list")?,
    }
    writeln!(out, "\nKeep the master key apart from backups of the state: without it, what is kept cannot be read.")?;
    let named = if config::user_file().is_some_and(|own| own == file) { String::new() } else { format!(" --config {}", file.display()) };
    writeln!(out, "Next: hearth doctor{named}, then hearth serve{named}")?;
    Ok(())
}

/// `None` where there are some.
fn first_keys(state: &Path) -> anyhow::Result<Option<Vec<Created>>> {
    let kept = state::open_at(state)?;
    let records = state::records(&kept.store)?;
    match blocking(keys::init(&records))? {
        Ok(made) => Ok(Some(made)),
        Err(KeysError::NotEmpty) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes it, unless there is one.
fn master_key(path: &Path) -> anyhow::Result<bool> {
    if path.exists() {
        config::read_master_key(path)?;
        return Ok(false);
    }
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    write_new(path, &format!("{}\n", STANDARD.encode(bytes)))?;
    Ok(true)
}

/// A configuration with what a service needs; all other keys stand in it as comments, with their defaults.
fn text(state: &Path, master: &Path) -> String {
    let set = [("state-dir", quoted(state)), ("keys", "\"required\"".to_owned()), ("master-key-file", quoted(master))];
    let mut text = String::from(
        "# The configuration of `hearth serve`. Each key is a flag of it without its dashes; a flag, and its variable in the environment, go over what stands here.\n\
         # `hearth config check` finds what is wrong, `hearth config show` tells what counts, and SIGHUP has a running server read it again.\n",
    );
    for key in config::keys().iter().filter(|key| !key.is_hidden()) {
        let _ = write!(text, "\n# {}\n", key.help().replace('\n', "\n# "));
        let _ = match set.iter().find(|(name, _)| *name == key.name()) {
            Some((name, value)) => writeln!(text, "{name} = {value}"),
            None => writeln!(text, "#{} = {}", key.name(), default(key)),
        };
    }
    text
}

fn quoted(path: &Path) -> String {
    // JSON's strings are TOML's.
    serde_json::Value::from(path.to_string_lossy()).to_string()
}

fn default(key: &Key) -> String {
    let defaults = key.defaults();
    if key.is_list() {
        return format!("{defaults:?}");
    }
    match defaults.first() {
        Some(value) if value.parse::<f64>().is_ok() || ["true", "false"].contains(&value.as_str()) => value.clone(),
        Some(value) => format!("{value:?}"),
        None => "\"\"".to_owned(),
    }
}

fn private_folder(folder: &Path) -> anyhow::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).with_context(|| format!("cannot make the folder {}", folder.display()))
}

fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uncommented, each line is a key that `serve` takes.
    #[test]
    fn what_is_written_is_a_configuration_also_with_its_comments_taken_away() {
        let text = text(Path::new("/var/lib/a \"b\""), Path::new("/etc/m"));
        let entries = |text: &str| hearth_config::parse(text, hearth_config::Format::Toml).unwrap();
        let set: Vec<String> = entries(&text).into_iter().map(|entry| entry.key).collect();
        assert_eq!(set, ["state-dir", "keys", "master-key-file"]);
        let all: String =
            text.lines().map(|line| if line.starts_with("# ") { "" } else { line.trim_start_matches('#') }).collect::<Vec<_>>().join("\n");
        let keys = config::keys();
        let all = entries(&all);
        assert!(all.iter().all(|entry| keys.find(&entry.key).is_some()));
        assert_eq!(all.len(), keys.iter().filter(|key| !key.is_hidden()).count());
    }
}
