//! wasi-nn as a guest sees it. Tests that need a real model are skipped where none was fetched, and fail then in CI.

use std::{path::PathBuf, time::Duration};

use crate::{guests::probe, house::Plan};

/// The model that `cargo xtask test` fetches.
fn model() -> Option<PathBuf> {
    let folder = std::env::var_os("HEARTH_TEST_DATA")
        .map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/test-data").into(), PathBuf::from);
    let path = folder.join("smollm2.gguf");
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing in CI", path.display());
    eprintln!("SKIPPED: {} is missing; `cargo xtask test` fetches it", path.display());
    None
}

#[tokio::test]
async fn tensors_keep_what_they_were_made_of() {
    let house = Plan::of(probe()).serve().await;
    assert_eq!(house.get("/tensor").await.1, "[2, 1] TensorType::Bf16 [1, 2, 3, 4]");
}

#[tokio::test]
async fn errors_carry_the_standard_code_and_the_kind() {
    let house = Plan::of(probe()).serve().await;
    for (path, code, kind) in [
        ("/graph?name=nobody", "NotFound", "model_not_found"),
        ("/load?encoding=onnx", "InvalidEncoding", "unsupported_encoding"),
        ("/load?encoding=ggml&parts=2", "InvalidArgument", "invalid_request"),
        ("/load?encoding=autodetect", "InvalidEncoding", "unsupported_encoding"),
        ("/load?encoding=ggml&bytes=1048577", "TooLarge", "model_too_large"),
    ] {
        let (status, body) = house.get(path).await;
        let (said, data) = body.split_once(' ').unwrap_or_else(|| panic!("{path}: {status} {body}"));
        assert_eq!((status, said), (200, format!("ErrorCode::{code}").as_str()), "{path}: {body}");
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["kind"], kind, "{path}");
        assert!(data["message"].as_str().is_some_and(|message| !message.is_empty()), "{path}: {data}");
    }
    // More than a guest may hand over in one call is a trap, not a growth of the host.
    assert_eq!(house.get("/load?encoding=ggml&bytes=16000000").await.0, 500);
}

#[tokio::test]
async fn a_generation_streams_and_its_end_or_its_clients_end_frees_it() {
    let Some(model) = model() else { return };
    let house = Plan::of(probe()).options(|options| options.instances = 1).serve().await;
    house.engine.add_model("real", model, None);
    house.engine.ready("real").await.unwrap();

    let (status, body) = house.get("/generate?name=real&tokens=6").await;
    let tokens: usize = body.lines().map(|line| line.parse::<usize>().unwrap()).sum();
    assert_eq!((status, tokens), (200, 6), "{body}");
    let (_, body) = house.get_when_free("/compute?name=real&input=nonsense").await;
    assert!(body.starts_with("ErrorCode::InvalidArgument"), "{body}");
    assert_eq!(house.get_when_free("/served").await.1, "1");

    // A context that a guest forgets goes with its instance, which is not used again.
    assert_eq!(house.get_when_free("/generate?name=real&tokens=2&leak=1").await.0, 200);
    assert_eq!(house.get_when_free("/served").await.1, "1", "a fresh instance");

    // Far more tokens than there is patience for: the first line is there while the rest is still to come, and does not come once the client is gone.
    let before = house.engine.stats().generated_tokens;
    let asked = 1900;
    let mut client = house.open_when_free(&format!("/generate?name=real&tokens={asked}")).await;
    client.wait_for("1\n").await;
    drop(client);
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while house.engine.stats().running > 0 {
        assert!(std::time::Instant::now() < deadline, "the sequence goes on without its client");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(house.engine.stats().generated_tokens - before < asked, "it was stopped, not finished");
    assert_eq!(house.get_when_free("/hello").await.0, 200);
}
