//! `hearth capacity`: what a model needs for so many chats of such a length, and how much of that this machine has.
//!
//! The model's header alone is read. The formula and how far it was from what was measured are in docs/capacity.md.

mod bandwidth;
mod machine;
mod need;
mod report;

use std::path::Path;

use anyhow::Context;
use clap::Args;
use hearth_engine::{
    Outline, Quantization,
    gguf::{Gguf, MappedFile},
};

use crate::{
    cli::{Device, KvCache, at_least_one},
    select::select,
};
use machine::Machine;
use need::Need;
use report::Report;

#[derive(Debug, Args)]
pub(crate) struct CapacityArgs {
    /// A model of the catalog (`hearth models`) or the path of a GGUF file or a Hugging Face folder; without one the default model
    #[arg(long, value_name = "NAME|PATH")]
    model: Option<String>,
    /// Tokens of a chat, prompt and answer together; 0 takes the most that the model was trained for
    #[arg(long, value_name = "TOKENS", default_value_t = 0)]
    context: usize,
    /// Chats at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    sequences: usize,
    /// How the KV cache keeps numbers
    #[arg(long, value_enum, default_value = "f16")]
    kv_cache: KvCache,
    /// How the weights of a Hugging Face folder are quantized as they are loaded
    #[arg(long, value_name = "q8_0|q4_k")]
    quantize: Option<Quantization>,
    /// Where to compute; `auto` takes a GPU when there is one
    #[arg(long, value_enum, default_value = "auto")]
    device: Device,
    /// Free memory in MiB, for a machine that is not this one; 0 asks this one
    #[arg(long, value_name = "MIB", default_value_t = 0)]
    memory: u64,
    /// Bytes that memory gives in a second in GB, for a machine that is not this one or for a GPU, where it cannot be measured; without it, it is measured for a second or two
    #[arg(long, value_name = "GB/S", value_parser = positive)]
    bandwidth: Option<f64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        Ok(_) => Err("a number above 0 is needed".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Bytes of the largest tensor of a GGUF file; a folder's tensors are read one by one, and let go.
fn largest_tensor(path: &Path) -> anyhow::Result<u64> {
    if path.is_dir() {
        return Ok(0);
    }
    let file = MappedFile::open(path)?;
    let gguf = Gguf::parse(&file)?;
    Ok(gguf.tensors.values().map(|tensor| tensor.range.len() as u64).max().unwrap_or(0))
}

/// Prints the need and what there is.
pub(crate) fn run(args: &CapacityArgs) -> anyhow::Result<()> {
    let word: Vec<String> = args.model.iter().cloned().collect();
    let model = select(&word, args.quantize)?.into_iter().next().context("no model")?;
    let outline = Outline::open(&model.path, args.quantize).with_context(|| format!("the model {}", model.path.display()))?;
    anyhow::ensure!(
        args.context <= outline.context_length,
        "{} was trained for {} tokens of context: --context {} is more, and no server would give it",
        model.name,
        outline.context_length,
        args.context
    );
    let context = if args.context == 0 { outline.context_length } else { args.context };
    let need = Need::of(&outline, largest_tensor(&model.path)?, args.kv_cache.into(), context, args.sequences)?;
    let machine = Machine::look(args.device, args.memory << 20, args.bandwidth.map(|gigabytes| gigabytes * 1e9))?;
    let report = Report { model: model.name, kv_cache: args.kv_cache, outline, need, machine };
    if args.json {
        println!("{}", report.json());
    } else {
        print!("{report}");
    }
    Ok(())
}
