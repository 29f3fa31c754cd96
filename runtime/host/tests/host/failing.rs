//! What goes wrong, and what the client and the operator then get.

use std::time::Duration;

use crate::{
    client::is_complete,
    guests::{COMPONENT, MODULE, file, importing, probe},
    house::{House, Plan},
};

/// The host lives on.
async fn lives(house: &House) {
    assert_eq!(house.get("/hello").await, (200, "hello".into()));
}

/// An OpenAI error envelope with this code.
fn assert_envelope((status, body): &(u16, String), expected: u16, code: &str) {
    assert_eq!(*status, expected, "{body}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["error"]["code"], code, "{body}");
    assert_eq!(body["error"]["type"], "server_error", "{body}");
}

#[tokio::test]
async fn a_trap_in_the_middle_of_a_response_is_an_error_for_the_client() {
    let house = Plan::of(probe()).serve().await;
    for then in ["trap", "error"] {
        let mut client = house.client().await;
        client.ask(&format!("/pieces?count=2&then={then}")).await;
        client.wait_for("piece 1").await;
        let response = client.end().await;
        assert!(!is_complete(&response), "{then}: {response}");
    }
    let mut client = house.client().await;
    client.ask("/pieces?count=2").await;
    assert!(is_complete(&client.end().await), "where nothing is wrong the end is proper");
    lives(&house).await;
}

#[tokio::test]
async fn a_guest_that_fails_before_its_response_is_a_500() {
    let house = Plan::of(probe()).serve().await;
    for path in ["/error", "/panic"] {
        let answer = house.get(path).await;
        assert_envelope(&answer, 500, "component_failed");
        assert!(answer.1.contains("'guest'") && !answer.1.contains("own error"), "a name, but nothing of what it said: {}", answer.1);
    }
    lives(&house).await;
}

/// The test's runtime has one thread: the second request is only answered if the spinning guest lets it.
#[tokio::test]
async fn a_guest_that_spins_lets_others_in_and_is_stopped() {
    let house = Plan::of(probe()).options(|options| options.spin_timeout = Duration::from_millis(700)).serve().await;
    let mut spinning = house.client().await;
    spinning.ask("/spin").await;
    let mut streaming = house.client().await;
    streaming.ask("/pieces?count=1&then=spin").await;
    streaming.wait_for("piece 0").await;
    lives(&house).await;
    let response = spinning.end().await;
    assert!(response.starts_with("HTTP/1.1 500") && response.contains("component_failed"), "{response}");
    assert!(!is_complete(&streaming.end().await));
    lives(&house).await;
}

#[tokio::test]
async fn a_request_has_a_time_limit() {
    let house = Plan::of(probe()).options(|options| options.request_timeout = Duration::from_secs(1)).serve().await;
    assert_envelope(&house.get("/never").await, 504, "timeout");
    let mut client = house.client().await;
    client.ask("/pieces?count=1&then=wait").await;
    client.wait_for("piece 0").await;
    assert!(!is_complete(&client.end().await));
    lives(&house).await;
}

#[tokio::test]
async fn what_a_guest_hoards_is_bounded() {
    let house = Plan::of(probe()).options(|options| options.instance_memory = 32 << 20).serve().await;
    for path in ["/grow", "/tensors"] {
        assert_envelope(&house.get(path).await, 500, "component_failed");
        lives(&house).await;
    }
}

#[tokio::test]
async fn a_missing_import_is_named_and_the_other_components_live() {
    let unknown = file("unknown-import", &importing("acme:things/stuff@1.0.0"));
    let house = Plan::of(probe()).and("/broken/...", "broken", &unknown).serve().await;
    let [failure] = &house.failures[..] else { panic!("one failure: {:?}", house.failures) };
    assert!(failure.contains("'broken'") && failure.contains("acme:things/stuff@1.0.0"), "{failure}");
    let answer = house.get("/broken/a").await;
    assert_envelope(&answer, 500, "component_unavailable");
    assert!(answer.1.contains("acme:things/stuff@1.0.0"), "{}", answer.1);
    lives(&house).await;
}

#[tokio::test]
async fn what_is_no_component_is_refused_with_the_cure() {
    let folder = std::env::temp_dir();
    for (path, expected) in [
        (file("module", MODULE), "wasm-tools component new"),
        (file("handlerless", COMPONENT), "wasi:http/handler"),
        (folder.join("no-such-file.wasm"), "build it first"),
        (concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into(), "not a WebAssembly component"),
    ] {
        let (service, _) = Plan::of(&path).service();
        let failure = service.failures().map(ToString::to_string).collect::<String>();
        assert!(failure.contains(expected) && failure.contains("'guest'"), "{failure}");
        assert!(service.is_dead());
    }
}
