//! Server-sent events.

use serde::Serialize;

/// An event that is a document.
pub(crate) fn data(frame: &mut Vec<u8>, document: &impl Serialize) {
    frame.extend_from_slice(b"data: ");
    // Writing plain structs to memory cannot fail, and JSON has no raw line break that would end the event early.
    let _ = serde_json::to_writer(&mut *frame, document);
    frame.extend_from_slice(b"\n\n");
}

/// An event with a name.
pub(crate) fn named(frame: &mut Vec<u8>, name: &str, document: &impl Serialize) {
    frame.extend_from_slice(b"event: ");
    frame.extend_from_slice(name.as_bytes());
    frame.push(b'\n');
    data(frame, document);
}

/// An event that is JSON text already.
pub(crate) fn raw(frame: &mut Vec<u8>, document: &str) {
    frame.extend_from_slice(b"data: ");
    frame.extend_from_slice(document.as_bytes());
    frame.extend_from_slice(b"\n\n");
}

/// OpenAI's last event.
pub(crate) fn done(frame: &mut Vec<u8>) {
    frame.extend_from_slice(b"data: [DONE]\n\n");
}
