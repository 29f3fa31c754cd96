//! Requests that go well: streaming, reuse, routes, both versions of WASI, and clients that go away.

use crate::{
    client::is_complete,
    guests::{older, probe, scratch},
    house::Plan,
};

#[tokio::test]
async fn pieces_leave_as_they_are_made() {
    let house = Plan::of(probe()).serve().await;
    let mut client = house.client().await;
    // The guest never ends this response: what arrives has not waited for the end.
    client.ask("/pieces?count=2&then=wait").await;
    client.wait_for("piece 1").await;
}

#[tokio::test]
async fn a_body_streams_through_a_guest_in_both_directions() {
    let house = Plan::of(probe()).serve().await;
    let mut client = house.client().await;
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
    client.wait_for("first").await;
    client.send("6\r\nsecond\r\n").await;
    client.wait_for("second").await;
    client.send("0\r\n\r\n").await;
    assert!(is_complete(&client.end().await));
}

#[tokio::test]
async fn instances_are_reused_one_request_after_the_other() {
    let house = Plan::of(probe()).options(|options| options.instances = 1).serve().await;
    assert_eq!(house.get_when_free("/served").await, (200, "1".into()));
    assert_eq!(house.get_when_free("/served").await, (200, "2".into()));
}

#[tokio::test]
async fn requests_at_once_have_an_instance_each() {
    let house = Plan::of(probe()).serve().await;
    let mut held = house.client().await;
    held.ask("/pieces?count=1&then=wait").await;
    held.wait_for("piece 0").await;
    assert_eq!(house.get("/served").await, (200, "1".into()));
}

/// A server drops a body when it has all bytes of its length, and that of an answer to HEAD at once: the guest is not stopped by that.
#[tokio::test]
async fn a_complete_response_is_no_cancellation() {
    let house = Plan::of(probe()).options(|options| options.instances = 1).serve().await;
    let mut client = house.client().await;
    client.send("HEAD /served HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").await;
    assert!(client.end().await.starts_with("HTTP/1.1 200"));
    assert_eq!(house.get_when_free("/served").await, (200, "2".into()), "the instance was kept");
    assert_eq!(house.get_when_free("/length").await, (200, "piece 0\n".into()));
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(house.get("/hello").await.0, 503, "the guest still works after its response");
}

#[tokio::test]
async fn a_client_that_goes_away_frees_its_instance() {
    let house = Plan::of(probe()).options(|options| options.instances = 1).serve().await;
    // The first never begins its answer: there is nothing to wait for but the others' refusal.
    for path in ["/never", "/pieces?count=1&then=wait", "/pieces?count=1&then=spin"] {
        let client = if path == "/never" {
            let mut client = house.client().await;
            client.ask(path).await;
            client
        } else {
            let mut client = house.open_when_free(path).await;
            client.wait_for("piece 0").await;
            client
        };
        let busy = loop {
            let (status, body) = house.get("/hello").await;
            if status == 503 {
                break body;
            }
        };
        assert!(busy.contains("\"overloaded\""), "{busy}");
        drop(client);
        assert_eq!(house.get_when_free("/hello").await, (200, "hello".into()), "after {path}");
    }
}

#[tokio::test]
async fn components_of_wasi_0_2_are_served() {
    let house = Plan::of(older()).serve().await;
    assert_eq!(house.get("/path?query").await, (200, "piece 0\n/path?query".into()));
    assert_eq!(house.get("/trap").await.0, 500);
    let mut client = house.client().await;
    client.ask("/endless").await;
    client.wait_for("more").await;
    drop(client);
    let mut client = house.client().await;
    client.ask("/trap-mid").await;
    assert!(!is_complete(&client.end().await));
}

#[tokio::test]
async fn routes_choose_the_component() {
    let house = Plan::of(probe()).and("/old/...", "old", older()).serve().await;
    assert_eq!(house.get("/hello").await.1, "hello");
    assert_eq!(house.get("/old/x").await.1, "piece 0\n/old/x");

    let mut plan = Plan::of(probe());
    plan.app.triggers[0].route = "/hello".into();
    let house = plan.serve().await;
    assert_eq!(house.get("/hello").await.0, 200);
    let (status, body) = house.get("/other").await;
    assert_eq!(status, 404);
    let error: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(error["error"]["code"], "not_found");
}

#[tokio::test]
async fn a_guest_sees_where_the_request_went() {
    let house = Plan::of(probe()).serve().await;
    assert_eq!(house.get("/uri?a=b").await.1, "http://test/uri?a=b");
    let mut client = house.client().await;
    client.send("GET /uri HTTP/1.0\r\n\r\n").await;
    assert!(client.end().await.ends_with("http://localhost/uri"));
}

#[tokio::test]
async fn a_compiled_component_is_kept_and_used() {
    let folder = scratch("cache");
    let cached = |options: &mut hearth_host::GuestOptions| options.cache = Some(folder.clone());
    let count = || std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(Plan::of(older()).options(cached).serve().await.get("/a").await.0, 200);
    assert_eq!(count(), 1);
    let path = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let made = std::fs::metadata(&path).unwrap().modified().unwrap();
    assert_eq!(Plan::of(older()).options(cached).serve().await.get("/a").await.0, 200);
    assert_eq!((count(), std::fs::metadata(&path).unwrap().modified().unwrap()), (1, made), "not written again");
    // Other settings make other code.
    let pooled = |options: &mut hearth_host::GuestOptions| options.cache = Some(folder.clone());
    let plan = Plan::of(older()).options(pooled).options(|options| options.pooling = false);
    assert_eq!(plan.serve().await.get("/a").await.0, 200);
    std::fs::remove_dir_all(folder).unwrap();
}
