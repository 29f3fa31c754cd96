//! How far a long work is: a bar on a terminal, some plain lines elsewhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use crate::text;

/// Progress over bytes, on standard error.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    what: String,
    total: Option<u64>,
    /// Tenths that were said.
    said: u64,
}

impl Progress {
    /// `what` stands before the bar: "pulling smollm2".
    pub(crate) fn new(what: &str, total: Option<u64>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
            let template = match total {
                Some(_) => "{prefix} [{wide_bar}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}",
                None => "{prefix} {spinner} {decimal_bytes} {decimal_bytes_per_sec}",
            };
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.with_style(style.progress_chars("=> ")).with_prefix(what.to_owned())
        });
        Self { bar, what: what.to_owned(), total, said: 0 }
    }

    /// `done` bytes are.
    pub(crate) fn set(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            return;
        }
        let Some(total) = self.total.filter(|total| *total > 0) else { return };
        let tenth = done.saturating_mul(10) / total;
        if tenth > self.said {
            self.said = tenth;
            eprintln!("{}: {}% of {}", self.what, (tenth * 10).min(100), text::bytes(total));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
