//! The store over a real Redis: the same as every store, and what remains while it is away.

mod contract;
mod server;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use hearth_store::{
    FILE_NAME, RedisUrl, StateFolder, Store, StoreError,
    backup::{Archive, BackupKey, Contents, Folder},
};
use server::Redis;

fn store(redis: &Redis) -> Store {
    Store::redis(&RedisUrl::parse(&redis.url("")).unwrap()).unwrap()
}

/// Until the store's pause after a failure is over.
fn until<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "not within 20 s");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn redis_does_what_every_store_does() {
    let redis = Redis::start("contract", &[]);
    contract::check(&store(&redis));
    assert!(redis.cli(&["TTL", "hearth/counters/n"]).parse::<u32>().unwrap() > 3500, "a count expires");
    assert_eq!(redis.cli(&["TTL", "hearth/default/n"]), "-1", "a record does not");
}

#[test]
fn instances_share_what_is_kept_and_counted() {
    let redis = Redis::start("shared", &[]);
    let (one, two) = (store(&redis), store(&redis));
    for label in ["default", "counters"] {
        let spaces = [&one, &two].map(|store| store.namespace(label).unwrap());
        spaces[0].increment("n", 1).unwrap();
        assert_eq!(spaces[1].increment("n", 1).unwrap(), 2, "{label}");
    }
}

/// Values of any bytes, more than are read at once, under labels and keys with what could be taken for something else.
fn some_records() -> Vec<(&'static str, String, Vec<u8>)> {
    let labels = ["default", "a/b", "c%2Fd"];
    let key = |at: usize| if at == 7 { "with / and % and \u{e9}".to_owned() } else { format!("key/{at:03}") };
    labels.iter().flat_map(|label| (0..50).map(move |at| (*label, key(at), vec![at as u8, 0, 255]))).collect()
}

#[test]
fn a_backup_has_what_is_in_redis_and_another_redis_takes_it() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("redis-backup");
    let _ = std::fs::remove_dir_all(&folder);
    let (redis, other) = (Redis::start("copied", &[]), Redis::start("filled", &[]));
    let (from, to) = (store(&redis), store(&other));
    for (label, key, value) in some_records() {
        from.namespace(label).unwrap().set(&key, &value).unwrap();
    }
    from.namespace("counters").unwrap().increment("limit", 1).unwrap();
    redis.cli(&["SET", "of another program", "1"]);

    std::fs::create_dir_all(&folder).unwrap();
    BackupKey::create(&folder.join("key")).unwrap();
    let (key, shelf) = (BackupKey::read(&folder.join("key")).unwrap(), Folder::new(folder.join("backups")));
    let archive = Archive::new(&shelf, &key);
    let state = StateFolder::open(&folder.join("state")).unwrap();
    let manifest = archive.take(&from, &state, &Contents::default(), true).unwrap().backup.manifest;
    let restored = archive.restore(&manifest, &folder.join("restored")).unwrap().state.join(FILE_NAME);

    assert_eq!(to.fill(&restored).unwrap(), some_records().len());
    for store in [Store::open(&restored).unwrap(), to.clone()] {
        for (label, key, value) in some_records() {
            assert_eq!(store.namespace(label).unwrap().get(&key).unwrap(), Some(value), "{label} {key}");
        }
    }
    assert_eq!(to.namespace("a/b").unwrap().keys().unwrap().len(), 50, "they are listed, too");
    assert_eq!(other.cli(&["EXISTS", "hearth/counters/limit", "of another program"]), "0");
    let error = to.fill(&restored).unwrap_err().to_string();
    assert!(error.contains("holds records already") && error.contains("empty"), "{error}");
}

#[test]
fn what_can_do_without_redis_does() {
    let mut redis = Redis::start("away", &[]);
    let store = store(&redis);
    let (space, counters) = (store.namespace("default").unwrap(), store.namespace("counters").unwrap());
    space.set("key/seen", b"record").unwrap();
    space.set("key/revoked", b"record").unwrap();
    space.delete("key/revoked").unwrap();
    space.set("response/1", b"text").unwrap();
    assert_eq!(counters.increment("limit", 5).unwrap(), 5);

    redis.stop();
    let start = Instant::now();
    assert_eq!(space.get("key/seen").unwrap().as_deref(), Some(&b"record"[..]), "a key that was seen is known");
    assert!(space.get("key/revoked").is_err() && space.get("key/other").is_err(), "others are not");
    let error = space.set("key/new", b"x").unwrap_err();
    assert!(matches!(error, StoreError::Redis { .. }) && error.to_string().contains("cannot be reached"), "{error}");
    assert!(space.get("response/1").is_err() && space.keys().is_err() && store.check().is_err());
    assert_eq!(counters.increment("limit", 1).unwrap(), 1, "this process counts by itself");
    assert_eq!(counters.increment("limit", 1).unwrap(), 2);
    for _ in 0..1000 {
        let _ = space.get("response/1");
    }
    assert!(start.elapsed() < Duration::from_secs(5), "it is not waited for at each call: {:?}", start.elapsed());

    redis.restart();
    assert_eq!(until(|| space.get("response/1").ok()).as_deref(), Some(&b"text"[..]));
    space.set("key/new", b"x").unwrap();
    assert_eq!(counters.increment("limit", 1).unwrap(), 6);
}

/// Stopped and started again while eight threads use it: what was acknowledged is there, and all is well afterwards.
#[test]
fn a_restart_under_load_loses_nothing_acknowledged() {
    let mut redis = Redis::start("restart", &["--appendonly", "yes", "--appendfsync", "always"]);
    let store = store(&redis);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let acknowledged: Vec<Vec<usize>> = std::thread::scope(|scope| {
        let (space, stop) = (store.namespace("default").unwrap(), &stop);
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let space = space.clone();
                scope.spawn(move || {
                    let mut acknowledged = Vec::new();
                    for at in 0.. {
                        if stop.load(std::sync::atomic::Ordering::Relaxed) {
                            break;
                        }
                        match space.set(&format!("{thread}/{at}"), at.to_string().as_bytes()) {
                            Ok(()) => acknowledged.push(at),
                            Err(_) => std::thread::sleep(Duration::from_millis(1)),
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        for _ in 0..2 {
            std::thread::sleep(Duration::from_millis(200));
            redis.kill();
            std::thread::sleep(Duration::from_millis(100));
            redis.restart();
            until(|| store.check().ok());
        }
        std::thread::sleep(Duration::from_millis(200));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let space = store.namespace("default").unwrap();
    for (thread, acknowledged) in acknowledged.iter().enumerate() {
        assert!(acknowledged.len() > 10, "{}", acknowledged.len());
        for at in acknowledged {
            assert_eq!(space.get(&format!("{thread}/{at}")).unwrap().as_deref(), Some(at.to_string().as_bytes()), "{thread}/{at}");
        }
    }
}

#[test]
fn a_wrong_password_is_said_and_not_shown() {
    let redis = Redis::start("password", &["--requirepass", "s3cret"]);
    let with = |login: &str| Store::redis(&RedisUrl::parse(&redis.url(login)).unwrap()).unwrap();
    with(":s3cret@").check().unwrap();
    for login in [":wr0ng@", ""] {
        let error = with(login).check().unwrap_err().to_string();
        assert!(error.contains("password") || error.contains("NOAUTH"), "{error}");
        assert!(!error.contains("wr0ng") && !error.contains("s3cret"), "{error}");
    }
}
