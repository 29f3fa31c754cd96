//! The programs that stand around a server in the tests: Redis, nginx, Prometheus, a firewall, a clock that jumps. They are Debian's, unpacked below `target/test-data` and not installed:
//! an installed one would start as a service, with a port of its own.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use crate::{
    command::{run_quietly, works},
    system,
};

/// Packages with the programs, and the libraries that a small system may lack.
#[rustfmt::skip]
const PACKAGES: [&str; 17] = [
    "redis-tools", "libjemalloc2", "liblzf1", "libatomic1", "nginx", "prometheus", "libfaketime",
    "nftables", "libnftables1", "libnftnl11", "libmnl0", "libjansson4", "libxtables12", "libedit2", "libbsd0", "libmd0", "libgmp10",
];

/// What tests start, and how to see that it is there.
const PROGRAMS: [(&str, &str); 5] =
    [("redis-server", "--version"), ("nginx", "-v"), ("promtool", "--version"), ("prometheus", "--version"), ("nft", "--version")];

/// Where the programs lie.
pub(crate) struct Neighbours {
    /// What was unpacked, unless the system has all of them.
    unpacked: Option<PathBuf>,
}

impl Neighbours {
    /// The system's programs, or those that are unpacked now.
    pub(crate) fn get(data: &Path) -> anyhow::Result<Self> {
        let clock = fs::exists(format!("{}/faketime/libfaketimeMT.so.1", library_folder()))?;
        if clock && PROGRAMS.iter().all(|(program, flag)| works(program, &[flag])) {
            return Ok(Self { unpacked: None });
        }
        let folder = data.join("debian");
        let neighbours = Self { unpacked: Some(folder.clone()) };
        let all_work = || {
            PROGRAMS.iter().all(|(program, flag)| {
                let mut command = Command::new("env");
                command.env("PATH", neighbours.path(env::var_os("PATH").unwrap_or_default()));
                command.env("LD_LIBRARY_PATH", neighbours.libraries().unwrap_or_default());
                command.args([program, flag]).output().is_ok_and(|output| output.status.success())
            })
        };
        if all_work() {
            return Ok(neighbours);
        }
        eprintln!("fetching {} (unpacked for the tests, not installed)", PACKAGES.join(", "));
        let _ = fs::remove_dir_all(&folder);
        let download = folder.join("download");
        fs::create_dir_all(&download)?;
        let fetch = || run_quietly(Command::new("apt-get").arg("download").args(PACKAGES).current_dir(&download));
        // A fresh machine has no lists yet.
        fetch().or_else(|_| system::update().and_then(|()| fetch())).with_context(|| {
            format!(
                "the tests need redis-server, nginx, prometheus, promtool, nft and libfaketime: install them, or let apt-get download {}",
                PACKAGES.join(" ")
            )
        })?;
        for package in fs::read_dir(&download)? {
            run_quietly(Command::new("dpkg").arg("--extract").arg(package?.path()).arg(&folder))?;
        }
        fs::remove_dir_all(&download)?;
        // One program by two names, of which the package that starts a service has the second.
        std::os::unix::fs::symlink("redis-check-rdb", folder.join("usr/bin/redis-server"))?;
        anyhow::ensure!(
            all_work(),
            "of {PROGRAMS:?} one does not start from {}: install Debian's packages of these names",
            folder.display()
        );
        Ok(neighbours)
    }

    /// `PATH` with the programs.
    pub(crate) fn path(&self, path: OsString) -> OsString {
        let Some(folder) = &self.unpacked else { return path };
        let folders = [folder.join("usr/bin"), folder.join("usr/sbin")];
        env::join_paths(folders.into_iter().chain(env::split_paths(&path))).unwrap_or(path)
    }

    /// `LD_LIBRARY_PATH` with their libraries, where they are not the system's.
    pub(crate) fn libraries(&self) -> Option<PathBuf> {
        self.unpacked.as_ref().map(|folder| folder.join(library_folder().trim_start_matches('/')))
    }
}

/// Where Debian has libraries of this machine's kind.
fn library_folder() -> &'static str {
    if cfg!(target_arch = "aarch64") { "/usr/lib/aarch64-linux-gnu" } else { "/usr/lib/x86_64-linux-gnu" }
}
