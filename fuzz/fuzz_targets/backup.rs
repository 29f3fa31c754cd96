//! Any bytes as the contents of a backup and as one of its objects: what is read stays in its bounds, what is written of it reads the same, and nothing opens without its seal.
#![no_main]

use hearth_store::backup::{BackupKey, CHUNK, Manifest, open_object};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes) {
        for file in &manifest.files {
            let path = std::path::Path::new("below").join(&file.path);
            assert!(path.starts_with("below") && path.components().all(|part| matches!(part, std::path::Component::Normal(_))), "{}", file.path);
        }
        let again = serde_json::to_vec(&manifest).expect("a manifest is JSON");
        assert_eq!(Manifest::parse(&again).expect("what was written is read"), manifest);
    }
    let key = BackupKey::from_secret([7; 32]).expect("a key");
    assert!(open_object(&key, "manifests/one", bytes.to_vec(), CHUNK).is_err());
});
