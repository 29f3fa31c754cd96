//! Server-sent events out of the pieces of a body (WHATWG HTML, 9.2), as far as a stream that is read once needs them: `data` and `event`.

/// Bytes of one event.
const EVENT_MAX: usize = 4 << 20;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: Option<String>,
    pub(super) data: String,
}

/// Why a stream cannot be read on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("an event is not UTF-8")]
    Utf8,
    #[error("an event has more than {EVENT_MAX} bytes")]
    Long,
}

/// What has come and is not yet an event.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    buffer: Vec<u8>,
    /// Of the buffer: where no line begins before, and where no line end is before.
    line: usize,
    seen: usize,
    name: Option<String>,
    data: Option<String>,
}

impl Decoder {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.line);
        self.seen -= self.line;
        self.line = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next event that is complete.
    pub(super) fn next(&mut self) -> Result<Option<Event>, Broken> {
        while let Some(at) = self.buffer[self.seen..].iter().position(|byte| *byte == b'\n') {
            let end = self.seen + at;
            let line = std::str::from_utf8(&self.buffer[self.line..end]).map_err(|_| Broken::Utf8)?;
            let line = line.strip_suffix('\r').unwrap_or(line);
            (self.line, self.seen) = (end + 1, end + 1);
            if line.is_empty() {
                let name = self.name.take();
                if let Some(data) = self.data.take() {
                    return Ok(Some(Event { name, data }));
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match (field, &mut self.data) {
                ("data", None) => self.data = Some(value.to_owned()),
                ("data", Some(data)) if data.len() + value.len() < EVENT_MAX => {
                    data.push('\n');
                    data.push_str(value);
                }
                ("data", Some(_)) => return Err(Broken::Long),
                ("event", _) => self.name = Some(value.to_owned()),
                // Comments, which keep a connection busy, and what serves a reader that comes back.
                _ => {}
            }
        }
        self.seen = self.buffer.len();
        if self.seen - self.line > EVENT_MAX { Err(Broken::Long) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> Result<Vec<(Option<String>, String)>, Broken> {
        let (mut decoder, mut events) = (Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.feed(piece);
            while let Some(Event { name, data }) = decoder.next()? {
                events.push((name, data));
            }
        }
        Ok(events)
    }

    #[test]
    fn events_come_whole_however_the_body_is_cut() {
        let text = ": hello\n\ndata: {\"a\":\"é\"}\n\nevent: x\r\ndata:1\r\ndata: 2\r\nid: 7\r\n\r\nevent: lost\n\ndata\n\ndata: cut off";
        let expected =
            [(None, "{\"a\":\"é\"}"), (Some("x"), "1\n2"), (None, "")].map(|(name, data)| (name.map(str::to_owned), data.to_owned()));
        assert_eq!(all(&[text.as_bytes()]).unwrap(), expected);
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(all(&bytes).unwrap(), expected);
    }

    #[test]
    fn what_is_no_stream_of_events_ends() {
        assert_eq!(all(&[b"data: \xff\n\n"]), Err(Broken::Utf8));
        let (long, line) = (vec![b'x'; EVENT_MAX + 1], [b"data: ".as_slice(), &[b'x'; 1 << 20], b"\n"].concat());
        assert_eq!(all(&[&long]), Err(Broken::Long));
        assert_eq!(all(&[line.as_slice(); 5]), Err(Broken::Long));
    }
}
