//! Samples and what is said of them.

use serde_json::{Value, json};

/// Samples of one quantity, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Samples(Vec<f64>);

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(samples: I) -> Self {
        let mut samples: Vec<f64> = samples.into_iter().collect();
        samples.sort_by(f64::total_cmp);
        Self(samples)
    }
}

impl Samples {
    /// The middle one, or the mean of the two in the middle. NaN of none, as all below.
    pub(super) fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        match self.0.len() {
            0 => f64::NAN,
            length if length % 2 == 1 => self.0[middle],
            _ => f64::midpoint(self.0[middle - 1], self.0[middle]),
        }
    }

    pub(super) fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    pub(super) fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// The smallest sample that at least `percent` of all do not exceed (the nearest rank).
    pub(super) fn percentile(&self, percent: f64) -> f64 {
        let rank = (percent / 100.0 * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
    }

    /// Median, minimum, maximum and every sample.
    pub(super) fn json(&self) -> Value {
        json!({"median": self.median(), "min": self.min(), "max": self.max(), "samples": self.0})
    }

    /// `{"p50": …, "p99": …}` in milliseconds, of samples in seconds; null of none.
    pub(super) fn latency_json(&self) -> Value {
        let ms = |percent| self.percentile(percent) * 1e3;
        json!({"p50": ms(50.0), "p99": ms(99.0)})
    }
}

/// Lines of cells: the first column to the left, the others to the right.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate();
        let cells: Vec<String> = cells.map(|(at, (cell, &w))| if at == 0 { format!("{cell:w$}") } else { format!("{cell:>w$}") }).collect();
        text += cells.join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// A number with as many digits as mean something.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => "–".to_owned(),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles() {
        let samples = Samples::from_iter([4.0, 1.0, 3.0]);
        assert_eq!((samples.median(), samples.min(), samples.max()), (3.0, 1.0, 4.0));
        assert_eq!(Samples::from_iter([1.0, 2.0]).median(), 1.5);
        let hundred: Samples = (1..=100).map(f64::from).collect();
        assert_eq!((hundred.percentile(50.0), hundred.percentile(99.0), hundred.percentile(100.0)), (50.0, 99.0, 100.0));
        assert_eq!(Samples::from_iter([7.0]).percentile(50.0), 7.0);
        let none = Samples::default();
        assert!(none.median().is_nan() && none.percentile(99.0).is_nan());
        assert_eq!(none.latency_json(), json!({"p50": null, "p99": null}));
    }

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [vec!["a".to_owned(), "1.00".to_owned()], vec!["long".to_owned(), "–".to_owned()]];
        assert_eq!(table(&rows), "a     1.00\nlong     –\n");
        assert_eq!([0.1234, 1.0, 12.34, 1234.4].map(short), ["0.123", "1.00", "12.3", "1234"]);
    }
}
