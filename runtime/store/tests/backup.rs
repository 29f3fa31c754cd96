//! Backups and their way back: what comes out is what went in, or an error that says what is wrong.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use hearth_store::{
    FILE_NAME, StateFolder, Store,
    backup::{Archive, BackupError, BackupKey, CHUNK, Contents, Folder, Kept, Manifest, Shelf, StoredModel, open_object, swap},
};

struct Scene {
    folder: PathBuf,
    key: BackupKey,
    shelf: Folder,
}

impl Scene {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("backup-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        BackupKey::create(&folder.join("key")).unwrap();
        let (key, shelf) = (BackupKey::read(&folder.join("key")).unwrap(), Folder::new(folder.join("backups")));
        Self { folder, key, shelf }
    }

    fn archive(&self) -> Archive<'_> {
        Archive::new(&self.shelf, &self.key)
    }

    fn state(&self) -> StateFolder {
        StateFolder::open(&self.folder.join("state")).unwrap()
    }

    fn target(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The files at the place, with their bytes.
    fn objects(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let names = [self.shelf.list("chunks").unwrap(), self.shelf.list("manifests").unwrap()].concat();
        names.iter().map(|name| self.folder.join("backups").join(name)).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }
}

/// Bytes that do not pack.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = generator(seed);
    (0..length).map(|_| random().to_le_bytes()[3]).collect()
}

fn generator(mut seed: u64) -> impl FnMut() -> u64 {
    move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    }
}

fn records(path: &Path) -> Vec<(String, Vec<u8>)> {
    let space = Store::open(path).unwrap().namespace("default").unwrap();
    space.keys().unwrap().into_iter().map(|key| (key.clone(), space.get(&key).unwrap().unwrap())).collect()
}

#[test]
fn what_comes_back_is_what_was_there_while_others_wrote() {
    let scene = Scene::new("round");
    let state = scene.state();
    fs::create_dir_all(state.path().join("keys")).unwrap();
    fs::write(state.path().join("keys/wrapped"), "a wrapped key").unwrap();
    let configuration = scene.target("hearth.toml");
    fs::write(&configuration, "port = 1\n").unwrap();
    let store = state.store().unwrap();
    let space = store.namespace("default").unwrap();
    for at in 0..40 {
        space.set(&format!("before {at:02}"), &noise(at + 1, 20_000)).unwrap();
    }
    let models = vec![StoredModel { name: "tiny".into(), sha256: "0".repeat(64) }];
    let model = scene.target("model.gguf");
    fs::write(&model, noise(7, CHUNK * 2 + 5)).unwrap();
    let contents =
        Contents { included: vec![configuration], models: models.clone(), model_files: vec![("tiny/model.gguf".into(), model.clone())] };
    let stop = std::sync::atomic::AtomicBool::new(false);
    let taken = std::thread::scope(|scope| {
        let (space, halt) = (&space, &stop);
        scope.spawn(move || {
            for at in 0.. {
                if halt.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                space.set(&format!("first {at}"), b"x").unwrap();
                space.set(&format!("second {at}"), b"x").unwrap();
            }
        });
        std::thread::sleep(Duration::from_millis(30));
        let taken = scene.archive().take(&store, &state, &contents, true);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        taken.unwrap()
    });
    assert_eq!(fs::read_dir(state.path().join("tmp")).unwrap().count(), 0, "no copy stays");

    let backup = scene.archive().find(None).unwrap();
    assert_eq!(backup, taken.backup);
    assert_eq!(backup.manifest.models, models);
    let restored = scene.archive().restore(&backup.manifest, &scene.target("restored")).unwrap();
    let found = records(&restored.state.join(FILE_NAME));
    let of = |prefix: &str| found.iter().filter(|(key, _)| key.starts_with(prefix)).count();
    assert!(
        found
            .iter()
            .filter(|(key, _)| key.starts_with("before"))
            .enumerate()
            .all(|(at, (_, value))| *value == noise(at as u64 + 1, 20_000))
    );
    assert_eq!(of("before"), 40);
    assert!(of("first") == of("second") || of("first") == of("second") + 1, "one moment: {} {}", of("first"), of("second"));
    assert_eq!(fs::read_to_string(restored.state.join("keys/wrapped")).unwrap(), "a wrapped key");
    assert_eq!(fs::read_to_string(restored.included.unwrap().join("hearth.toml")).unwrap(), "port = 1\n");
    assert_eq!(fs::read(restored.models.unwrap().join("tiny/model.gguf")).unwrap(), fs::read(model).unwrap());
    assert!(scene.archive().restore(&backup.manifest, &scene.target("restored")).is_err(), "nothing is written over");
}

#[test]
fn an_incremental_one_holds_what_changed() {
    let scene = Scene::new("incremental");
    let state = scene.state();
    let store = state.store().unwrap();
    let space = store.namespace("default").unwrap();
    for at in 0..64 {
        space.set(&format!("{at:03}"), &noise(at + 1, 100_000)).unwrap();
    }
    let take = |full| scene.archive().take(&state.store().unwrap(), &state, &Contents::default(), full).unwrap();
    let first = take(true);
    assert!(first.written.0 > 20 && first.reused == 0, "{:?}", first.written);
    assert_eq!(take(false).written.0, 0, "nothing changed");
    space.set("new", b"a small thing").unwrap();
    let second = take(false);
    assert!((1..=4).contains(&second.written.0), "{:?}", second.written);
    assert!(second.reused + 4 >= first.written.0);
    // Each is whole by itself.
    for (name, keys) in [(&first.backup, 64), (&second.backup, 65)] {
        let restored = scene.archive().restore(&name.manifest, &scene.target(&name.name)).unwrap();
        assert_eq!(records(&restored.state.join(FILE_NAME)).len(), keys);
    }
    // A full one writes again what is damaged, an incremental one trusts it.
    let chunk = &second.backup.manifest.files[0].chunks[0];
    let (path, bytes) = scene.objects().into_iter().find(|(path, _)| path.ends_with(chunk)).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(take(false).written.0, 0);
    assert_eq!(take(true).written.0, 1);
    scene.archive().verify(&scene.archive().find(None).unwrap().manifest).unwrap();
}

#[test]
fn old_ones_are_dropped_with_what_only_they_need() {
    let scene = Scene::new("prune");
    let state = scene.state();
    let store = state.store().unwrap();
    let space = store.namespace("default").unwrap();
    let mut names = Vec::new();
    for at in 0..4_u64 {
        space.set("large", &noise(at + 1, 600_000)).unwrap();
        names.push(scene.archive().take(&state.store().unwrap(), &state, &Contents::default(), false).unwrap().backup.name);
    }
    assert_eq!(scene.archive().names().unwrap(), names, "in their order, also within a second");
    let before = scene.objects().len();
    let (dropped, chunks) = scene.archive().prune(Kept { daily: 1, hourly: 0 }).unwrap();
    assert_eq!(dropped, names[..3]);
    assert!(chunks >= 6 && scene.objects().len() == before - chunks - 3);
    let last = scene.archive().find(None).unwrap();
    scene.archive().verify(&last.manifest).unwrap();
    assert_eq!(scene.archive().prune(Kept { daily: 0, hourly: 0 }).unwrap().0, Vec::<String>::new(), "the newest stays in any case");
    assert!(matches!(scene.archive().find(Some(&names[0])), Err(BackupError::None(_))));
}

/// A byte that is another, an object that is cut off, gone or in another's place.
#[test]
fn any_change_is_detected() {
    let scene = Scene::new("flipped");
    let state = scene.state();
    let store = state.store().unwrap();
    let space = store.namespace("default").unwrap();
    space.set("a", &noise(1, 2000)).unwrap();
    space.set("b", &noise(2, CHUNK)).unwrap();
    scene.archive().take(&state.store().unwrap(), &state, &Contents::default(), true).unwrap();
    let check = || scene.archive().find(None).and_then(|backup| scene.archive().verify(&backup.manifest));
    check().unwrap();
    let mut random = generator(99);
    let objects = scene.objects();
    assert!(objects.len() >= 3);
    for (path, whole) in &objects {
        let everywhere = if whole.len() < 4000 { whole.len() } else { 60 };
        for at in 0..everywhere {
            let at = if everywhere == whole.len() { at } else { usize::try_from(random()).unwrap() % whole.len() };
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (random() % 8);
            fs::write(path, &bytes).unwrap();
            let error = check().expect_err("a changed byte");
            assert!(matches!(error, BackupError::Damaged { .. }), "byte {at} of {}: {error}", path.display());
        }
        for length in [0, 4, 16, whole.len() - 1] {
            fs::write(path, &whole[..length]).unwrap();
            assert!(check().is_err(), "{length} bytes of {}", path.display());
        }
        fs::write(path, [&whole[..], &[0]].concat()).unwrap();
        assert!(check().is_err(), "a byte too many");
        for (_, other) in objects.iter().filter(|(other, _)| other != path) {
            fs::write(path, other).unwrap();
            assert!(check().is_err(), "another's contents in {}", path.display());
        }
        fs::remove_file(path).unwrap();
        assert!(check().is_err(), "{} is gone", path.display());
        assert!(scene.archive().find(None).and_then(|backup| scene.archive().restore(&backup.manifest, &scene.target("broken"))).is_err());
        let _ = fs::remove_dir_all(scene.target("broken"));
        fs::write(path, whole).unwrap();
    }
    check().unwrap();
}

#[test]
fn nothing_can_be_read_without_the_key() {
    let scene = Scene::new("secret");
    let state = scene.state();
    let store = state.store().unwrap();
    store.namespace("default").unwrap().set("conversation", "a word that nobody reads ".repeat(50).as_bytes()).unwrap();
    scene.archive().take(&state.store().unwrap(), &state, &Contents::default(), true).unwrap();
    let other = BackupKey::from_secret([7; 32]).unwrap();
    assert!(matches!(Archive::new(&scene.shelf, &other).find(None), Err(BackupError::Damaged { .. })));
    for (path, bytes) in scene.objects() {
        assert!(!bytes.windows(11).any(|bytes| bytes == b"nobody read"), "{}", path.display());
    }
    assert!(BackupKey::create(&scene.target("key")).is_err(), "a key is not written over");
    fs::write(scene.target("no key"), "hearth-backup-key-1 12").unwrap();
    let error = BackupKey::read(&scene.target("no key")).unwrap_err().to_string();
    assert!(error.contains("hearth backup key"), "{error}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(scene.target("key")).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_state_folder_is_swapped_when_nobody_uses_it() {
    let scene = Scene::new("swap");
    let state = scene.state();
    let path = state.path().to_owned();
    let store = state.store().unwrap();
    store.namespace("default").unwrap().set("a", b"old").unwrap();
    let backup = scene.archive().take(&state.store().unwrap(), &state, &Contents::default(), true).unwrap().backup;
    store.namespace("default").unwrap().set("a", b"newer").unwrap();
    let restored = scene.archive().restore(&backup.manifest, &scene.target("restored")).unwrap();
    let error = swap(&restored.state, &path, &scene.target("aside")).unwrap_err().to_string();
    assert!(error.contains("stop that first"), "{error}");
    drop((store, state));
    // Where what was there cannot be put aside, it stays.
    assert!(swap(&restored.state, &path, &scene.target("no/such/folder")).is_err());
    assert_eq!(records(&path.join(FILE_NAME)), [("a".to_owned(), b"newer".to_vec())]);
    assert_eq!(swap(&restored.state, &path, &scene.target("aside")).unwrap(), Some(scene.target("aside")));
    assert_eq!(records(&path.join(FILE_NAME)), [("a".to_owned(), b"old".to_vec())]);
    assert_eq!(records(&scene.target("aside").join(FILE_NAME)), [("a".to_owned(), b"newer".to_vec())]);
    // And where there is none yet.
    let restored = scene.archive().restore(&backup.manifest, &scene.target("again")).unwrap();
    assert_eq!(swap(&restored.state, &scene.target("deep/elsewhere"), &scene.target("unused")).unwrap(), None);
    assert_eq!(records(&scene.target("deep/elsewhere").join(FILE_NAME)).len(), 1);
}

/// A manifest of one file.
fn manifest(path: &str, size: u64, chunks: usize) -> String {
    let hash = "a".repeat(64);
    let chunks = vec![format!("\"{hash}\""); chunks].join(",");
    format!(
        r#"{{"format":1,"made":1,"full":true,"version":"0","files":[{{"root":"state","path":"{path}","size":{size},"sha256":"{hash}","chunks":[{chunks}]}}],"models":[]}}"#
    )
}

#[test]
fn contents_that_lead_out_of_their_folder_are_refused() {
    Manifest::parse(manifest("a/b", 5, 1).as_bytes()).unwrap();
    for path in ["/etc/passwd", "../a", "a/../../b", "a//b", "", ".", "a/.", "a\\\\..\\\\b", "a\\u0000b", &"a/".repeat(600)] {
        let error = Manifest::parse(manifest(path, 5, 1).as_bytes()).expect_err(path);
        assert!(matches!(error, BackupError::Manifest(_)), "{error}");
    }
    for (size, chunks) in [(5, 2), (0, 1), (u64::MAX, 1), (CHUNK as u64 + 1, 1)] {
        assert!(Manifest::parse(manifest("a", size, chunks).as_bytes()).is_err(), "{size} {chunks}");
    }
    let good = manifest("a", 5, 1);
    for (what, other) in [
        ("\"format\":1", "\"format\":2"),
        ("\"full\"", "\"other\""),
        (&"a".repeat(64), "../x"),
        ("\"root\":\"state\"", "\"root\":\"else\""),
    ] {
        assert!(Manifest::parse(good.replace(what, other).as_bytes()).is_err(), "{other}");
    }
}

/// A share of what the fuzz target does: nothing that is read panics, whatever is in it.
#[test]
fn random_damage_never_panics() {
    let (key, mut random) = (BackupKey::from_secret([1; 32]).unwrap(), generator(5));
    let good = manifest("a/b", CHUNK as u64 + 9, 2).into_bytes();
    Manifest::parse(&good).unwrap();
    for _ in 0..3000 {
        let mut bytes = good.clone();
        for _ in 0..=random() % 4 {
            let at = usize::try_from(random()).unwrap() % bytes.len();
            match random() % 3 {
                0 => bytes[at] = random().to_le_bytes()[0],
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, random().to_le_bytes()[0]),
            }
        }
        if let Ok(manifest) = Manifest::parse(&bytes) {
            assert!(manifest.files.iter().all(|file| !file.path.contains("..") || file.path.split('/').all(|part| part != "..")));
        }
        assert!(open_object(&key, "chunks/aa/x", bytes, CHUNK).is_err());
    }
}
