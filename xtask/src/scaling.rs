//! `cargo xtask scaling`: replays load traces through the autoscaler's policy of deploy/kubernetes and writes docs/scaling.

use std::{path::Path, process::Command};

use crate::{command, test};

pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let python = test::python(root)?;
    command::run(Command::new(python).arg(root.join("tests/python/scaling.py")).arg(root).arg(root.join("docs/scaling")))
}
