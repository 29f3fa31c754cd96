//! Builds a guest crate as a WASI component: cargo makes a core module for `wasm32-wasip1`, and `wit-component` wraps it with the preview-1 adapter.
//!
//! wasip1 with the adapter, and not wasip2, because Debian's wasi-libc can link only the former: so both kinds of machine, with rustup's target and without, make the same
//! component.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::SystemTime,
};

use anyhow::{Context, Result, bail, ensure};
use wasi_preview1_component_adapter_provider::{WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER};
use wit_component::ComponentEncoder;

use crate::{command::works, system};

const TARGET: &str = "wasm32-wasip1";

/// What Debian calls a recent compiler, its cargo, the sources of its library, and the C library to link.
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "wasi-libc"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_WASI_LIBC: &str = "/usr/lib/wasm32-wasi";
/// The first release of Debian's that builds this workspace (`rust-version` in its Cargo.toml).
const OLDEST: (u32, u32) = (1, 95);

/// Builds the chat function and returns the component's path, `target/hearth_function.component.wasm`. What is up to date is not made again.
pub(crate) fn build(workspace_root: &Path) -> Result<PathBuf> {
    let target = workspace_root.join("target");
    // A folder of its own: builds of the host and of the function then do not wait for one another's lock.
    let core = compile(workspace_root, &target.join("wasm"), "hearth-function", true)?;
    let component = target.join("hearth_function.component.wasm");
    encode(&core, &component)?;
    Ok(component)
}

/// Builds the crate `package` whose manifest lies in `manifest_dir`, a `cdylib` of any workspace, and returns the component's path within `target_dir`.
#[allow(dead_code)] // for tests of the host with guests of their own
pub(crate) fn build_guest(manifest_dir: &Path, target_dir: &Path, package: &str) -> Result<PathBuf> {
    let core = compile(manifest_dir, target_dir, package, manifest_dir.join("Cargo.lock").exists())?;
    let component = target_dir.join(format!("{}.component.wasm", package.replace('-', "_")));
    encode(&core, &component)?;
    Ok(component)
}

/// Runs cargo and returns the core module's path.
fn compile(manifest_dir: &Path, target_dir: &Path, package: &str, locked: bool) -> Result<PathBuf> {
    // cargo runs in the crate's folder, where a path relative to this one's would mean another.
    let target_dir = std::path::absolute(target_dir)?;
    let mut cargo = Toolchain::get()?.cargo()?;
    cargo
        .current_dir(manifest_dir)
        .args(["build", "--lib", "--profile", "component", "--target", TARGET, "--package", package])
        .arg("--target-dir")
        .arg(&target_dir);
    // A guest in a workspace of its own need not know the profile.
    cargo.args(["--config", "profile.component.inherits='release'"]);
    if locked {
        cargo.arg("--locked");
    }
    let status = cargo.status().with_context(|| format!("cannot run {}", cargo.get_program().display()))?;
    ensure!(status.success(), "building {package} for {TARGET} failed ({status}); cargo's messages are above");
    let module = target_dir.join(TARGET).join("component").join(format!("{}.wasm", package.replace('-', "_")));
    ensure!(module.is_file(), "cargo made no {}: is {package} a library with crate-type = [\"cdylib\"]?", module.display());
    Ok(module)
}

/// Wraps the module `core` as `component`, unless that is newer than both the module and this program, which holds the adapter.
fn encode(core: &Path, component: &Path) -> Result<()> {
    let made = modified(component);
    let sources = [modified(core), env::current_exe().ok().and_then(|program| modified(&program))];
    if made.is_some() && sources.iter().flatten().all(|source| Some(*source) < made) {
        return Ok(());
    }
    let module = fs::read(core).with_context(|| format!("cannot read {}", core.display()))?;
    let bytes = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|encoder| encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER))
        .and_then(|mut encoder| encoder.encode())
        .with_context(|| format!("cannot make a component of {}", core.display()))?;
    // A host that starts meanwhile reads the old component or the new one, never a half.
    let partial = component.with_extension(format!("{}.partial", std::process::id()));
    fs::write(&partial, bytes).with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, component).with_context(|| format!("cannot write {}", component.display()))
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// What compiles to wasm on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Toolchain {
    /// The compiler on the path has the target's library.
    Ready,
    /// Debian's compiler, which builds the library from its sources.
    Debian,
}

impl Toolchain {
    /// Finds one, or installs one: rustup's target where its server can be reached, else Debian's packages.
    fn get() -> Result<Self> {
        // A way to try Debian's on a machine that has both.
        let no_rustup = env::var_os("HEARTH_WASM_TOOLCHAIN").is_some_and(|value| value == "debian");
        if !no_rustup && has_target() {
            return Ok(Self::Ready);
        }
        if debian_lacks().is_none() {
            return Ok(Self::Debian);
        }
        if !no_rustup && add_target() {
            return Ok(Self::Ready);
        }
        install_debian()?;
        match debian_lacks() {
            None => Ok(Self::Debian),
            Some(lack) => bail!("Debian's compiler for wasm is installed but cannot be used: {lack}"),
        }
    }

    fn cargo(self) -> Result<Command> {
        let mut cargo = match self {
            // The cargo that runs this program says where it is; outside of it, the one on the path will do.
            Self::Ready => Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into())),
            Self::Debian => Command::new(DEBIAN_CARGO),
        };
        // Flags and wrappers meant for the host's build do not fit here.
        for name in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_RUSTFLAGS",
            "CARGO_BUILD_TARGET",
            "CARGO_TARGET_DIR",
            "RUSTC_WORKSPACE_WRAPPER",
        ] {
            cargo.env_remove(name);
        }
        if self == Self::Debian {
            let flags = format!("-C link-self-contained=no -L native={DEBIAN_WASI_LIBC} -C link-arg={DEBIAN_WASI_LIBC}/crt1-reactor.o");
            cargo.env("RUSTC", DEBIAN_RUSTC).env_remove("RUSTDOC").env("RUSTFLAGS", flags);
            cargo.env("CARGO_TARGET_WASM32_WASIP1_LINKER", linker()?);
            // Building the library is a nightly option; Debian's compiler is a stable one and comes with exactly these sources.
            cargo.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
        }
        Ok(cargo)
    }
}

/// Whether the compiler on the path has the library of the target.
fn has_target() -> bool {
    let folder = output("rustc", &["--print", "target-libdir", "--target", TARGET]);
    let files = folder.and_then(|folder| fs::read_dir(folder.trim()).ok());
    files.is_some_and(|mut files| files.any(|file| file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("libstd-"))))
}

fn add_target() -> bool {
    if !works("rustup", &["--version"]) {
        return false;
    }
    eprintln!("Adding the target {TARGET} to the Rust toolchain (rustup target add {TARGET})");
    let added = Command::new("rustup").args(["target", "add", TARGET]).stdin(Stdio::null()).status().is_ok_and(|status| status.success());
    added && has_target()
}

/// What Debian's compiler needs and this machine lacks.
fn debian_lacks() -> Option<String> {
    let Some(version) = output(DEBIAN_RUSTC, &["--version"]) else { return Some(format!("there is no {DEBIAN_RUSTC}")) };
    if release(&version).is_none_or(|release| release < OLDEST) {
        return Some(format!("{DEBIAN_RUSTC} is {}, older than {}.{}", version.trim(), OLDEST.0, OLDEST.1));
    }
    let sources = output(DEBIAN_RUSTC, &["--print", "sysroot"])
        .map(|root| PathBuf::from(root.trim()).join("lib/rustlib/src/rust/library/std/Cargo.toml"));
    let needed = [PathBuf::from(DEBIAN_CARGO), PathBuf::from(DEBIAN_WASI_LIBC).join("crt1-reactor.o"), sources.unwrap_or_default()];
    let lack = needed.iter().find(|path| !path.is_file()).map(|path| format!("there is no {}", path.display()));
    lack.or_else(|| linker().err().map(|error| error.to_string()))
}

/// Major and minor of `rustc 1.96.0 (…)`.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// A linker for wasm: the one that comes with rustup's compiler, else LLVM's.
fn linker() -> Result<PathBuf> {
    let rustup =
        output("rustc", &["--print", "target-libdir"]).map(|folder| PathBuf::from(folder.trim()).with_file_name("bin").join("rust-lld"));
    let path = env::var_os("PATH").unwrap_or_default();
    let llvm = env::split_paths(&path).flat_map(|folder| [folder.join("rust-lld"), folder.join("wasm-ld")]);
    let debian = (14..40).rev().map(|release| PathBuf::from(format!("/usr/lib/llvm-{release}/bin/wasm-ld")));
    rustup
        .into_iter()
        .chain(llvm)
        .chain(debian)
        .find(|file| file.is_file())
        .context("there is no linker for wasm: `apt-get install lld` brings one")
}

/// Installs Debian's packages where there is an apt-get.
fn install_debian() -> Result<()> {
    ensure!(
        works("apt-get", &["--version"]),
        "building the function needs Rust's target {TARGET}, which this compiler lacks. Where rustup is used, add it with: rustup target add {TARGET}"
    );
    system::ensure(&DEBIAN_PACKAGES, "building the function, as rustup cannot add the target wasm32-wasip1 here")
}

/// What a program prints, if it runs and succeeds.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compilers_release_is_read_from_its_version() {
        assert_eq!(release("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"), Some((1, 96)));
        assert!(release("rustc 1.63.0").unwrap() < OLDEST);
        assert_eq!(release("rustc"), None);
    }

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
