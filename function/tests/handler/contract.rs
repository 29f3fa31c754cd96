//! What a request's document may be, as `docs/wasi-nn.md` has it: a handler that sends another is wrong, whatever a client asked.

use serde_json::Value;

/// Fails where the contract does not take the document.
pub fn check(document: &Value) {
    let fields = document.as_object().expect("an object");
    if let Some((name, value)) = fields.iter().find(|(name, _)| ["tokenize", "detokenize", "render", "describe"].contains(&name.as_str())) {
        return question(document, name, value);
    }
    match document.get("input") {
        Some(input) => embedding(document, input),
        None => generation(document),
    }
}

fn only(document: &Value, names: &[&str]) {
    for name in document.as_object().expect("an object").keys() {
        assert!(names.contains(&name.as_str()), "the contract has no {name}: {document}");
    }
}

fn is_tokens(value: &Value) -> bool {
    value.as_array().is_some_and(|tokens| tokens.iter().all(|token| token.as_u64().is_some_and(|token| u32::try_from(token).is_ok())))
}

fn question(document: &Value, name: &str, value: &Value) {
    match name {
        "tokenize" => {
            only(document, &["tokenize", "control", "begin"]);
            assert!(value.is_string(), "{document}");
        }
        "detokenize" => {
            only(document, &["detokenize"]);
            assert!(is_tokens(value), "{document}");
        }
        "render" => {
            only(document, &["render"]);
            only(value, &["messages", "tools", "template", "add_generation_prompt"]);
            messages(&value["messages"]);
        }
        _ => assert_eq!(document.to_string(), r#"{"describe":true}"#),
    }
}

fn embedding(document: &Value, input: &Value) {
    only(document, &["input", "truncate", "client", "client_limit"]);
    let inputs = input.as_array().expect("an array");
    assert!((1..=2048).contains(&inputs.len()), "{} inputs", inputs.len());
    assert!(inputs.iter().all(|input| input.is_string() || is_tokens(input)), "{document}");
}

fn generation(document: &Value) {
    only(
        document,
        &[
            "messages",
            "prompt",
            "tokens",
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "grammar",
            "template",
            "logprobs",
            "prompt_logprobs",
            "max_tokens",
            "stop",
            "ignore_end",
            "client",
            "client_limit",
            "speculation",
            "sampling",
        ],
    );
    let prompts = [document.get("messages"), document.get("prompt"), document.get("tokens")];
    assert_eq!(prompts.iter().flatten().count(), 1, "{document}");
    prompts[0].inspect(|value| messages(value));
    assert!(prompts[1].is_none_or(Value::is_string) && prompts[2].is_none_or(is_tokens), "{document}");
    for name in ["logprobs", "prompt_logprobs"] {
        assert!(document.get(name).is_none_or(|count| count.as_u64().is_some_and(|count| count <= 20)), "{document}");
    }
    let least = u64::from(document.get("prompt_logprobs").is_none());
    assert!(document.get("max_tokens").is_none_or(|count| count.as_u64().is_some_and(|count| count >= least)), "{document}");
    let stops = document["stop"].as_array().expect("stop strings");
    assert!(stops.len() <= 16 && stops.iter().all(|stop| stop.as_str().is_some_and(|stop| (1..=512).contains(&stop.len()))), "{document}");
    let choice = document.get("tool_choice");
    if let Some(grammar) = document.get("grammar") {
        only(grammar, &["json_object", "json_schema", "lark", "regex"]);
        assert_eq!(grammar.as_object().unwrap().len(), 1, "{document}");
        assert!(choice.is_none_or(|choice| choice == "auto" || choice == "none"), "{document}");
    }
    for tool in document.get("tools").and_then(Value::as_array).into_iter().flatten() {
        assert!(tool["type"] == "function" && tool["function"]["name"].is_string(), "{document}");
    }
    sampling(&document["sampling"]);
}

fn sampling(sampling: &Value) {
    let plain = ["temperature", "top_k", "top_p", "min_p", "seed", "repeat_penalty", "frequency_penalty", "presence_penalty", "logit_bias"];
    only(sampling, &plain);
    for (token, bias) in sampling.get("logit_bias").and_then(Value::as_object).into_iter().flatten() {
        assert!(token.parse::<u32>().is_ok() && bias.is_number(), "{sampling}");
    }
}

fn messages(messages: &Value) {
    for message in messages.as_array().expect("messages") {
        only(message, &["role", "content", "reasoning_content", "tool_calls", "tool_call_id", "name"]);
        assert!(["system", "user", "assistant", "tool"].contains(&message["role"].as_str().unwrap()), "{message}");
        let calls = message.get("tool_calls").and_then(Value::as_array);
        assert!(message["content"].is_string() || calls.is_some_and(|calls| !calls.is_empty()), "{message}");
        for call in calls.into_iter().flatten() {
            assert!(call["function"]["name"].is_string() && call["function"]["arguments"].is_string(), "{message}");
        }
    }
}
