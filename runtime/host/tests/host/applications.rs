//! Descriptions of applications that somebody damaged.

use hearth_host::app::{locked, spin_toml, variables};

use crate::guests::scratch;

/// The deterministic share of the fuzz target `application`: any damage ends in an application or in a refusal of bounded length.
#[test]
fn random_damage_never_panics() {
    let (locked_app, manifest) = (include_str!("../data/spin.lock"), include_str!("../../../../spin.toml"));
    let folder = scratch("damaged");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("application");
    let mut state = 7u64;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    let (mut good, mut bad) = (0, 0);
    for seed in [locked_app, manifest] {
        for _ in 0..500 {
            let mut bytes = seed.as_bytes().to_vec();
            for _ in 0..=next(2) {
                let at = next(bytes.len());
                match next(4) {
                    0 => bytes[at] = next(256) as u8,
                    1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, b"\"'[]{}=,:#\n\\0"[next(13)]),
                    _ => bytes.extend_from_within(at..),
                }
            }
            std::fs::write(&path, &bytes).unwrap();
            let read = if seed == locked_app { locked::read(&format!("file://{}", path.display())) } else { spin_toml::read(&path) };
            match read {
                Ok(app) => {
                    good += 1;
                    let given = variables::Given::collect(&app, [("models".to_owned(), "a".to_owned())], |_| None);
                    // A variable may have lost its default, or its end.
                    let _ = given.and_then(|given| variables::resolve(&app, &given, Some(&["a".to_owned()])));
                }
                Err(error) => {
                    bad += 1;
                    assert!(error.to_string().len() < 4000, "{error}");
                }
            }
        }
    }
    assert!(good > 50 && bad > 50, "{good} {bad}");
}
