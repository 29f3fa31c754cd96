//! Backups: a copy of the store as it is at one moment and of the files beside it, in chunks by their contents, packed and encrypted, at a place that need not be trusted.
//!
//! Each backup is whole by itself: its manifest names the chunks of all files. What makes one incremental is that chunks which are there already are not written again. The
//! format is described in docs/backup.md.

mod archive;
mod error;
mod key;
mod manifest;
mod object;
mod restore;
mod shelf;

pub use archive::{Archive, Contents, Kept, Named, Taken};
pub use error::BackupError;
pub use key::BackupKey;
pub use manifest::{MANIFEST_MAX, Manifest, Root, StoredFile, StoredModel};
pub use object::open as open_object;
pub use restore::{Restored, swap};
pub use shelf::{Folder, Shelf};

/// Bytes of a chunk: small enough that an hour's changes are few, large enough that a place with a delay for each object takes them in time.
pub const CHUNK: usize = 256 << 10;
