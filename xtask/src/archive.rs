//! Archives that are the same bytes whenever and wherever they are made of the same files: entries by name, nobody's, of one time; and the hashes of files.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::{command::run_quietly, toolchain::output};

/// The time that everything in an archive has: `SOURCE_DATE_EPOCH` where it is set (reproducible-builds.org), else that of the last commit, else now.
pub(crate) fn epoch(root: &Path) -> u64 {
    let set = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    let folder = root.to_string_lossy();
    let commit = || output("git", &["-C", &folder, "log", "-1", "--format=%ct"])?.trim().parse().ok();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    set.or_else(commit).unwrap_or_else(now)
}

/// Packs the files `names` of `folder` as a gzipped tar.
pub(crate) fn tar_gz(folder: &Path, names: &[&str], archive: &Path, epoch: u64) -> Result<()> {
    let tar = archive.with_extension("tar");
    let time = format!("--mtime=@{epoch}");
    let alike = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu", &time];
    run_quietly(Command::new("tar").args(alike).arg("--create").arg("--file").arg(&tar).arg("--directory").arg(folder).args(names))?;
    // Without a name and a time of its own.
    run_quietly(Command::new("gzip").args(["--no-name", "--force"]).arg(&tar))?;
    let made = tar.with_extension("tar.gz");
    if made != archive {
        fs::rename(&made, archive).with_context(|| format!("cannot write {}", archive.display()))?;
    }
    Ok(())
}

/// The SHA-256 of a file in hexadecimal digits.
pub(crate) fn sha256(path: &Path) -> Result<String> {
    let mut file = fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut hasher = Sha256::new();
    std::io::copy(&mut file, &mut hasher)?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Copies a file to where its folder may not be yet, with the mode it shall have.
pub(crate) fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = to.parent().context("a file lies in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).with_context(|| format!("cannot change the mode of {}", to.display()))
}

/// An empty folder at `path`, whatever was there.
pub(crate) fn empty(path: PathBuf) -> Result<PathBuf> {
    if path.exists() {
        fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_made_of_its_files_alone() {
        let scratch = empty(std::env::temp_dir().join(format!("hearth-archive-{}", std::process::id()))).unwrap();
        let mut hashes = Vec::new();
        for (at, names) in [["a", "b"], ["b", "a"]].into_iter().enumerate() {
            let folder = scratch.join(at.to_string());
            for name in names {
                fs::create_dir_all(folder.join("files")).unwrap();
                fs::write(folder.join("files").join(name), name).unwrap();
            }
            let archive = scratch.join(format!("of-{at}.tar.gz"));
            tar_gz(&folder, &["files"], &archive, 1_700_000_000).unwrap();
            hashes.push(sha256(&archive).unwrap());
        }
        assert_eq!(hashes[0], hashes[1]);
        let later = scratch.join("later.tar.gz");
        tar_gz(&scratch.join("0"), &["files"], &later, 1_700_000_001).unwrap();
        assert_ne!(hashes[0], sha256(&later).unwrap());
        fs::remove_dir_all(&scratch).unwrap();
    }

    #[test]
    fn a_hash_is_the_standards() {
        let path = std::env::temp_dir().join(format!("hearth-hash-{}", std::process::id()));
        fs::write(&path, "abc").unwrap();
        assert_eq!(sha256(&path).unwrap(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        fs::remove_file(&path).unwrap();
    }
}
