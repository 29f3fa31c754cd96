//! The master key: from a file, a variable or the configuration (as each secret), or printed by a command.

use std::{
    io::Read,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    cli::ServeArgs,
    config::{Rank, Resolved},
};

/// How long the command may take, a person's typing of a passphrase included.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes that are read of what it prints.
const OUTPUT_MAX: u64 = 4096;

/// The key in base64; `None` where there is none.
///
/// # Errors
/// When it is no key of 32 bytes, when the command fails, and when both ways are given in one layer.
pub(crate) fn master_key(args: &ServeArgs, resolved: &Resolved) -> anyhow::Result<Option<String>> {
    let (own, command) = (resolved.rank("master-key"), resolved.rank("master-key-command"));
    if own == command && own > Rank::Default {
        bail!("`master-key` and `master-key-command` are both set: choose one");
    }
    if let Some(line) = args.master_key_command.as_deref().filter(|_| command > own) {
        return decoded(&printed(line, PATIENCE)?).context("`master-key-command`").map(Some);
    }
    check(args)?;
    Ok(args.master_key.as_ref().map(|key| key.reveal().trim().to_owned()))
}

/// Whether the key that is given itself is one. A command is not run for it.
///
/// # Errors
/// When it is none.
pub(crate) fn check(args: &ServeArgs) -> anyhow::Result<()> {
    args.master_key.as_ref().map_or(Ok(()), |key| decoded(key.reveal()).context("`master-key`").map(drop))
}

/// The key in a file.
///
/// # Errors
/// When it cannot be read, or is no key.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    file.take(OUTPUT_MAX).read_to_string(&mut text).with_context(|| format!("cannot read {}", path.display()))?;
    decoded(&text).with_context(|| path.display().to_string())
}

/// `text` without what is around it, if it is a key.
fn decoded(text: &str) -> anyhow::Result<String> {
    let text = text.trim();
    // What is wrong with it would tell some of it.
    let length =
        STANDARD.decode(text).ok().context("is not base64: a master key is 32 bytes in base64, as `openssl rand -base64 32` prints")?.len();
    ensure!(length == 32, "has {length} bytes: a master key is 32 bytes in base64, as `openssl rand -base64 32` prints");
    Ok(text.to_owned())
}

/// What a command of the shell prints.
fn printed(line: &str, patience: Duration) -> anyhow::Result<String> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", line]).stdin(Stdio::inherit()).stdout(Stdio::piped());
    // What it starts is none of ours: of our secrets it needs none.
    for key in super::keys().iter().filter(|key| key.is_secret()) {
        let plain = super::PLAIN_NAMES.iter().filter(|plain| plain.key == key.name()).map(|plain| plain.variable);
        for variable in key.variable().into_iter().chain(plain) {
            shell.env_remove(variable);
        }
    }
    let mut child = shell.spawn().context("`master-key-command` cannot be run")?;
    let output = child.stdout.take().map(|output| {
        std::thread::spawn(move || {
            let mut text = String::new();
            output.take(OUTPUT_MAX).read_to_string(&mut text).map(|_| text)
        })
    });
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begun.elapsed() > patience {
            child.kill()?;
            child.wait()?;
            bail!("`master-key-command` has printed no key within {} seconds", patience.as_secs());
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    ensure!(status.success(), "`master-key-command` failed ({status})");
    let text = output.and_then(|output| output.join().ok()).context("`master-key-command` cannot be read")?;
    text.context("`master-key-command` did not print text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_bytes_in_base64() {
        let key = STANDARD.encode([7; 32]);
        assert_eq!(decoded(&format!(" {key}\n")).unwrap(), key);
        assert!(decoded("secret!").unwrap_err().to_string().starts_with("is not base64"));
        assert!(decoded(&STANDARD.encode([7; 16])).unwrap_err().to_string().starts_with("has 16 bytes"));
    }

    #[cfg(unix)]
    #[test]
    fn a_command_prints_it_or_fails_in_time() {
        let patience = Duration::from_secs(20);
        assert_eq!(printed("echo a key", patience).unwrap(), "a key\n");
        assert!(printed("exit 3", patience).unwrap_err().to_string().contains("exit status: 3"));
        assert!(printed("exec sleep 60", Duration::from_millis(50)).unwrap_err().to_string().contains("no key within"));
    }
}
