//! Any text: reading it as a message of a WebSocket ends in a message or in a refusal of bounded length, and what it begins or continues is a body that is JSON.
#![no_main]

use hearth_server::socket::{Conversation, Message, members};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let conversation = match Message::parse(text, "messages") {
        Ok(Message::Open { body, .. }) => Conversation::new(&body, "messages"),
        Ok(Message::Continue { body, more, .. }) => Conversation::new(&[], "messages").and(&body, more),
        Ok(_) => return,
        Err(fault) => return assert!(fault.text.len() < 400),
    };
    let body = conversation.request();
    let members = members(&body).expect("the body is an object");
    assert_eq!(members[0], ("stream".to_owned(), "true"));
    // Read again it is the same, but for the order of members and blanks in a second array of the name.
    assert!(Conversation::new(&members, "messages").request().len() <= body.len());
});
