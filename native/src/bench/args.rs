//! What can be typed after `hearth bench`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::{EngineArgs, at_least_one};

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// A model of the catalog (`hearth models`) or the path of a GGUF file or a Hugging Face folder; without one the default model. With --url, the server's name of a model
    #[arg(value_name = "NAME|PATH")]
    pub(super) model: Option<String>,
    /// The path of a GGUF file or a Hugging Face folder, of whatever name
    #[arg(long, value_name = "PATH", conflicts_with = "model")]
    pub(super) file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) engine: EngineArgs,
    #[command(flatten, next_help_heading = "A model on this machine")]
    pub(super) sizes: SizeArgs,
    #[command(flatten, next_help_heading = "A server")]
    pub(super) load: LoadArgs,
    /// Load, generate one token, say how long it took, and end: what the bench starts to measure the start of a process
    #[arg(long, hide = true)]
    pub(super) start_only: bool,
}

/// What is computed. Names are llama-bench's and llama-batched-bench's where they have one.
#[derive(Debug, Clone, Args)]
pub(super) struct SizeArgs {
    /// Tokens of a prompt to prefill; 0 leaves it out
    #[arg(long, value_name = "TOKENS", default_value_t = 512)]
    pub(super) prompt: usize,
    /// Tokens to decode; 0 leaves it out
    #[arg(long, value_name = "TOKENS", default_value_t = 128)]
    pub(super) generate: usize,
    /// Tokens that are in the context before decoding is timed
    #[arg(long, value_name = "TOKENS,…", value_delimiter = ',', default_value = "0,1024")]
    pub(super) depth: Vec<usize>,
    /// Sequences that decode together; 0 leaves it out
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,2,4,8,16,32")]
    pub(super) batch: Vec<usize>,
    /// Tokens of each such sequence's prompt
    #[arg(long, value_name = "TOKENS", default_value_t = 128)]
    pub(super) batch_prompt: usize,
    /// How often each is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = at_least_one)]
    pub(super) repeat: usize,
    /// Leave out loading in a new process
    #[arg(long)]
    pub(super) no_start: bool,
    /// Leave out decoding in tensor mode
    #[arg(long)]
    pub(super) no_tensors: bool,
}

#[derive(Debug, Clone, Args)]
pub(super) struct LoadArgs {
    /// Measure this server over HTTP: OpenAI's chat API, streamed. A key is taken from OPENAI_API_KEY
    #[arg(long, value_name = "URL", conflicts_with = "file")]
    pub(super) url: Option<String>,
    /// Clients at once, each with one request after another
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1,8,50,200", value_parser = at_least_one, requires = "url")]
    pub(super) clients: Vec<usize>,
    /// Requests of all clients together; 0 takes twice the clients, at least 16
    #[arg(long, value_name = "N", default_value_t = 0, requires = "url")]
    pub(super) requests: usize,
    /// Words of a prompt, most of which are a token each
    #[arg(long, value_name = "TOKENS", default_value_t = 128, requires = "url", value_parser = at_least_one)]
    pub(super) prompt_tokens: usize,
    /// Tokens of an answer. Servers that know `ignore_eos` give exactly as many
    #[arg(long, value_name = "TOKENS", default_value_t = 128, requires = "url", value_parser = at_least_one)]
    pub(super) max_tokens: usize,
    /// Questions of a request's chat, one after the answer to the other
    #[arg(long, value_name = "N", default_value_t = 1, requires = "url", value_parser = at_least_one)]
    pub(super) turns: usize,
    /// Seconds without a byte after which a request has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "url")]
    pub(super) timeout: u64,
}

impl SizeArgs {
    /// The sequences of the batches that are asked for.
    pub(super) fn batches(&self) -> impl Iterator<Item = usize> + '_ {
        self.batch.iter().copied().filter(|sequences| *sequences > 0 && self.generate > 0)
    }

    /// The depths that are asked for.
    pub(super) fn depths(&self) -> impl Iterator<Item = usize> + '_ {
        self.depth.iter().copied().filter(|_| self.generate > 0)
    }

    /// Tokens that a sequence of a batch may generate: while the last prompts are still being prefilled the first sequences decode already.
    pub(super) fn batch_tokens(&self, sequences: usize) -> usize {
        self.generate + sequences * self.batch_prompt / 64 + 32
    }

    /// The longest sequence of all that is measured.
    pub(super) fn longest(&self) -> usize {
        let decoding = self.depths().map(|depth| depth.max(1) + self.generate + 1);
        let batches = self.batches().map(|sequences| self.batch_prompt.max(1) + self.batch_tokens(sequences));
        decoding.chain(batches).chain([self.prompt, 128]).max().unwrap_or(0)
    }
}
