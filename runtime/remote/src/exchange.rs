//! One request to the server, and its answer line by line. Dropping it ends it.

use std::{env, fmt::Write};

use serde_json::Value;
use wasip2::{
    http::{
        outgoing_handler,
        types::{ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme},
    },
    io::streams::{InputStream, StreamError},
};

use crate::failure::Failure;

/// The server's address, as `https://gpu.example.com`, and this component's key there.
pub(crate) const URL: &str = "HEARTH_REMOTE_URL";
const KEY: &str = "HEARTH_REMOTE_KEY";

/// Nanoseconds to connect, until the answer begins, which is longer than a request may wait in the server's queue, and between two pieces.
const CONNECT: u64 = 5_000_000_000;
const FIRST_BYTE: u64 = 150_000_000_000;
const BETWEEN: u64 = 60_000_000_000;
/// Bytes of one line, and of a refusal.
const LINE_MAX: usize = 48 << 20;
const REFUSAL_MAX: usize = 64 << 10;
/// Bytes that are written, and read, at once.
const WRITE: usize = 4096;
const READ: u64 = 64 << 10;

/// An answer that comes. The order of the fields is that in which they are dropped: a stream before its body, that before its response.
pub(crate) struct Exchange {
    stream: InputStream,
    _body: IncomingBody,
    _response: IncomingResponse,
    /// What has come and was not read.
    tail: Vec<u8>,
}

impl Exchange {
    /// Sends the document of a request for a model, and waits until the answer begins.
    ///
    /// # Errors
    /// The server's refusal, or that there is no answer.
    pub(crate) fn begin(model: &str, document: &[u8]) -> Result<Self, Failure> {
        let response = send(model, document)?;
        let status = response.status();
        let gone = |_| Failure::of_server("its answer has no body");
        let body = response.consume().map_err(gone)?;
        let stream = body.stream().map_err(gone)?;
        let mut exchange = Self { stream, _body: body, _response: response, tail: Vec::new() };
        if status == 200 { Ok(exchange) } else { Err(exchange.refusal(status)) }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// That it broke off.
    pub(crate) fn line(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.tail[searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.tail.split_off(searched + end + 1);
                return Ok(Some(std::mem::replace(&mut self.tail, rest)));
            }
            searched = self.tail.len();
            if searched > LINE_MAX {
                return Err(Failure::of_server("a piece of its answer is too long"));
            }
            match self.stream.blocking_read(READ) {
                Ok(bytes) => self.tail.extend(bytes),
                Err(StreamError::Closed) if self.tail.is_empty() => return Ok(None),
                Err(_) => return Err(Failure::of_server("its answer broke off")),
            }
        }
    }

    /// What an answer other than 200 says. One that has to do with this component's own key is none of its guest's.
    fn refusal(&mut self, status: u16) -> Failure {
        while self.tail.len() < REFUSAL_MAX
            && let Ok(bytes) = self.stream.blocking_read(READ)
        {
            self.tail.extend(bytes);
        }
        let error = serde_json::from_slice::<Value>(&self.tail).unwrap_or_default()["error"].take();
        if error["kind"].is_string() {
            return Failure(error);
        }
        match status {
            401 | 403 => Failure::of_server(&format!("it refuses the key of {KEY}")),
            429 | 503 => Failure::new("queue_full", "The server that computes has too much to do: ask again."),
            status => Failure::of_server(&format!("it answered {status}")),
        }
    }
}

/// The server's address; empty where none is set.
pub(crate) fn url() -> String {
    env::var(URL).unwrap_or_default().trim().trim_end_matches('/').to_owned()
}

fn send(model: &str, document: &[u8]) -> Result<IncomingResponse, Failure> {
    let url = url();
    let malformed = || Failure::new("load_failed", format!("{URL} is the address of the server that computes, as https://gpu.example.com"));
    let (scheme, authority) = match url.split_once("://") {
        Some(("http", authority)) => (Scheme::Http, authority),
        Some(("https", authority)) => (Scheme::Https, authority),
        _ => return Err(malformed()),
    };
    let mut fields = vec![("content-type".to_owned(), b"application/json".to_vec()), ("x-hearth-hops".to_owned(), b"1".to_vec())];
    if let Some(key) = env::var(KEY).ok().filter(|key| !key.trim().is_empty()) {
        fields.push(("authorization".to_owned(), format!("Bearer {}", key.trim()).into_bytes()));
    }
    // What fails here does so for what the settings hold.
    let fields = Fields::from_list(&fields).map_err(|_| Failure::new("load_failed", format!("{KEY} is no key")))?;
    let request = OutgoingRequest::new(fields);
    let set = request
        .set_method(&Method::Post)
        .and_then(|()| request.set_scheme(Some(&scheme)))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(&format!("/v1/nn/{}", encoded(model)))));
    set.map_err(|()| malformed())?;
    let body = request.body().map_err(|()| Failure::of_server("no request can be sent"))?;
    let options = RequestOptions::new();
    // A host that knows no such timeout has its own.
    let _ = options.set_connect_timeout(Some(CONNECT));
    let _ = options.set_first_byte_timeout(Some(FIRST_BYTE));
    let _ = options.set_between_bytes_timeout(Some(BETWEEN));
    let answer = outgoing_handler::handle(request, Some(options)).map_err(|error| Failure::of_server(reason(&error)))?;
    write(body, document)?;
    answer.subscribe().block();
    match answer.get() {
        Some(Ok(Ok(response))) => Ok(response),
        Some(Ok(Err(error))) => Err(Failure::of_server(reason(&error))),
        _ => Err(Failure::of_server("it gave no answer")),
    }
}

fn write(body: OutgoingBody, document: &[u8]) -> Result<(), Failure> {
    let stream = body.write().map_err(|()| Failure::of_server("no request can be sent"))?;
    for piece in document.chunks(WRITE) {
        // A server may answer before it has read all; what it says then is what counts.
        if stream.blocking_write_and_flush(piece).is_err() {
            return Ok(());
        }
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
    Ok(())
}

fn reason(error: &ErrorCode) -> &'static str {
    match error {
        ErrorCode::HttpRequestDenied => "the component may not call it: its host has to allow that",
        ErrorCode::ConnectionRefused => "it refuses connections",
        ErrorCode::ConnectionTimeout => "it takes no connection in time",
        ErrorCode::ConnectionReadTimeout | ErrorCode::HttpResponseTimeout => "it does not answer in time",
        ErrorCode::DnsError(_) | ErrorCode::DnsTimeout => "its name is not known",
        ErrorCode::TlsProtocolError | ErrorCode::TlsCertificateError | ErrorCode::TlsAlertReceived(_) => {
            "TLS with it fails: see its certificate"
        }
        _ => "the connection to it failed",
    }
}

/// A name as the last part of a path.
fn encoded(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(byte.into());
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}
