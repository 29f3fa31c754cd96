//! Where a JSON object ends, in pieces that may part anywhere.

/// How deep arguments may nest.
const MAX_DEPTH: usize = 128;

/// The state within an object. It looks at brackets and strings only: whether it is JSON is seen when it is whole.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    open: Vec<u8>,
    string: bool,
    escaped: bool,
    begun: bool,
}

/// What a piece led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scan {
    /// The object goes on.
    More,
    /// It ends after so many bytes of the piece.
    Ends(usize),
    /// It is none: seen after so many bytes.
    Broken(usize),
}

impl Scanner {
    /// Whether its bracket has come.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Takes the next piece. Nothing may be taken after an end.
    pub(super) fn scan(&mut self, piece: &str) -> Scan {
        for (at, byte) in piece.bytes().enumerate() {
            if self.string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.string = false,
                    _ => {}
                }
                continue;
            }
            let good = match byte {
                b'{' | b'[' => {
                    let good = (self.begun || byte == b'{') && self.open.len() < MAX_DEPTH;
                    self.begun = true;
                    self.open.push(byte);
                    good
                }
                b'}' => self.open.pop() == Some(b'{'),
                b']' => self.open.pop() == Some(b'['),
                b'"' => {
                    self.string = true;
                    self.begun
                }
                b' ' | b'\t' | b'\n' | b'\r' => true,
                b',' | b':' | b'+' | b'-' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E' => self.begun,
                _ => false,
            };
            if !good {
                // A character is cut nowhere: what is broken ends before it.
                return Scan::Broken(at);
            }
            if self.begun && self.open.is_empty() {
                return Scan::Ends(at + 1);
            }
        }
        Scan::More
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_ends_with_its_bracket_however_it_is_cut() {
        let text = r#" {"a": "}\"{", "b": [1, {"c": null}]} rest"#;
        assert_eq!(Scanner::default().scan(text), Scan::Ends(text.len() - 5));
        let mut scanner = Scanner::default();
        let ends = (0..text.len()).find(|at| scanner.scan(&text[*at..=*at]) == Scan::Ends(1));
        assert_eq!(ends, Some(text.len() - 6));
    }

    #[test]
    fn what_is_no_object_is_seen() {
        for (text, at) in [("[1]", 0), ("7", 0), ("{]", 1), ("{<", 1), ("{\"a\": é}", 6)] {
            assert_eq!(Scanner::default().scan(text), Scan::Broken(at), "{text}");
        }
        assert!(matches!(Scanner::default().scan(&"{\"a\":[".repeat(100)), Scan::Broken(_)));
    }
}
