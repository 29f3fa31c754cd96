//! Any template, a line before the messages that it gets: compiling and rendering end within their bounds.
#![no_main]

use hearth_models::template::ChatTemplate;
use serde_json::{Map, Value, json};

libfuzzer_sys::fuzz_target!(|input: &str| {
    let (content, source) = input.split_once('\n').unwrap_or((input, ""));
    if let Ok(template) = ChatTemplate::new(source, "<s>", "</s>") {
        let messages = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}]);
        let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]);
        for tools in [Value::Null, tools] {
            match template.render(&messages, &tools, true, &Map::new()) {
                Ok(text) => assert!(text.len() <= 16 << 20),
                Err(error) => assert!(error.to_string().len() < 1 << 16),
            }
        }
    }
});
