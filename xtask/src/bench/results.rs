//! What a run measured, as it is kept in results.json.

use std::{fs, path::Path, process::Command};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::machine::Machine;
use crate::test::LLAMA_CPP;

/// A run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Results {
    /// As `2026-01-31`, in UTC.
    pub(super) date: String,
    pub(super) quick: bool,
    pub(super) machine: Machine,
    pub(super) peer: String,
    pub(super) ours: String,
    /// Bytes a second.
    pub(super) bandwidth: Option<f64>,
    /// What llama.cpp did faster with which flash attention: `on` or `off`, and the row.
    pub(super) flash: Vec<(String, String)>,
    /// Remarks on the run.
    pub(super) notes: Vec<String>,
    pub(super) rows: Vec<Row>,
    /// Rows that could not be measured, and why.
    pub(super) failed: Vec<String>,
}

/// A line of the table. What stands first is the peer's: llama.cpp, or in the section of shapes the native shape.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) section: Section,
    pub(super) name: String,
    pub(super) unit: Unit,
    pub(super) peer: Vec<f64>,
    pub(super) ours: Vec<f64>,
    pub(super) target: Target,
    /// The curve it is a point of, and where.
    pub(super) point: Option<Point>,
}

/// A point of a plot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Point {
    pub(super) plot: Plot,
    /// Of one curve for each engine.
    pub(super) curve: String,
    pub(super) x: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Plot {
    /// Tokens a second by sequences together.
    Batch,
    /// Tokens a second by clients.
    Throughput,
    /// Time to the first token by clients.
    FirstToken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Section {
    /// llama.cpp and Hearth.
    Engines,
    /// llama-server and `hearth serve`.
    Servers,
    /// The native shape and the wasm shape.
    Shapes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unit {
    TokensPerSecond,
    Milliseconds,
    Bytes,
    Share,
    Count,
}

/// What a row has to reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    /// Ours divided by the peer's.
    RatioAtLeast(f64),
    RatioAtMost(f64),
    /// Ours alone.
    AtLeast(f64),
    AtMost(f64),
    /// It is told for what it is.
    None,
}

impl Results {
    pub(super) fn new(machine: Machine, quick: bool, root: &Path) -> Self {
        let (package, version) = LLAMA_CPP;
        let said = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).current_dir(root).args(arguments).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let commit = said("git", &["rev-parse", "--short", "HEAD"]).map(|commit| format!(", commit {commit}")).unwrap_or_default();
        Self {
            date: said("date", &["-u", "+%Y-%m-%d"]).unwrap_or_default(),
            quick,
            machine,
            peer: format!("llama.cpp as in {package} {version}, built for this machine (Release, native instructions)"),
            ours: format!("Hearth {}{commit}, profile dev (its engine, models and kernels at opt-level 3)", env!("CARGO_PKG_VERSION")),
            bandwidth: None,
            flash: Vec::new(),
            notes: Vec::new(),
            rows: Vec::new(),
            failed: Vec::new(),
        }
    }

    pub(super) fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("results.json");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not a run's results", path.display()))
    }

    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let path = folder.join("results.json");
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The row of this name, if it was measured in this run.
    pub(super) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}

impl Row {
    pub(super) fn new(section: Section, name: impl Into<String>, unit: Unit, target: Target) -> Self {
        Self { section, name: name.into(), unit, peer: Vec::new(), ours: Vec::new(), target, point: None }
    }

    pub(super) fn on(mut self, plot: Plot, curve: impl Into<String>, x: usize) -> Self {
        self.point = Some(Point { plot, curve: curve.into(), x: x as f64 });
        self
    }

    /// The median over the pairs of ours divided by the peer's.
    pub(super) fn ratio(&self) -> Option<f64> {
        let ratios: Vec<f64> = self.peer.iter().zip(&self.ours).map(|(peer, ours)| ours / peer).filter(|ratio| ratio.is_finite()).collect();
        (!ratios.is_empty()).then(|| median(&ratios))
    }

    /// Whether the target was met; `None` where there is none, or nothing to judge by.
    pub(super) fn met(&self) -> Option<bool> {
        let ours = (!self.ours.is_empty()).then(|| median(&self.ours));
        match self.target {
            Target::RatioAtLeast(least) => self.ratio().map(|ratio| ratio >= least),
            Target::RatioAtMost(most) => self.ratio().map(|ratio| ratio <= most),
            Target::AtLeast(least) => ours.map(|ours| ours >= least),
            Target::AtMost(most) => ours.map(|ours| ours <= most),
            Target::None => None,
        }
    }
}

/// The middle of some numbers; NaN of none.
pub(super) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_of_pairs_and_a_target_is_met_or_missed() {
        let row = |target| Row {
            peer: vec![10.0, 20.0, 10.0],
            ours: vec![15.0, 28.0, 16.0],
            ..Row::new(Section::Engines, "x", Unit::Share, target)
        };
        assert_eq!(row(Target::None).ratio(), Some(1.5));
        assert_eq!(row(Target::None).met(), None);
        for (target, met) in [
            (Target::RatioAtLeast(1.5), true),
            (Target::RatioAtLeast(1.6), false),
            (Target::RatioAtMost(1.1), false),
            (Target::AtLeast(16.0), true),
            (Target::AtMost(15.0), false),
        ] {
            assert_eq!(row(target).met(), Some(met), "{target:?}");
        }
        assert_eq!(Row::new(Section::Engines, "x", Unit::Share, Target::RatioAtLeast(1.0)).met(), None);
    }
}
