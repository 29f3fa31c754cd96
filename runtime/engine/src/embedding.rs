//! The JSON document that asks for embeddings, and the tokens that it asks to embed. `docs/wasi-nn.md` describes its fields.

use hearth_models::tokenizer::Tokenizer;
use serde::{Deserialize, de::IgnoredAny};

use crate::{
    Error, ErrorKind,
    request::{self, MAX_BYTES},
    sequence::Claim,
};

/// Inputs of a request.
const MAX_INPUTS: usize = 2048;

/// A request for embeddings, checked for all that does not depend on the model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmbeddingRequest {
    input: Vec<Input>,
    /// Cut what is longer than the context, instead of refusing it.
    #[serde(default)]
    truncate: bool,
    /// Whose the request is, by any name.
    client: Option<String>,
    /// Requests of that client that may be in flight, this one among them.
    client_limit: Option<usize>,
}

/// What becomes one embedding.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "an element of `input` is neither a text nor an array of tokens")]
enum Input {
    Text(String),
    Tokens(Vec<u32>),
}

/// Whether `document` asks for embeddings: it has the field `input`, which no other request has.
pub(crate) fn is_embedding_request(document: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Probe {
        #[serde(rename = "input")]
        _input: IgnoredAny,
    }
    document.len() <= MAX_BYTES && serde_json::from_slice::<Probe>(document).is_ok()
}

impl EmbeddingRequest {
    pub(crate) fn parse(document: &[u8]) -> Result<Self, Error> {
        let request: Self = request::from_json(document)?;
        let inputs = request.input.len();
        if !(1..=MAX_INPUTS).contains(&inputs) {
            return Err(Error::invalid(format!("`input` has {inputs} elements; give 1 to {MAX_INPUTS}")));
        }
        request::check_client(request.client.as_deref(), request.client_limit)?;
        Ok(request)
    }

    /// Whose it is. Those without a name are one client's.
    pub(crate) fn claim(&self) -> Claim {
        request::claim(self.client.as_deref(), self.client_limit)
    }

    /// The tokens of each input, at most `context` of each: of texts with those that the model wants before and after, else as given.
    pub(crate) fn inputs(&self, tokenizer: &Tokenizer, context: usize) -> Result<Vec<Vec<u32>>, Error> {
        self.input.iter().enumerate().map(|(number, input)| self.tokens(number, input, tokenizer, context)).collect()
    }

    fn tokens(&self, number: usize, input: &Input, tokenizer: &Tokenizer, context: usize) -> Result<Vec<u32>, Error> {
        let mut tokens = match input {
            Input::Text(text) => tokenizer.encode(text, true, false).map_err(|error| Error::invalid(error.to_string()).about("input"))?,
            Input::Tokens(tokens) => tokens.clone(),
        };
        let length = tokens.len();
        if length == 0 {
            return Err(Error::invalid(format!("element {number} of `input` has no tokens; give at least one")).about("input"));
        }
        if length > context && !self.truncate {
            let kind = ErrorKind::ContextLength { prompt_tokens: length, context_length: context };
            let cure = "give a shorter one, or `truncate` to have it cut";
            let message = format!("element {number} of `input` has {length} tokens; the context holds {context}: {cure}");
            return Err(Error::new(kind, message));
        }
        if length > context {
            // A text keeps the token that ends it.
            if let Input::Text(_) = input {
                tokens[context - 1] = tokens[length - 1];
            }
            tokens.truncate(context);
        }
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(document: &str, expected: &str) {
        let error = EmbeddingRequest::parse(document.as_bytes()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidRequest);
        assert!(error.message.contains(expected), "{:?} does not say {expected:?}", error.message);
    }

    #[test]
    fn a_request_is_known_by_its_input_and_nothing_else() {
        assert!(is_embedding_request(br#"{"input": "whatever", "other": 1}"#));
        assert!(is_embedding_request(br#"{"input": null}"#));
        assert!(!is_embedding_request(br#"{"prompt": "input"}"#) && !is_embedding_request(b"{") && !is_embedding_request(b"[]"));
    }

    #[test]
    fn a_bad_request_names_what_is_wrong() {
        refused("{", "not valid");
        refused("{}", "`input`");
        refused(r#"{"input": "a text"}"#, "not valid");
        refused(r#"{"input": []}"#, "`input` has 0 elements; give 1 to 2048");
        refused(&format!(r#"{{"input": [{}""]}}"#, "\"\",".repeat(MAX_INPUTS)), "2049 elements");
        refused(r#"{"input": [1]}"#, "neither a text nor an array of tokens");
        refused(r#"{"input": [[-1]]}"#, "neither a text nor an array of tokens");
        refused(r#"{"input": ["x"], "truncat": true}"#, "`truncat`");
        refused(r#"{"input": ["x"], "truncate": 1}"#, "not valid");
        refused(r#"{"input": ["x"], "client": ""}"#, "`client` has 0 bytes");
    }
}
