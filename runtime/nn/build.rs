//! Puts models into the component: `HEARTH_NN_EMBED` has `name=path` for each, separated by commas (`cargo xtask component --portable --embed name=path`).

use std::{env, fmt::Write, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-env-changed=HEARTH_NN_EMBED");
    let named = env::var("HEARTH_NN_EMBED").unwrap_or_default();
    let mut models = String::new();
    for named in named.split(',').filter(|named| !named.is_empty()) {
        let (name, path) = named.split_once('=').unwrap_or_else(|| panic!("HEARTH_NN_EMBED has `{named}`, which is no `name=path`"));
        let path = fs::canonicalize(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        println!("cargo::rerun-if-changed={}", path.display());
        writeln!(models, "    ({name:?}, include_bytes!({path:?})),").expect("a string takes what is written");
    }
    let out = Path::new(&env::var_os("OUT_DIR").expect("cargo says where to write")).join("embedded.rs");
    fs::write(out, format!("&[\n{models}]\n")).expect("the models' list is written");
}
