//! A request's body that grows turn by turn: what a socket keeps of a chat.

use super::json::{self, Member};

/// The members of a body as their texts, and apart from them the one that grows.
#[derive(Debug, Clone)]
pub struct Conversation {
    rest: Vec<(String, String)>,
    /// The inside of the array; `None` where the body has no such array, which makes it a matter of the handler's.
    history: Option<String>,
    name: String,
}

impl Conversation {
    /// Begins with a body whose member `name` is the array that grows.
    pub fn new(body: &[Member<'_>], name: &str) -> Self {
        let mut conversation = Self { rest: Vec::new(), history: None, name: name.to_owned() };
        for (member, value) in body {
            match json::elements(value) {
                Some(inside) if member == name && conversation.history.is_none() => conversation.history = Some(inside.to_owned()),
                _ => conversation.rest.push((member.clone(), (*value).to_owned())),
            }
        }
        conversation
    }

    /// With `more` behind it, and the members of `body` in the place of those of before.
    #[must_use]
    pub fn and(&self, body: &[Member<'_>], more: &str) -> Self {
        let mut next = self.clone();
        for (member, value) in body {
            next.rest.retain(|(name, _)| name != member);
            next.rest.push((member.clone(), (*value).to_owned()));
        }
        next.push(more);
        next
    }

    /// Appends to what grows: elements of an array.
    pub fn push(&mut self, more: &str) {
        let history = self.history.get_or_insert_default();
        if !history.is_empty() {
            history.push(',');
        }
        history.push_str(more);
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.rest.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() + self.history.as_ref().map_or(0, String::len)
    }

    /// The body of the request, which asks for a stream whatever the client wrote of it.
    pub fn request(&self) -> String {
        let mut text = String::with_capacity(self.bytes() + 64 + 8 * self.rest.len());
        text.push_str("{\"stream\":true");
        let history = self.history.as_ref().map(|history| (&self.name, "[", history.as_str(), "]"));
        let rest = self.rest.iter().filter(|(name, _)| name != "stream").map(|(name, value)| (name, "", value.as_str(), ""));
        for (name, open, value, close) in rest.chain(history) {
            text.push(',');
            text.push_str(&serde_json::Value::from(name.as_str()).to_string());
            text.push(':');
            for piece in [open, value, close] {
                text.push_str(piece);
            }
        }
        text.push('}');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Conversation {
        Conversation::new(&json::members(text).unwrap(), "turns")
    }

    #[test]
    fn grows_and_stays_json() {
        let first = of(r#"{"turns":[ {"a":1} ],"stream":false,"heat":1,"\"":null}"#);
        assert_eq!(first.request(), r#"{"stream":true,"heat":1,"\"":null,"turns":[{"a":1}]}"#);
        let mut second = first.and(&[("heat".to_owned(), "0.5")], r#""b", 2"#);
        second.push("3");
        assert_eq!(second.request(), r#"{"stream":true,"\"":null,"heat":0.5,"turns":[{"a":1},"b", 2,3]}"#);
        assert!(second.bytes() > first.bytes());
        assert_eq!(of(r#"{"turns":[]}"#).and(&[], "1").request(), r#"{"stream":true,"turns":[1]}"#);
    }

    #[test]
    fn what_is_wrong_with_a_body_reaches_the_handler() {
        assert_eq!(of(r#"{"turns":"x"}"#).request(), r#"{"stream":true,"turns":"x"}"#);
        assert_eq!(of(r#"{"turns":[1],"turns":[2]}"#).request(), r#"{"stream":true,"turns":[2],"turns":[1]}"#);
        assert_eq!(of("{}").request(), r#"{"stream":true}"#);
    }
}
