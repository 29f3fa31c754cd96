//! What the manifest gives a component, and that it gets no more.

use std::collections::BTreeMap;

use hearth_host::{Output, app::Mount};
use hearth_store::Store;

use crate::{
    guests::{probe, scratch},
    house::Plan,
};

#[tokio::test]
async fn stores_that_the_manifest_names_can_be_opened() {
    let store = Store::in_memory();
    let mut plan = Plan::of(probe()).component(|component| component.key_value_stores = vec!["default".into()]);
    plan.store = Some(store.clone());
    let house = plan.serve().await;
    let (status, body) = house.get("/store").await;
    assert_eq!(status, 200, "{body}");
    assert!(body.starts_with(r#"Some([49]) Some([50]) None true ["a", "b"] Err"#) && body.contains("1024"), "{body}");
    assert_eq!(store.namespace("default").unwrap().get("b").unwrap().as_deref(), Some(&b"2"[..]));
    assert!(house.get("/store-open?label=other").await.1.contains("AccessDenied"));
    assert_eq!(house.get("/store-open?label=default").await.1, "opened");

    // What is under way at once is bounded; the guest lives. Many small writes, for eight end each time the guest is paused: however slow
    // the machine is, it starts more of them than that between two pauses.
    assert_eq!(house.get("/store-flood?count=7&bytes=8000000").await.1, "None");
    let flood = house.get("/store-flood?count=2000&bytes=100000").await.1;
    assert!(flood.contains("await some first"), "{flood}");

    let house = Plan::of(probe()).serve().await;
    assert!(house.get("/store-open?label=default").await.1.contains("AccessDenied"));
}

#[tokio::test]
async fn stores_count_and_swap_as_wasi_has_it() {
    let store = Store::in_memory();
    let labels = vec!["default".to_owned(), "counters".to_owned()];
    let mut plan = Plan::of(probe()).component(|component| component.key_value_stores = labels);
    plan.store = Some(store.clone());
    let house = plan.serve().await;
    for label in ["default", "counters"] {
        let (status, body) = house.get(&format!("/counters?label={label}")).await;
        assert_eq!(status, 200, "{body}");
        assert!(body.starts_with(r#"[40, 42] [52, 50] false Err(Error::Other("the value of key 'm' is no whole number"#), "{body}");
        assert!(body.ends_with(r#"Some([120]) true Some([121]) (1000, ["p0999", "p1000"], None)"#), "{body}");
        assert_eq!(store.namespace(label).unwrap().get("n").unwrap().as_deref(), Some(&b"42"[..]));
    }
    assert!(house.get("/counters?label=other").await.1.contains("AccessDenied"));
}

#[tokio::test]
async fn variables_of_the_component_can_be_read() {
    let mut plan = Plan::of(probe());
    plan.variables.insert("guest".into(), BTreeMap::from([("models".into(), "a,b".into())]));
    let house = plan.serve().await;
    assert_eq!(house.get("/variable?name=models").await.1, r#"Ok("a,b")"#);
    let undefined = house.get("/variable?name=other").await.1;
    assert!(undefined.contains("Undefined") && undefined.contains("[component.guest.variables]"), "{undefined}");
    assert!(house.get("/variable?name=NotAName").await.1.contains("InvalidName"));
}

#[tokio::test]
async fn folders_are_seen_and_not_written_to() {
    let folder = scratch("mount");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("a.txt"), "from the host").unwrap();
    let mount = Mount { source: folder.clone(), destination: "/data".into() };
    let plan = || {
        Plan::of(probe()).component(|component| {
            component.mounts = vec![mount.clone()];
            component.environment = BTreeMap::from([("GREETING".into(), "hi".into())]);
        })
    };
    let house = plan().serve().await;
    assert_eq!(house.get("/file?path=/data/a.txt").await.1, "from the host");
    assert_eq!(house.get("/file?path=/data/../a.txt").await.0, 500);
    assert_eq!(house.get("/write?path=/data/b.txt").await.1, "false");
    assert_eq!(house.get("/environment?name=GREETING").await.1, "hi");
    assert_eq!(house.get("/environment?name=PATH").await.1, "");

    let house = plan().options(|options| options.writable_mounts = true).serve().await;
    assert_eq!(house.get("/write?path=/data/b.txt").await.1, "true");
    assert!(folder.join("b.txt").exists());

    std::fs::remove_dir_all(&folder).unwrap();
    let (service, _) = plan().service();
    assert!(service.failures().any(|failure| failure.to_string().contains("not a folder")));
}

#[tokio::test]
async fn other_hosts_are_refused() {
    let house = Plan::of(probe()).serve().await;
    assert!(house.get("/outbound?url=http://example.invalid/").await.1.contains("HttpRequestDenied"));
}

#[tokio::test]
async fn prints_go_to_files_where_that_is_asked() {
    let folder = scratch("logs");
    let output = Output::Folder { path: folder.clone(), truncate: false };
    let house = Plan::of(probe()).options(|options| options.output = output).serve().await;
    assert_eq!(house.get("/print").await.0, 200);
    assert_eq!(std::fs::read_to_string(folder.join("guest_stdout.txt")).unwrap(), "printed to stdout\n");
    assert_eq!(std::fs::read_to_string(folder.join("guest_stderr.txt")).unwrap(), "printed to stderr\n");
    std::fs::remove_dir_all(folder).unwrap();
}
