//! Paths, methods, the models and the health of the service.

use http::Method;
use serde_json::json;

use crate::world::{Event, Step, World, failure};

#[test]
fn health_follows_the_default_model() {
    for path in ["/health", "/v1/health", "/health/ready"] {
        let answer = World::new([]).get(path);
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, r#"{"status":"ok"}"#));
        let answer = World::new([]).load_error("tiny", failure("loading", "tiny is at 40 %")).get(path);
        assert_eq!(answer.status, 503);
        assert_eq!(answer.text(), r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#);
        assert!(!answer.header("retry-after").is_empty());
        let answer = World::new([]).load_error("tiny", failure("load_failed", "tiny.gguf: wrong hash")).get(path);
        assert_eq!((answer.status.as_u16(), answer.message()), (503, "tiny.gguf: wrong hash".into()));
        // Whatever keeps the default model away, the service is not ready.
        for data in [failure("model_not_found", "no"), failure("internal", "?"), "?".into()] {
            assert_eq!(World::new([]).load_error("tiny", data).get(path).status, 503);
        }
        assert_eq!(World::new([]).load_error("other", failure("load_failed", "?")).get(path).status, 200);
        assert_eq!(World::new([]).setting("models", "").get(path).status, 503);
    }
}

#[test]
fn a_socket_describes_itself_to_who_can_open_it() {
    let answer = World::new([]).get("/v1/chat/ws");
    assert_eq!((answer.status.as_u16(), answer.error().1), (426, json!("upgrade_required")));
    assert_eq!(answer.json()["websocket"], json!({"post": "/v1/chat/completions", "history": "messages", "delta": "/choices/0/delta"}));
}

#[test]
fn a_chat_while_the_model_loads_may_come_again() {
    let answer = World::new([]).load_error("tiny", failure("loading", "tiny is at 40 %")).chat(&crate::world::hello(json!({})));
    assert_eq!((answer.status.as_u16(), answer.message().as_str()), (503, "Loading model"));
    assert!(!answer.header("retry-after").is_empty());
}

#[test]
fn models_are_listed_once_each_the_default_first() {
    let document = World::new([]).get("/v1/models").json();
    assert_eq!(document["object"], "list");
    let ids: Vec<_> = document["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["tiny", "other"]);
    for model in document["data"].as_array().unwrap() {
        assert_eq!((&model["object"], model["created"].is_u64(), model["owned_by"].is_string()), (&json!("model"), true, true));
        assert_eq!((&model["type"], &model["display_name"]), (&json!("model"), &model["id"]));
        assert!(model["created_at"].as_str().is_some_and(|time| time.len() == 20 && time.ends_with('Z')), "{model}");
    }
    assert_eq!((&document["first_id"], &document["last_id"], &document["has_more"]), (&json!("tiny"), &json!("other"), &json!(false)));
    assert_eq!(World::new([]).setting("models", "").get("/v1/models").json()["data"], json!([]));
    // The default, which is loaded in any case, tells of itself. Listing the others loads none of them.
    let world = World::new([]);
    let document = world.get("/v1/models").json();
    assert_eq!((&document["data"][0]["meta"]["context_length"], &document["data"][0]["max_model_len"]), (&json!(2048), &json!(2048)));
    assert_eq!((document["data"][1].get("meta"), document["data"][1].get("max_model_len")), (None, None));
    assert!(!world.log().contains(&Event::Loaded("other".into())));
    let absent = World::new([]).load_error("tiny", failure("loading", "?")).get("/v1/models");
    assert_eq!((absent.status.as_u16(), absent.json()["data"][0].get("meta")), (200, None));
}

#[test]
fn llama_cpps_shorter_paths_lead_to_the_same() {
    assert_eq!(World::new([]).get("/models").json(), World::new([]).get("/v1/models").json());
    let answer = World::new([Step::End("Paris.", "stop")]).post("/chat/completions", &crate::world::hello(json!({})));
    assert_eq!((answer.status.as_u16(), &answer.json()["choices"][0]["message"]["content"]), (200, &json!("Paris.")));
    // Its models have no paths of their own.
    assert_eq!(World::new([]).get("/models/tiny").status, 404);
}

#[test]
fn a_model_is_found_by_its_name() {
    assert_eq!(World::new([]).get("/v1/models/other").json()["id"], "other");
    let answer = World::new([]).get("/v1/models/other").json();
    assert_eq!((&answer["meta"], &answer["max_model_len"]), (&crate::world::description(), &json!(2048)));
    // One that cannot be asked is there still.
    let absent = World::new([]).load_error("other", failure("loading", "?")).get("/v1/models/other");
    assert_eq!((absent.status.as_u16(), absent.json().get("meta")), (200, None));
    let slashed = World::new([]).setting("models", "org/näme");
    for path in ["/v1/models/org/n%C3%A4me", "/v1/models/org%2Fn%c3%a4me"] {
        assert_eq!(slashed.get(path).json()["id"], "org/näme", "{path}");
    }
    let answer = World::new([]).get("/v1/models/none");
    assert_eq!((answer.status.as_u16(), answer.error()), (404, (json!("model"), json!("model_not_found"))));
    for path in ["/v1/models/", "/v1/models/%", "/v1/models/%zz", "/v1/models/%ff", "/v1/models/%+1"] {
        assert_eq!(World::new([]).get(path).status, 404, "{path}");
    }
}

#[test]
fn what_is_not_there_is_404_in_the_envelope() {
    for path in [
        "/v1",
        "/v1/chat/completions/",
        "/v1/chat",
        "/healthz",
        "//",
        "/page.js",
        "/index.html",
        "/docs/",
        "/tokenize/",
        "/v1/tokenize",
        "/V1/models",
    ] {
        let answer = World::new([]).get(path);
        assert_eq!((answer.status.as_u16(), answer.error()), (404, (json!(null), json!("unknown_url"))), "{path}");
    }
    assert_eq!(World::new([]).get("/health?verbose=1").status, 200);
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let cases =
        [("/v1/chat/completions", "GET", "POST"), ("/v1/chat/completions", "HEAD", "POST"), ("/v1/chat/completions", "OPTIONS", "POST")];
    let gets = ["/", "/docs", "/docs.js", "/openapi.json", "/health", "/v1/health", "/v1/models", "/v1/models/tiny"]
        .map(|path| (path, "POST", "GET, HEAD"));
    for (path, method, allow) in cases.into_iter().chain(gets).chain([("/health", "BREW", "GET, HEAD")]) {
        let answer = World::new([]).send(Method::from_bytes(method.as_bytes()).unwrap(), path, "");
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, allow), "{method} {path}");
        assert_eq!(answer.error().1, "method_not_allowed");
    }
}

#[test]
fn head_answers_as_get_does() {
    for path in ["/", "/docs", "/docs.css", "/openapi.json", "/health", "/v1/health", "/v1/models", "/v1/models/tiny"] {
        let (get, head) = (World::new([]).get(path), World::new([]).send(Method::HEAD, path, ""));
        assert_eq!((head.status, &head.headers), (get.status, &get.headers), "{path}");
        assert_eq!(get.header("content-length"), get.text().len().to_string(), "{path}");
        assert_eq!(get.header("x-content-type-options"), "nosniff");
    }
}

#[test]
fn a_world_without_settings_answers_still() {
    let world = World::new([Step::End("", "stop")]).setting("models", "");
    assert_eq!(world.get("/v1/models/any").status, 404);
    assert_eq!(world.get("/").status, 200);
}
