//! `hearth chat`: a chat in the terminal, with the engine in this process.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::Context as _;
use hearth_engine::{Context, Engine, ErrorKind, Graph, NamedTensor, Tensor, TensorType};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::{
    cli::ChatArgs,
    engine::{self, Load},
    select::select,
};

const HELP: &str = "/reset    forget the chat so far
/help     this list
/quit     end (Ctrl-D does too)
\"\"\"       begin a message of several lines; the next line of \"\"\" ends it
Ctrl-C    stop the answer; at the prompt, end";

/// Chats until the input ends.
pub(crate) fn run(args: ChatArgs) -> anyhow::Result<()> {
    let models = select(args.model.as_slice(), args.engine.quantize)?;
    let model = models.into_iter().next().context("no model")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let chatted = runtime.block_on(async {
        let engine = engine::start(&args.engine, Load::own(1))?;
        engine.add_model(&model.name, model.path, model.sha256);
        let graph = engine.ready(&model.name).await?;
        greet(&engine, &model.name, &graph);
        Chat::new(args, graph).run().await
    });
    // A line that is still being waited for must not hold up the end.
    runtime.shutdown_background();
    chatted
}

/// Only people are greeted: what goes into a pipe is the answers alone.
fn greet(engine: &Engine, model: &str, graph: &Graph) {
    if io::stdin().is_terminal() {
        eprintln!("{model}, {} tokens of context, on {}\n/help lists the commands.", graph.context_length(), engine.device_description());
    }
}

struct Chat {
    args: ChatArgs,
    graph: Graph,
    messages: Vec<Value>,
    /// Whether a person types.
    terminal: bool,
}

enum Answer {
    /// It came to its end, with this result.
    Whole(Value),
    /// Ctrl-C ended it.
    Stopped,
    /// Nobody reads standard output any more.
    Unread,
}

impl Chat {
    fn new(args: ChatArgs, graph: Graph) -> Self {
        let mut chat = Self { args, graph, messages: Vec::new(), terminal: io::stdin().is_terminal() };
        chat.reset();
        chat
    }

    fn reset(&mut self) {
        self.messages.clear();
        if !self.args.system.is_empty() {
            self.messages.push(json!({"role": "system", "content": self.args.system}));
        }
    }

    async fn run(mut self) -> anyhow::Result<()> {
        let mut lines = lines();
        let mut failed = false;
        loop {
            let message = tokio::select! {
                message = next_message(&mut lines, self.terminal) => message?,
                _ = tokio::signal::ctrl_c() => break,
            };
            let Some(message) = message else { break };
            match message.trim() {
                "" => {}
                "/quit" | "/exit" | "/bye" => return Ok(()),
                "/help" | "/?" => eprintln!("{HELP}"),
                "/reset" => {
                    self.reset();
                    eprintln!("(forgotten)");
                }
                command if command.starts_with('/') && !command.contains(char::is_whitespace) && !command[1..].contains('/') => {
                    eprintln!("there is no command {command}; /help lists them");
                }
                text => failed = !self.turn(text).await?,
            }
        }
        if self.terminal {
            eprintln!();
        }
        // A script must be able to tell that its last question has no answer.
        anyhow::ensure!(!failed || self.terminal, "the last message got no answer");
        Ok(())
    }

    /// Asks and prints; whether an answer came.
    async fn turn(&mut self, text: &str) -> anyhow::Result<bool> {
        self.messages.push(json!({"role": "user", "content": text}));
        let mut said = String::new();
        let answer = tokio::select! {
            answer = answer(&self.graph, self.request(), &mut said) => answer,
            // The context is dropped with the future: that is what stops the sequence.
            _ = tokio::signal::ctrl_c() => Ok(Answer::Stopped),
        };
        if matches!(answer, Ok(Answer::Unread)) || writeln!(io::stdout()).is_err() {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
        match answer {
            Ok(Answer::Whole(result)) => {
                if result["finish_reason"] == "length" {
                    eprintln!("(the answer reached the limit of tokens)");
                }
                if self.args.verbose {
                    eprintln!("{}", figures(&result));
                }
            }
            Ok(Answer::Stopped | Answer::Unread) => eprintln!("(stopped)"),
            Err(error) => {
                self.messages.pop();
                let cure = match error.kind {
                    ErrorKind::ContextLength { .. } => "; /reset forgets the chat so far",
                    _ => "",
                };
                eprintln!("error: {error}{cure}");
                return Ok(false);
            }
        }
        self.messages.push(json!({"role": "assistant", "content": said}));
        Ok(true)
    }

    fn request(&self) -> Value {
        let mut request = json!({"messages": self.messages, "sampling": {"temperature": self.args.temperature}});
        if let Some(seed) = self.args.seed {
            request["sampling"]["seed"] = json!(seed);
        }
        if let Some(limit) = self.args.max_tokens {
            request["max_tokens"] = json!(limit);
        }
        request
    }
}

/// Generates one answer, printing what is `said` as it comes.
async fn answer(graph: &Graph, request: Value, said: &mut String) -> Result<Answer, hearth_engine::Error> {
    let mut context: Context = graph.init_execution_context()?;
    let data = request.to_string().into_bytes();
    let mut inputs = vec![("request".to_owned(), Tensor { dimensions: vec![data.len() as u32], ty: TensorType::U8, data })];
    loop {
        let outputs = context.compute(std::mem::take(&mut inputs)).await?;
        let text = String::from_utf8_lossy(bytes(&outputs, "text").unwrap_or_default());
        let mut out = io::stdout();
        // A token is worth showing at once.
        if write!(out, "{text}").and_then(|()| out.flush()).is_err() {
            return Ok(Answer::Unread);
        }
        said.push_str(&text);
        if let Some(result) = bytes(&outputs, "result") {
            return Ok(Answer::Whole(serde_json::from_slice(result).unwrap_or_default()));
        }
    }
}

fn bytes<'a>(outputs: &'a [NamedTensor], name: &str) -> Option<&'a [u8]> {
    outputs.iter().find(|(key, _)| key == name).map(|(_, tensor)| tensor.data.as_slice())
}

/// `[12 tokens, 45.2 tokens/s; prompt 30 tokens, 0.21 s]`
fn figures(result: &Value) -> String {
    let number = |group: &str, key: &str| result[group][key].as_f64().unwrap_or(0.0);
    let (made, decode) = (number("usage", "completion_tokens"), number("timings", "decode_ms") / 1000.0);
    // The first token comes with the prefill: the decoding made the others.
    let rate = if decode > 0.0 { (made - 1.0).max(0.0) / decode } else { 0.0 };
    let (prompt, cached) = (number("usage", "prompt_tokens"), number("usage", "cached_tokens"));
    let prefill = number("timings", "prefill_ms") / 1000.0;
    format!("[{made} tokens, {rate:.1} tokens/s; prompt {prompt} tokens ({cached} cached) in {prefill:.2} s]")
}

/// Lines of standard input. A thread of its own waits for them, because a blocked read cannot be interrupted by Ctrl-C.
fn lines() -> mpsc::Receiver<io::Result<String>> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The next message: a line, or what stands between two lines of `"""`. `None` at the end of the input.
async fn next_message(lines: &mut mpsc::Receiver<io::Result<String>>, terminal: bool) -> anyhow::Result<Option<String>> {
    prompt(terminal, "> ");
    let Some(line) = lines.recv().await.transpose()? else { return Ok(None) };
    let Some(begun) = line.trim_start().strip_prefix("\"\"\"") else { return Ok(Some(line)) };
    let mut message = String::new();
    let mut line = begun.to_owned();
    loop {
        if let Some(last) = line.trim_end().strip_suffix("\"\"\"") {
            message.push_str(last);
            return Ok(Some(message));
        }
        message.push_str(&line);
        message.push('\n');
        prompt(terminal, ". ");
        match lines.recv().await.transpose()? {
            Some(next) => line = next,
            // The input ended inside: what came is the message.
            None => return Ok(Some(message)),
        }
    }
}

fn prompt(terminal: bool, text: &str) {
    if terminal {
        eprint!("{text}");
    }
}
