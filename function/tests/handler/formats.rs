//! What an answer's text is held to, and the template's variables that fields stand for.

use serde_json::json;

use crate::world::{Step, World, failure, hello};

#[test]
fn every_way_to_say_a_format_reaches_the_model() {
    let schema = json!({"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "integer"}}});
    let cases = [
        (json!({"response_format": {"type": "text"}}), json!(null)),
        (json!({"response_format": {"type": "json_object"}}), json!({"json_object": true})),
        (json!({"response_format": {"type": "json_object", "schema": schema}}), json!({"json_schema": schema})),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": schema}}}),
            json!({"json_schema": schema}),
        ),
        (json!({"json_schema": schema}), json!({"json_schema": schema})),
        (json!({"guided_json": schema}), json!({"json_schema": schema})),
        (json!({"grammar": "start: \"a\""}), json!({"lark": "start: \"a\""})),
        (json!({"grammar": "", "regex": ""}), json!(null)),
        (json!({"regex": "a+"}), json!({"regex": "a+"})),
        (json!({"guided_regex": "a+"}), json!({"regex": "a+"})),
    ];
    for (more, grammar) in cases {
        let world = World::new([Step::End("", "stop")]);
        let answer = world.chat(&hello(more.clone()));
        assert_eq!(answer.status, 200, "{more}: {}", answer.text());
        // The text, not only the value: the order of a schema's properties is that of the answer's.
        assert_eq!(world.request()["grammar"].to_string(), grammar.to_string(), "{more}");
    }
}

#[test]
fn wrong_formats_are_refused_by_name() {
    let cases = [
        (json!({"response_format": "json"}), "response_format"),
        (json!({"response_format": {}}), "response_format.type"),
        (json!({"response_format": {"type": "xml"}}), "response_format.type"),
        (json!({"response_format": {"type": "json_schema"}}), "response_format.json_schema"),
        (json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}), "response_format.json_schema.schema"),
        (json!({"response_format": {"type": "json_schema", "json_schema": {"schema": []}}}), "response_format.json_schema.schema"),
        (json!({"json_schema": "{}"}), "json_schema"),
        (json!({"grammar": {}}), "grammar"),
        (json!({"regex": "a", "grammar": "start: \"a\""}), "regex"),
        (json!({"response_format": {"type": "json_object"}, "guided_regex": "a"}), "guided_regex"),
        (json!({"reasoning_effort": "most"}), "reasoning_effort"),
        (json!({"enable_thinking": "yes"}), "enable_thinking"),
    ];
    for (more, param) in cases {
        let answer = World::new([]).chat(&hello(more.clone()));
        assert_eq!((answer.status.as_u16(), answer.error().0), (400, json!(param)), "{more}: {}", answer.text());
        assert!(answer.message().contains(param), "{}", answer.message());
    }
}

#[test]
fn what_the_model_cannot_be_held_to_is_the_clients_to_change() {
    let data =
        json!({"kind": "invalid_request", "message": "`$ref` to another document, at /properties/a", "param": "grammar"}).to_string();
    for (more, param) in [
        (json!({"response_format": {"type": "json_schema", "json_schema": {"schema": {"$ref": "http://x"}}}}), "response_format"),
        (json!({"guided_regex": "("}), "guided_regex"),
    ] {
        let answer = World::new([Step::Fail(data.clone())]).chat(&hello(more));
        assert_eq!((answer.status.as_u16(), answer.error()), (400, (json!(param), json!("invalid_request"))));
        assert_eq!(answer.message(), "`$ref` to another document, at /properties/a");
    }
    let answer = World::new([Step::Fail(failure("invalid_request", "no"))]).chat(&hello(json!({})));
    assert_eq!(answer.error().0, json!(null));
}

#[test]
fn thinking_is_asked_for_by_the_templates_variables() {
    let cases = [
        (json!({}), json!(null)),
        (json!({"reasoning_effort": "none"}), json!({"enable_thinking": false, "thinking": false})),
        (json!({"reasoning_effort": "high"}), json!({"enable_thinking": true, "thinking": true, "reasoning_effort": "high"})),
        (json!({"enable_thinking": false}), json!({"enable_thinking": false, "thinking": false})),
        (
            json!({"reasoning_effort": "low", "enable_thinking": false, "chat_template_kwargs": {"thinking": true, "x": [1]}}),
            json!({"enable_thinking": false, "thinking": true, "reasoning_effort": "low", "x": [1]}),
        ),
    ];
    for (more, template) in cases {
        let world = World::new([Step::End("", "stop")]);
        assert_eq!(world.chat(&hello(more.clone())).status, 200);
        assert_eq!(world.request()["template"], template, "{more}");
    }
}
