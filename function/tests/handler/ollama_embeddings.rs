//! `/api/embed` and `/api/embeddings`.

use serde_json::{Value, json};

use crate::world::{Event, Step, World, failure};

const EMBED: &str = "/api/embed";
const EMBEDDINGS: &str = "/api/embeddings";

fn vectors(rows: Value) -> World {
    World::new([Step::Say(
        json!({"embeddings": rows, "result": {"usage": {"prompt_tokens": 9}, "timings": {"queue_ms": 0.5, "compute_ms": 10.0}}}),
    )])
}

#[test]
fn texts_are_vectors() {
    for (input, asked) in [(json!(["a", "b"]), json!(["a", "b"])), (json!("a"), json!(["a"])), (json!(""), json!([""]))] {
        let rows = json!(vec![[0.5, -0.25]; asked.as_array().unwrap().len()]);
        let world = vectors(rows.clone());
        let answer = world.post(EMBED, &json!({"model": "other:latest", "input": input, "options": {"num_ctx": 1}, "keep_alive": "5m"}));
        let expected = json!({"model": "other:latest", "embeddings": rows, "total_duration": 10_500_000, "load_duration": 500_000, "prompt_eval_count": 9});
        assert_eq!(answer.json(), expected);
        assert_eq!(world.request(), json!({"input": asked, "truncate": true}));
    }
    let world = vectors(json!([[1.0, 0.0]]));
    world.post(EMBED, &json!({"input": "a", "truncate": false}));
    assert_eq!(world.request(), json!({"input": ["a"]}));
}

#[test]
fn fewer_dimensions_have_length_1_again() {
    let answer = vectors(json!([[0.0, 0.5, 0.8]])).post(EMBED, &json!({"input": "a", "dimensions": 2}));
    assert_eq!(answer.json()["embeddings"], json!([[0.0, 1.0]]));
    let answer = vectors(json!([[0.6, 0.8]])).post(EMBED, &json!({"input": "a", "dimensions": 3}));
    assert_eq!(answer.status, 400);
    assert!(answer.ollama_error().contains("dimensions"));
}

#[test]
fn the_older_form_is_one_vector() {
    let world = vectors(json!([[0.5, -0.25]]));
    assert_eq!(world.post(EMBEDDINGS, &json!({"model": "tiny", "prompt": "a"})).json(), json!({"embedding": [0.5, -0.25]}));
    assert_eq!(world.request(), json!({"input": ["a"], "truncate": true}));
}

#[test]
fn without_a_text_the_model_is_loaded() {
    let world = World::new([]);
    let answer = world.post(EMBED, &json!({"model": "other", "input": []})).json();
    assert_eq!((&answer["model"], &answer["embeddings"]), (&json!("other"), &json!([])));
    assert_eq!(world.log(), [Event::Loaded("other".into())]);
    for request in [json!({}), json!({"prompt": ""})] {
        assert_eq!(World::new([]).post(EMBEDDINGS, &request).json(), json!({"embedding": []}));
    }
}

#[test]
fn what_cannot_be_embedded_is_refused() {
    for (path, request, param) in [
        (EMBED, json!({"input": 1}), "input"),
        (EMBED, json!({"input": [[1, 2]]}), "input[0]"),
        (EMBED, json!({"input": vec!["a"; 2049]}), "input"),
        (EMBED, json!({"input": "a", "dimensions": 0}), "dimensions"),
        (EMBED, json!({"prompt": "a"}), "prompt"),
        (EMBEDDINGS, json!({"prompt": ["a"]}), "prompt"),
        (EMBEDDINGS, json!({"input": "a"}), "input"),
    ] {
        let answer = World::new([]).post(path, &request);
        assert_eq!(answer.status, 400, "{request}");
        assert!(answer.ollama_error().contains(param), "{}", answer.ollama_error());
    }
    let answer = World::new([Step::Fail(failure("invalid_request", "a model that generates"))]).post(EMBED, &json!({"input": "a"}));
    assert_eq!((answer.status.as_u16(), answer.ollama_error().as_str()), (400, "a model that generates"));
}
