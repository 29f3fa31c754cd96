//! Dialects against every template that llama.cpp ships: which each has, that what a template writes of calls is read, and that messages are given to it as it wants
//! them, rendered as jinja2 does.

mod data;
mod jinja;

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use hearth_models::{
    dialect::{Dialect, Event, Parser, Tool},
    template::ChatTemplate,
};
use jinja::{LENIENCIES, NOW, oracle};
use serde_json::{Map, Value, json};

/// Each template with the form of its calls, and whether its model thinks.
const TEMPLATES: &[(&str, &str, bool)] = &[
    ("Apertus-8B-Instruct", "apertus", true),
    ("Apriel-1.6-15b-Thinker-fixed", "apriel", true),
    ("Bielik-11B-v3.0-Instruct", "hermes", true),
    ("ByteDance-Seed-OSS", "seed", true),
    ("Cohere2MoE", "command", true),
    ("CohereForAI-c4ai-command-r-plus-tool_use", "command_r", false),
    ("CohereForAI-c4ai-command-r7b-12-2024-tool_use", "command", true),
    ("GLM-4.6", "glm", true),
    ("GLM-4.7-Flash", "glm", true),
    ("GigaChat3-10B-A1.8B", "gigachat_turn", false),
    ("GigaChat3.1-10B-A1.8B", "gigachat", false),
    ("HuggingFaceTB-SmolLM3-3B", "hermes", true),
    ("Kimi-K2-Instruct", "kimi", false),
    ("Kimi-K2-Thinking", "kimi", true),
    ("Kimi-K3", "hermes", false),
    ("LFM2-8B-A1B", "hermes", false),
    ("LFM2.5-8B-A1B", "hermes", true),
    ("LFM2.5-Instruct", "hermes", true),
    ("MiMo-VL", "hermes", false),
    ("MiniMax-M1", "minimax_m1", false),
    ("MiniMax-M2", "minimax_m2", true),
    ("MiniMax-M3", "hermes", true),
    ("Mistral-Small-3.2-24B-Instruct-2506", "mistral_call_id", false),
    ("NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "qwen3_coder", true),
    ("NVIDIA-Nemotron-Nano-v2", "nemotron", true),
    ("NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", "hermes", false),
    ("NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "hermes", false),
    ("Qwen-QwQ-32B", "hermes", true),
    ("Qwen-Qwen2.5-7B-Instruct", "hermes", false),
    ("Qwen-Qwen3-0.6B", "hermes", true),
    ("Qwen3-Coder", "qwen3_coder", false),
    ("Qwen3.5-4B", "qwen3_coder", true),
    ("Reka-Edge", "hermes", true),
    ("Spark2.5", "glm", true),
    ("StepFun3.5-Flash", "qwen3_coder", true),
    ("deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "deepseek_r1", true),
    ("deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "deepseek_r1", true),
    ("deepseek-ai-DeepSeek-V3.1", "deepseek_v3_1", true),
    ("deepseek-ai-DeepSeek-V3.2", "deepseek_v3_2", true),
    ("deepseek-ai-DeepSeek-V4", "deepseek_v4", true),
    ("deepseek-ai-DeepSeek-V4-Flash-0731", "deepseek_v4", true),
    ("fireworks-ai-llama-3-firefunction-v2", "firefunction", false),
    ("google-gemma-2-2b-it", "hermes", false),
    ("google-gemma-4-31B-it", "hermes", true),
    ("google-gemma-4-31B-it-interleaved", "hermes", true),
    ("ibm-granite-granite-3.3-2B-Instruct", "granite", true),
    ("ibm-granite-granite-4.0", "hermes", false),
    ("ibm-granite-granite-4.1", "hermes", false),
    ("inclusionai-ling-3.0-flash", "glm", true),
    ("llama-cpp-deepseek-r1", "deepseek_r1", true),
    ("llama-cpp-rwkv-world", "hermes", true),
    ("meetkai-functionary-medium-v3.1", "functionary_v3_1", false),
    ("meetkai-functionary-medium-v3.2", "hermes", false),
    ("meta-llama-Llama-3.1-8B-Instruct", "llama", false),
    ("meta-llama-Llama-3.2-3B-Instruct", "llama", false),
    ("meta-llama-Llama-3.3-70B-Instruct", "llama", false),
    ("microsoft-Phi-3.5-mini-instruct", "hermes", false),
    ("mistralai-Ministral-3-14B-Reasoning-2512", "mistral_args", true),
    ("mistralai-Mistral-Nemo-Instruct-2407", "mistral", false),
    ("moonshotai-Kimi-K2", "kimi", false),
    ("muse-glimmer", "hermes", false),
    ("openai-gpt-oss-120b", "hermes", false),
    ("openbmb-MiniCPM5-1B", "minicpm", true),
    ("poolside-Laguna-S-2.1", "glm", true),
    ("poolside-Laguna-XS-2.1", "glm", true),
    ("poolside-Laguna-XS.2", "glm", true),
    ("tencent-Hy3", "hunyuan", true),
    ("unsloth-Apriel-1.5", "apriel", true),
    ("unsloth-mistral-Devstral-Small-2507", "mistral_args", false),
    ("upstage-Solar-Open-100B", "solar", false),
];

/// Templates that refuse a conversation with calls however it is told.
const REFUSING: &[(&str, &str)] = &[
    // It wants variables that nobody but its authors gives.
    ("fireworks-ai-llama-3-firefunction-v2", "undefined"),
];

/// Forms of one call: templates forbid a second, or leave it out.
const SINGLE: &[&str] = &["llama", "gigachat", "gigachat_turn"];

fn source(name: &str) -> Option<String> {
    let file = data::require(&format!("{}/models/templates/{name}.jinja", data::LLAMA_CPP))?;
    Some(std::fs::read_to_string(file).unwrap())
}

fn tools() -> Value {
    json!([
        {"type": "function", "function": {"name": "weather", "description": "Tells the weather.", "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "A city."}, "days": {"type": "integer", "description": "How many days."}},
            "required": ["city"],
        }}},
        {"type": "function", "function": {"name": "weather_map", "description": "Draws a map.", "parameters": {
            "type": "object",
            "properties": {"scale": {"type": "number", "description": "How large."}, "wide": {"type": "boolean", "description": "Whether it is."}},
            "required": ["scale"],
        }}},
    ])
}

fn called(tools: &Value) -> Arc<[Tool]> {
    let tool =
        |tool: &Value| Tool { name: tool["function"]["name"].as_str().unwrap().into(), parameters: tool["function"]["parameters"].clone() };
    tools.as_array().unwrap().iter().map(tool).collect()
}

/// A user's question, calls with these arguments, their results, and another question.
fn conversation(calls: &[(&str, Value)]) -> Value {
    let mut messages = vec![json!({"role": "user", "content": "What is the weather?"})];
    let id = |number: usize| format!("call_{number:024}");
    let call = |(number, (name, arguments)): (usize, &(&str, Value))| json!({"id": id(number), "type": "function", "function": {"name": name, "arguments": arguments.to_string()}});
    let tool_calls: Vec<Value> = calls.iter().enumerate().map(call).collect();
    messages.push(json!({"role": "assistant", "content": null, "tool_calls": tool_calls}));
    messages.extend(
        (0..calls.len())
            .map(|number| json!({"role": "tool", "tool_call_id": id(number), "content": format!("{{\"sky\": \"grey {number}\"}}")})),
    );
    messages.into()
}

fn paris() -> (&'static str, Value) {
    ("weather", json!({"city": "Paris \"on\" <Seine>\n& 東京", "days": 3}))
}

fn map() -> (&'static str, Value) {
    ("weather_map", json!({"scale": 0.5, "wide": true}))
}

/// What a parser told: thinking, text, and calls with whether they ended.
#[derive(Debug, Default, PartialEq)]
struct Told {
    reasoning: String,
    text: String,
    calls: Vec<(String, String, bool)>,
}

fn told(events: Vec<Event>) -> Told {
    let mut told = Told::default();
    for event in events {
        match event {
            Event::Text(text) => told.text += &text,
            Event::Reasoning(text) => told.reasoning += &text,
            Event::CallBegin { index, name } => {
                assert_eq!(index, told.calls.len());
                told.calls.push((name, String::new(), false));
            }
            Event::Arguments(text) => told.calls.last_mut().expect("a call has begun").1 += &text,
            Event::CallEnd => told.calls.last_mut().expect("a call has begun").2 = true,
        }
    }
    told
}

/// What `parser` tells of `text` in pieces that end at `cuts`.
fn parse(mut parser: Parser, text: &str, cuts: impl IntoIterator<Item = usize>) -> Told {
    let mut events = Vec::new();
    let mut from = 0;
    for to in cuts.into_iter().chain([text.len()]) {
        events.extend(parser.push(&text[from..to]));
        from = to;
    }
    events.extend(parser.finish());
    told(events)
}

/// Numbers that look drawn, the same in every run.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// Asserts that `text` is read alike however it is cut, and returns what is told.
fn alike(parser: &dyn Fn() -> Parser, text: &str, draws: &mut Draws) -> Told {
    let whole = parse(parser(), text, []);
    let places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    assert_eq!(parse(parser(), text, places.iter().copied()), whole, "letter by letter: {text:?}");
    for _ in 0..4 {
        let cuts: Vec<usize> = places.iter().copied().filter(|_| draws.below(9) == 0).collect();
        assert_eq!(parse(parser(), text, cuts.iter().copied()), whole, "cut at {cuts:?}: {text:?}");
    }
    whole
}

/// An answer with thinking, text and calls in the words of each template, as its model may write it: the dialect, the thinking's text, the answer.
fn answers() -> Option<Vec<(Dialect, String)>> {
    let tools = tools();
    let mut answers = Vec::new();
    for (name, ..) in TEMPLATES.iter().filter(|(name, ..)| REFUSING.iter().all(|(refusing, _)| refusing != name)) {
        let template = ChatTemplate::new(&source(name)?, "<s>", "</s>").unwrap();
        let dialect = Dialect::of(&template);
        let mut calls = vec![paris()];
        if !SINGLE.contains(&dialect.name()) {
            calls.push(map());
        }
        let (messages, given) = dialect.conversation(&conversation(&calls), &tools);
        let text = template.render(&messages, &given, true, &Map::new()).unwrap();
        let answered = text.split_once("What is the weather?").unwrap().1;
        let start = if dialect.name() == "llama" { answered.find("{\"name\"").unwrap() } else { 0 };
        let thinking = if template.source().contains("</think>") { "<think>\nHm, <tool_call> or </think not?\n\n</think>\n\n" } else { "" };
        answers.push((dialect, format!("{thinking}{}", &answered[start..])));
    }
    Some(answers)
}

#[test]
fn every_template_has_its_dialect() {
    let Some(folder) = data::require(&format!("{}/models/templates", data::LLAMA_CPP)) else { return };
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain_mut(|name| name.strip_suffix(".jinja").map(str::to_owned).map(|stem| *name = stem).is_some());
    names.sort();
    let found: Vec<(String, &str, bool)> = names
        .into_iter()
        .map(|name| {
            let dialect = Dialect::of(&ChatTemplate::new(&source(&name).unwrap(), "<s>", "</s>").unwrap());
            (name, dialect.name(), dialect.reasons())
        })
        .collect();
    let expected: Vec<(String, &str, bool)> = TEMPLATES.iter().map(|(name, form, thinks)| ((*name).to_owned(), *form, *thinks)).collect();
    assert_eq!(found, expected);
}

/// A whole conversation with calls goes through each template, in the words of the template's own form, and jinja2 renders it the same.
#[test]
fn what_a_template_writes_of_calls_is_read() {
    let tools = tools();
    let (mut sources, mut chats, mut rendered) = (Vec::new(), Vec::new(), Vec::new());
    for (name, ..) in TEMPLATES {
        let Some(source) = source(name) else { return };
        let template = ChatTemplate::new(&source, "<s>", "</s>").unwrap();
        let dialect = Dialect::of(&template);
        sources.push(source);
        chats.push(Vec::new());
        rendered.push(Vec::new());
        let mut conversations = vec![vec![paris()], vec![map()]];
        if !SINGLE.contains(&dialect.name()) {
            conversations.push(vec![paris(), map()]);
        }
        for calls in conversations {
            let (messages, given) = dialect.conversation(&conversation(&calls), &tools);
            let now = UNIX_EPOCH + Duration::from_secs(NOW);
            let text = template.render_at(&messages, &given, true, &Map::new(), now).map_err(|error| error.to_string());
            if let Some((_, why)) = REFUSING.iter().find(|(refusing, _)| refusing == name) {
                assert!(text.unwrap_err().contains(why), "{name}");
                continue;
            }
            let text = text.unwrap_or_else(|error| panic!("{name} refuses {messages}: {error}"));
            assert!(text.contains("Draws a map."), "{name} describes the tools: {text}");
            let (before, answered) = text.split_once("What is the weather?").unwrap();
            // Where there can be no system message, the instructions precede the question.
            assert!(!before.contains("Seine"));
            let results = (0..calls.len()).filter(|number| answered.contains(&format!("grey {number}"))).count();
            assert_eq!(results, calls.len(), "{name}: {answered}");
            // A form without a marker is read where an answer begins.
            let start = if dialect.name() == "llama" { answered.find("{\"name\"").unwrap() } else { 0 };
            let told = parse(dialect.parser(called(&tools), false, false), &answered[start..], []);
            let read: Vec<(&str, Value)> = told
                .calls
                .iter()
                .map(|(name, arguments, ended)| {
                    assert!(ended);
                    (name.as_str(), serde_json::from_str(arguments).unwrap())
                })
                .collect();
            assert_eq!(read, calls, "{name}: {answered}");
            chats.last_mut().unwrap().push(json!({"messages": messages, "tools": given, "add_generation_prompt": true}));
            rendered.last_mut().unwrap().push(text);
        }
    }
    let job = json!({"templates": sources, "chats_of": chats, "bos": "<s>", "eos": "</s>", "now": NOW});
    let Some(expected) = oracle(&job) else { return };
    let mut equal = 0;
    for (((name, ..), rendered), expected) in TEMPLATES.iter().zip(&rendered).zip(&expected) {
        for (rendered, expected) in rendered.iter().zip(expected) {
            match (expected["text"].as_str(), expected["error"].as_str()) {
                (Some(expected), _) if *name != jinja::ESCAPING => {
                    assert_eq!(rendered, expected, "{name}");
                    equal += 1;
                }
                (None, Some(error)) => assert!(LENIENCIES.contains(&error), "{name}: {error}"),
                _ => {}
            }
        }
    }
    assert!(equal > 180, "{equal} renderings are equal");
}

#[test]
fn an_answer_is_read_alike_however_it_is_cut() {
    let (Some(answers), tools) = (answers(), called(&tools())) else { return };
    let mut draws = Draws(1);
    for (dialect, answer) in answers {
        let loose = alike(&|| dialect.parser(tools.clone(), false, false), &answer, &mut draws);
        let held = alike(&|| dialect.parser(tools.clone(), false, true), &answer, &mut draws);
        assert_eq!(loose, held, "{}", dialect.name());
        assert!(loose.calls.iter().all(|(.., ended)| *ended) && !loose.calls.is_empty());
        let thinking = if answer.starts_with("<think>") { "Hm, <tool_call> or </think not?" } else { "" };
        assert_eq!(loose.reasoning, thinking, "{}", dialect.name());
        // Without tools nothing is a call.
        let plain = alike(&|| dialect.parser([].into(), false, false), &answer, &mut draws);
        assert!(plain.calls.is_empty() && answer.ends_with(&plain.text));
    }
}

#[test]
fn a_held_answer_that_is_cut_shows_no_piece_of_a_call_as_text() {
    let (Some(answers), tools) = (answers(), called(&tools())) else { return };
    let mut cut_headers = 0;
    for (dialect, answer) in &answers {
        let whole = parse(dialect.parser(tools.clone(), false, true), answer, []);
        for (at, _) in answer.char_indices() {
            let told = parse(dialect.parser(tools.clone(), false, true), &answer[..at], []);
            // Where the first call's mark has come, all text has: what is cut behind it is no text.
            if told.calls.is_empty() {
                continue;
            }
            assert!(whole.text.starts_with(&told.text), "{} cut at {at}: {:?} of {:?}", dialect.name(), told.text, &answer[..at]);
            cut_headers += usize::from(told.calls.iter().all(|(.., ended)| *ended) && told.calls.len() < whole.calls.len());
        }
    }
    assert!(cut_headers > 100, "{cut_headers} were cut in a further call's header");
}

#[test]
fn a_damaged_answer_loses_no_text_and_has_no_broken_call() {
    let (Some(answers), tools) = (answers(), called(&tools())) else { return };
    let mut draws = Draws(2);
    let (mut intact, mut broken) = (0, 0);
    for (dialect, answer) in &answers {
        for _ in 0..40 {
            let mut text: Vec<char> = answer.chars().collect();
            for _ in 0..=draws.below(3) {
                let (at, other) = (draws.below(text.len()), draws.below(text.len()));
                match draws.below(5) {
                    0 => drop(text.remove(at)),
                    1 => text.insert(at, ['"', '{', '}', '<', '>', '\\', '\n', 'x', '`', '/'][draws.below(10)]),
                    2 => text.swap(at, other),
                    3 => text.truncate(at.max(1)),
                    _ => drop(text.splice(at..at, answer.chars().take(other).collect::<Vec<_>>())),
                }
            }
            let text: String = text.into_iter().collect();
            let told = alike(&|| dialect.parser(tools.clone(), false, false), &text, &mut draws);
            for (_, arguments, ended) in &told.calls {
                assert!(*ended && serde_json::from_str::<Map<String, Value>>(arguments).is_ok(), "{}: {text:?}", dialect.name());
            }
            if told.calls.is_empty() && told.reasoning.is_empty() && !text.contains("think>") {
                assert_eq!(told.text, text, "{}", dialect.name());
                broken += 1;
            } else {
                intact += 1;
            }
            alike(&|| dialect.parser(tools.clone(), false, true), &text, &mut draws);
        }
    }
    assert!(intact > 500 && broken > 300, "{intact} {broken}");
}

fn hermes() -> Dialect {
    Dialect::of(
        &ChatTemplate::new("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}<think>{# </think> #}", "", "").unwrap(),
    )
}

#[test]
fn space_beside_a_call_is_no_text_and_a_call_that_is_none_is() {
    let tools = called(&tools());
    let read = |text: &str| parse(hermes().parser(tools.clone(), false, false), text, []);
    let call = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>";
    let told = read(&format!(" One moment.\n\n{call}\n{call}\n"));
    assert_eq!((told.text.as_str(), told.calls.len()), (" One moment.", 2));
    assert_eq!(read(&format!("{call} Done.")).text, "Done.");
    for text in [
        "<tool_call>\n{\"name\": \"nothing\", \"arguments\": {}}\n</tool_call>",
        "a\n <tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": Rome}}\n</tool_call> b",
        "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_",
        "<tool_call>\n{\"name\": \"weather\", \"arguments\": [1]}\n</tool_call>",
        "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool>",
        "<tool_cal",
        "{\"name\": \"weather\", \"arguments\": {}}",
    ] {
        assert_eq!(read(text), Told { text: text.into(), ..Told::default() });
    }
}

#[test]
fn a_held_call_is_told_as_it_comes() {
    let mut parser = hermes().parser(called(&tools()), false, true);
    assert_eq!(parser.push("Sure.\n<tool"), [Event::Text("Sure.".into())]);
    assert_eq!(parser.push("_call>\n{\"name\": \"weather\", \"argu"), []);
    let begin = Event::CallBegin { index: 0, name: "weather".into() };
    assert_eq!(parser.push("ments\": {\"city\": \"R"), [begin, Event::Arguments("{\"city\": \"R".into())]);
    assert_eq!(parser.push("ome\"}"), [Event::Arguments("ome\"}".into())]);
    assert_eq!((parser.push("}\n</tool_call"), parser.calls()), (vec![], 0));
    assert_eq!((parser.push(">"), parser.calls()), (vec![Event::CallEnd], 1));
    // The end of the context may come first.
    let mut parser = hermes().parser(called(&tools()), false, true);
    parser.push("<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"R");
    assert_eq!((parser.finish(), parser.calls()), (vec![], 0));
}

#[test]
fn thinking_is_what_stands_at_the_beginning_or_what_the_prompt_has_opened() {
    let dialect = hermes();
    assert!(dialect.thinks_after("user: Hi\n<think>\n") && !dialect.thinks_after("<think>\n\n</think>\n\n"));
    let read = |thinks, text: &str| parse(dialect.parser([].into(), thinks, false), text, []);
    assert_eq!(read(true, "\nHm. \n</think>\n\nYes."), Told { reasoning: "Hm.".into(), text: "Yes.".into(), ..Told::default() });
    assert_eq!(
        read(false, "\n<think>Hm.</think>Yes. <think>"),
        Told { reasoning: "Hm.".into(), text: "Yes. <think>".into(), ..Told::default() }
    );
    assert_eq!(read(false, "Yes. <think>No.</think>").text, "Yes. <think>No.</think>");
    assert_eq!(read(true, "Without an end").reasoning, "Without an end");
    assert_eq!(read(false, " <thi").text, " <thi");
    let mut parser = dialect.parser([].into(), true, false);
    assert!(parser.is_thinking());
    parser.push("Hm.</think>");
    assert!(!parser.is_thinking());
}

/// Phi-4-mini's template takes tools from the system message, and writes no calls.
#[test]
fn tools_may_be_a_field_of_the_system_message() {
    let source = "{% for m in messages %}{% if m['role'] == 'system' and 'tools' in m and m['tools'] is not none %}{{ '<|system|>' + m['content'] + '<|tool|>' + m['tools'] + \
                  '<|/tool|><|end|>' }}{% else %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endif %}{% endfor %}<|assistant|>";
    let template = ChatTemplate::new(source, "", "").unwrap();
    let dialect = Dialect::of(&template);
    assert_eq!(dialect.name(), "phi4");
    let (messages, given) = dialect.conversation(&conversation(&[map()]), &tools());
    let text = template.render(&messages, &given, true, &Map::new()).unwrap();
    let (system, turns) = text.split_once("<|end|>").unwrap();
    assert!(system.starts_with("<|system|><|tool|>[{\"name\": \"weather\", ") && system.ends_with("}]<|/tool|>"), "{system}");
    let call = "<|tool_call|>[{\"name\": \"weather_map\", \"arguments\": {\"scale\": 0.5, \"wide\": true}}]<|/tool_call|>";
    assert_eq!(
        turns,
        format!("<|user|>What is the weather?<|end|><|assistant|>{call}<|end|><|tool|>{{\"sky\": \"grey 0\"}}<|end|><|assistant|>")
    );
}

/// Templates that know neither tools nor a system message, and want turns to alternate.
#[test]
fn what_a_template_does_not_know_is_told_in_words() {
    let Some(source) = source("google-gemma-2-2b-it") else { return };
    let template = ChatTemplate::new(&source, "", "").unwrap();
    let dialect = Dialect::of(&template);
    let mut messages = conversation(&[paris(), map()]);
    messages.as_array_mut().unwrap().push(json!({"role": "user", "content": "So?"}));
    let (messages, given) = dialect.conversation(&messages, &tools());
    assert!(given.is_null());
    let roles: Vec<&str> = messages.as_array().unwrap().iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    let first = messages[0]["content"].as_str().unwrap();
    assert!(
        first.contains("\n<tool_call>\n{\"name\": ") && first.contains("\"Draws a map.\"") && first.ends_with("\n\nWhat is the weather?"),
        "{first}"
    );
    let results =
        "<tool_response>\n{\"sky\": \"grey 0\"}\n</tool_response>\n<tool_response>\n{\"sky\": \"grey 1\"}\n</tool_response>\n\nSo?";
    assert_eq!(messages[2]["content"], results);
    template.render(&messages, &given, true, &Map::new()).unwrap();
    // Without tools nothing is added.
    let plain = json!([{"role": "user", "content": "Hi"}]);
    assert_eq!(dialect.conversation(&plain, &json!([])).0, plain);
}
