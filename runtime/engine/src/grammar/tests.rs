use hearth_models::{gguf::Gguf, tokenizer::Tokenizer};
use serde_json::{Map, json};

use super::*;
use crate::rng::SplitMix64;

/// `<unk>`, `<s>`, `</s>`, `<call>` (a control token), `<tool>` (one that stands in texts), then the bytes.
const BYTES: u32 = 5;
const END: u32 = 2;
const CALL: u32 = 3;
const TOOL: u32 = 4;

/// A vocabulary of bytes with a few tokens besides.
fn vocabulary() -> Vocabulary {
    Vocabulary::new(&tokenizer(&[("<unk>", 2), ("<s>", 3), ("</s>", 3), ("<call>", 3), ("<tool>", 4)])).unwrap()
}

/// A tokenizer of bytes, behind tokens with these names and types of GGUF.
pub(crate) fn tokenizer(named: &[(&str, i32)]) -> Tokenizer {
    let names: Vec<String> = named.iter().map(|(name, _)| (*name).into()).chain((0..256).map(|byte| format!("<0x{byte:02X}>"))).collect();
    let types: Vec<i32> = named.iter().map(|(_, ty)| *ty).chain([6; 256]).collect();
    let mut bytes = b"GGUF".to_vec();
    let string = |bytes: &mut Vec<u8>, text: &str| {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    let array = |bytes: &mut Vec<u8>, key: &str, element: u32| {
        string(bytes, key);
        bytes.extend(9_u32.to_le_bytes());
        bytes.extend(element.to_le_bytes());
        bytes.extend((names.len() as u64).to_le_bytes());
    };
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    bytes.extend(5_u64.to_le_bytes());
    string(&mut bytes, "tokenizer.ggml.model");
    bytes.extend(8_u32.to_le_bytes());
    string(&mut bytes, "llama");
    string(&mut bytes, "tokenizer.ggml.add_space_prefix");
    bytes.extend(7_u32.to_le_bytes());
    bytes.push(0);
    array(&mut bytes, "tokenizer.ggml.tokens", 8);
    names.iter().for_each(|name| string(&mut bytes, name));
    array(&mut bytes, "tokenizer.ggml.scores", 6);
    bytes.extend(names.iter().flat_map(|_| 0_f32.to_le_bytes()));
    array(&mut bytes, "tokenizer.ggml.token_type", 5);
    bytes.extend(types.iter().flat_map(|ty| ty.to_le_bytes()));
    Tokenizer::from_gguf(&Gguf::parse(&bytes).unwrap()).unwrap()
}

fn compiled(grammar: &Grammar) -> Result<Constraint, Error> {
    Constraint::new(grammar, &vocabulary())
}

fn allows(mask: &[u32], token: u32) -> bool {
    mask[token as usize / 32] >> (token % 32) & 1 == 1
}

/// The tokens of a text, `</s>`, `<call>` and `<tool>` by their names.
fn tokens(text: &str) -> Vec<u32> {
    let mut tokens = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, ..] = rest {
        let named = [("</s>", END), ("<call>", CALL), ("<tool>", TOOL)].into_iter().find(|(name, _)| rest.starts_with(name.as_bytes()));
        let (token, length) = named.map_or((u32::from(*first) + BYTES, 1), |(name, token)| (token, name.len()));
        tokens.push(token);
        rest = &rest[length..];
    }
    tokens
}

/// Whether each of the tokens may come, and the grammar is at its end then.
fn follows(constraint: &mut Constraint, tokens: &[u32]) -> bool {
    let mut over = false;
    for token in tokens {
        if over && *token == END {
            continue;
        }
        if over || constraint.mask().is_some_and(|mask| !allows(&mask, *token)) {
            return false;
        }
        over = constraint.take(*token).unwrap();
    }
    over || constraint.mask().is_some_and(|mask| allows(&mask, END))
}

#[track_caller]
fn accepts(grammar: &Grammar, good: &[&str], bad: &[&str]) {
    for text in good {
        assert!(follows(&mut compiled(grammar).unwrap(), &tokens(text)), "{text:?} is refused");
    }
    for text in bad {
        assert!(!follows(&mut compiled(grammar).unwrap(), &tokens(text)), "{text:?} is accepted");
    }
}

#[track_caller]
fn refused(grammar: &Grammar, says: &str) {
    let error = compiled(grammar).unwrap_err();
    assert_eq!(error.kind, crate::ErrorKind::InvalidRequest, "{error}");
    assert!(error.message.contains(says) && error.message.len() < 1000, "{:?} does not say {says:?}", error.message);
}

fn schema(schema: Value) -> Grammar {
    Grammar::JsonSchema(schema)
}

fn lark(text: &str) -> Grammar {
    Grammar::Lark(text.to_owned())
}

#[test]
fn each_kind_of_grammar_holds_a_text() {
    accepts(
        &Grammar::JsonObject(true),
        &["{}", r#"{"a": [1, null, {"b": "ä</x>"}]}"#, "{\n    \"a\": 1\n}</s>"],
        &["", "[]", "1", " {}", "{}{}", "{\"a\":  1}", "{\n\n}", "{}<call>"],
    );
    let person = schema(json!({
        "type": "object", "properties": {"name": {"type": "string", "maxLength": 3}, "age": {"type": "integer", "minimum": 0}},
        "required": ["name"], "additionalProperties": false,
    }));
    accepts(
        &person,
        &[r#"{"name": "Ann", "age": 7}"#, r#"{"name":"A"}"#],
        &[r#"{"age": 7}"#, r#"{"name": "Anna"}"#, r#"{"name": "A", "b": 1}"#],
    );
    accepts(&Grammar::Regex("[a-c]{2,3}(/x)?".into()), &["ab", "abc", "ab/x"], &["a", "abcd", "ab/"]);
    accepts(&Grammar::Regex(String::new()), &[""], &["a"]);
    accepts(&lark("start: \"yes\" | \"no\" WORD\nWORD: /[a-z]+/"), &["yes", "nob"], &["no", "yesb", "maybe"]);
}

#[test]
fn a_grammar_at_its_end_leaves_the_end_token_alone_and_says_so() {
    let mut constraint = compiled(&Grammar::Regex("ab?".into())).unwrap();
    assert!(!constraint.take(tokens("a")[0]).unwrap(), "more may follow");
    let mask = constraint.mask().unwrap();
    assert!(allows(&mask, END) && allows(&mask, tokens("b")[0]) && !allows(&mask, tokens("a")[0]));
    assert!(constraint.clone_by_taking(&tokens("b")), "nothing may follow");
    let mut ended = compiled(&Grammar::Regex("ab?".into())).unwrap();
    ended.take(tokens("a")[0]).unwrap();
    assert!(ended.take(END).unwrap());
}

impl Constraint {
    /// Whether the grammar is over after these tokens.
    fn clone_by_taking(mut self, tokens: &[u32]) -> bool {
        tokens.iter().fold(false, |_, token| self.take(*token).unwrap())
    }
}

#[test]
fn a_call_after_free_text_is_one_grammar() {
    let call = json(&json!({"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"], "additionalProperties": false})).unwrap();
    // The mark is a control token, which no text can spell.
    let control = lark(&format!("start: TEXT | TEXT <call> call\nTEXT: /(.|\\n)*/\ncall: %json {call}"));
    accepts(
        &control,
        &["plain", "so: <call>{\"city\": \"Rome\"}", "<call>{\"city\":\"Paris\"}</s>", "it says <tool> here"],
        &["<call>", "<call>plain", "<call>{\"city\": \"Oslo\"}", "<call>{\"city\": \"Rome\"}."],
    );
    // The mark stands in texts, as a token by its id or in letters, cut anywhere.
    let text = lark(&format!("start: free call\nfree[suffix=\"<tool>\"]: /(.|\\n)*/\ncall: %json {call}"));
    let spelt: Vec<u32> = "so <tool>{\"city\": \"Rome\"}".bytes().map(|byte| u32::from(byte) + BYTES).collect();
    assert!(follows(&mut compiled(&text).unwrap(), &spelt));
    accepts(&text, &["<tool>{\"city\": \"Rome\"}", "a <b> <tool>{\"city\":\"Rome\"}"], &["plain", "<tool>plain"]);
    let by_id = lark(&format!("start: TEXT | TEXT <[{TOOL}]> call\nTEXT: /[^<]*/\ncall: %json {call}"));
    accepts(&by_id, &["plain", "so <tool>{\"city\": \"Rome\"}"], &["<tool>plain", "<tool><tool>", "a < b"]);
}

#[test]
fn a_grammar_may_stand_as_a_rule_beside_others() {
    let grammars = [
        Grammar::JsonObject(true),
        schema(json!({"type": "integer"})),
        lark("start: word\nword: /[a-z]\\/+/"),
        Grammar::Regex("[0-9]/[0-9]".into()),
    ];
    for (grammar, text) in grammars.into_iter().zip(["{\"a\": 1}", "-7", "x/", "1/2"]) {
        let whole = format!("start: \"answer: \" rest\n{}", grammar.rule("rest").unwrap());
        accepts(&lark(&whole), &[&format!("answer: {text}")], &[text, &format!("answer: {text}!")]);
    }
}

#[test]
fn schemas_of_common_programs_are_honoured() {
    let kind = |kind: &str| json!({"type": "object", "properties": {"kind": {"const": kind}}, "required": ["kind"], "additionalProperties": false});
    let union = json!({
        "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}], "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat"}},
        "$defs": {"Cat": kind("cat"), "Dog": kind("dog")}
    });
    accepts(&schema(union), &[r#"{"kind": "cat"}"#, r#"{"kind": "dog"}"#], &[r#"{"kind": "cow"}"#]);
    let record = json!({"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {"type": "integer"}, "x-order": 1, "example": {}});
    accepts(&schema(record), &[r#"{"a": 1}"#], &[r#"{"a": "b"}"#]);
    accepts(&schema(json!({"$ref": "#/$defs/a%20b", "$defs": {"a b": {"type": "null"}}, "uniqueItems": false})), &["null"], &["1"]);
    // As many properties that may be left out as one object may have.
    let many: Map<_, _> = (0..700).map(|number| (format!("p{number}"), json!({"type": "null"}))).collect();
    accepts(&schema(json!({"type": "object", "properties": many})), &[r#"{"p1": null, "p699": null}"#], &[r#"{"p1": 1}"#]);
}

#[test]
fn what_cannot_be_honoured_is_refused_by_name() {
    refused(&Grammar::JsonObject(false), "json_object");
    refused(&schema(json!(7)), "not an object");
    refused(&schema(json!({"type": "object", "properties": {"a": {"not": {}}}})), "`not` at #/properties/a");
    refused(&schema(json!({"type": "object", "colour": "red"})), "`colour` at #");
    refused(&schema(json!({"anyOf": [{"type": "array", "items": {"uniqueItems": true}}]})), "`uniqueItems` at #/anyOf/0/items");
    refused(&schema(json!({"x-guidance": {"lenient": true}, "not": {}})), "x-guidance");
    refused(&schema(json!({"type": "string", "format": "colour"})), "colour");
    refused(&schema(json!({"type": "strnig"})), "strnig");
    refused(&schema(json!({"type": "string", "pattern": "("})), "grammar.json_schema");
    refused(&schema(json!({"type": "string", "minLength": 3, "maxLength": 2})), "nsatisfiable");
    refused(&schema(json!({"oneOf": [{"type": "integer"}, {"type": "number"}]})), "oneOf");
    refused(&schema(json!({"$ref": "#/$defs/none"})), "#/$defs/none");
    refused(&schema(json!({"$defs": []})), "#/$defs is not an object");
    refused(&schema(json!({"multipleOf": -2})), "#/multipleOf is -2");
    refused(&schema(json!({"type": "integer", "multipleOf": 99_991, "allOf": [{"multipleOf": 99_989}]})), "least common multiple");
    refused(&schema(json!({"enum": [[9_007_199_254_740_993_u64]]})), "#/enum has 9007199254740993");
    refused(&schema(json!({"const": 12_345_678_901_234_567_890_u64})), "#/const has 12345678901234567890");
    refused(&schema(json!({"type": "object", "propertyNames": {"maxLength": 2}})), "`propertyNames` at #");
    let embedded = json!({"$id": "https://example.com/a", "$ref": "#/$defs/b", "$defs": {"b": {"type": "null"}}});
    refused(&schema(json!({"$ref": "#/$defs/a", "$defs": {"a": embedded, "b": {"type": "boolean"}}})), "`$id` of its own");
    refused(&schema(json!({"$ref": "https://example.com/schema"})), "https://example.com");
    refused(&schema(json!({"$ref": "#/examples/0", "examples": [{"if": true}]})), "`if` at #/examples/0");
    refused(&schema(json!({"$ref": "#"})), "no text");
    refused(&schema(json!({"properties": (0..800).map(|i| (format!("p{i}"), json!({}))).collect::<Map<_, _>>()})), "800 names");
    let chain: Map<_, _> = (0..2000).map(|i| (format!("d{i}"), json!({"items": {"$ref": format!("#/$defs/d{}", i + 1)}}))).collect();
    refused(
        &schema(json!({"$defs": chain.iter().take(700).map(|(k, v)| (k.clone(), v.clone())).collect::<Map<_, _>>(), "$ref": "#/$defs/d0"})),
        "#/$defs/d700",
    );
    refused(&schema(json!({"enum": ["x".repeat(600_000)]})), "bytes");
    refused(&Grammar::Regex("(".into()), "grammar.regex");
    refused(&Grammar::Regex("[^\\s\\S]".into()), "no text");
    refused(&Grammar::Regex("a".repeat(70_000)), "at most 65536");
    refused(&lark(""), "grammar.lark");
    refused(&lark("start: nothing"), "nothing");
    refused(&lark("start: start \"a\""), "no text");
    refused(&lark("start: <none>"), "none");
    refused(&lark("start: %json {\"not\": {}}"), "`not` at #");
    refused(&lark("start: %json {\"x-guidance\": {\"lenient\": true}}"), "`lenient` at #/x-guidance");
    refused(&lark(&format!("start: {}\"x\"{}", "(".repeat(1000), ")".repeat(1000))), "nested");
}

/// A sequence that takes random tokens of those that may come reaches an end that JSON's own parser agrees with.
#[test]
fn random_texts_of_a_schema_are_valid() {
    let person = schema(json!({
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": -5, "maximum": 120}, "s": {"enum": ["a", "b"]}, "l": {"type": "array", "maxItems": 2, "items": {"type": "boolean"}}},
        "required": ["n", "s", "l"], "additionalProperties": false,
    }));
    let (vocabulary, mut random) = (vocabulary(), SplitMix64::new(11));
    for _ in 0..30 {
        let mut constraint = Constraint::new(&person, &vocabulary).unwrap();
        let mut text = Vec::new();
        loop {
            let mask = constraint.mask().unwrap_or_else(|| panic!("{constraint:?} after {:?}", String::from_utf8_lossy(&text)));
            let allowed: Vec<u32> = (0..BYTES + 256).filter(|token| allows(&mask, *token)).collect();
            let token = allowed[(random.uniform() * allowed.len() as f64) as usize];
            text.extend(token.checked_sub(BYTES).map(|byte| byte as u8));
            if constraint.take(token).unwrap() {
                break;
            }
            assert!(text.len() < 2000, "it comes to an end: {:?}", String::from_utf8_lossy(&text));
        }
        let value: Value = serde_json::from_slice(&text).unwrap();
        assert!((-5.0..=120.0).contains(&value["n"].as_f64().unwrap()) && ["a", "b"].contains(&value["s"].as_str().unwrap()), "{value}");
        assert!(value["l"].as_array().unwrap().len() <= 2 && value.as_object().unwrap().len() == 3, "{value}");
    }
}

/// Grammars with some of their bytes exchanged, doubled or taken out: each is compiled or refused, soon, and what is compiled can be followed for a while.
#[test]
fn damaged_grammars_never_panic_or_hang() {
    let seeds = [
        r##"{"json_schema": {"type": "object", "properties": {"a": {"type": ["string", "null"], "minLength": 1, "maxLength": 20, "pattern": "^[a-z]+$"}, "b": {"$ref": "#/$defs/t"}}, "required": ["a"], "additionalProperties": {"type": "number", "multipleOf": 0.5}, "$defs": {"t": {"anyOf": [{"const": 1}, {"type": "array", "items": {"$ref": "#/$defs/t"}, "minItems": 1, "maxItems": 9}]}}}}"##,
        r#"{"json_schema": {"allOf": [{"type": "integer", "exclusiveMinimum": -7, "maximum": 90}, {"enum": [1, 2, 3.5, "x"]}], "oneOf": [{"type": "integer"}, {"type": "string", "format": "date-time"}]}}"#,
        r#"{"lark": "start: greeting (\",\" NAME)* \"!\"?\ngreeting: \"hello\" | \"hi\"i\nNAME: /[A-Z][a-z]{1,20}/ & /(.|\\n)*/\n%ignore /[ \\t]{1,2}/\n"}"#,
        r#"{"lark": "start: text <call> body\ntext[stop=\"x\", max_tokens=9]: /(.|\\n)*/\nbody: %json {\"type\": \"object\"} | nest\nnest: %lark {\n start: \"a\"{2,9} | <[3,5-9]>\n}\n"}"#,
        r#"{"regex": "(a|b)*a(a|b){12}[^x-z]?\\d+(?i:xyz)?\\u{e9}{1,500}"}"#,
    ];
    let vocabulary = vocabulary();
    for seed in seeds {
        Constraint::new(&serde_json::from_str(seed).unwrap(), &vocabulary).unwrap();
    }
    let mut random = SplitMix64::new(5);
    let (mut compiled, mut slowest) = (0, std::time::Duration::ZERO);
    for round in 0..3000 {
        let mut bytes = seeds[round % seeds.len()].as_bytes().to_vec();
        for _ in 0..1 + round % 10 / 6 {
            let at = (random.uniform() * bytes.len() as f64) as usize;
            let from = (random.uniform() * bytes.len() as f64) as usize;
            match (random.uniform() * 4.0) as usize {
                0 => bytes[at] = bytes[from],
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, br#"{}[]()"\/*+?9,:|&~<>%"#[from % 21]),
                _ => {
                    let piece = bytes[from..bytes.len().min(from + 12)].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
        let Ok(grammar) = serde_json::from_slice::<Grammar>(&bytes) else { continue };
        let begun = std::time::Instant::now();
        if let Ok(mut constraint) = Constraint::new(&grammar, &vocabulary) {
            compiled += 1;
            for _ in 0..40 {
                let Some(mask) = constraint.mask() else { break };
                let allowed: Vec<u32> = (0..BYTES + 256).filter(|token| allows(&mask, *token)).collect();
                let Some(token) = allowed.get((random.uniform() * allowed.len() as f64) as usize) else { break };
                if !matches!(constraint.take(*token), Ok(false)) {
                    break;
                }
            }
        }
        slowest = slowest.max(begun.elapsed());
        assert!(slowest.as_secs() < 20, "{} took {slowest:?}", String::from_utf8_lossy(&bytes));
    }
    assert!(compiled > 200, "only {compiled} of the damaged grammars were grammars");
    eprintln!("{compiled} damaged grammars compiled; the slowest took {slowest:?}");
}

#[test]
fn what_grows_too_ambiguous_ends_as_the_requests_fault() {
    let mut constraint = compiled(&lark("start: s\ns: s s s | s s | \"a\"\n")).unwrap();
    let error = (0..4096).find_map(|_| {
        constraint.mask();
        constraint.take(u32::from(b'a') + BYTES).err()
    });
    let error = error.expect("it is followed for ever");
    assert_eq!(error.kind, crate::ErrorKind::InvalidRequest, "{error}");
    assert!(error.message.contains("one way to read"), "{error}");
}
