//! The key of backups: 32 random bytes in a file, from which one key to encrypt and one to name chunks are derived.

use std::{fmt, fs, io::Write, path::Path};

use ring::{
    aead::{AES_256_GCM, LessSafeKey, UnboundKey},
    hkdf, hmac,
    rand::{SecureRandom, SystemRandom},
};

use super::BackupError;

/// What a key file begins with.
const HEAD: &str = "hearth-backup-key-1 ";
/// Bytes of a key file at most.
const FILE_MAX: u64 = 1024;

/// The key that all objects of one place are encrypted with.
#[derive(Clone)]
pub struct BackupKey {
    pub(super) seal: LessSafeKey,
    names: hmac::Key,
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl BackupKey {
    /// Makes a key and writes it to a new file that only its owner reads.
    ///
    /// # Errors
    /// [`BackupError::File`], also where the file exists: a key that is overwritten takes its backups with it.
    pub fn create(path: &Path) -> Result<(), BackupError> {
        let failed = |error: std::io::Error| BackupError::file(path, &error);
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).map_err(|_| failed(std::io::Error::other("the system has no randomness")))?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(failed)?;
        file.write_all(format!("{HEAD}{}\n", hex(&secret)).as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
    }

    /// Reads a key from its file.
    ///
    /// # Errors
    /// [`BackupError::File`], [`BackupError::Key`].
    pub fn read(path: &Path) -> Result<Self, BackupError> {
        let failed = |error: std::io::Error| BackupError::file(path, &error);
        let none = || BackupError::Key { path: path.to_owned() };
        if fs::metadata(path).map_err(failed)?.len() > FILE_MAX {
            return Err(none());
        }
        let text = fs::read_to_string(path).map_err(|_| none())?;
        let secret = text.trim_end().strip_prefix(HEAD).and_then(unhex).ok_or_else(none)?;
        Self::derive(&secret).ok_or_else(none)
    }

    /// The key whose secret is this.
    pub fn from_secret(secret: [u8; 32]) -> Option<Self> {
        Self::derive(&secret)
    }

    fn derive(secret: &[u8; 32]) -> Option<Self> {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"hearth backup 1").extract(secret);
        let part = |info: &'static [u8]| -> Option<[u8; 32]> {
            let mut bytes = [0; 32];
            root.expand(&[info], Length(32)).ok()?.fill(&mut bytes).ok()?;
            Some(bytes)
        };
        let seal = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &part(b"objects")?).ok()?);
        Some(Self { seal, names: hmac::Key::new(hmac::HMAC_SHA256, &part(b"names")?) })
    }

    /// The name of a chunk: of its contents, yet who has no key cannot tell from it what those are.
    pub(super) fn name_of(&self, chunk: &[u8]) -> String {
        hex(hmac::sign(&self.names, chunk).as_ref())
    }
}

impl fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackupKey")
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let bytes = text.as_bytes();
    if bytes.len() != 64 || !bytes.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut secret = [0; 32];
    for (byte, digits) in secret.iter_mut().zip(bytes.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(secret)
}
