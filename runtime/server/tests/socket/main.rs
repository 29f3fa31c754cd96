//! WebSocket over a handler whose every answer a test steers: chats, bounds, closes, and who may open one.

mod bounds;
mod chats;
mod closing;
#[path = "../common/mod.rs"]
mod common;
mod handshake;
mod messages;
mod world;
