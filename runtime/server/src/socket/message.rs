//! What a client says, read; and what it hears, written.

use http::HeaderValue;

use super::json::{self, Member};

/// Bytes of a chat's id.
const ID_MAX: usize = 64;
const KEY_MAX: usize = 4096;

/// A client's message.
#[derive(Debug, Clone)]
pub enum Message<'a> {
    /// Begins a chat with the body of a request.
    Open {
        /// The chat's name on this socket.
        id: String,
        /// The body's members.
        body: Vec<Member<'a>>,
    },
    /// Asks on in a chat.
    Continue {
        /// The chat's name.
        id: String,
        /// Members that take the place of those of before.
        body: Vec<Member<'a>>,
        /// What comes after the conversation: the inside of an array, not empty.
        more: &'a str,
    },
    /// Stops an answer.
    Cancel {
        /// The chat's name.
        id: String,
    },
    /// Stops an answer, if there is one, and forgets the chat.
    Close {
        /// The chat's name.
        id: String,
    },
    /// The key of the requests from now on.
    Auth {
        /// The `authorization` header of those requests.
        authorization: HeaderValue,
    },
    /// Asks for a `pong`; for pages, which cannot send WebSocket's own pings.
    Ping,
}

/// A message that cannot be acted on: what is wrong, and the cure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Fault {
    /// The chat's name, where the message had a usable one.
    pub id: Option<String>,
    /// For a person.
    pub text: String,
}

impl Fault {
    pub(super) fn new(id: Option<&str>, text: impl Into<String>) -> Self {
        Self { id: id.map(str::to_owned), text: text.into() }
    }
}

impl<'a> Message<'a> {
    /// Reads a message. `history` is the name under which one of type `continue` brings what is new.
    ///
    /// # Errors
    /// [`Fault`]
    pub fn parse(text: &'a str, history: &str) -> Result<Self, Fault> {
        let example = r#"{"type":"open","id":"a","body":{…}}"#;
        let members =
            json::members(text).map_err(|why| Fault::new(None, format!("The message is {why}: send an object such as {example}.")))?;
        let mut fields = Fields { members, id: None };
        // First of all, so that what else is wrong can be said to the chat that it is about.
        let named = fields.id()?;
        let kind = fields.string("type")?.ok_or_else(|| fields.fault(format!("The message has no 'type': {KINDS}.")))?;
        let id = |kind: &str| {
            named.clone().ok_or_else(|| Fault::new(None, format!("A message of type '{kind}' needs an 'id': the chat's name, a text.")))
        };
        let message = match kind.as_str() {
            "open" => {
                let (id, body) = (id("open")?, fields.object("body")?);
                Self::Open {
                    id,
                    body: body
                        .ok_or_else(|| fields.fault("A message of type 'open' needs a 'body': the body of the request, an object."))?,
                }
            }
            "continue" => {
                let id = id("continue")?;
                let missing =
                    format!("A message of type 'continue' needs '{history}': an array of what comes after the conversation, not empty.");
                let more = fields.take(history).and_then(json::elements).filter(|more| !more.is_empty());
                let more = more.ok_or_else(|| fields.fault(missing))?;
                let body = fields.object("body")?.unwrap_or_default();
                if body.iter().any(|(name, _)| name == history) {
                    return Err(fields.fault(format!("In a message of type 'continue', '{history}' stands beside 'body', not in it.")));
                }
                Self::Continue { id, body, more }
            }
            "cancel" => Self::Cancel { id: id("cancel")? },
            "close" => Self::Close { id: id("close")? },
            "auth" => {
                let key = fields.string("key")?.filter(|key| !key.is_empty() && key.len() <= KEY_MAX);
                let value = key.and_then(|key| HeaderValue::try_from(format!("Bearer {key}")).ok());
                let mut authorization = value.ok_or_else(|| {
                    fields.fault(format!("A message of type 'auth' needs a 'key': a text of 1 to {KEY_MAX} visible characters."))
                })?;
                authorization.set_sensitive(true);
                Self::Auth { authorization }
            }
            "ping" => Self::Ping,
            other => return Err(fields.fault(format!("There is no message of type '{}': {KINDS}.", shorten(other)))),
        };
        match fields.members.first() {
            Some((name, _)) => Err(fields.fault(format!("A message of type '{kind}' takes no '{}': leave it out.", shorten(name)))),
            None => Ok(message),
        }
    }
}

const KINDS: &str = "use 'open', 'continue', 'cancel', 'close', 'auth' or 'ping'";

struct Fields<'a> {
    members: Vec<Member<'a>>,
    id: Option<String>,
}

impl<'a> Fields<'a> {
    fn fault(&self, text: impl Into<String>) -> Fault {
        Fault::new(self.id.as_deref(), text)
    }

    fn take(&mut self, name: &str) -> Option<&'a str> {
        let at = self.members.iter().position(|(found, _)| found == name)?;
        Some(self.members.remove(at).1)
    }

    fn string(&mut self, name: &str) -> Result<Option<String>, Fault> {
        let Some(value) = self.take(name) else { return Ok(None) };
        serde_json::from_str(value).map(Some).map_err(|_| self.fault(format!("The message's '{name}' is no text: write it in quotes.")))
    }

    fn id(&mut self) -> Result<Option<String>, Fault> {
        let id = self.string("id")?;
        if id.as_ref().is_some_and(|id| id.is_empty() || id.len() > ID_MAX) {
            return Err(Fault::new(None, format!("The message's 'id' has no bytes or more than {ID_MAX}: give the chat a shorter name.")));
        }
        self.id.clone_from(&id);
        Ok(id)
    }

    fn object(&mut self, name: &str) -> Result<Option<Vec<Member<'a>>>, Fault> {
        let Some(value) = self.take(name) else { return Ok(None) };
        json::members(value).map(Some).map_err(|why| self.fault(format!("The message's '{name}' is {why}: send the body of a request.")))
    }
}

/// A client's own words in an answer to it, at most a few.
fn shorten(text: &str) -> String {
    let cut: String = text.chars().take(40).collect();
    if cut.len() < text.len() { cut + "…" } else { cut }
}
