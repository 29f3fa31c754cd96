//! The id by which a request is found again in logs, here and at its client.

use http::{HeaderMap, HeaderName};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LENGTH_MAX: usize = 128;

/// The client's own id where it is short and visible; one of 32 hexadecimal digits where it is not.
pub(crate) fn request_id(fields: &HeaderMap) -> String {
    let mut given = fields.get_all(REQUEST_ID).iter();
    match (given.next(), given.next()) {
        (Some(id), None) if (1..=LENGTH_MAX).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic) => {
            String::from_utf8_lossy(id.as_bytes()).into_owned()
        }
        _ => random(),
    }
}

/// 32 hexadecimal digits that nobody has had.
fn random() -> String {
    let mut bytes = [0; 16];
    // Without the system's random numbers no server begins; ids that are equal then would be the least of it.
    let _ = getrandom::fill(&mut bytes);
    format!("{:032x}", u128::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(values: &[&str]) -> String {
        let mut fields = HeaderMap::new();
        for value in values {
            fields.append(REQUEST_ID, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        request_id(&fields)
    }

    #[test]
    fn sane_ids_are_kept_and_others_replaced() {
        let longest = "x".repeat(128);
        for sane in ["a", "req_1-2/3", &longest] {
            assert_eq!(of(&[sane]), sane);
        }
        for other in [&[][..], &[""], &["two words"], &["é"], &["a", "b"], &[&"x".repeat(129)]] {
            let id = of(other);
            assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{other:?} {id}");
        }
        assert_ne!(of(&[]), of(&[]));
    }
}
