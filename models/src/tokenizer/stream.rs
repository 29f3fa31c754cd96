//! Text from a stream of bytes that may part anywhere, also inside a character.

/// Joins the bytes of successive tokens into text of whole characters: the engine sends no half of a character, and a client never sees one.
#[derive(Debug, Clone, Default)]
pub struct TextStream {
    /// The beginning of a character whose end has not come yet: at most three bytes.
    held: Vec<u8>,
}

impl TextStream {
    /// An empty stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes `bytes` and returns the text that is whole now. An unfinished character is held back; bytes that can never become a character are U+FFFD, one for each
    /// maximal invalid part, as [`String::from_utf8_lossy`] replaces them.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let mut text = String::with_capacity(self.held.len());
        let mut rest = self.held.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    self.held.clear();
                    return text;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    let Some(invalid) = error.error_len() else {
                        self.held = after.to_vec();
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &after[invalid..];
                }
            }
        }
    }

    /// What is still held back, as U+FFFD: its end will not come.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.held).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytewise(bytes: &[u8]) -> String {
        let mut stream = TextStream::new();
        let mut text: String = bytes.iter().map(|&byte| stream.push(&[byte])).collect();
        text += &stream.finish();
        text
    }

    #[test]
    fn holds_a_character_back_until_it_is_whole() {
        let mut stream = TextStream::new();
        assert_eq!(stream.push(b"a\xF0\x9F"), "a");
        assert_eq!(stream.push(b"\xA6"), "");
        assert_eq!(stream.push(b"\x99b"), "🦙b");
        assert_eq!(stream.finish(), "");
    }

    #[test]
    fn replaces_what_cannot_become_a_character() {
        for bytes in [&b"\xFF"[..], b"a\xC3(", b"\xE2\x82", b"\xF0\x9F\x92x\x80", b"\xED\xA0\x80", "żółw 🐢".as_bytes()] {
            assert_eq!(bytewise(bytes), String::from_utf8_lossy(bytes), "{bytes:?}");
        }
    }
}
