//! The components that the tests serve: two crates, built once a run, and small ones written byte by byte.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// A guest of WASI 0.3 that does, path by path, what the tests want to see.
pub(crate) fn probe() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| build("probe"))
}

/// A guest of WASI 0.2.
pub(crate) fn older() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| build("older"))
}

fn build(name: &str) -> PathBuf {
    let host = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate::component::build_guest(&host.join("tests/guests").join(name), &host.join("../../target/guests"), name)
        .unwrap_or_else(|error| panic!("the guest {name} cannot be built: {error:#}"))
}

/// A core module without anything in it.
pub(crate) const MODULE: &[u8] = b"\0asm\x01\0\0\0";
/// A component without anything in it.
pub(crate) const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A component that imports an instance of this name with a function `f`, byte by byte as the component model's binary format has it.
pub(crate) fn importing(name: &str) -> Vec<u8> {
    // An instance type (42) of two declarations: a function type (40) without parameters or results, and an export of that type named `f`.
    let types = [0x01, 0x42, 0x02, 0x01, 0x40, 0x00, 0x01, 0x00, 0x04, 0x00, 0x01, b'f', 0x01, 0x00];
    let imports = [&[0x01, 0x00, u8::try_from(name.len()).unwrap()], name.as_bytes(), &[0x05, 0x00]].concat();
    let section = |id: u8, contents: &[u8]| [&[id, u8::try_from(contents.len()).unwrap()], contents].concat();
    [COMPONENT, &section(7, &types), &section(10, &imports)].concat()
}

/// A file with these bytes.
pub(crate) fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let folder = scratch(name);
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("guest.wasm");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A path of its own for a test, below the folder that cargo keeps for that; what an earlier run left there is gone.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("host-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}
