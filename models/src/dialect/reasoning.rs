//! How models part their thinking from their answer.

/// The marks about a model's thinking.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reasoning {
    pub(super) open: &'static str,
    pub(super) close: &'static str,
}

/// The known ones. A template has the second mark where it leaves the thinking of earlier turns out.
static KNOWN: &[Reasoning] = &[
    Reasoning { open: "<think>", close: "</think>" },
    Reasoning { open: "[THINK]", close: "[/THINK]" },
    Reasoning { open: "<|START_THINKING|>", close: "<|END_THINKING|>" },
    Reasoning { open: "<seed:think>", close: "</seed:think>" },
    Reasoning { open: "<think:opensource>", close: "</think:opensource>" },
    Reasoning { open: "<mm:think>", close: "</mm:think>" },
    Reasoning { open: "<|inner_prefix|>", close: "<|inner_suffix|>" },
    Reasoning { open: "<|channel>thought\n", close: "<channel|>" },
    Reasoning { open: "Here are my reasoning steps:\n", close: "[BEGIN FINAL RESPONSE]" },
];

/// The marks that a template's source has, or what it writes.
pub(super) fn of_template(source: &str, written: &str) -> Option<&'static Reasoning> {
    KNOWN.iter().find(|known| source.contains(known.close) || written.contains(known.close))
}

impl Reasoning {
    /// Whether a prompt ends within the thinking, so that the model goes on with it.
    pub(super) fn opened_by(&self, prompt: &str) -> bool {
        prompt.trim_end().ends_with(self.open.trim_end())
    }
}
