//! The answer, as text and as JSON.

use std::fmt;

use clap::ValueEnum;
use hearth_engine::Outline;
use serde_json::{Value, json};

use super::{machine::Machine, need::Need};
use crate::{cli::KvCache, text};

/// The least share of what memory lets through that one chat reached where it was measured: docs/bench.
const SHARE: f64 = 0.44;

pub(super) struct Report {
    pub(super) model: String,
    pub(super) kv_cache: KvCache,
    pub(super) outline: Outline,
    pub(super) need: Need,
    pub(super) machine: Machine,
}

impl Report {
    fn fits(&self) -> Option<bool> {
        self.machine.free.map(|free| self.need.peak() <= free)
    }

    /// The longest chat that fits, which is no longer than the model was trained for.
    fn longest(&self) -> Option<u64> {
        let fits = self.need.context_in(self.machine.free?)?;
        Some(fits.min(self.outline.context_length as u64))
    }

    fn most_sequences(&self) -> Option<u64> {
        self.need.sequences_in(self.machine.free?)
    }

    /// The cache in MiB, as `hearth serve --cache-memory` takes it.
    fn cache_mebibytes(&self) -> u64 {
        self.need.cache().div_ceil(1 << 20)
    }

    fn kv_name(&self) -> String {
        self.kv_cache.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    fn flags(&self) -> String {
        let Self { need, kv_cache, .. } = self;
        let kv = if *kv_cache == KvCache::F16 { String::new() } else { format!(" --kv-cache {}", self.kv_name()) };
        format!("--context {} --sequences {} --cache-memory {}{kv}", need.context, need.sequences, self.cache_mebibytes())
    }

    pub(super) fn json(&self) -> Value {
        let Self { model, outline, need, machine, .. } = self;
        let kv = outline.kv.as_ref();
        let rate = |sequences| machine.bandwidth.map(|bandwidth| need.most_tokens(bandwidth, sequences));
        json!({
            "model": {
                "name": model,
                "architecture": outline.facts.architecture,
                "parameters": outline.facts.parameters,
                "weights": outline.facts.weights,
                "context_length": outline.context_length,
                "layers": kv.map(|kv| kv.shape.layers),
                "kv_heads": kv.map(|kv| kv.shape.kv_heads),
                "head_dim": kv.map(|kv| kv.shape.head_dim),
                "layers_with_window": kv.map(|kv| kv.windows.iter().flatten().count()),
            },
            "machine": {
                "device": machine.device,
                "cores": machine.cores,
                "free_bytes": machine.free,
                "bandwidth_bytes_per_second": machine.bandwidth,
                "bandwidth_measured": machine.measured,
            },
            "need": {
                "context": need.context,
                "sequences": need.sequences,
                "kv_cache": self.kv_name(),
                "weight_bytes": need.weights,
                "kv_bytes_per_token": need.position,
                "kv_bytes_per_sequence": need.chat(),
                "kv_bytes": need.cache(),
                "working_bytes": need.working,
                "total_bytes": need.total(),
                "loading_bytes": need.loading(),
                "peak_bytes": need.peak(),
            },
            "fits": self.fits(),
            "most_sequences": self.most_sequences(),
            "longest_context": self.longest(),
            "read": {
                "weight_bytes_per_step": need.weights_read,
                "kv_bytes_per_token": need.position_read,
                "most_tokens_per_second": {"one": rate(1), "all": rate(need.sequences)},
            },
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, outline, need, machine, .. } = self;
        let facts = &outline.facts;
        let line = |f: &mut fmt::Formatter<'_>, name: &str, value: &str| writeln!(f, "  {name:<22}{value}");
        writeln!(f, "{model}: {}, {}, {:.0} million parameters", facts.architecture, facts.weights, facts.parameters as f64 / 1e6)?;
        writeln!(f, "{}, {} cores\n", machine.device, machine.cores)?;

        writeln!(f, "Memory for {} of {} tokens", chats(need.sequences as u64), need.context)?;
        line(f, "weights", &text::bytes(need.weights))?;
        match &outline.kv {
            Some(kv) => {
                let shape = kv.shape;
                let of = format!("{} layers, {} heads of {}, {}", shape.layers, shape.kv_heads, shape.head_dim, self.kv_name());
                line(f, "KV cache", &format!("{}: {} a token ({of})", text::bytes(need.cache()), text::bytes(need.position)))?;
            }
            None => line(f, "KV cache", "none: the model embeds")?,
        }
        line(f, "computing", &text::bytes(need.working))?;
        line(f, "together", &text::bytes(need.total()))?;
        line(f, "while it is loaded", &format!("up to {}", text::bytes(need.loading())))?;
        match machine.free {
            None => line(f, "free", "not known: the driver does not tell")?,
            Some(free) => {
                let verdict = if need.peak() <= free { "enough" } else { "NOT ENOUGH" };
                line(f, "free", &format!("{}: {verdict}", text::bytes(free)))?;
            }
        }
        if let (Some(most), Some(longest)) = (self.most_sequences(), self.longest()) {
            line(f, "that has room for", &format!("{} of {} tokens, or one of {longest}", chats(most), need.context))?;
        }
        if outline.kv.is_some() {
            line(f, "hearth serve", &self.flags())?;
        }

        let Some(kv) = &outline.kv else { return Ok(()) };
        writeln!(f, "\nWhat a token reads")?;
        line(f, "weights", &format!("{}, once for all chats computed together", text::bytes(need.weights_read)))?;
        let windows = match kv.windows.iter().flatten().max() {
            Some(window) => {
                format!(" ({} of {} layers see {window} positions at most)", kv.windows.iter().flatten().count(), kv.windows.len())
            }
            None => String::new(),
        };
        line(
            f,
            "KV cache",
            &format!("{} of its own chat when that is {} tokens long{windows}", text::bytes(need.position_read), need.context),
        )?;
        match machine.bandwidth {
            None => line(f, "memory gives", "not known of a GPU: say it with --bandwidth GB/S"),
            Some(bandwidth) => {
                let how = if machine.measured { "measured now" } else { "as was said" };
                line(f, "memory gives", &format!("{:.1} GB/s, {how}", bandwidth / 1e9))?;
                let one = need.most_tokens(bandwidth, 1);
                line(
                    f,
                    "one chat",
                    &format!("at most {one:.0} tokens/s; {:.0} where it reaches {:.0} % of that", one * SHARE, SHARE * 100.0),
                )?;
                if need.sequences > 1 {
                    let all = need.most_tokens(bandwidth, need.sequences);
                    line(f, &format!("{} chats", need.sequences), &format!("at most {all:.0} tokens/s together; a CPU computes fewer"))?;
                }
                Ok(())
            }
        }
    }
}

fn chats(count: u64) -> String {
    if count == 1 { "1 chat".to_owned() } else { format!("{count} chats") }
}
