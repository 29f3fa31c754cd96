use super::*;

#[track_caller]
fn refused(document: &str, expected: &str) {
    let error = Request::parse(document.as_bytes()).unwrap_err();
    assert_eq!(error.kind, crate::ErrorKind::InvalidRequest);
    assert!(error.message.contains(expected), "{:?} does not say {expected:?}", error.message);
}

#[test]
fn absent_fields_have_the_documented_defaults() {
    let request = Request::parse(br#"{"prompt": "Hi"}"#).unwrap();
    assert_eq!(request.max_tokens, None);
    assert!(!request.ignore_end && request.stop.is_empty() && request.speculation);
    assert_eq!(request.claim(), Claim::default());
    assert_eq!(request.sampling, Sampling::default());
    assert_eq!((request.sampling.temperature, request.sampling.top_p, request.sampling.repeat_penalty), (1.0, 1.0, 1.0));
}

#[test]
fn a_seed_is_any_64_bit_integer() {
    let seed =
        |text: &str| Request::parse(format!(r#"{{"prompt": "x", "sampling": {{"seed": {text}}}}}"#).as_bytes()).map(|r| r.sampling.seed);
    assert_eq!(seed("42").unwrap(), Some(42));
    assert_eq!(seed("-1").unwrap(), Some(u64::MAX));
    assert_eq!(seed("18446744073709551615").unwrap(), Some(u64::MAX));
    assert_eq!(seed("null").unwrap(), None);
    assert!(seed("1.5").unwrap_err().message.contains("seed"));
}

#[test]
fn a_client_is_known_by_its_name_and_nothing_else() {
    let client = |name: &str| Request::parse(format!(r#"{{"prompt": "x", "client": "{name}"}}"#).as_bytes()).unwrap().claim().client;
    assert_eq!(client("anna"), client("anna"));
    assert!(client("anna") != client("berta") && client("anna") != Client::default());
}

#[test]
fn a_bad_request_names_what_is_wrong() {
    refused("{", "not valid");
    refused(r#"{"prompt": "x", "max_token": 3}"#, "`max_token`");
    refused(r#"{"prompt": "x", "sampling": {"topk": 3}}"#, "`topk`");
    refused(r#"{"prompt": "x", "sampling": {"top_p": 7}}"#, "sampling.top_p");
    refused("{}", "0 of `messages`, `prompt` and `tokens`");
    refused(r#"{"prompt": "x", "tokens": [1]}"#, "exactly one");
    assert!(Request::parse(br#"{"prompt": "x", "max_tokens": 0, "prompt_logprobs": 0}"#).is_ok());
    refused(r#"{"messages": "Hi"}"#, "`messages` is not an array");
    refused(r#"{"messages": [], "tools": {}}"#, "`tools` is not an array");
    refused(r#"{"prompt": "x", "max_tokens": 0}"#, "max_tokens");
    refused(r#"{"prompt": "x", "max_tokens": -1}"#, "not valid");
    refused(r#"{"messages": [], "tool_choice": "required"}"#, "no `tools`");
    refused(r#"{"messages": [], "tool_choice": {"name": "x", "type": "function"}}"#, "`tool_choice`");
    refused(r#"{"messages": [], "tools": [{"type": "function", "function": {}}]}"#, "element 0 of `tools`");
    refused(r#"{"prompt": "x", "tools": []}"#, "`tools` are for `messages`");
    let both = r#"{"messages": [], "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required", "grammar": {"json_object": true}}"#;
    refused(both, "leave one out");
    refused(r#"{"prompt": "x", "logprobs": 21}"#, "`logprobs` is 21; give 0 to 20");
    refused(r#"{"prompt": "x", "prompt_logprobs": 21}"#, "`prompt_logprobs` is 21");
    refused(r#"{"prompt": "x", "sampling": {"logit_bias": {"a": 1}}}"#, "not valid");
    refused(r#"{"prompt": "x", "grammar": {"ebnf": "x"}}"#, "`ebnf`");
    refused(r#"{"prompt": "x", "grammar": {"regex": "x", "lark": "x"}}"#, "not valid");
    refused(r#"{"prompt": "x", "grammar": {"json_schema": {"not": {}}}}"#, "`grammar.json_schema` cannot be honoured: `not` at #");
    refused(r#"{"prompt": "x", "stop": [""]}"#, "`stop`");
    refused(&format!(r#"{{"prompt": "x", "stop": ["{}"]}}"#, "y".repeat(MAX_STOP_BYTES + 1)), "513 bytes");
    refused(&format!(r#"{{"prompt": "x", "stop": [{}"a"]}}"#, "\"a\",".repeat(MAX_STOPS)), "17 strings");
    refused(r#"{"prompt": "x", "client": ""}"#, "`client` has 0 bytes");
    refused(r#"{"prompt": "x", "client": "anna", "client_limit": 0}"#, "`client_limit` is 0");
    refused(r#"{"prompt": "x", "client_limit": 1}"#, "of no `client`");
    refused(&format!(r#"{{"prompt": "x", "client": "{}"}}"#, "y".repeat(MAX_CLIENT_BYTES + 1)), "513 bytes");
    refused(r#"{"prompt": "x", "speculation": 4}"#, "not valid");
    refused(&format!(r#"{{"prompt": "{}"}}"#, "y".repeat(MAX_BYTES)), "at most 16777216");
}
