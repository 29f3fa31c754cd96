//! Any bytes: reading them as a chat request ends in a request with messages, or in a 400 of bounded length.
#![no_main]

use hearth_function::{generate::Prompt, openai::chat::ChatRequest};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match ChatRequest::parse(bytes) {
        Ok(request) => assert!(matches!(request.generate.prompt, Prompt::Messages(messages) if !messages.is_empty())),
        Err(error) => {
            assert_eq!(error.status, 400);
            assert!(error.json().len() < 2000);
        }
    }
});
