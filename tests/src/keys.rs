//! `hearth` beside a server, as who runs it types it: the keys of clients above all.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::binary;

/// A key of a client, as it is shown once.
#[derive(Debug, Clone)]
pub struct Key {
    /// The client id, 32 hexadecimal digits.
    pub id: String,
    /// The secret, 64 of them.
    pub secret: String,
    /// Both as one text, which clients send.
    pub token: String,
}

/// The commands over the store of one service.
#[derive(Debug)]
pub struct Keys {
    environment: Vec<(String, String)>,
    home: PathBuf,
}

impl Keys {
    /// Of the service that keeps its state in this folder.
    pub fn at(state: &Path) -> Self {
        Self::amid(state, &[])
    }

    /// The same with further variables of the environment.
    pub fn amid(state: &Path, environment: &[(&str, &str)]) -> Self {
        let environment = environment.iter().copied().chain([("HEARTH_STATE_DIR", state.to_str().expect("a path of letters"))]);
        Self {
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            home: state.parent().expect("a folder lies in one").to_owned(),
        }
    }

    /// `hearth WORDS`, far from any configuration of whoever runs the tests.
    pub fn hearth(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary("hearth"));
        command.args(words).envs(self.environment.iter().cloned()).current_dir(&self.home);
        command.env("HOME", &self.home).env_remove("XDG_CONFIG_HOME").stdin(Stdio::null());
        command
    }

    /// The same, run to its end.
    ///
    /// # Panics
    /// When it does not start.
    pub fn output(&self, words: &[&str]) -> Output {
        self.hearth(words).output().expect("hearth runs")
    }

    /// The same where it must succeed: what it prints.
    ///
    /// # Panics
    /// When it fails.
    pub fn run(&self, words: &[&str]) -> String {
        let output = self.output(words);
        assert!(output.status.success(), "hearth {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Makes a key; `flags` as `hearth keys create` takes them.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn create(&self, name: &str, flags: &[&str]) -> Key {
        self.made(&[&["create", name], flags].concat())
    }

    /// Gives a key another secret.
    ///
    /// # Panics
    /// When that fails.
    pub fn rotate(&self, id: &str) -> Key {
        self.made(&["rotate", id])
    }

    /// Makes a key no good.
    ///
    /// # Panics
    /// When that fails.
    pub fn revoke(&self, id: &str) {
        self.run(&["keys", "revoke", id]);
    }

    fn made(&self, words: &[&str]) -> Key {
        let printed = self.run(&[&["keys", "--json"], words].concat());
        let made: Value = serde_json::from_str(&printed).expect("JSON");
        let text = |name: &str| made[name].as_str().expect(name).to_owned();
        Key { id: text("id"), secret: text("secret"), token: text("token") }
    }
}
