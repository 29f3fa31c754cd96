//! `/api/tags`, `/api/ps`, `/api/show` and `/api/version`.

use serde_json::{Value, json};

use crate::world::{Event, World, failure};

#[test]
fn models_are_listed_with_their_tags() {
    for path in ["/api/tags", "/api/ps"] {
        let world = World::new([]).setting("models", "tiny, org/other:7b, tiny");
        let document = world.get(path).json();
        let models = document["models"].as_array().unwrap();
        let names: Vec<_> = models.iter().map(|model| model["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["tiny:latest", "org/other:7b"]);
        let digests: Vec<_> = models.iter().map(|model| model["digest"].as_str().unwrap()).collect();
        assert!(
            digests.iter().all(|digest| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
                && digests[0] != digests[1]
        );
        for model in models {
            assert_eq!(model["model"], model["name"]);
            assert!(model["size"].is_u64() && model["details"]["families"].is_array());
            assert!(model[if path == "/api/ps" { "expires_at" } else { "modified_at" }].as_str().unwrap().ends_with('Z'));
        }
        assert_eq!(world.get(path).json()["models"][1]["digest"], digests[1]);
        // Listing them loads none.
        assert_eq!(world.log(), []);
        assert_eq!(World::new([]).setting("models", "").get(path).json(), json!({"models": []}));
    }
}

#[test]
fn a_model_tells_of_itself() {
    for request in [json!({"model": "other:latest"}), json!({"name": "other", "verbose": true})] {
        let world = World::new([]);
        let mut document = world.post("/api/show", &request).json();
        assert_eq!(world.log()[0], Event::Loaded("other".into()));
        assert!(document["modified_at"].take().is_string());
        let wanted = request["model"].as_str().unwrap_or("other");
        assert_eq!(
            document,
            json!({
                "modelfile": format!("FROM {wanted}\n"), "parameters": "", "template": "{{ messages }}", "modified_at": null,
                "details": {
                    "parent_model": "", "format": "", "family": "llama", "families": ["llama"], "parameter_size": "134.52M", "quantization_level": "Q4_1"
                },
                "model_info": {
                    "general.architecture": "llama", "general.parameter_count": 134_515_008, "llama.context_length": 2048, "llama.embedding_length": 576,
                    "llama.vocab_size": 49_152
                },
                "capabilities": ["completion", "tools", "thinking"]
            })
        );
    }
}

#[test]
fn a_model_tells_what_it_can() {
    let shown = |description: Value| World::new([]).describes(description).post("/api/show", &json!({})).json();
    let embeds =
        shown(json!({"purpose": "embed", "architecture": "bert", "parameters": 22_713_728, "tool_format": null, "chat_template": null}));
    assert_eq!(
        (&embeds["capabilities"], &embeds["template"], &embeds["details"]["parameter_size"]),
        (&json!(["embedding"]), &json!(""), &json!("22.71M"))
    );
    let plain = shown(
        json!({"purpose": "generate", "architecture": "gpt2", "parameters": 8_030_261_248_u64, "tool_format": null, "reasoning": false}),
    );
    assert_eq!((&plain["capabilities"], &plain["details"]["parameter_size"]), (&json!(["completion"]), &json!("8.0B")));
    assert_eq!(plain["model_info"], json!({"general.architecture": "gpt2", "general.parameter_count": 8_030_261_248_u64}));
}

#[test]
fn a_model_that_is_not_there_is_told() {
    let answer = World::new([]).post("/api/show", &json!({"model": "none"}));
    assert_eq!(answer.status, 404);
    assert!(answer.ollama_error().contains("'none'"));
    let answer = World::new([]).load_error("tiny", failure("loading", "?")).post("/api/show", &json!({}));
    assert_eq!((answer.status.as_u16(), answer.ollama_error().as_str()), (503, "Loading model"));
    for request in [json!([]), json!("a"), json!({"model": 1}), json!({"name": 1}), json!({"other": 1})] {
        assert_eq!(World::new([]).post("/api/show", &request).status, 400, "{request}");
    }
}

#[test]
fn the_version_is_one_of_ollamas() {
    let document = World::new([]).get("/api/version").json();
    let parts: Vec<u32> = document["version"].as_str().unwrap().split('.').map(|part| part.parse().unwrap()).collect();
    // Clients ask for what came with these: tools in streams, thinking, structured outputs.
    assert!(parts >= vec![0, 9, 0], "{document}");
    assert_eq!(document.as_object().unwrap().len(), 1);
}
