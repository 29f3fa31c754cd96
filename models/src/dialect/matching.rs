//! Whether a text is what a form says, as far as it has come: whitespace in either does not count, as models write it otherwise than templates.

use super::Tool;

/// What was looked for at the beginning of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<T> {
    /// It is there.
    Whole(T),
    /// It may yet come.
    Part,
    /// It is not, whatever follows.
    Not,
}

/// How many bytes of `text` are `literal`.
pub(super) fn literal(text: &str, literal: &str) -> Found<usize> {
    let mut chars = text.char_indices().filter(|(_, char)| !char.is_whitespace());
    let mut end = 0;
    for wanted in literal.chars().filter(|char| !char.is_whitespace()) {
        match chars.next() {
            None => return Found::Part,
            Some((at, char)) if char == wanted => end = at + char.len_utf8(),
            Some(_) => return Found::Not,
        }
    }
    Found::Whole(end)
}

/// How many bytes of `text` are `pattern` with its places filled, and which of `tools` stands for `{name}` (0 if there is no such place).
pub(super) fn filled(text: &str, pattern: &str, tools: &[Tool]) -> Found<(usize, usize)> {
    let Some((before, place, after)) = place(pattern) else {
        return literal(text, pattern).map(|end| (end, 0));
    };
    let start = match literal(text, before) {
        Found::Whole(end) => end,
        Found::Part => return Found::Part,
        Found::Not => return Found::Not,
    };
    let start = text.len() - text[start..].trim_start().len();
    let rest = &text[start..];
    let of_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    if place != "name" {
        let length = rest.find(|char| !of_name(char)).unwrap_or(rest.len());
        return match length {
            _ if length == rest.len() => Found::Part,
            0 => Found::Not,
            _ => filled(&rest[length..], after, tools).map(|(end, number)| (start + length + end, number)),
        };
    }
    let mut found = Found::Not;
    for (number, tool) in tools.iter().enumerate() {
        let name = tool.name.as_str();
        let this = match rest.strip_prefix(name) {
            // Whether a name goes on is seen behind it.
            Some("") => Found::Part,
            Some(rest) if rest.starts_with(of_name) => Found::Not,
            Some(rest) => filled(rest, after, tools).map(|(end, _)| (start + name.len() + end, number)),
            None if name.starts_with(rest) => Found::Part,
            None => Found::Not,
        };
        match this {
            Found::Whole(_) => return this,
            Found::Part => found = Found::Part,
            Found::Not => {}
        }
    }
    found
}

/// `pattern` about its first place, and the place's name.
pub(super) fn place(pattern: &str) -> Option<(&str, &str, &str)> {
    let (start, place) =
        ["name", "id", "index"].into_iter().filter_map(|place| Some((pattern.find(&format!("{{{place}}}"))?, place))).min()?;
    Some((&pattern[..start], place, &pattern[start + place.len() + 2..]))
}

/// How many bytes at the end of `text` may be the beginning of `marker`.
pub(super) fn overlap(text: &str, marker: &str) -> usize {
    let longest = marker.len().saturating_sub(1).min(text.len());
    (1..=longest).rev().find(|length| text.as_bytes().ends_with(&marker.as_bytes()[..*length])).unwrap_or(0)
}

impl<T> Found<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Found<U> {
        match self {
            Self::Whole(value) => Found::Whole(change(value)),
            Self::Part => Found::Part,
            Self::Not => Found::Not,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whitespace_does_not_count_and_the_rest_must_be_there() {
        assert_eq!(literal("< a>\n b", "<a>\n"), Found::Whole(4));
        assert_eq!(literal("<", "<a>"), Found::Part);
        assert_eq!(literal("<b", "<a>"), Found::Not);
        assert_eq!(literal("x", ""), Found::Whole(0));
        assert_eq!((overlap("text<to", "<tool>"), overlap("text", "<tool>"), overlap("<tool>", "<tool>")), (3, 0, 0));
    }

    #[test]
    fn places_are_filled_with_the_tools_names_and_ids() {
        let tools = ["get", "get_all"].map(|name| Tool { name: name.into(), ..Tool::default() });
        let pattern = "<{name}:{id}>";
        assert_eq!(filled("<get_all:7>x", pattern, &tools), Found::Whole((11, 1)));
        assert_eq!(filled("<get:a-1>", pattern, &tools), Found::Whole((9, 0)));
        for part in ["<", "<ge", "<get", "<get_", "<get:", "<get:12"] {
            assert_eq!(filled(part, pattern, &tools), Found::Part, "{part}");
        }
        for not in ["[", "<got", "<get:>", "<get_any"] {
            assert_eq!(filled(not, pattern, &tools), Found::Not, "{not}");
        }
        assert_eq!(filled("get", "{name}\n", &tools), Found::Part);
        assert_eq!(filled("get_all<", "{name}\n", &tools), Found::Whole((7, 1)));
    }
}
