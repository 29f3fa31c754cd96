//! The trace that a client's request belongs to (W3C Trace Context).

use http::{HeaderMap, HeaderName};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Bytes of a state that are passed on.
const STATE_MAX: usize = 512;

/// What `traceparent` and `tracestate` say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parent {
    /// 32 hexadecimal digits.
    pub(crate) trace: String,
    /// 16 hexadecimal digits.
    pub(crate) span: String,
    pub(crate) sampled: bool,
    pub(crate) state: Option<String>,
}

impl Parent {
    /// The parent in a request's fields; what is malformed counts as none.
    pub(crate) fn read(fields: &HeaderMap) -> Option<Self> {
        let mut given = fields.get_all(TRACEPARENT).iter();
        let (Some(value), None) = (given.next(), given.next()) else { return None };
        let mut pieces = value.to_str().ok()?.split('-');
        let mut piece = |digits: usize| {
            let piece = pieces.next()?;
            let hex = piece.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            (piece.len() == digits && hex).then(|| piece.to_owned())
        };
        let (version, trace, span, flags) = (piece(2)?, piece(32)?, piece(16)?, piece(2)?);
        let null = |id: &str| id.bytes().all(|byte| byte == b'0');
        // A later version may have more pieces.
        if version == "ff" || (version == "00" && pieces.next().is_some()) || null(&trace) || null(&span) {
            return None;
        }
        let sampled = u8::from_str_radix(&flags, 16).ok()? & 1 == 1;
        let state = fields.get(TRACESTATE).and_then(|state| state.to_str().ok());
        Some(Self { trace, span, sampled, state: state.filter(|state| state.len() <= STATE_MAX).map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(value: &'static str) -> Option<Parent> {
        Parent::read(&HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_static(value))]))
    }

    #[test]
    fn reads_the_standard_s_examples_and_nothing_malformed() {
        let parent = read("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
        assert_eq!((parent.trace.as_str(), parent.span.as_str()), ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"));
        assert!(parent.sampled);
        assert!(!read("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00").unwrap().sampled);
        assert!(read("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later").is_some());
        for wrong in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
