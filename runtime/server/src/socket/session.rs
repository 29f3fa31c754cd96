//! One socket from its opening to its close: reads messages, runs the turns of its chats, writes what they come to, and keeps the bounds.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message as Frame,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

use super::{Link, chats::Chats, handshake::Description, head::Head};
use crate::SocketOptions;

/// Replies that wait to be written; beyond these no message is read.
const BACKLOG: usize = 16;
/// Bytes that are read at once.
const READ: usize = 8 * 1024;
/// Pings without an answer after which a client counts as gone, counted in the time between two.
const PATIENCE: u32 = 3;
/// How long a client may take to close.
const CLOSING: Duration = Duration::from_secs(2);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Why a socket is closed, as the client is told.
pub(super) struct Ending(pub(super) CloseCode, pub(super) &'static str);

enum Io {
    Written(Result<(), Error>),
    Heard(Option<Result<Frame, Error>>),
}

/// Serves a socket until one of the two closes it.
pub(super) async fn run(link: Arc<Link>, head: Head, description: Description, upgrade: OnUpgrade) {
    // A client that went away before the answer to its opening was there.
    let Ok(upgraded) = upgrade.await else { return };
    let options = link.shared.options.socket.clone();
    let config = WebSocketConfig::default()
        .read_buffer_size(READ)
        .write_buffer_size(0)
        .max_message_size(Some(options.message_bytes))
        .max_frame_size(Some(options.message_bytes));
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    let drain = link.drain.clone();
    let chats = Chats::new(link, head, description, options.clone());
    let ending = serve(&mut socket, chats, drain, &options).await;
    finish(socket, ending).await;
}

/// Resolves with the reason to close; without one the client closed or is gone. All turns are dropped by then.
async fn serve(
    socket: &mut Socket,
    mut chats: Chats,
    mut drain: tokio::sync::watch::Receiver<bool>,
    options: &SocketOptions,
) -> Option<Ending> {
    let mut replies = VecDeque::new();
    let (mut writing, mut draining) = (false, false);
    let (mut heard, mut used, mut pinged) = (Instant::now(), Instant::now(), false);
    loop {
        if !writing && let Some(reply) = replies.pop_front() {
            // After a flush there is room for one: what is not written yet is never more.
            if poll_fn(|cx| socket.poll_ready_unpin(cx)).await.and_then(|()| socket.start_send_unpin(reply)).is_err() {
                return None;
            }
            writing = true;
        }
        let running = chats.running();
        if draining && !running && !writing {
            return Some(Ending(CloseCode::Away, "the server stops"));
        }
        let (dead, idle) = (heard + options.ping * PATIENCE, used + options.idle);
        let silence = if pinged { dead } else { heard + options.ping };
        let alarm = if running { silence } else { silence.min(idle) };
        tokio::select! {
            io = poll_fn(|cx| poll_io(socket, cx, writing, replies.len() < BACKLOG)) => match io {
                Io::Written(Ok(())) => writing = false,
                Io::Heard(Some(Ok(frame))) => {
                    (heard, pinged) = (Instant::now(), false);
                    match frame {
                        Frame::Text(text) => {
                            used = heard;
                            match chats.hear(&text, draining) {
                                Ok(reply) => replies.extend(reply.map(Frame::text)),
                                Err(ending) => return Some(ending),
                            }
                        }
                        Frame::Binary(_) => return Some(Ending(CloseCode::Unsupported, "messages are text, not binary")),
                        Frame::Close(_) => return None,
                        // A ping is answered by the library; any frame shows that the client is there.
                        Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => {}
                    }
                }
                Io::Heard(Some(Err(error))) => return ending(&error),
                Io::Heard(None) | Io::Written(Err(_)) => return None,
            },
            step = poll_fn(|cx| chats.poll(cx)), if !writing && replies.is_empty() => match chats.told(step) {
                Ok(reply) => replies.push_back(Frame::text(reply)),
                Err(ending) => return Some(ending),
            },
            _ = drain.wait_for(|drain| *drain), if !draining => draining = true,
            () = sleep_until(alarm) => {
                let now = Instant::now();
                if now >= dead {
                    return Some(Ending(CloseCode::Error, "no answer to pings"));
                }
                if !running && now >= idle {
                    return Some(Ending(CloseCode::Away, "no message for a long time"));
                }
                // Behind what is not taken yet; a client that takes nothing is found out by the silence.
                pinged = true;
                replies.push_back(Frame::Ping(Default::default()));
            }
        }
        if running {
            used = Instant::now();
        }
    }
}

fn poll_io(socket: &mut Socket, cx: &mut Context<'_>, writing: bool, room: bool) -> Poll<Io> {
    if writing && let Poll::Ready(written) = socket.poll_flush_unpin(cx) {
        return Poll::Ready(Io::Written(written));
    }
    if room { socket.poll_next_unpin(cx).map(Io::Heard) } else { Poll::Pending }
}

/// What a client is told of what it sent wrongly; nothing where the connection is gone.
fn ending(error: &Error) -> Option<Ending> {
    match error {
        Error::Capacity(_) => Some(Ending(CloseCode::Size, "the message is larger than the server takes")),
        Error::Utf8(_) => Some(Ending(CloseCode::Invalid, "the message is not UTF-8")),
        Error::Protocol(error) if !matches!(error, tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => {
            Some(Ending(CloseCode::Protocol, "this is not WebSocket's protocol"))
        }
        Error::WriteBufferFull(_) | Error::AttackAttempt => Some(Ending(CloseCode::Error, "the server failed")),
        _ => None,
    }
}

/// Closes in order: says why, and reads on until the client closes as well, for closing over unread bytes would destroy what was said on its way.
async fn finish(mut socket: Socket, ending: Option<Ending>) {
    let _ = timeout(CLOSING, async {
        if let Some(Ending(code, reason)) = ending {
            tracing::debug!(code = u16::from(code), reason, "closing a WebSocket");
            socket.close(Some(CloseFrame { code, reason: reason.into() })).await.ok()?;
        }
        while socket.next().await.is_some_and(|frame| frame.is_ok()) {}
        let mut io = socket.into_inner();
        io.shutdown().await.ok()?;
        let mut rest = [0; READ];
        while io.read(&mut rest).await.ok()? > 0 {}
        Some(())
    })
    .await;
}
