//! What was measured of a model, for people and as JSON.

use std::fmt;

use serde_json::{Value, json};

use super::figures::{Samples, short, table};
use crate::text;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    TokensPerSecond,
    Seconds,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TokensPerSecond => "tokens/s",
            Self::Seconds => "s",
        })
    }
}

/// One quantity.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) label: String,
    pub(super) unit: Unit,
    pub(super) samples: Samples,
    /// What it is, for machines: `{"test": …}` and its sizes.
    pub(super) test: Value,
}

#[derive(Debug)]
pub(super) struct Report {
    pub(super) model: String,
    pub(super) file_bytes: u64,
    pub(super) device: String,
    pub(super) vocabulary: usize,
    pub(super) peak_memory: Option<u64>,
    pub(super) rows: Vec<Row>,
}

impl Report {
    /// One document: the model, the device, and for each row its test with median, minimum, maximum and samples.
    pub(super) fn json(&self) -> Value {
        let row = |row: &Row| {
            let mut value = row.samples.json();
            value["unit"] = row.unit.to_string().into();
            if let (Some(all), Some(test)) = (value.as_object_mut(), row.test.as_object()) {
                all.extend(test.clone());
            }
            value
        };
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "model": self.model,
            "file_bytes": self.file_bytes,
            "device": self.device,
            "peak_memory_bytes": self.peak_memory,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }

    /// What tensor mode takes away from decoding, as a share of its speed; `None` where it was not measured.
    fn tensor_mode_cost(&self) -> Option<f64> {
        let median = |test: &str, depth: &Value| {
            self.rows.iter().find(|row| row.test["test"] == test && row.test["depth"] == *depth).map(|row| row.samples.median())
        };
        let depth = &self.rows.iter().find(|row| row.test["test"] == "decode_tensors")?.test["depth"];
        Some(1.0 - median("decode_tensors", depth)? / median("decode", depth)?)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({}) on {}", self.model, text::bytes(self.file_bytes), self.device)?;
        let mut rows = vec![["", "median", "min", "max", ""].map(str::to_owned).to_vec()];
        for Row { label, unit, samples, .. } in &self.rows {
            rows.push(vec![label.clone(), short(samples.median()), short(samples.min()), short(samples.max()), unit.to_string()]);
        }
        write!(f, "{}", table(&rows))?;
        if let Some(bytes) = self.peak_memory {
            writeln!(f, "The most memory at once, the cache of all sequences included: {}.", text::bytes(bytes))?;
        }
        if let Some(cost) = self.tensor_mode_cost().filter(|cost| *cost > 0.03) {
            let row = text::bytes((self.vocabulary * size_of::<f32>()) as u64);
            writeln!(
                f,
                "Tensor mode is {:.0} % slower: each token is a call of its own and a copied row of logits ({row}).",
                cost * 100.0
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_carry_what_they_measure_and_the_cost_of_tensor_mode_is_named_when_it_matters() {
        let row = |test: &str, rate: f64| Row {
            label: format!("{test} row"),
            unit: Unit::TokensPerSecond,
            samples: Samples::from_iter([rate]),
            test: json!({"test": test, "tokens": 8, "depth": 0}),
        };
        let report = |tensors| Report {
            model: "tiny".to_owned(),
            file_bytes: 1000,
            device: "CPU".to_owned(),
            vocabulary: 250_000,
            peak_memory: Some(2_000_000),
            rows: vec![row("decode", 100.0), row("decode_tensors", tensors)],
        };
        let json = report(80.0).json();
        assert_eq!((&json["rows"][0]["test"], &json["rows"][0]["median"]), (&json!("decode"), &json!(100.0)));
        let shown = report(80.0).to_string();
        assert!(shown.contains("tiny (1.0 kB) on CPU") && shown.contains("20 % slower") && shown.contains("1.0 MB"), "{shown}");
        assert!(!report(99.0).to_string().contains("slower"));
    }
}
