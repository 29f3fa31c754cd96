//! jinja2 as the oracle of what templates render.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::data;

/// When the templates think that they are rendered, in seconds since the epoch.
pub(crate) const NOW: u64 = 1_785_931_509;

/// What jinja2 refuses and Hearth renders: no tools where a template expects a list, and a list that Python would not have made yet.
pub(crate) const LENIENCIES: &[&str] =
    &["TypeError: 'NoneType' object is not iterable", "TypeError: Object of type generator is not JSON serializable"];

/// A template whose rendering by jinja2 is spoilt: adding a text to one marked `safe` escapes it for HTML, also where nothing is HTML.
pub(crate) const ESCAPING: &str = "meetkai-functionary-medium-v3.1";

/// The oracle's answer to a job as `oracle.py` describes it, `None` where it cannot run.
pub(crate) fn oracle(job: &Value) -> Option<Vec<Vec<Value>>> {
    let python = std::env::var("HEARTH_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let importable =
        Command::new(&python).args(["-c", "import jinja2"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !importable {
        return data::skip(&format!(
            "{python} cannot import jinja2; cargo xtask test installs it and names its python in HEARTH_TEST_PYTHON"
        ));
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/jinja/oracle.py");
    let mut child = Command::new(python).arg(script).env("PYTHONUTF8", "1").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&serde_json::to_vec(job).unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}
