//! Where backups are: a folder or a bucket.

use hearth_store::backup::{Archive, BackupKey, Folder, Shelf};

use super::{cli::PlaceArgs, s3::S3};

/// A place with the key to it.
pub(super) struct Place {
    shelf: Box<dyn Shelf>,
    key: BackupKey,
}

impl Place {
    pub(super) fn open(args: &PlaceArgs) -> anyhow::Result<Self> {
        let key = BackupKey::read(&args.key_file)?;
        let shelf: Box<dyn Shelf> = match args.place.strip_prefix("s3://") {
            Some(bucket) => Box::new(S3::open(bucket, args.endpoint.as_deref())?),
            None => Box::new(Folder::new(&args.place)),
        };
        Ok(Self { shelf, key })
    }

    pub(super) fn archive(&self) -> Archive<'_> {
        Archive::new(&*self.shelf, &self.key)
    }
}
