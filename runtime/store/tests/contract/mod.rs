//! What every store does, wherever its records are.

use hearth_store::{Store, StoreError};

pub(crate) fn check(store: &Store) {
    values(store);
    labels(store);
    listing(store);
    numbers(store, "default");
    numbers(store, "counters");
    swapping(store);
    contention(store);
}

fn values(store: &Store) {
    let space = store.namespace("values").unwrap();
    assert_eq!(space.get("a").unwrap(), None);
    space.set("a", b"1").unwrap();
    space.set("a", &[0, 255, 10]).unwrap();
    assert_eq!(space.get("a").unwrap().as_deref(), Some(&[0, 255, 10][..]));
    assert!(space.exists("a").unwrap() && !space.exists("b").unwrap());
    space.delete("a").unwrap();
    space.delete("never was").unwrap();
    assert!(!space.exists("a").unwrap());
}

fn labels(store: &Store) {
    let [one, two, between, slash] = ["a", "b", "a\u{1}", "a/k"].map(|label| store.namespace(label).unwrap());
    one.set("k/z", b"one").unwrap();
    two.set("k/z", b"two").unwrap();
    between.set("z", b"between").unwrap();
    slash.set("z", b"slash").unwrap();
    assert_eq!(one.get("k/z").unwrap().as_deref(), Some(&b"one"[..]));
    assert_eq!(one.keys().unwrap(), ["k/z"]);
    assert_eq!(between.keys().unwrap(), ["z"]);
    assert_eq!(store.namespace("c").unwrap().keys().unwrap(), Vec::<String>::new());
}

fn listing(store: &Store) {
    let space = store.namespace("listing").unwrap();
    for key in ["x", "x/2", "x/1", "x0", "w/9", "y", "x/é", "x/\u{10ffff}"] {
        space.set(key, b"").unwrap();
    }
    assert_eq!(space.keys_with("x/").unwrap(), ["x/1", "x/2", "x/é", "x/\u{10ffff}"]);
    assert_eq!(space.keys_with("x").unwrap(), ["x", "x/1", "x/2", "x/é", "x/\u{10ffff}", "x0"]);
    assert_eq!(space.keys_with("z").unwrap(), Vec::<String>::new());
    space.delete("x/1").unwrap();
    assert_eq!(space.keys().unwrap(), ["w/9", "x", "x/2", "x/é", "x/\u{10ffff}", "x0", "y"]);
}

fn numbers(store: &Store, label: &str) {
    let space = store.namespace(label).unwrap();
    assert_eq!(space.increment("n", 5).unwrap(), 5);
    assert_eq!(space.increment("n", -7).unwrap(), -2);
    assert_eq!(space.get("n").unwrap().as_deref(), Some(&b"-2"[..]));
    space.set("text", b"x").unwrap();
    assert!(matches!(space.increment("text", 1), Err(StoreError::Number(key)) if key == "text"));
    assert_eq!(space.increment("large", i64::MAX).unwrap(), i64::MAX);
    assert!(matches!(space.increment("large", 1), Err(StoreError::Overflow(key)) if key == "large"));
    assert_eq!(space.get("large").unwrap().unwrap(), i64::MAX.to_string().as_bytes());
}

fn swapping(store: &Store) {
    let space = store.namespace("swapping").unwrap();
    assert!(!space.replace("a", Some(b""), b"x").unwrap());
    assert!(space.set_if_absent("a", b"1").unwrap());
    assert!(!space.set_if_absent("a", b"2").unwrap());
    assert!(space.replace("a", Some(b"1"), b"3").unwrap());
    assert!(!space.replace("a", Some(b"1"), b"4").unwrap());
    assert_eq!(space.get("a").unwrap().as_deref(), Some(&b"3"[..]));
    assert_eq!(space.keys().unwrap(), ["a"]);
}

/// One of many wins, and no addition is lost.
fn contention(store: &Store) {
    let space = store.namespace("contention").unwrap();
    let won: Vec<bool> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8_u8)
            .map(|at| {
                let space = &space;
                scope.spawn(move || {
                    for _ in 0..10 {
                        space.increment("n", 1).unwrap();
                    }
                    space.set_if_absent("one", &[at]).unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    assert_eq!(space.get("n").unwrap().as_deref(), Some(&b"80"[..]));
}
