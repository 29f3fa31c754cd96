//! The chats of one socket: their conversations, and the turns that run.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures::StreamExt;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{
    Link,
    answer::Answer,
    conversation::Conversation,
    handshake::Description,
    head::Head,
    message::{Fault, Message},
    reply,
    session::Ending,
    turn::{self, Step, Turn},
};
use crate::SocketOptions;

/// Mistakes of a client, with no answer that went well between them, that end its socket.
const FAULTS_MAX: u32 = 16;

pub(super) struct Chats {
    link: Arc<Link>,
    head: Head,
    description: Description,
    options: SocketOptions,
    chats: Vec<Chat>,
    /// The chat that is asked first for its next event, so that all get their turn.
    first: usize,
    faults: u32,
}

struct Chat {
    id: String,
    /// Before the turn that runs; `None` while the first does.
    kept: Option<Conversation>,
    running: Option<Running>,
}

struct Running {
    turn: Turn,
    /// With what was asked.
    asked: Conversation,
    answer: Answer,
}

impl Chat {
    fn bytes(&self) -> usize {
        let asked = self.running.as_ref().map_or(0, |running| running.asked.bytes());
        self.kept.as_ref().map_or(0, Conversation::bytes) + asked
    }
}

impl Chats {
    pub(super) fn new(link: Arc<Link>, head: Head, description: Description, options: SocketOptions) -> Self {
        Self { link, head, description, options, chats: Vec::new(), first: 0, faults: 0 }
    }

    /// Whether a turn runs.
    pub(super) fn running(&self) -> bool {
        self.chats.iter().any(|chat| chat.running.is_some())
    }

    /// Acts on a message. Returns what is to be said to it at once.
    ///
    /// # Errors
    /// The end of the socket.
    pub(super) fn hear(&mut self, text: &str, draining: bool) -> Result<Option<String>, Ending> {
        let history = self.description.history.clone();
        match Message::parse(text, &history).and_then(|message| self.act(message, draining)) {
            Ok(reply) => Ok(reply),
            Err(fault) => {
                self.fault()?;
                Ok(Some(reply::fault(&fault)))
            }
        }
    }

    fn act(&mut self, message: Message<'_>, draining: bool) -> Result<Option<String>, Fault> {
        match message {
            Message::Open { id, .. } | Message::Continue { id, .. } if draining => {
                let error = reply::envelope(
                    "The server stops; open the chat again on another socket in a moment",
                    "unavailable_error",
                    "shutting_down",
                );
                return Ok(Some(reply::error(&id, Some(503), &error, Some(1))));
            }
            Message::Open { id, body } => {
                let known = self.chats.iter().position(|chat| chat.id == id);
                if known.is_some_and(|at| self.chats[at].running.is_some()) {
                    return Err(Fault::new(Some(&id), "The chat is being answered: cancel that first, or open another with another id."));
                }
                if known.is_none() && self.chats.len() >= self.options.chats {
                    let most = self.options.chats;
                    return Err(Fault::new(
                        Some(&id),
                        format!(r#"This socket has {most} chats, the most: end one with {{"type":"close","id":…}}."#),
                    ));
                }
                let asked = Conversation::new(&body, &self.description.history);
                let running = Some(self.ask(&id, asked)?);
                self.chats.retain(|chat| chat.id != id);
                self.chats.push(Chat { id, kept: None, running });
            }
            Message::Continue { id, body, more } => {
                let unknown = "This socket keeps no chat of this id: open it with all of its messages.";
                let at = self.chats.iter().position(|chat| chat.id == id).ok_or_else(|| Fault::new(Some(&id), unknown))?;
                let chat = &self.chats[at];
                let Some(kept) = chat.kept.as_ref().filter(|_| chat.running.is_none()) else {
                    return Err(Fault::new(Some(&id), "The chat is being answered: wait for the end of the answer, or cancel it first."));
                };
                let asked = kept.and(&body, more);
                self.chats[at].running = Some(self.ask(&id, asked)?);
            }
            Message::Cancel { id } => {
                // Where there is nothing to stop, the end of the answer has crossed this message, and the client has it.
                if let Some(at) = self.chats.iter().position(|chat| chat.id == id)
                    && let Some(Running { turn, asked, answer }) = self.chats[at].running.take()
                {
                    drop(turn);
                    self.keep(at, asked, answer);
                    return Ok(Some(reply::cancelled(&id)));
                }
            }
            Message::Close { id } => {
                self.chats.retain(|chat| chat.id != id);
                return Ok(Some(reply::closed(&id)));
            }
            Message::Auth { authorization } => self.head.authorize(authorization),
            Message::Ping => return Ok(Some(reply::pong())),
        }
        Ok(None)
    }

    fn ask(&self, id: &str, asked: Conversation) -> Result<Running, Fault> {
        let most = self.options.conversation_bytes;
        let others: usize = self.chats.iter().filter(|chat| chat.id != id).map(Chat::bytes).sum();
        let left = most.checked_sub(others + asked.bytes());
        let left = left.ok_or_else(|| {
            let cure = r#"end one with {"type":"close","id":…}, or open this one again with fewer messages"#;
            Fault::new(Some(id), format!("The conversations of this socket have more than {most} bytes, the most: {cure}."))
        })?;
        let turn = turn::begin(self.link.clone(), self.head.clone(), asked.request());
        Ok(Running { turn, asked, answer: Answer::new(left) })
    }

    /// The next that a turn comes to, and the index of its chat.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(usize, Step)> {
        let count = self.chats.len();
        for at in (0..count).map(|offset| (self.first + offset) % count) {
            if let Some(running) = &mut self.chats[at].running
                && let Poll::Ready(Some(step)) = running.turn.poll_next_unpin(cx)
            {
                self.first = at + 1;
                return Poll::Ready((at, step));
            }
        }
        Poll::Pending
    }

    /// What the client is told of it.
    ///
    /// # Errors
    /// The end of the socket.
    pub(super) fn told(&mut self, (at, step): (usize, Step)) -> Result<String, Ending> {
        let chat = &mut self.chats[at];
        let id = chat.id.clone();
        match step {
            Step::Event { name, value, text } => {
                if let (Some(running), Some(piece)) = (&mut chat.running, value.pointer(&self.description.delta)) {
                    running.answer.add(piece);
                }
                Ok(reply::event(&id, name.as_deref(), &text))
            }
            Step::Done => {
                let kept = chat.running.take().is_some_and(|Running { asked, answer, .. }| self.keep(at, asked, answer));
                self.faults = 0;
                Ok(reply::done(&id, kept))
            }
            Step::Failed { status, error, retry_after } => {
                chat.running = None;
                if chat.kept.is_none() {
                    self.chats.remove(at);
                }
                // A guess at a key.
                if matches!(status, Some(401 | 403)) {
                    self.fault()?;
                }
                Ok(reply::error(&id, status, &error, retry_after))
            }
        }
    }

    /// Makes what was asked and answered the conversation. Without an answer it stays what it was, and a chat that has none is forgotten.
    fn keep(&mut self, at: usize, mut asked: Conversation, answer: Answer) -> bool {
        match answer.text() {
            Some(answer) => {
                asked.push(&answer);
                self.chats[at].kept = Some(asked);
                true
            }
            None if self.chats[at].kept.is_some() => false,
            None => {
                self.chats.remove(at);
                false
            }
        }
    }

    fn fault(&mut self) -> Result<(), Ending> {
        self.faults += 1;
        if self.faults < FAULTS_MAX { Ok(()) } else { Err(Ending(CloseCode::Policy, "too many messages that were wrong")) }
    }
}
