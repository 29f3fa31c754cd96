//! Any bytes: reading them as a request of OpenAI's or Anthropic's API ends in a request, or in a 400 of bounded length.
#![no_main]

use hearth_function::{
    anthropic::MessagesRequest,
    generate::Prompt,
    openai::{chat::ChatRequest, completions::CompletionRequest, embeddings::EmbeddingRequest, responses::ResponseRequest},
    wire::ApiError,
};

fn is_refusal(error: &ApiError) {
    assert_eq!(error.status, 400);
    assert!(error.json().len() < 2000);
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match ChatRequest::parse(bytes) {
        Ok(request) => assert!(matches!(request.generate.prompt, Prompt::Messages(messages) if !messages.is_empty())),
        Err(error) => is_refusal(&error),
    }
    match MessagesRequest::parse(bytes) {
        Ok(request) => assert!(matches!(request.generate.prompt, Prompt::Messages(messages) if !messages.is_empty())),
        Err(error) => is_refusal(&error),
    }
    match CompletionRequest::parse(bytes) {
        Ok(request) => assert!(!request.generate.is_empty()),
        Err(error) => is_refusal(&error),
    }
    match ResponseRequest::parse(bytes) {
        Ok(_) => {}
        Err(error) => is_refusal(&error),
    }
    match EmbeddingRequest::parse(bytes) {
        Ok(request) => assert!(!request.input.is_empty()),
        Err(error) => is_refusal(&error),
    }
});
