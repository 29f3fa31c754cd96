//! Requests made by chance out of fine ones, on every route: each is answered by a status and, where refused, by the envelope; none panics, none is the service's fault, and
//! what the model is asked is always within the contract. The seed is fixed, so a failure comes again.

use http::{Method, Uri};
use serde_json::{Value, json};

use crate::{
    openapi::{API, answer_schema, fault, request_schema},
    world::{World, hello},
};

/// xorshift64*
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 16) as usize % bound.max(1)
    }
}

/// Fine requests, with every field among them.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let sampling = json!({
        "model": "tiny", "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "seed": 1, "stop": ["a", "\u{e9}"], "max_tokens": 10, "n": 2,
        "logit_bias": {"5": -1.5}, "repeat_penalty": 1.1, "frequency_penalty": 0.5, "presence_penalty": -0.5, "ignore_eos": false, "user": "x"
    });
    let with = |mut request: Value| {
        for (name, value) in sampling.as_object().unwrap() {
            request[name] = value.clone();
        }
        request
    };
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let tool = json!({"type": "function", "function": {"name": "weather", "description": "d", "parameters": schema, "strict": true}});
    let chat = "/v1/chat/completions";
    let full = with(hello(json!({
        "stream": true, "stream_options": {"include_usage": true}, "max_completion_tokens": 10, "chat_template_kwargs": {"a": [1, {"b": null}]},
        "logprobs": true, "top_logprobs": 3, "reasoning_effort": "low", "enable_thinking": true,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": true}}
    })));
    let parts = json!({"messages": [
        {"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "🔥"}]},
        {"role": "assistant", "content": null, "reasoning_content": "r", "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
        ]},
        {"role": "tool", "content": "1", "tool_call_id": "c"}
    ]});
    let mut tools = parts.clone();
    tools["tools"] = json!([tool]);
    tools["tool_choice"] = json!({"type": "function", "function": {"name": "weather"}});
    tools["parallel_tool_calls"] = json!(false);
    let old = hello(json!({"functions": [tool["function"]], "function_call": {"name": "weather"}, "grammar": "", "regex": ""}));
    let anthropic_tool = json!({"name": "weather", "description": "d", "input_schema": schema});
    let anthropic = json!({
        "model": "tiny", "max_tokens": 10, "stream": true, "system": [{"type": "text", "text": "s"}], "temperature": 0.5, "top_p": 0.9, "top_k": 40,
        "stop_sequences": ["a"], "metadata": {"user_id": "u"}, "thinking": {"type": "enabled", "budget_tokens": 5, "display": "omitted"},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": schema}}, "tools": [anthropic_tool],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "messages": [
            {"role": "user", "content": "🔥"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "text", "text": "u"},
                {"type": "tool_use", "id": "c", "name": "weather", "input": {"a": [1]}}
            ]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "x"}], "is_error": true}]}
        ]
    });
    let mut count = anthropic.clone();
    for name in ["max_tokens", "stream", "temperature", "top_p", "top_k", "stop_sequences", "metadata"] {
        count.as_object_mut().unwrap().remove(name);
    }
    let ollama = json!({
        "model": "tiny:latest", "tools": [tool], "format": schema, "think": true, "logprobs": true, "top_logprobs": 1, "keep_alive": "5m",
        "options": {"num_predict": 5, "num_ctx": 64, "temperature": 0, "top_k": 1, "min_p": 0.1, "seed": 1, "stop": ["a"], "repeat_penalty": 1.1},
        "messages": [
            {"role": "system", "content": "s"}, {"role": "user", "content": "🔥", "images": []},
            {"role": "assistant", "content": "", "thinking": "t", "tool_calls": [{"function": {"name": "weather", "arguments": {"a": 1}}}]},
            {"role": "tool", "content": "x", "tool_name": "weather"}
        ]
    });
    let responses = "/v1/responses";
    let mut with_responses = sampling.clone();
    for name in ["stop", "max_tokens", "n", "ignore_eos"] {
        with_responses.as_object_mut().unwrap().remove(name);
    }
    let more = json!({
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "🔥"}]}], "instructions": "i", "stream": true, "store": true,
        "max_output_tokens": 9, "include": ["message.output_text.logprobs"], "top_logprobs": 2, "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": true}, "verbosity": "low"}, "truncation": "auto",
        "metadata": {"a": "b"}, "parallel_tool_calls": false, "background": false
    });
    for (name, value) in more.as_object().unwrap() {
        with_responses[name] = value.clone();
    }
    let items = json!({
        "input": [
            {"role": "developer", "content": "d"}, {"role": "user", "content": "q"},
            {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": []}]},
            {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "sun"}]}
        ],
        "tools": [{"type": "function", "name": "weather", "parameters": schema, "strict": true}], "tool_choice": {"type": "function", "name": "weather"}
    });
    let requests = [
        (chat, hello(json!({}))),
        (chat, full),
        (chat, parts.clone()),
        (chat, tools.clone()),
        (chat, old),
        (chat, hello(json!({"grammar": "start: \"a\"", "stop": "b"}))),
        ("/v1/completions", with(json!({"prompt": "Once", "echo": true, "logprobs": 2, "best_of": 2, "stream": true}))),
        ("/v1/completions", with(json!({"prompt": [[1, 2], [3]], "guided_regex": "a+", "suffix": ""}))),
        ("/v1/completions", json!({"prompt": [1, 2], "max_tokens": 0, "echo": true})),
        (
            "/completion",
            json!({"prompt": "Once", "n_predict": 5, "seed": 1, "stop": ["a"], "n_probs": 2, "logit_bias": [[1, false], [2, 0.5]], "stream": true}),
        ),
        ("/completion", json!({"prompt": [1, 2], "return_tokens": true, "json_schema": schema, "logit_bias": {"1": 2}, "mirostat": 0})),
        ("/v1/embeddings", json!({"model": "tiny", "input": ["a", [1, 2]], "encoding_format": "base64", "dimensions": 2})),
        ("/v1/embeddings", json!({"input": [1, 2], "dimensions": 1})),
        ("/v1/rerank", json!({"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1, "return_documents": true})),
        ("/tokenize", json!({"content": "🔥", "add_special": true, "parse_special": false, "with_pieces": true})),
        ("/detokenize", json!({"model": "tiny", "tokens": [1, 2, 3]})),
        ("/apply-template", tools),
        ("/v1/messages", anthropic.clone()),
        ("/v1/messages", json!({"max_tokens": 5, "messages": [{"role": "user", "content": "a"}], "thinking": {"type": "disabled"}})),
        ("/v1/messages/count_tokens", count),
        ("/api/chat", ollama.clone()),
        ("/api/chat", json!({"messages": [], "keep_alive": 0})),
        ("/api/generate", json!({"prompt": "p", "system": "s", "options": ollama["options"], "think": "low", "context": [], "suffix": ""})),
        ("/api/generate", json!({"prompt": "p", "raw": true, "stream": false, "logprobs": true, "top_logprobs": 2})),
        ("/api/embed", json!({"model": "tiny:latest", "input": ["a", "b"], "truncate": false, "dimensions": 2})),
        ("/api/embeddings", json!({"prompt": "a", "keep_alive": "5m"})),
        ("/api/show", json!({"name": "tiny", "verbose": true})),
        (responses, json!({"input": "Hi"})),
        (responses, with_responses),
        (responses, items),
        ("/v1/conversations", json!({"metadata": {"a": "b"}, "items": [{"role": "user", "content": "Hi"}]})),
        ("/v1/conversations/{conversation_id}", json!({"metadata": {"a": "b"}})),
        (
            "/v1/conversations/{conversation_id}/items",
            json!({"items": [
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "1"}
            ]}),
        ),
    ];
    requests.map(|(path, request)| (path, request.to_string().into_bytes())).to_vec()
}

const WORDS: [&str; 30] = [
    "null",
    "true",
    "-1",
    "1e999",
    "-0",
    "18446744073709551616",
    "4294967296",
    "0.1",
    "\"\"",
    "[]",
    "{}",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "\\u",
    "\\ud800",
    "\"messages\"",
    "\"role\"",
    "\"required\"",
    "\"prompt\"",
    "\"n\":8,",
    "\"stream\":true,",
    "[1,2],",
    "\u{feff}",
    "[[[[[[[[[[[[[[[[",
    "\u{0}",
];

fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>) {
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len());
        match dice.below(6) {
            0 => bytes[at] = dice.next() as u8,
            1 => drop(bytes.remove(at)),
            2 => bytes.truncate(at),
            3 => {
                let end = at + dice.below(bytes.len() - at);
                let piece = bytes[at..end].to_vec();
                let to = dice.below(bytes.len());
                bytes.splice(to..to, piece);
            }
            4 => {
                let word = WORDS[dice.below(WORDS.len())];
                bytes.splice(at..at, word.bytes());
            }
            _ => {
                let word = WORDS[dice.below(WORDS.len())];
                let end = (at + word.len()).min(bytes.len());
                bytes.splice(at..end, word.bytes());
            }
        }
        if bytes.is_empty() {
            bytes.push(b'{');
        }
    }
}

/// Puts a value by chance in the place of one in the tree, so that what is sent is JSON always.
fn replace(dice: &mut Dice, value: &mut Value) {
    let children: Vec<&mut Value> = match value {
        Value::Object(map) => map.values_mut().collect(),
        Value::Array(items) => items.iter_mut().collect(),
        _ => Vec::new(),
    };
    let count = children.len();
    match children.into_iter().nth(dice.below(count + usize::from(count == 0))) {
        Some(child) if dice.below(4) > 0 => replace(dice, child),
        _ => {
            let words: Vec<Value> = WORDS.iter().filter_map(|word| serde_json::from_str(word).ok()).collect();
            *value = words[dice.below(words.len())].clone();
        }
    }
}

/// Sends a body and checks all that holds of any answer. Returns the status and whether a parameter is named.
fn send(path: &str, body: Vec<u8>) -> (u16, bool) {
    let (world, address) = World::populated();
    let answer = world.send(Method::POST, &address(path), body.clone());
    let status = answer.status.as_u16();
    if status != 200 {
        let shown = String::from_utf8_lossy(&body);
        assert!(status == 400 || status == 404, "{path}: {status} for {shown}");
        assert!(answer.text().len() < 2000, "{}", answer.text());
        let names = match path {
            "/v1/messages" | "/v1/messages/count_tokens" => answer.anthropic_error().1.contains('\''),
            path if path.starts_with("/api/") => answer.ollama_error().contains('\''),
            _ => answer.error().0.is_string(),
        };
        return (status, names);
    }
    // What is taken is what the document says is taken.
    let request: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(fault(request_schema(path), &request, ""), None, "{path}: {request}");
    let content_type = answer.header("content-type");
    let documents = match content_type {
        "application/json" => vec![answer.json()],
        "application/x-ndjson" => answer.lines(),
        _ if path == "/v1/messages" => answer.named_events(),
        _ if path == "/completion" => answer.events(),
        _ if path == "/v1/responses" => {
            let events = answer.events();
            assert_eq!(events.last().unwrap()["type"], "response.completed");
            events
        }
        _ => {
            let mut events = answer.events();
            assert_eq!(events.pop(), Some(json!("[DONE]")));
            events
        }
    };
    assert!(!documents.is_empty());
    for document in documents {
        assert_eq!(fault(answer_schema(path, content_type), &document, ""), None, "{path}: {request}");
    }
    (status, false)
}

#[test]
fn no_request_breaks_the_handler() {
    let (mut dice, seeds) = (Dice(0x9e37_79b9_7f4a_7c15), seeds());
    for (path, _) in API["paths"].as_object().unwrap().iter().filter(|(_, methods)| methods["post"].get("requestBody").is_some()) {
        assert!(seeds.iter().any(|(seed, _)| seed == path), "{path} is not among the requests");
    }
    for (path, seed) in &seeds {
        assert_eq!(send(path, seed.clone()).0, 200, "{path}");
    }
    let (mut taken, mut named) = (0, 0);
    for round in 0..30_000 {
        let (path, seed) = &seeds[round % seeds.len()];
        let mut body = seed.clone();
        if round % 2 == 0 {
            mutate(&mut dice, &mut body);
        } else {
            let mut request: Value = serde_json::from_slice(seed).unwrap();
            replace(&mut dice, &mut request);
            body = request.to_string().into_bytes();
        }
        let (status, names) = send(path, body);
        taken += usize::from(status == 200);
        named += usize::from(names);
    }
    // The dice reach every floor: what is taken, what is refused as JSON, and what is refused as a parameter.
    assert!(taken > 2_000 && named > 5_000 && taken + named < 29_000, "{taken} taken, {named} named");
}

#[test]
fn no_path_breaks_the_handler() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let (_, address) = World::populated();
    let described = API["paths"].as_object().unwrap().keys().map(|path| address(&path.replace("{id}", "t%69ny")));
    let queries = ["limit=2&order=asc", "limit=0", "order=up", "after=msg_1", "stream=true", "include[]=a&include[]=b", "%zz=&&=%ff"];
    let queried = queries.map(|query| address(&format!("/v1/conversations/{{conversation_id}}/items?{query}")));
    let paths: Vec<_> = described.chain(queried).chain(["/docs.js".into()]).collect();
    let methods = ["GET", "POST", "HEAD", "OPTIONS", "DELETE", "BREW"];
    let mut found = 0;
    for round in 0..5_000 {
        let mut path = paths[round % paths.len()].clone().into_bytes();
        mutate(&mut dice, &mut path);
        let Ok(uri) = Uri::try_from(path) else { continue };
        let method = Method::from_bytes(methods[dice.below(methods.len())].as_bytes()).unwrap();
        let answer = World::populated().0.send(method, &uri.to_string(), "");
        assert!([200, 400, 404, 405].contains(&answer.status.as_u16()), "{uri}: {}", answer.text());
        found += usize::from(answer.status != 404);
    }
    assert!((100..4_900).contains(&found), "{found} found");
}
