//! Builds a guest crate as a WASI component: cargo makes a core module for `wasm32-wasip1`, and `wit-component` wraps it with the preview-1 adapter.
//!
//! wasip1 with the adapter, and not wasip2, because Debian's wasi-libc can link only the former: so both kinds of machine, with rustup's target and without, make the same
//! component.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::{Context, Result, ensure};
use wasi_preview1_component_adapter_provider::{WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER};
use wit_component::ComponentEncoder;

use crate::toolchain::{Toolchain, WASM_LIBRARY};

/// A crate of this workspace to be a component.
pub(crate) struct Guest<'a> {
    pub(crate) package: &'a str,
    pub(crate) profile: &'a str,
    /// The compiler's.
    pub(crate) flags: &'a str,
    /// Features, in place of the default ones where there are any.
    pub(crate) features: &'a str,
    /// Variables of the build's environment.
    pub(crate) environment: &'a [(&'a str, &'a str)],
}

/// The chat function.
pub(crate) const FUNCTION: Guest<'static> =
    Guest { package: "hearth-function", profile: "component", flags: "", features: "", environment: &[] };

/// The newest version of WASI that a component's host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wasi {
    /// 0.2.
    P2,
    /// 0.3.
    P3,
}

impl Wasi {
    /// Of the crates that are compiled for either.
    fn features(self) -> &'static str {
        match self {
            Self::P2 => "p2",
            Self::P3 => "",
        }
    }

    /// The path of the component `name`: `target/NAME.component.wasm`, or `target/NAME.p2.component.wasm`.
    pub(crate) fn component(self, workspace_root: &Path, name: &str) -> PathBuf {
        let version = if self == Self::P2 { ".p2" } else { "" };
        workspace_root.join("target").join(format!("{name}{version}.component.wasm"))
    }
}

/// Builds the chat function, with its page where `page::build` has made that, and returns the component's path, `target/hearth_function.component.wasm`. What is up to date is not made again.
pub(crate) fn build(workspace_root: &Path, wasi: Wasi) -> Result<PathBuf> {
    small(workspace_root, FUNCTION.package, wasi)
}

/// Builds a crate that is compiled as the function is, which so has a part of its build.
pub(crate) fn small(workspace_root: &Path, package: &str, wasi: Wasi) -> Result<PathBuf> {
    let guest = Guest { package, features: wasi.features(), ..FUNCTION };
    let component = wasi.component(workspace_root, &package.replace('-', "_"));
    // A folder of its own: builds of the host and of the function then do not wait for one another's lock.
    make(workspace_root, &workspace_root.join("target/wasm"), &guest, &component)
}

/// Builds `guest` as `component` with `target_dir` for cargo; `component`. What is up to date is not made again.
pub(crate) fn make(workspace_root: &Path, target_dir: &Path, guest: &Guest<'_>, component: &Path) -> Result<PathBuf> {
    let core = compile(workspace_root, target_dir, guest, true)?;
    encode(&core, component)?;
    Ok(component.to_owned())
}

/// Builds the crate `package` whose manifest lies in `manifest_dir`, a `cdylib` of any workspace, and returns the component's path within `target_dir`.
#[allow(dead_code)] // for tests of the host with guests of their own
pub(crate) fn build_guest(manifest_dir: &Path, target_dir: &Path, package: &str) -> Result<PathBuf> {
    let core = compile(manifest_dir, target_dir, &Guest { package, ..FUNCTION }, manifest_dir.join("Cargo.lock").exists())?;
    let component = target_dir.join(format!("{}.component.wasm", package.replace('-', "_")));
    encode(&core, &component)?;
    Ok(component)
}

/// Runs cargo and returns the core module's path.
fn compile(manifest_dir: &Path, target_dir: &Path, guest: &Guest<'_>, locked: bool) -> Result<PathBuf> {
    let Guest { package, profile, flags, features, environment } = guest;
    // cargo runs in the crate's folder, where a path relative to this one's would mean another.
    let target_dir = std::path::absolute(target_dir)?;
    let toolchain = Toolchain::get(&WASM_LIBRARY)?;
    let mut cargo = toolchain.cargo(&WASM_LIBRARY, flags)?;
    cargo
        .current_dir(manifest_dir)
        .envs(environment.iter().copied())
        .args(["build", "--lib", "--profile", profile, "--target", WASM_LIBRARY.triple, "--package", package])
        .args(toolchain.library("std,panic_abort"))
        .arg("--target-dir")
        .arg(&target_dir);
    // A guest in a workspace of its own need not know the profile.
    cargo.args(["--config", "profile.component.inherits='release'"]);
    if !features.is_empty() {
        cargo.args(["--no-default-features", "--features", features]);
    }
    if locked {
        cargo.arg("--locked");
    }
    let status = cargo.status().with_context(|| format!("cannot run {}", cargo.get_program().display()))?;
    ensure!(status.success(), "building {package} for {} failed ({status}); cargo's messages are above", WASM_LIBRARY.triple);
    let module = target_dir.join(WASM_LIBRARY.triple).join(profile).join(format!("{}.wasm", package.replace('-', "_")));
    ensure!(module.is_file(), "cargo made no {}: is {package} a library with crate-type = [\"cdylib\"]?", module.display());
    Ok(module)
}

/// Wraps the module `core` as `component`, unless that is newer than both the module and this program, which holds the adapter.
fn encode(core: &Path, component: &Path) -> Result<()> {
    if is_newer(component, &[core]) {
        return Ok(());
    }
    let module = fs::read(core).with_context(|| format!("cannot read {}", core.display()))?;
    let bytes = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|encoder| encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER))
        .and_then(|mut encoder| encoder.encode())
        .with_context(|| format!("cannot make a component of {}", core.display()))?;
    write(component, &bytes)
}

/// Whether `component` is newer than what it is made of, and than this program, which holds an adapter and ways to put components together.
pub(crate) fn is_newer(component: &Path, sources: &[&Path]) -> bool {
    let made = modified(component);
    let program = env::current_exe().ok().and_then(|program| modified(&program));
    let mut sources = sources.iter().map(|source| modified(source)).chain([program]).flatten();
    made.is_some() && sources.all(|source| Some(source) < made)
}

pub(crate) fn write(component: &Path, bytes: &[u8]) -> Result<()> {
    // A host that starts meanwhile reads the old component or the new one, never a half.
    let partial = component.with_extension(format!("{}.partial", std::process::id()));
    fs::write(&partial, bytes).with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, component).with_context(|| format!("cannot write {}", component.display()))
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_made_again_only_when_its_module_is_newer() {
        let folder = env::temp_dir().join(format!("hearth-component-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (core, component) = (folder.join("core.wasm"), folder.join("made.wasm"));
        // The smallest module there is: a magic number and a version.
        fs::write(&core, b"\0asm\x01\0\0\0").unwrap();
        encode(&core, &component).unwrap();
        let made = fs::read(&component).unwrap();
        assert!(made.starts_with(b"\0asm\x0d\0\x01\0"), "a component's version");
        fs::write(&component, b"mark").unwrap();
        encode(&core, &component).unwrap();
        assert_eq!(fs::read(&component).unwrap(), b"mark");
        let later = SystemTime::now() + std::time::Duration::from_secs(10);
        fs::File::options().append(true).open(&core).unwrap().set_modified(later).unwrap();
        encode(&core, &component).unwrap();
        assert_eq!(fs::read(&component).unwrap(), made);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "no partial file stays");
        fs::remove_dir_all(&folder).unwrap();
    }
}
