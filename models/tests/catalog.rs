//! The weights folder: verification and its markers, and the user's own models.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hearth_models::catalog::{
    Catalog, Check, LocalError, ModelEntry, ModelFile, Source, VerifyError, forget, mark_verified, path_of, record, sha256_file, verify,
};

/// sha256 of "abc" (FIPS 180-2, appendix B.1).
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hearth-catalog-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn entry(name: &str) -> ModelEntry {
    let file =
        ModelFile { name: "m.gguf".into(), size: 3, sha256: ABC.into(), sources: vec![Source::Url("http://localhost/m.gguf".into())] };
    ModelEntry { name: name.into(), description: "own".into(), licence: "unknown".into(), context: 16, chat: true, files: vec![file] }
}

fn write(dir: &Path, model: &ModelEntry, bytes: &[u8]) -> PathBuf {
    let path = path_of(dir, model, model.main_file());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn check(dir: &Path, model: &ModelEntry, how: Check) -> Result<bool, VerifyError> {
    verify(model, dir, how, &mut |_, _| {}).map(|file| file.hashed)
}

#[test]
fn a_verified_file_is_not_hashed_again_until_it_changes() {
    let (dir, model) = (Folder::new("marker"), entry("own"));
    let path = write(&dir.0, &model, b"abc");
    assert!(check(&dir.0, &model, Check::Marked).unwrap(), "the first time hashes");
    assert!(!check(&dir.0, &model, Check::Marked).unwrap(), "the second time believes the marker");
    assert!(check(&dir.0, &model, Check::Full).unwrap(), "a full check hashes");

    // Another content of the same size: the time of change differs.
    fs::write(&path, b"abd").unwrap();
    let later = fs::metadata(&path).unwrap().modified().unwrap() + std::time::Duration::from_secs(5);
    fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
    let error = check(&dir.0, &model, Check::Marked).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, VerifyError::Hash { .. }), "{message}");
    let got = sha256_file(&path, &mut |_| {}).unwrap();
    assert!(message.contains(ABC) && message.contains(&got) && message.contains("hearth pull own"), "{message}");
}

#[test]
fn a_marker_for_another_hash_is_not_believed() {
    let (dir, model) = (Folder::new("other"), entry("own"));
    let path = write(&dir.0, &model, b"xyz");
    mark_verified(&path, &"0".repeat(64));
    assert!(matches!(check(&dir.0, &model, Check::Marked), Err(VerifyError::Hash { .. })));
    // What a pull has hashed itself is believed, which is what the marker is for; the full check looks.
    mark_verified(&path, ABC);
    assert!(!check(&dir.0, &model, Check::Marked).unwrap());
    assert!(matches!(check(&dir.0, &model, Check::Full), Err(VerifyError::Hash { .. })));
}

#[test]
fn a_missing_or_cut_file_says_what_to_type() {
    let (dir, model) = (Folder::new("missing"), entry("own"));
    let message = check(&dir.0, &model, Check::Marked).unwrap_err().to_string();
    assert!(message.contains("hearth pull own") && message.contains("m.gguf"), "{message}");
    write(&dir.0, &model, b"ab");
    let message = check(&dir.0, &model, Check::Marked).unwrap_err().to_string();
    assert!(message.contains("2 bytes") && message.contains('3') && message.contains("hearth pull own"), "{message}");
}

#[test]
fn progress_counts_bytes_over_all_files() {
    let dir = Folder::new("progress");
    let mut model = entry("two");
    let mut second = model.files[0].clone();
    second.name = "n.gguf".into();
    model.files.push(second);
    write(&dir.0, &model, b"abc");
    fs::write(dir.0.join("two/n.gguf"), b"abc").unwrap();
    let mut seen = vec![];
    let file = verify(&model, &dir.0, Check::Full, &mut |done, total| seen.push((done, total))).unwrap();
    assert_eq!(file.path.file_name().unwrap(), "m.gguf", "the first file is the one to load");
    assert_eq!(seen, [(3, 6), (6, 6)]);
}

#[test]
fn own_models_are_recorded_replaced_and_forgotten() {
    let dir = Folder::new("local");
    record(&dir.0, entry("mine")).unwrap();
    let mut changed = entry("mine");
    changed.context = 99;
    changed.files[0].sources =
        vec![Source::Path("/somewhere/m.gguf".into()), Source::Hf { repo: "a/b".into(), revision: "main".into(), file: "c".into() }];
    record(&dir.0, changed.clone()).unwrap();
    let catalog = Catalog::with_local(&dir.0).unwrap();
    assert_eq!(catalog.find("mine").unwrap(), &changed);
    assert_eq!(catalog.default_model().name, Catalog::builtin().default_model().name);
    assert!(forget(&dir.0, "mine").unwrap());
    assert!(!forget(&dir.0, "mine").unwrap());
    assert!(Catalog::with_local(&dir.0).unwrap().find("mine").is_err());
}

#[test]
fn own_models_cannot_take_a_built_in_name_or_leave_the_folder() {
    let dir = Folder::new("taken");
    assert!(matches!(record(&dir.0, entry("gemma-3-270m")), Err(LocalError::Taken(_))));
    assert!(matches!(record(&dir.0, entry("../up")), Err(LocalError::Invalid(_))));
    let text = toml_of(&entry("gemma-3-270m"));
    fs::write(dir.0.join("local.toml"), text).unwrap();
    let message = Catalog::with_local(&dir.0).unwrap_err().to_string();
    assert!(message.contains("local.toml") && message.contains("gemma-3-270m"), "{message}");
    fs::write(dir.0.join("local.toml"), "models = 3").unwrap();
    assert!(matches!(Catalog::with_local(&dir.0), Err(LocalError::Malformed { .. })));
}

fn toml_of(model: &ModelEntry) -> String {
    let file = model.main_file();
    format!(
        "[[models]]\nname = '{}'\ndescription = ''\nlicence = ''\ncontext = 1\nchat = false\n[[models.files]]\nname = '{}'\nsize = 3\nsha256 = '{}'\nsources = []\n",
        model.name, file.name, file.sha256
    )
}

#[test]
fn records_at_once_are_all_kept() {
    let dir = Folder::new("race");
    std::thread::scope(|scope| {
        for i in 0..8 {
            let dir = &dir.0;
            scope.spawn(move || record(dir, entry(&format!("own-{i}"))).unwrap());
        }
    });
    let catalog = Catalog::with_local(&dir.0).unwrap();
    for i in 0..8 {
        catalog.find(&format!("own-{i}")).unwrap();
    }
}
