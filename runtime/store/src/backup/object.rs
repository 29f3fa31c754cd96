//! One object of a backup as it lies at its place: `HRTB`, a version, a random nonce of 12 bytes, and by AES-256-GCM the way it is packed, its length and its bytes, zstd where
//! that makes them fewer. The name is bound to it, so that no object passes for another.

use std::io::Read;

use ring::{
    aead::{Aad, NONCE_LEN, Nonce},
    rand::{SecureRandom, SystemRandom},
};
use ruzstd::{
    decoding::StreamingDecoder,
    encoding::{CompressionLevel, compress_to_vec},
};

use super::{BackupError, BackupKey};

const HEAD: &[u8; 5] = b"HRTB\x01";
const RAW: u8 = 0;
const ZSTD: u8 = 1;
/// What comes before the packed bytes: how they are packed, and the length of what they are of.
const PREFIX: usize = 5;
/// Bytes that an object takes beyond its contents at most.
pub(super) const OVERHEAD: usize = HEAD.len() + NONCE_LEN + PREFIX + 16;

/// Packs and encrypts.
pub(super) fn seal(key: &BackupKey, name: &str, contents: &[u8]) -> Result<Vec<u8>, BackupError> {
    let failed = |reason: &str| BackupError::Damaged { name: name.to_owned(), reason: reason.to_owned() };
    let length = u32::try_from(contents.len()).map_err(|_| failed("it is too long"))?;
    let packed = compress_to_vec(contents, CompressionLevel::Fastest);
    let (how, packed) = if packed.len() < contents.len() { (ZSTD, &packed[..]) } else { (RAW, contents) };
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).map_err(|_| failed("the system has no randomness"))?;
    let mut inside = Vec::with_capacity(PREFIX + packed.len() + 16);
    inside.push(how);
    inside.extend(length.to_le_bytes());
    inside.extend(packed);
    key.seal
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name.as_bytes()), &mut inside)
        .map_err(|_| failed("it cannot be encrypted"))?;
    Ok([&HEAD[..], &nonce, &inside].concat())
}

/// The contents of an object, of `longest` bytes at most. Any change of any byte is an error.
///
/// # Errors
/// [`BackupError::Damaged`]
pub fn open(key: &BackupKey, name: &str, mut bytes: Vec<u8>, longest: usize) -> Result<Vec<u8>, BackupError> {
    let damaged = |reason: &str| BackupError::Damaged { name: name.to_owned(), reason: reason.to_owned() };
    if bytes.len() > longest.saturating_add(OVERHEAD) {
        return Err(damaged("it is too long"));
    }
    if !bytes.starts_with(HEAD) || bytes.len() < HEAD.len() + NONCE_LEN {
        return Err(damaged("it is none of this format"));
    }
    let mut inside = bytes.split_off(HEAD.len() + NONCE_LEN);
    let nonce = bytes[HEAD.len()..].try_into().map_err(|_| damaged("it is none of this format"))?;
    let inside = key
        .seal
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(name.as_bytes()), &mut inside)
        .map_err(|_| damaged("its seal is broken"))?;
    let (how, rest) = inside.split_first().ok_or_else(|| damaged("it is cut off"))?;
    let (length, packed) = rest.split_first_chunk::<4>().ok_or_else(|| damaged("it is cut off"))?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > longest {
        return Err(damaged("it is too long"));
    }
    let contents = match *how {
        RAW => packed.to_vec(),
        ZSTD => {
            let mut contents = Vec::with_capacity(length);
            let decoder = StreamingDecoder::new(packed).map_err(|_| damaged("it is packed badly"))?;
            decoder.take(length as u64 + 1).read_to_end(&mut contents).map_err(|_| damaged("it is packed badly"))?;
            contents
        }
        _ => return Err(damaged("it is packed in a way that this version does not know")),
    };
    if contents.len() == length { Ok(contents) } else { Err(damaged("it is not as long as it says")) }
}
