//! Where backups are: a folder or a bucket.

use anyhow::Context as _;
use hearth_store::backup::{Archive, BackupKey, Folder, Shelf};

use super::{cli::PlaceArgs, s3::S3};

/// A place with the key to it.
pub(super) struct Place {
    shelf: Box<dyn Shelf>,
    key: BackupKey,
}

impl Place {
    pub(super) fn open(args: &PlaceArgs) -> anyhow::Result<Self> {
        let place =
            args.place.as_deref().context("where are the backups? --place FOLDER or --place s3://BUCKET/PREFIX (HEARTH_BACKUP_PLACE)")?;
        let key = args
            .key_file
            .as_deref()
            .context("which key opens the backups? --key-file FILE (HEARTH_BACKUP_KEY_FILE); `hearth backup key` makes one")?;
        let key = BackupKey::read(key)?;
        let shelf: Box<dyn Shelf> = match place.strip_prefix("s3://") {
            Some(bucket) => Box::new(S3::open(bucket, args.endpoint.as_deref())?),
            None => Box::new(Folder::new(place)),
        };
        Ok(Self { shelf, key })
    }

    pub(super) fn archive(&self) -> Archive<'_> {
        Archive::new(&*self.shelf, &self.key)
    }
}
