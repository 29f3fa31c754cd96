//! The head of a socket's requests: what the client said of itself when it opened the socket, with another method and path.

use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{
        ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, RANGE, TE, TRAILER,
        TRANSFER_ENCODING, UPGRADE,
    },
    request, uri,
};

use crate::{RequestBody, log::REQUEST_ID};

/// Of the opening alone: its connection, its body and its handshake (all of `sec-websocket-`), and what would shape an answer that the bridge has to read.
const OWN: [HeaderName; 14] = [
    ACCEPT,
    ACCEPT_ENCODING,
    CONNECTION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    EXPECT,
    RANGE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("http2-settings"),
    // Each request of a socket has its own.
    REQUEST_ID,
];

/// The other header that a key comes in.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Headers, extensions and address of the requests of one socket.
#[derive(Debug, Clone)]
pub(super) struct Head {
    headers: HeaderMap,
    extensions: Extensions,
    uri: Uri,
}

impl Head {
    /// Of the request that opens the socket.
    pub(super) fn new(parts: &request::Parts) -> Self {
        let mut headers = parts.headers.clone();
        for name in
            headers.keys().filter(|name| OWN.contains(name) || name.as_str().starts_with("sec-websocket-")).cloned().collect::<Vec<_>>()
        {
            headers.remove(name);
        }
        Self { headers, extensions: parts.extensions.clone(), uri: parts.uri.clone() }
    }

    /// For requests to another path of the same host.
    pub(super) fn to(&self, path: uri::PathAndQuery) -> Self {
        let mut pieces = self.uri.clone().into_parts();
        pieces.path_and_query = Some(path);
        Self { uri: Uri::from_parts(pieces).unwrap_or_default(), ..self.clone() }
    }

    /// With another key, in the place of whichever the opening came with.
    pub(super) fn authorize(&mut self, authorization: HeaderValue) {
        self.headers.remove(API_KEY);
        self.headers.insert(AUTHORIZATION, authorization);
    }

    /// The host that the client asked for, where it named one.
    pub(super) fn host(&self) -> Option<&str> {
        self.uri.authority().map(uri::Authority::as_str).or_else(|| self.headers.get(HOST)?.to_str().ok())
    }

    pub(super) fn get(&self) -> Request<RequestBody> {
        self.request(Method::GET, String::new())
    }

    /// A request for a stream of events.
    pub(super) fn post(&self, body: String) -> Request<RequestBody> {
        let length = body.len();
        let mut request = self.request(Method::POST, body);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        request
    }

    fn request(&self, method: Method, body: String) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        *request.extensions_mut() = self.extensions.clone();
        request
    }
}
