//! Streams one answer of a model in a file: `cargo run --example generate -- MODEL.gguf "prompt" [max_tokens]`. A model without a chat template continues the prompt.

use std::{io::Write, path::PathBuf, time::Instant};

use hearth_engine::{Engine, EngineOptions, Error, ErrorKind, NamedTensor, Tensor};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if let Err(error) = run().await {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

async fn run() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(prompt)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: generate MODEL.gguf PROMPT [MAX_TOKENS]");
        std::process::exit(2);
    };
    let max_tokens: usize = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(128);
    let begun = Instant::now();
    let engine = Engine::start(EngineOptions::default())?;
    engine.add_model("model", PathBuf::from(path), None);
    let graph = engine.ready("model").await?;
    eprintln!("{}; loaded in {:.2?}", engine.device_description(), begun.elapsed());

    let sampling = json!({"temperature": 0});
    let messages = json!([{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": prompt}]);
    let mut context = graph.init_execution_context()?;
    let chat = json!({"messages": messages, "max_tokens": max_tokens, "sampling": sampling});
    let mut outputs = match context.compute(request(&chat)).await {
        Err(error) if error.kind == ErrorKind::InvalidRequest && error.message.contains("template") => {
            let text = json!({"prompt": prompt, "max_tokens": max_tokens, "sampling": sampling});
            context.compute(request(&text)).await?
        }
        outputs => outputs?,
    };
    loop {
        let mut result = None;
        for (name, tensor) in outputs {
            let text = String::from_utf8_lossy(&tensor.data).into_owned();
            match name.as_str() {
                "text" => print!("{text}"),
                "result" => result = Some(text),
                _ => {}
            }
        }
        let _ = std::io::stdout().flush();
        if let Some(result) = result {
            println!();
            eprintln!("{result}");
            return Ok(());
        }
        outputs = context.compute(vec![]).await?;
    }
}

fn request(document: &serde_json::Value) -> Vec<NamedTensor> {
    vec![("request".into(), Tensor::from_bytes(document.to_string().into_bytes()))]
}
