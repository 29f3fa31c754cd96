//! The final event of a stream that the server cuts: a client can tell it from a lost connection.

use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};

/// A stream that has events which can say that it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Server-sent events.
    Events,
    /// A JSON document a line.
    Lines,
}

/// Both of OpenAI's form, which looks for `error`, and of Anthropic's, which looks for the event's name and `type`.
const EVENT: &str = concat!(
    "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"The server stops before this answer is whole; ask again\",",
    "\"type\":\"server_error\",\"param\":null,\"code\":\"server_stopping\"}}\n\n"
);
const LINE: &str = "{\"error\":\"the server stops before this answer is whole; ask again\"}\n";

impl Form {
    /// Of the stream that a head announces.
    pub(crate) fn of(fields: &HeaderMap) -> Option<Self> {
        let media = fields.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase();
        match media.as_str() {
            "text/event-stream" => Some(Self::Events),
            "application/x-ndjson" => Some(Self::Lines),
            _ => None,
        }
    }

    /// Whether the stream stands between two events, after `tail`, its last bytes.
    pub(crate) fn is_between(self, tail: [u8; 2]) -> bool {
        match self {
            Self::Events => matches!(tail, [b'\n', b'\n'] | [0, 0]),
            Self::Lines => matches!(tail[1], b'\n' | 0),
        }
    }

    pub(crate) fn last_word(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Events => EVENT.as_bytes(),
            Self::Lines => LINE.as_bytes(),
        })
    }
}
