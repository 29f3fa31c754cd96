//! WebSocket, as a bridge: each message that asks for something becomes a request of its own to the handler, and each event of its answer a message.
//!
//! The server does not know what a chat is, and a handler does not know that there are sockets. A path is a socket where the handler says so: to an ordinary GET it
//! answers 426 with a `websocket` in its JSON body, which names three things: the path to post bodies to, the member of such a body that grows with a conversation
//! (an array), and where in an event a piece of the answer lies. That is all the bridge needs to keep conversations, in both shapes and for any guest alike.
//! `continue` appends to the array, and a whole answer, put together from its pieces, is appended as well.
//!
//! - One request is one turn, and goes the way of all requests ([`admit::answer`](crate::admit::answer)): it holds a permit until its answer's body has ended, and dropping that body is
//!   what `cancel`, a lost connection and the end of the drain come to. A socket without a turn holds no permit, only its connection and its place among the sockets.
//! - A socket is one task, which belongs to its connection's. It reads no further event of any answer before the last message is written, so that a slow reader slows its
//!   own answers down; and no further message while a client does not take the replies to those before.
//! - A turn that fails leaves the conversation as it was. One that is cancelled leaves what was said until then.
//! - A key comes as the `authorization` header of the opening request, or, as a page cannot set it, in a message. Never in the address, which logs keep; and not as
//!   a subprotocol, a header that logs keep as well and that has no room for all characters.

mod answer;
mod chats;
mod conversation;
mod events;
mod handshake;
mod head;
mod json;
mod message;
mod origin;
mod reply;
mod session;
mod turn;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{sync::watch, task::JoinSet};

use crate::admit::{Activity, Shared};

pub use conversation::Conversation;
pub(crate) use handshake::{asks, complete, open};
pub use json::{Malformed, Member, members};
pub use message::{Fault, Message};
pub use origin::parse_origin;

/// What a connection lends to its sockets.
pub(crate) struct Link {
    pub(crate) shared: Arc<Shared>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) drain: watch::Receiver<bool>,
    pub(crate) tasks: Tasks,
}

impl Link {
    fn spawn(&self, session: impl Future<Output = ()> + Send + 'static) {
        self.tasks.0.lock().unwrap_or_else(PoisonError::into_inner).spawn(session);
    }
}

/// The sockets of one connection; they stop when it is dropped.
#[derive(Clone, Default)]
pub(crate) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    /// Resolves when the sockets that were opened have ended.
    pub(crate) async fn ended(&self) {
        let mut tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }
}
