//! The store through its public face.

mod contract;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use hearth_store::{FILE_NAME, KEY_MAX, RedisUrl, StateFolder, Store, StoreError, VALUE_MAX};

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    folder
}

#[test]
fn a_file_and_memory_do_the_same() {
    contract::check(&Store::open(folder("contract").join("records.db")).unwrap());
    contract::check(&Store::in_memory());
}

#[test]
fn keeps_values_over_a_reopening() {
    let path = folder("reopen").join("deep/records.db");
    let store = Store::open(&path).unwrap();
    let (space, counters) = (store.namespace("default").unwrap(), store.namespace("counters").unwrap());
    space.set("a", b"1").unwrap();
    space.set("a", b"2").unwrap();
    space.set("gone", b"x").unwrap();
    space.delete("gone").unwrap();
    assert_eq!(space.increment("n", 5).unwrap(), 5);
    assert_eq!(counters.increment("n", 5).unwrap(), 5);
    drop((space, counters, store));

    let store = Store::open(&path).unwrap();
    let space = store.namespace("default").unwrap();
    assert_eq!(space.get("a").unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(space.get("gone").unwrap(), None);
    assert_eq!(space.increment("n", 1).unwrap(), 6);
    assert_eq!(space.keys().unwrap(), ["a", "n"]);
    assert_eq!(store.namespace("counters").unwrap().increment("n", 1).unwrap(), 1, "counts are the process's");
    store.check().unwrap();
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
    for error in
        [space.set("large", &vec![0; VALUE_MAX + 1]).unwrap_err(), space.set_if_absent("new", &vec![0; VALUE_MAX + 1]).unwrap_err()]
    {
        assert!(error.to_string().contains(&VALUE_MAX.to_string()), "{error}");
    }
}

#[test]
fn several_use_one_file_at_once() {
    let path = folder("several").join("records.db");
    let stores: Vec<_> = (0..4).map(|_| Store::open(&path).unwrap()).collect();
    std::thread::scope(|scope| {
        for (at, store) in stores.iter().enumerate() {
            scope.spawn(move || {
                let space = store.namespace("default").unwrap();
                for round in 0..20 {
                    space.increment("total", 1).unwrap();
                    space.set(&format!("{at}/{round}"), b"x").unwrap();
                }
            });
        }
    });
    let space = stores[0].namespace("default").unwrap();
    assert_eq!(space.get("total").unwrap().as_deref(), Some(&b"80"[..]));
    assert_eq!(space.keys().unwrap().len(), 81);
}

/// A file with so many records, closed.
fn filled(name: &str) -> PathBuf {
    let path = folder(name).join("records.db");
    let store = Store::open(&path).unwrap();
    let space = store.namespace("default").unwrap();
    for at in 0..100 {
        space.set(&format!("key {at:03}"), format!("value {at:03} ").repeat(100).as_bytes()).unwrap();
    }
    path
}

/// What opening it and reading all of it says.
fn read(path: &Path) -> Result<(), StoreError> {
    let store = Store::open(path)?;
    store.check()?;
    let space = store.namespace("default")?;
    for key in space.keys()? {
        space.get(&key)?;
    }
    Ok(())
}

#[test]
fn a_damaged_file_is_named_with_the_cure() {
    let whole = fs::read(filled("whole")).unwrap();
    let damaged = folder("damaged");
    fs::create_dir_all(&damaged).unwrap();
    let path = damaged.join("records.db");
    let at = whole.windows(9).position(|bytes| bytes == b"value 042").unwrap();
    let mut flipped = whole.clone();
    flipped[at + 3] ^= 1;
    let cases = [
        ("no database", vec![7; 8192]),
        ("truncated", whole[..whole.len() / 2 / 4096 * 4096].to_vec()),
        ("a flipped bit in a value", flipped),
    ];
    for (name, bytes) in cases {
        fs::write(&path, bytes).unwrap();
        let error = read(&path).expect_err(name);
        assert!(matches!(error, StoreError::Damaged { .. }), "{name}: {error:?}");
        let message = error.to_string();
        assert!(message.contains(path.to_str().unwrap()) && message.contains("hearth restore"), "{message}");
    }
}

/// A byte changed anywhere is an error or changes nothing, and never another value; nor does it panic.
#[test]
fn random_damage_is_never_taken_for_values() {
    let path = filled("mutated");
    let whole = fs::read(&path).unwrap();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed >> 33).unwrap()
    };
    for _ in 0..150 {
        let mut bytes = whole.clone();
        let at = random() % bytes.len();
        bytes[at] ^= 1 << (random() % 8);
        for beside in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{beside}", path.display()));
        }
        fs::write(&path, &bytes).unwrap();
        let Ok(store) = Store::open(&path) else { continue };
        let space = store.namespace("default").unwrap();
        for number in 0..100 {
            if let Ok(Some(value)) = space.get(&format!("key {number:03}")) {
                assert_eq!(value, format!("value {number:03} ").repeat(100).as_bytes(), "byte {at}");
            }
        }
    }
}

#[test]
fn other_databases_and_later_formats_are_refused() {
    let path = filled("formats");
    let mut bytes = fs::read(&path).unwrap();
    // SQLite's header has the format of the application at 60 and its mark at 68, big endian.
    bytes[63] = 9;
    fs::write(&path, &bytes).unwrap();
    let error = Store::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 9, .. }), "{error:?}");
    bytes[68] = 0;
    fs::write(&path, &bytes).unwrap();
    assert!(Store::open(&path).unwrap_err().to_string().contains("another program"));
}

#[test]
fn what_is_deleted_is_overwritten() {
    let path = folder("secret").join("records.db");
    let store = Store::open(&path).unwrap();
    let space = store.namespace("default").unwrap();
    space.set("a", b"a word that nobody may read again").unwrap();
    space.set("b", b"another").unwrap();
    space.delete("a").unwrap();
    drop((space, store));
    let bytes = fs::read(&path).unwrap();
    assert!(!bytes.windows(9).any(|bytes| bytes == b"read agai") && bytes.windows(7).any(|bytes| bytes == b"another"));
}

#[cfg(unix)]
#[test]
fn only_its_owner_reads_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let path = folder("modes").join("records.db");
    let store = Store::open(&path).unwrap();
    store.namespace("default").unwrap().set("a", b"1").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    let files: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3, "the log and its index are beside it");
    files.iter().for_each(|file| assert_eq!(mode(file), 0o600, "{}", file.display()));
}

#[test]
fn a_copy_is_of_one_moment_while_others_write() {
    let path = filled("copied");
    let store = Store::open(&path).unwrap();
    let space = store.namespace("default").unwrap();
    let copied = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // Each pair in this order: a copy that has the second has the first.
            for at in 0..50 {
                space.set(&format!("first {at}"), b"x").unwrap();
                space.set(&format!("second {at}"), b"x").unwrap();
            }
        });
        let mut copies = Vec::new();
        while copies.is_empty() || !writer.is_finished() {
            let target = path.with_file_name(format!("copy-{}.db", copies.len()));
            assert!(store.copy(&target).unwrap());
            copies.push(target);
        }
        copies
    });
    for copy in copied {
        let copy = Store::open(copy).unwrap();
        copy.check().unwrap();
        let space = copy.namespace("default").unwrap();
        let (first, second) = (space.keys_with("first ").unwrap().len(), space.keys_with("second ").unwrap().len());
        assert!(first == second || first == second + 1, "{first} {second}");
        assert_eq!(space.keys_with("key ").unwrap().len(), 100);
    }
}

#[test]
fn a_state_folder_is_shared_or_alone() {
    let path = folder("state");
    let (one, two) = (StateFolder::open(&path).unwrap(), StateFolder::open(&path).unwrap());
    one.store().unwrap().namespace("default").unwrap().set("a", b"1").unwrap();
    assert!(path.join(FILE_NAME).exists());
    let error = StateFolder::alone(&path).unwrap_err().to_string();
    assert!(error.contains("stop that first"), "{error}");
    drop((one, two));
    let _alone = StateFolder::alone(&path).unwrap();
    assert!(StateFolder::open(&path).unwrap_err().to_string().contains("restore"));
}

#[test]
fn temporary_files_go_with_their_process_or_with_the_next() {
    let path = folder("temporary");
    let state = StateFolder::open(&path).unwrap();
    // As a process leaves it that was killed.
    let abandoned = path.join("tmp/1-0");
    fs::create_dir_all(&abandoned).unwrap();
    fs::write(abandoned.join("lock"), "").unwrap();
    fs::write(abandoned.join("half"), "x").unwrap();
    let temporary = state.temporary().unwrap();
    assert!(!abandoned.exists());
    fs::write(temporary.path().join("mine"), "x").unwrap();
    let second = state.temporary().unwrap();
    assert!(temporary.path().join("mine").exists(), "whose owner lives is left alone");
    assert_eq!(temporary.clean(Duration::from_secs(60)).unwrap(), 0);
    assert_eq!(temporary.clean(Duration::ZERO).unwrap(), 1);
    drop((temporary, second));
    assert_eq!(fs::read_dir(path.join("tmp")).unwrap().count(), 0);
}

#[test]
fn an_address_of_redis_keeps_its_password() {
    let url = RedisUrl::parse("rediss://user:s3cret@redis.example:6380/2").unwrap();
    assert_eq!(url.to_string(), "redis.example:6380");
    assert!(!format!("{url:?} {:?}", Store::redis(&url).unwrap()).contains("s3cret"));
    for wrong in ["http://:s3cret@redis.example", "s3cret", ""] {
        let error = RedisUrl::parse(wrong).unwrap_err().to_string();
        assert!(error.contains("redis://") && !error.contains("s3cret"), "{error}");
    }
    let given = |flag, file| RedisUrl::given(flag, file, "HEARTH_TEST_NO_SUCH_VARIABLE");
    let error = given(Some("redis://:s3cret@localhost"), None).unwrap_err().to_string();
    assert!(error.contains("--redis-url-file") && !error.contains("s3cret"), "{error}");
    assert!(given(Some("redis://localhost"), None).unwrap().is_some());
    assert!(given(None, None).unwrap().is_none());
    let file = folder("address");
    fs::create_dir_all(&file).unwrap();
    let file = file.join("url");
    fs::write(&file, "redis://:s3cret@localhost:1\n").unwrap();
    assert_eq!(given(None, Some(&file)).unwrap().unwrap().to_string(), "localhost:1");
    assert!(given(Some("redis://localhost"), Some(&file)).is_err());
    fs::write(&file, "s3cret").unwrap();
    let error = given(None, Some(&file)).unwrap_err().to_string();
    assert!(error.contains(file.to_str().unwrap()) && !error.contains("s3cret"), "{error}");
}
