//! Whether the disk has room for what is to come.

use std::path::Path;

/// Fails when fewer than `needed` bytes are free where `path` lies; where the system does not tell, there is room.
pub(super) fn check(path: &Path, needed: u64) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(path);
    match free(folder) {
        Some(free) if free < needed => {
            let (needed, free) = (crate::text::bytes(needed), crate::text::bytes(free));
            anyhow::bail!(
                "{needed} are needed in {}, but {free} are free: make room, or choose another folder with HEARTH_MODELS",
                folder.display()
            )
        }
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn free(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

#[cfg(not(unix))]
fn free(_folder: &Path) -> Option<u64> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    #[test]
    fn no_disk_has_room_for_everything() {
        let file = std::env::temp_dir().join("x");
        super::check(&file, 0).unwrap();
        let error = super::check(&file, u64::MAX).unwrap_err().to_string();
        assert!(error.contains("HEARTH_MODELS") && error.contains("free"), "{error}");
    }
}
