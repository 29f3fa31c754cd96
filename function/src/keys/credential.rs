//! What a request says of who sent it: `Authorization: Bearer`, `Authorization: Basic` or `x-api-key`.

use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

use super::secret::{Secret, is_hex};

/// Bytes of a header that is read.
const MAX_BYTES: usize = 4096;
/// Standard base64, with padding or without: clients differ.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// Who a request says that it is from. `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A key of the store.
    Key {
        /// The client id, 32 hexadecimal digits.
        id: String,
        /// The client secret, 64 hexadecimal digits.
        secret: Secret,
    },
    /// Some other text, which may be the key of the settings.
    Other(Secret),
}

/// A header that is no credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not 'Bearer KEY', nor 'Basic' with a client id and its secret")]
pub struct Malformed;

impl Credential {
    /// Reads the value of `Authorization`. The scheme's case does not matter (RFC 9110, 11.1).
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn authorization(value: &HeaderValue) -> Result<Self, Malformed> {
        let (scheme, rest) = text(value)?.split_once(' ').ok_or(Malformed)?;
        let rest = rest.trim_matches(' ');
        if scheme.eq_ignore_ascii_case("bearer") {
            return Self::token(rest);
        }
        if scheme.eq_ignore_ascii_case("basic") {
            let bytes = BASE64.decode(rest).map_err(|_| Malformed)?;
            let pair = String::from_utf8(bytes).map_err(|_| Malformed)?;
            let (id, secret) = pair.split_once(':').ok_or(Malformed)?;
            return Self::pair(id, secret).or_else(|| Self::other(secret)).ok_or(Malformed);
        }
        Err(Malformed)
    }

    /// Reads the value of `x-api-key`.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn api_key(value: &HeaderValue) -> Result<Self, Malformed> {
        Self::token(text(value)?.trim_matches(' '))
    }

    /// The credential of a request, if it has one. `x-api-key` comes first: a proxy may want `Authorization` for itself.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Malformed> {
        let mut found = None;
        for (name, read) in
            [("x-api-key", Self::api_key as fn(&HeaderValue) -> Result<Self, Malformed>), (AUTHORIZATION.as_str(), Self::authorization)]
        {
            let mut values = headers.get_all(name).iter();
            if let Some(value) = values.next() {
                if values.next().is_some() {
                    return Err(Malformed);
                }
                found = Some(read(value)?);
                break;
            }
        }
        Ok(found)
    }

    fn token(token: &str) -> Result<Self, Malformed> {
        let parts = token.strip_prefix("hearth-").and_then(|rest| rest.split_once('-'));
        parts.and_then(|(id, secret)| Self::pair(id, secret)).or_else(|| Self::other(token)).ok_or(Malformed)
    }

    fn pair(id: &str, secret: &str) -> Option<Self> {
        (is_hex(id, 32) && is_hex(secret, 64)).then(|| Self::Key { id: id.to_owned(), secret: Secret::new(secret.to_owned()) })
    }

    fn other(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::Other(Secret::new(text.to_owned())))
    }
}

fn text(value: &HeaderValue) -> Result<&str, Malformed> {
    value.to_str().ok().filter(|text| text.len() <= MAX_BYTES).ok_or(Malformed)
}
