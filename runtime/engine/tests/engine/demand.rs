//! Models that are loaded on demand: when they are, who waits, when they go, and what happens after a load that failed.

use std::{fs, path::PathBuf, time::Duration};

use hearth_engine::{DeviceChoice, Engine, EngineOptions, ErrorKind};
use serde_json::json;

use crate::{
    client::{generate, wait_for},
    real::model,
};

fn options(unload_after: Duration) -> EngineOptions {
    EngineOptions { device: DeviceChoice::Cpu, context: 512, sequences: 2, unload_after, ..EngineOptions::default() }
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hearth-demand-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn a_model_comes_with_its_first_user_and_goes_some_time_after_its_last() {
    let Some(path) = model() else { return };
    let engine = Engine::start(options(Duration::from_millis(400))).unwrap();
    engine.offer_model("smollm2", path, None);
    assert_eq!((engine.stats().blocks_total, engine.models()), (0, vec!["smollm2".to_owned()]), "known, not loaded");
    let (first, second) = tokio::join!(engine.load_by_name("smollm2"), engine.load_by_name("smollm2"));
    let (first, second) = (first.unwrap(), second.unwrap());
    let request = json!({"prompt": "One, two,", "max_tokens": 4, "sampling": {"temperature": 0}});
    let answer = generate(&first, &request).await.text;
    let blocks = engine.stats().blocks_total;
    drop(first);
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(generate(&second, &request).await.text, answer);
    assert_eq!(engine.stats().blocks_total, blocks, "loaded once, and kept for who holds it");
    drop(second);
    wait_for(&engine, |stats| stats.blocks_total == 0);
    let again = engine.load_by_name("smollm2").await.unwrap();
    assert_eq!(generate(&again, &request).await.text, answer);
}

#[tokio::test]
async fn a_load_that_failed_is_tried_again_after_a_while() {
    let Some(path) = model() else { return };
    let folder = Folder::new("late");
    let late = folder.0.join("late.gguf");
    let engine = Engine::start(options(Duration::ZERO)).unwrap();
    engine.offer_model("late", late.clone(), None);
    let refused = engine.load_by_name("late").await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::LoadFailed);
    fs::copy(path, &late).unwrap();
    let refused = engine.load_by_name("late").await.unwrap_err();
    assert!(
        refused.message.contains("does not exist") && refused.message.contains("tried again in 2 s"),
        "not at once: {}",
        refused.message
    );
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert!(engine.load_by_name("late").await.is_ok());
}

#[tokio::test]
async fn who_is_not_used_makes_room_for_another() {
    let Some(path) = model() else { return };
    let folder = Folder::new("huge");
    let huge = folder.0.join("huge.gguf");
    // Its length alone, and nothing on the disk.
    fs::File::create(&huge).unwrap().set_len(1 << 43).unwrap();
    let engine = Engine::start(options(Duration::ZERO)).unwrap();
    engine.add_model("stays", path.clone(), None);
    engine.ready("stays").await.unwrap();
    wait_for(&engine, |stats| stats.blocks_total > 0);
    let alone = engine.stats().blocks_total;
    engine.offer_model("used", path.clone(), None);
    engine.offer_model("idle", path, None);
    let used = engine.load_by_name("used").await.unwrap();
    engine.load_by_name("idle").await.unwrap();
    wait_for(&engine, |stats| stats.blocks_total > 2 * alone);
    engine.offer_model("huge", huge, None);
    let refused = engine.load_by_name("huge").await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::OutOfMemory);
    assert!(refused.message.contains("8192.0 GiB"), "{}", refused.message);
    wait_for(&engine, |stats| stats.blocks_total <= 2 * alone);
    assert_eq!(engine.stats().blocks_total, 2 * alone, "the first and the one in use are still there");
    assert_eq!(generate(&used, &json!({"prompt": "One", "max_tokens": 1})).await.tokens.len(), 1);
}
