//! Measures that are read from the system when somebody asks, as text. They are others' counts, with fractions, which the facade's counters do not have.

use std::fmt::{Display, Write};

/// Lines of Prometheus' text format.
#[derive(Debug, Default)]
pub(super) struct Text(pub(super) String);

impl Text {
    /// Begins a family.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to memory cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A value of the family; `labels` are of this crate's own words and need no escapes.
    pub(super) fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    /// A family of one value, or nothing where the system does not say it.
    pub(super) fn single(&mut self, name: &str, kind: &str, help: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.family(name, kind, help);
            self.value(name, &[], value);
        }
    }
}
