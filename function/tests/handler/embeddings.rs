//! `/v1/embeddings` and `/v1/rerank`.

use serde_json::{Value, json};

use crate::world::{Step, World, failure};

const PATH: &str = "/v1/embeddings";

fn vectors(rows: Value) -> World {
    World::new([Step::Say(
        json!({"embeddings": rows, "result": {"usage": {"prompt_tokens": 9}, "timings": {"queue_ms": 0.1, "compute_ms": 10.0}}}),
    )])
}

#[test]
fn an_answer_has_openais_form() {
    let world = vectors(json!([[0.6, 0.8], [0.0, -1.0]]));
    let answer = world.post(PATH, &json!({"model": "other", "input": ["a", "b"], "user": "u"}));
    assert_eq!(
        answer.json(),
        json!({
            "object": "list", "model": "other", "usage": {"prompt_tokens": 9, "total_tokens": 9},
            "data": [
                {"object": "embedding", "index": 0, "embedding": [0.6, 0.8]},
                {"object": "embedding", "index": 1, "embedding": [0.0, -1.0]}
            ]
        })
    );
    assert_eq!(world.request(), json!({"input": ["a", "b"]}));
    assert!(world.dropped());
}

#[test]
fn an_input_is_a_text_or_tokens_or_several() {
    let cases = [
        (json!("a"), json!(["a"])),
        (json!(""), json!([""])),
        (json!([101, 102]), json!([[101, 102]])),
        (json!([[101], "b"]), json!([[101], "b"])),
        (json!(["b", [101]]), json!(["b", [101]])),
    ];
    for (input, asked) in cases {
        let count = asked.as_array().unwrap().len();
        let world = vectors(json!(vec![[1.0, 0.0]; count]));
        assert_eq!(world.post(PATH, &json!({"input": input})).status, 200, "{input}");
        assert_eq!(world.request(), json!({"input": asked}));
    }
}

#[test]
fn base64_is_floats_in_little_endian_order() {
    let answer = vectors(json!([[1.0, -0.5]])).post(PATH, &json!({"input": "a", "encoding_format": "base64"}));
    // 00 00 80 3f, 00 00 00 bf
    assert_eq!(answer.json()["data"][0]["embedding"], "AACAPwAAAL8=");
}

#[test]
fn fewer_dimensions_have_length_1_again() {
    let answer = vectors(json!([[0.3, 0.4, 0.8], [0.0, 0.0, 1.0]])).post(PATH, &json!({"input": ["a", "b"], "dimensions": 2}));
    let document = answer.json();
    let close = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 1e-6;
    let first = &document["data"][0]["embedding"];
    assert!(close(&first[0], 0.6) && close(&first[1], 0.8), "{first}");
    assert_eq!(document["data"][1]["embedding"], json!([0.0, 0.0]));
    let answer = vectors(json!([[0.6, 0.8]])).post(PATH, &json!({"input": "a", "dimensions": 3}));
    assert_eq!((answer.status.as_u16(), answer.error().0), (400, json!("dimensions")));
    assert!(answer.message().contains('2'), "{}", answer.message());
}

#[test]
fn wrong_parameters_are_named() {
    let cases = [
        (json!({}), "input"),
        (json!({"input": []}), "input"),
        (json!({"input": {}}), "input"),
        (json!({"input": ["a", 1]}), "input"),
        (json!({"input": [[]]}), "input[0]"),
        (json!({"input": vec!["a"; 2049]}), "input"),
        (json!({"input": "a", "encoding_format": "int8"}), "encoding_format"),
        (json!({"input": "a", "dimensions": 0}), "dimensions"),
        (json!({"input": "a", "messages": []}), "messages"),
    ];
    for (request, param) in cases {
        let world = World::new([]);
        let answer = world.post(PATH, &request);
        assert_eq!((answer.status.as_u16(), answer.error().0), (400, json!(param)), "{}", answer.text());
        assert_eq!(world.log(), []);
    }
}

#[test]
fn the_models_refusals_are_told() {
    let long = json!({"kind": "context_length", "message": "long", "prompt_tokens": 600, "context_length": 512}).to_string();
    for (path, request, param) in
        [(PATH, json!({"input": "a"}), "input"), ("/v1/rerank", json!({"query": "a", "documents": ["b"]}), "documents")]
    {
        let answer = World::new([Step::Fail(long.clone())]).post(path, &request);
        assert_eq!((answer.status.as_u16(), answer.error().0), (400, json!(param)));
        assert!(answer.message().contains("600") && answer.message().contains("512"));
        let answer = World::new([Step::Fail(failure("invalid_request", "a model that generates"))]).post(path, &request);
        assert_eq!((answer.status.as_u16(), answer.message().as_str()), (400, "a model that generates"));
    }
}

#[test]
fn what_breaks_the_contract_is_the_models_fault() {
    for outputs in [
        json!({}),
        json!({"embeddings": [[1.0]]}),
        json!({"embeddings": [], "result": {"usage": {"prompt_tokens": 9}}}),
        json!({"embeddings": [[1.0], [1.0]], "result": {"usage": {"prompt_tokens": 9}}}),
        json!({"embeddings": "text", "result": {"usage": {"prompt_tokens": 9}}}),
    ] {
        assert_eq!(World::new([Step::Say(outputs.clone())]).post(PATH, &json!({"input": "a"})).status, 500, "{outputs}");
    }
}

#[test]
fn documents_are_ranked_by_their_nearness() {
    let rows = || vectors(json!([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.6, 0.8]]));
    let request = json!({"model": "tiny", "query": "q", "documents": ["far", {"text": "same"}, "near"]});
    for path in ["/v1/rerank", "/rerank", "/v1/reranking", "/reranking"] {
        let world = rows();
        let mut document = world.post(path, &request).json();
        let scores: Vec<_> =
            document["results"].as_array_mut().unwrap().iter_mut().map(|one| one["relevance_score"].take().as_f64().unwrap()).collect();
        assert!((scores[0] - 1.0).abs() < 1e-6 && (scores[1] - 0.6).abs() < 1e-6 && scores[2].abs() < 1e-6, "{scores:?}");
        assert_eq!(
            document,
            json!({
                "object": "list", "model": "tiny", "usage": {"prompt_tokens": 9, "total_tokens": 9},
                "results": ([1, 2, 0].map(|index| json!({"index": index, "relevance_score": null})))
            })
        );
        assert_eq!(world.request(), json!({"input": ["q", "far", "same", "near"]}));
    }
    let mut request = request;
    request["top_n"] = json!(1);
    request["return_documents"] = json!(true);
    let answer = rows().post("/v1/rerank", &request).json();
    assert_eq!(answer["results"], json!([{"index": 1, "relevance_score": 1.0, "document": {"text": "same"}}]));
    for (name, value, param) in [
        ("query", json!(null), "query"),
        ("documents", json!([]), "documents"),
        ("documents", json!([{}]), "documents[0].text"),
        ("documents", json!(vec!["a"; 2048]), "documents"),
        ("top_n", json!(0), "top_n"),
        ("max_chunks", json!(1), "max_chunks"),
    ] {
        let mut wrong = request.clone();
        wrong[name] = value;
        let answer = World::new([]).post("/v1/rerank", &wrong);
        assert_eq!((answer.status.as_u16(), answer.error().0), (400, json!(param)), "{}", answer.text());
    }
}
