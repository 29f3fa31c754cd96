//! The store through its public face.

use hearth_store::{KEY_MAX, Store, StoreError, VALUE_MAX};

fn folder(name: &str) -> std::path::PathBuf {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

#[test]
fn keeps_values_over_a_reopening() {
    let path = folder("reopen").join("deep/records.redb");
    let store = Store::open(&path).unwrap();
    let space = store.namespace("default").unwrap();
    space.set("a", b"1").unwrap();
    space.set("a", b"2").unwrap();
    space.set("gone", b"x").unwrap();
    space.delete("gone").unwrap();
    space.delete("never was").unwrap();
    drop((space, store));

    let space = Store::open(&path).unwrap().namespace("default").unwrap();
    assert_eq!(space.get("a").unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(space.get("gone").unwrap(), None);
    assert!(space.exists("a").unwrap());
    assert!(!space.exists("gone").unwrap());
    assert_eq!(space.keys().unwrap(), ["a"]);
}

#[test]
fn labels_do_not_see_each_other() {
    let store = Store::in_memory();
    let (one, two, between) = (store.namespace("a").unwrap(), store.namespace("b").unwrap(), store.namespace("a\u{1}").unwrap());
    one.set("k", b"one").unwrap();
    two.set("k", b"two").unwrap();
    between.set("z", b"between").unwrap();
    assert_eq!(one.get("k").unwrap().as_deref(), Some(&b"one"[..]));
    assert_eq!(one.keys().unwrap(), ["k"]);
    assert_eq!(between.keys().unwrap(), ["z"]);
    assert_eq!(store.namespace("c").unwrap().keys().unwrap(), Vec::<String>::new());
}

#[test]
fn keys_are_told_by_what_they_begin_with() {
    let store = Store::in_memory();
    let (space, other) = (store.namespace("a").unwrap(), store.namespace("b").unwrap());
    for key in ["x", "x/2", "x/1", "x0", "w/9", "y"] {
        space.set(key, b"").unwrap();
        other.set(key, b"").unwrap();
    }
    assert_eq!(space.keys_with("x/").unwrap(), ["x/1", "x/2"]);
    assert_eq!(space.keys_with("x").unwrap(), ["x", "x/1", "x/2", "x0"]);
    assert_eq!(space.keys_with("z").unwrap(), Vec::<String>::new());
    assert_eq!(other.keys_with("").unwrap(), other.keys().unwrap());
}

#[test]
fn bounds_are_refused_with_their_numbers() {
    let store = Store::in_memory();
    let space = store.namespace("default").unwrap();
    assert!(matches!(store.namespace(""), Err(StoreError::Label(0))));
    assert!(matches!(space.set("", b""), Err(StoreError::Key(0))));
    space.set(&"k".repeat(KEY_MAX), b"").unwrap();
    assert!(matches!(space.get(&"k".repeat(KEY_MAX + 1)), Err(StoreError::Key(_))));
    space.set("large", &vec![0; VALUE_MAX]).unwrap();
    let error = space.set("large", &vec![0; VALUE_MAX + 1]).unwrap_err().to_string();
    assert!(error.contains(&VALUE_MAX.to_string()), "{error}");
}

#[test]
fn a_second_opening_and_a_damaged_file_say_so() {
    let path = folder("second").join("records.redb");
    let _held = Store::open(&path).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("--state-dir"), "{error}");

    let damaged = folder("damaged");
    std::fs::create_dir_all(&damaged).unwrap();
    std::fs::write(damaged.join("records.redb"), vec![7; 8192]).unwrap();
    let error = Store::open(damaged.join("records.redb")).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[cfg(unix)]
#[test]
fn only_its_owner_reads_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let path = folder("modes").join("records.redb");
    let _store = Store::open(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
}
