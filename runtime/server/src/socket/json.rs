//! JSON taken apart without being built: a conversation is kept, and passed on, as the text that it came in. What that text holds is the handler's to judge.

use serde::de::IgnoredAny;

/// One member of an object: its name, and its value's text.
pub type Member<'a> = (String, &'a str);

/// Members of one object: each costs more memory than its bytes.
const MEMBERS_MAX: usize = 256;

/// Why a text is not taken apart; reads on from "it is".
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// It is no JSON.
    #[error("not valid JSON ({0})")]
    Json(#[from] serde_json::Error),
    /// It is another value.
    #[error("JSON, but no object")]
    Other,
    /// It is too large an object.
    #[error("an object of more than {MEMBERS_MAX} members")]
    Many,
}

/// The members of the object that `text` is, in their order, a name that comes twice included.
///
/// # Errors
/// [`Malformed`]
pub fn members(text: &str) -> Result<Vec<Member<'_>>, Malformed> {
    // The cuts below hold for valid JSON alone.
    serde_json::from_str::<IgnoredAny>(text)?;
    let mut inside = inside(text, '{', '}').ok_or(Malformed::Other)?;
    let mut members = Vec::new();
    while !inside.is_empty() {
        if members.len() == MEMBERS_MAX {
            return Err(Malformed::Many);
        }
        let (member, rest) = cut(inside, b',');
        let (name, value) = cut(member, b':');
        members.push((serde_json::from_str(name)?, value.trim()));
        inside = rest;
    }
    Ok(members)
}

/// What stands between the brackets of the (valid) array that `text` is.
pub(super) fn elements(text: &str) -> Option<&str> {
    inside(text, '[', ']')
}

fn inside(text: &str, open: char, close: char) -> Option<&str> {
    Some(text.trim().strip_prefix(open)?.strip_suffix(close)?.trim())
}

/// What is before and after the first `mark` that stands in no string and no bracket; all and nothing where there is none.
fn cut(text: &str, mark: u8) -> (&str, &str) {
    let (mut depth, mut string, mut escaped) = (0_usize, false, false);
    let found = text.bytes().position(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => string = !string,
            _ if string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => return depth == 0 && byte == mark,
        }
        false
    });
    found.map_or((text, ""), |at| (&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_text() {
        let text = " {\"a\" : [1, {\"b\":\",]}\\\"\"}] ,\"\\u00e9\":\"{\", \"a\":1e99 }\n";
        let members = members(text).unwrap();
        assert_eq!(members, [("a".to_owned(), r#"[1, {"b":",]}\""}]"#), ("é".to_owned(), r#""{""#), ("a".to_owned(), "1e99")]);
        assert_eq!(elements(members[0].1), Some(r#"1, {"b":",]}\""}"#));
        assert_eq!(elements("[ ]"), Some(""));
        assert_eq!(elements("\"[]\""), None);
    }

    #[test]
    fn what_is_no_object_is_told_from_what_is_no_json() {
        assert!(members("{}").unwrap().is_empty());
        for text in ["[]", "1", "\"{}\"", "null"] {
            assert!(matches!(members(text), Err(Malformed::Other)), "{text}");
        }
        for text in ["", "{", "{\"a\":1,}", "{a:1}", "{} {}", "{\"\\ud800\":1}"] {
            assert!(matches!(members(text), Err(Malformed::Json(_))), "{text}");
        }
        let of = |count: usize| format!("{{{}}}", vec!["\"a\":0"; count].join(","));
        assert_eq!(members(&of(256)).unwrap().len(), 256);
        assert!(matches!(members(&of(257)), Err(Malformed::Many)));
    }
}
