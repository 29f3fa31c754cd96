//! Any answer behind a line whose letters say the dialect, whether the prompt has opened the thinking, whether a grammar holds the answer, and the lengths of its pieces:
//! what is told does not depend on the pieces, no text is lost where nothing is a call, and what is a call has JSON for arguments.
#![no_main]

use std::sync::LazyLock;

use hearth_models::{
    dialect::{Dialect, Event, Parser, Tool},
    template::ChatTemplate,
};
use serde_json::{Map, Value, json};

/// What the templates of some families write of a call: `NAME` and `ARGUMENTS` are filled in.
const CALLS: [&str; 10] = [
    r#"<tool_call>{"name": "NAME", "arguments": ARGUMENTS}</tool_call>"#,
    r#"{"name": "NAME", "parameters": ARGUMENTS}"#,
    r#"[TOOL_CALLS][{"name": "NAME", "arguments": ARGUMENTS}]"#,
    r#"[TOOL_CALLS]NAME[ARGS]ARGUMENTS"#,
    "<tool_call><function=NAME>ELEMENTS(<parameter=|>\n|\n</parameter>)</function></tool_call>",
    "<tool_call>NAMEELEMENTS(<arg_key>|</arg_key><arg_value>|</arg_value>)</tool_call>",
    "<function name=\"NAME\">ELEMENTS(<param name=\"|\">|</param>)</function>",
    r#"<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "NAME", "parameters": ARGUMENTS}]<|END_ACTION|>"#,
    "<function=NAME>ARGUMENTS</function>",
    r#"<|tools_prefix|>[{"NAME": ARGUMENTS}]<|tools_suffix|>"#,
];

static DIALECTS: LazyLock<Vec<Dialect>> = LazyLock::new(|| CALLS.iter().map(|call| dialect(call)).collect());

fn dialect(call: &str) -> Dialect {
    let call = call.replace("NAME", "{{ f.name }}").replace("ARGUMENTS", "{{ f.arguments | tojson }}");
    let call = match call.split_once("ELEMENTS(") {
        None => call,
        Some((before, rest)) => {
            let (parts, after) = rest.split_once(')').expect("its end");
            let parts: Vec<&str> = parts.split('|').collect();
            format!(
                "{before}{{% for key, value in f.arguments.items() %}}{}{{{{ key }}}}{}{{{{ value }}}}{}{{% endfor %}}{after}",
                parts[0], parts[1], parts[2]
            )
        }
    };
    let source = format!(
        "{{# <think></think> #}}{{{{ tools }}}}{{% for m in messages %}}{{{{ m.content }}}}{{% for c in m.tool_calls or [] %}}{{% set f = c.function %}}{call}{{% endfor %}}{{% endfor %}}"
    );
    Dialect::of(&ChatTemplate::new(&source, "", "").expect("it compiles"))
}

fn tell(mut parser: Parser, pieces: &[&str]) -> (String, String, Vec<(String, String, bool)>) {
    let mut events: Vec<Event> = pieces.iter().flat_map(|piece| parser.push(piece)).collect();
    events.extend(parser.finish());
    let (mut text, mut reasoning, mut calls) = (String::new(), String::new(), Vec::new());
    for event in events {
        match event {
            Event::Text(more) => text += &more,
            Event::Reasoning(more) => reasoning += &more,
            Event::CallBegin { index, name } => {
                assert_eq!(index, calls.len());
                calls.push((name, String::new(), false));
            }
            Event::Arguments(more) => calls.last_mut().expect("a call has begun").1 += &more,
            Event::CallEnd => calls.last_mut().expect("a call has begun").2 = true,
        }
    }
    (text, reasoning, calls)
}

libfuzzer_sys::fuzz_target!(|input: &str| {
    let (line, answer) = input.split_once('\n').unwrap_or(("", input));
    let mut letters = line.bytes().chain(std::iter::repeat(0)).map(usize::from);
    let mut letter = || letters.next().unwrap_or(0);
    let (dialect, thinks, held) = (&DIALECTS[letter() % DIALECTS.len()], letter() % 2 == 1, letter() % 2 == 1);
    let parameters = json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}, "c": {"type": ["string", "null"]}}});
    let tool = |name: &str| Tool { name: name.into(), parameters: parameters.clone() };
    let tools: std::sync::Arc<[Tool]> = [tool("f"), tool("f_g")].into();
    let mut pieces = Vec::new();
    let mut rest = answer;
    for letter in line.bytes().skip(3) {
        let at = (0..=usize::from(letter % 16).min(rest.len())).rev().find(|at| rest.is_char_boundary(*at)).unwrap_or(0);
        let (piece, after) = rest.split_at(at);
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    let parser = || dialect.parser(tools.clone(), thinks, held);
    let whole = tell(parser(), &[answer]);
    assert_eq!(tell(parser(), &pieces), whole);
    let (text, reasoning, calls) = whole;
    if !held {
        for (_, arguments, ended) in &calls {
            assert!(*ended && serde_json::from_str::<Map<String, Value>>(arguments).is_ok(), "{arguments}");
        }
        if !thinks && reasoning.is_empty() && calls.is_empty() && !answer.contains("<think>") {
            assert_eq!(text, answer);
        }
    }
});
