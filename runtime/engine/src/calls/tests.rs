use std::{path::PathBuf, sync::Arc};

use hearth_models::{dialect::Event, template::ChatTemplate};
use serde_json::Map;

use super::*;
use crate::{grammar::tests::tokenizer, rng::SplitMix64};

fn callable(tools: &Value, choice: &str) -> Result<Callable, Error> {
    Callable::new(tools, &serde_json::from_str(choice).unwrap(), true)
}

#[test]
fn a_choice_says_which_tools_may_be_called() {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "description": "…", "parameters": {"type": "object"}}});
    let tools = json!([tool("a"), tool("b")]);
    let names = |choice| callable(&tools, choice).map(|callable| (callable.tools.len(), callable.must_call, callable.several)).unwrap();
    assert_eq!(names(r#""auto""#), (2, false, true));
    assert_eq!(names(r#""none""#), (0, false, true));
    assert_eq!(names(r#""required""#), (2, true, true));
    assert_eq!(names(r#"{"name": "b"}"#), (1, true, false));
    assert!(serde_json::from_str::<ToolChoice>(r#""any""#).unwrap_err().to_string().contains("`tool_choice`"));
}

#[test]
fn a_bad_tool_is_named() {
    let refused = |tools: Value, choice: &str, expected: &str| {
        let error = callable(&tools, choice).unwrap_err();
        assert!(error.message.contains(expected), "{}", error.message);
    };
    let function = |function: Value| json!([{"type": "function", "function": function}]);
    refused(json!({}), r#""auto""#, "`tools` is not an array");
    refused(json!([{"type": "function"}]), r#""auto""#, "element 0 of `tools`");
    refused(json!([{"type": "custom", "function": {"name": "a"}}]), r#""auto""#, "`custom`");
    refused(function(json!({"name": "a b"})), r#""none""#, "\"a b\"");
    refused(function(json!({"name": "x".repeat(65)})), r#""auto""#, "1 to 64");
    refused(function(json!({"name": "a", "parameters": []})), r#""auto""#, "`parameters` of the tool `a`");
    refused(function(json!({"name": "a"})), r#"{"name": "b"}"#, "wants `b`");
    refused(json!([]), r#""required""#, "no `tools`");
    let twice = json!([{"type": "function", "function": {"name": "a"}}, {"type": "function", "function": {"name": "a"}}]);
    refused(twice, r#""auto""#, "twice");
}

/// A dialect of each form, from the templates of the test data. Without them a test is skipped, but not where everything must be there.
fn dialects() -> Vec<Dialect> {
    let folder = std::env::var_os("HEARTH_TEST_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/test-data")), PathBuf::from)
        .join("llama-cpp-python-0.3.36/vendor/llama.cpp/models/templates");
    let Ok(files) = std::fs::read_dir(&folder) else {
        let message = format!("{} is missing: `cargo xtask test` fetches it, or set HEARTH_TEST_DATA", folder.display());
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
        eprintln!("SKIPPED: {message}");
        return Vec::new();
    };
    let mut files: Vec<PathBuf> =
        files.map(|file| file.unwrap().path()).filter(|file| file.extension().is_some_and(|ending| ending == "jinja")).collect();
    files.sort();
    let mut names = HashSet::new();
    let dialect = |file: &PathBuf| Dialect::of(&ChatTemplate::new(&std::fs::read_to_string(file).unwrap(), "<s>", "</s>").unwrap());
    files.iter().map(dialect).filter(|dialect| names.insert((dialect.name(), dialect.reasons()))).collect()
}

fn weather() -> Value {
    json!([
        {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {
            "city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 7}, "unit": {"enum": ["C", "F"]},
        }, "required": ["city"]}}},
        {"type": "function", "function": {"name": "weather_map", "parameters": {"type": "object", "properties": {
            "area": {"$ref": "#/$defs/area"}, "wide": {"type": "boolean"}, "note": {"type": ["string", "null"]},
        }, "required": ["area", "wide"], "$defs": {"area": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "minItems": 2, "maxItems": 2}}}}},
        {"type": "function", "function": {"name": "now"}},
    ])
}

fn is_valid(name: &str, arguments: &str) -> bool {
    let Ok(arguments) = serde_json::from_str::<Map<String, Value>>(arguments) else { return false };
    let only = |known: &[&str]| arguments.keys().all(|key| known.contains(&key.as_str()));
    let is = |key: &str, good: &dyn Fn(&Value) -> bool| arguments.get(key).is_some_and(good);
    let may = |key: &str, good: &dyn Fn(&Value) -> bool| arguments.get(key).is_none_or(good);
    let digits = |value: &Value| {
        value.as_array().is_some_and(|all| all.len() == 2 && all.iter().all(|one| one.as_u64().is_some_and(|one| one <= 9)))
    };
    match name {
        "weather" => {
            let days = |value: &Value| value.as_i64().is_some_and(|days| (1..=7).contains(&days));
            is("city", &Value::is_string)
                && may("days", &days)
                && may("unit", &|unit| unit == "C" || unit == "F")
                && only(&["city", "days", "unit"])
        }
        "weather_map" => {
            is("area", &digits)
                && is("wide", &Value::is_boolean)
                && may("note", &|note| note.is_string() || note.is_null())
                && only(&["area", "wide", "note"])
        }
        "now" => arguments.is_empty(),
        _ => false,
    }
}

/// A text drawn from what `constraint` allows, with a liking for what `likes` has; and whether it came to an end.
fn drawn(mut constraint: Constraint, tokenizer: &Tokenizer, likes: &[&str], random: &mut SplitMix64) -> (String, bool) {
    let mut below = |bound: usize| (random.next() % bound as u64) as usize;
    let mut text: Vec<u8> = Vec::new();
    for _ in 0..1200 {
        let mask = constraint.mask().unwrap();
        let allowed: Vec<u32> =
            (0..tokenizer.vocabulary() as u32).filter(|token| mask[*token as usize / 32] >> (token % 32) & 1 == 1).collect();
        let mut token = allowed[below(allowed.len())];
        if allowed.len() > 40 {
            // Letters that go on with a mark, begin one, or end a string.
            let goes_on = likes.iter().filter_map(|mark| {
                (1..mark.len()).rev().find(|length| text.ends_with(&mark.as_bytes()[..*length])).map(|length| mark.as_bytes()[length])
            });
            let mut liked: Vec<u8> = goes_on.collect();
            if liked.is_empty() && below(4) == 0 {
                liked = likes.iter().map(|mark| mark.as_bytes()[0]).chain([b'"']).collect();
            }
            let liked: Vec<u32> =
                allowed.iter().copied().filter(|token| liked.contains(tokenizer.token_bytes(*token, true).first().unwrap_or(&0))).collect();
            if !liked.is_empty() && below(30) > 0 {
                token = liked[below(liked.len())];
            }
        }
        if tokenizer.is_end(token) {
            return (String::from_utf8_lossy(&text).into_owned(), true);
        }
        text.extend(tokenizer.token_bytes(token, true));
        if constraint.take(token).unwrap() {
            return (String::from_utf8_lossy(&text).into_owned(), true);
        }
    }
    (String::from_utf8_lossy(&text).into_owned(), false)
}

/// Whatever a model has in mind: each form's grammar and its reader agree, with marks as text and as a control token.
#[test]
fn what_a_grammar_allows_is_read_as_calls_with_valid_arguments() {
    let mut random = SplitMix64::new(11);
    for dialect in dialects() {
        let likes: Vec<&str> = dialect.markers().collect();
        let (mut called, mut ended) = (0, 0);
        for (must_call, control, thinks) in [(true, false, false), (true, true, true), (false, false, true), (false, true, false)] {
            let mark = if control && dialect.marks_calls() { likes[0] } else { "<unused>" };
            let tokenizer = tokenizer(&[("<unk>", 2), ("<s>", 3), ("</s>", 3), (mark, 3)]);
            let vocabulary = Vocabulary::new(&tokenizer).unwrap();
            let thinks = thinks && dialect.reasons();
            let choice = if must_call { ToolChoice::Required } else { ToolChoice::Auto };
            let callable = Callable::new(&weather(), &choice, true).unwrap();
            for _ in 0..3 {
                let constraint = callable.constraint(&dialect, None, thinks, &tokenizer, &vocabulary).unwrap();
                let (text, whole) = drawn(constraint, &tokenizer, &likes, &mut random);
                let mut parser = dialect.parser(Arc::from(&callable.tools[..]), thinks, true);
                let mut events = parser.push(&text);
                events.extend(parser.finish());
                let (mut calls, mut words) = (Vec::<(String, String, bool)>::new(), String::new());
                for event in events {
                    match event {
                        Event::Text(more) => words += &more,
                        Event::Reasoning(_) => {}
                        Event::CallBegin { name, .. } => calls.push((name, String::new(), false)),
                        Event::Arguments(more) => calls.last_mut().unwrap().1 += &more,
                        Event::CallEnd => calls.last_mut().unwrap().2 = true,
                    }
                }
                let told = format!("{} in {text:?}: {calls:?} and {words:?}", dialect.name());
                assert!(calls.iter().filter(|call| call.2).all(|(name, arguments, _)| is_valid(name, arguments)), "{told}");
                if whole {
                    assert!(calls.iter().all(|call| call.2) && (!must_call || (!calls.is_empty() && words.is_empty())), "{told}");
                    ended += 1;
                }
                called += calls.len();
            }
        }
        assert!(called >= 4 && ended >= 2, "{}: {called} calls, {ended} ended", dialect.name());
    }
}

#[test]
fn a_grammar_holds_what_follows_the_thinking_or_is_no_call() {
    let template = "{% for m in messages %}{{ m.content }}{% endfor %}{# <think></think> #}";
    let dialect = Dialect::of(&ChatTemplate::new(template, "", "").unwrap());
    let tokenizer = tokenizer(&[("<unk>", 2), ("<s>", 3), ("</s>", 3)]);
    let vocabulary = Vocabulary::new(&tokenizer).unwrap();
    let grammar: Grammar =
        serde_json::from_value(json!({"json_schema": {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"]}}))
            .unwrap();
    let accepts = |callable: &Callable, thinks: bool, text: &str| {
        let mut constraint = callable.constraint(&dialect, Some(&grammar), thinks, &tokenizer, &vocabulary).unwrap();
        let mut over = false;
        for byte in text.bytes() {
            let token = 3 + u32::from(byte);
            if over || constraint.mask().is_some_and(|mask| mask[token as usize / 32] >> (token % 32) & 1 == 0) {
                return false;
            }
            over = constraint.take(token).unwrap();
        }
        over || constraint.mask().is_some_and(|mask| mask[0] >> 2 & 1 == 1)
    };
    let none = Callable::default();
    for good in [r#"{"n": 1}"#, "<think>Hm {\n</think>\n\n{\"n\": 2}"] {
        assert!(accepts(&none, false, good), "{good}");
    }
    assert!(accepts(&none, true, "Hm.</think>{\"n\": 2}") && !accepts(&none, true, r#"{"n": 1}"#), "the thinking goes on");
    let call = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";
    assert!(!accepts(&none, false, "Hm.") && !accepts(&none, false, call));
    let auto = Callable::new(&weather(), &ToolChoice::Auto, true).unwrap();
    assert!(accepts(&auto, false, call) && accepts(&auto, false, r#"{"n": 2}"#) && !accepts(&auto, false, "Hm."));
}
