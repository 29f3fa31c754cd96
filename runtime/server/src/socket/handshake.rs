//! From a request to a socket: what the handler says of the path, who may open it, and the answer (RFC 6455, 4.2; over HTTP/2 RFC 8441).

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
    uri::PathAndQuery,
};
use http_body_util::{BodyExt, Limited};
use hyper::ext::Protocol;
use serde::Deserialize;
use sha1::{Digest, Sha1};
use std::{convert::Infallible, sync::Arc};

use super::{Link, head::Head, origin, session};
use crate::{
    RequestBody, admit,
    body::ServedBody,
    metrics::http::{Here, refused},
    refuse,
};

/// Bytes of a handler's description of a socket.
const DESCRIPTION_MAX: usize = 64 * 1024;
const VERSION: HeaderValue = HeaderValue::from_static("13");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// What a handler says of a socket, as the member `websocket` of the body of a 426 to GET.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Description {
    /// The path that requests are posted to.
    #[serde(deserialize_with = "path")]
    pub(super) post: PathAndQuery,
    /// The member of such a request's body that grows with a conversation, an array.
    pub(super) history: String,
    /// Where in an event a piece of the answer is, as a JSON pointer; the whole answer becomes an element of `history`.
    pub(super) delta: String,
}

fn path<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<PathAndQuery, D::Error> {
    let path = String::deserialize(deserializer)?;
    path.parse().map_err(serde::de::Error::custom)
}

/// Whether a request asks for a socket.
pub(crate) fn asks(request: &Request<RequestBody>) -> bool {
    match request.version() {
        Version::HTTP_2 => {
            request.method() == Method::CONNECT && request.extensions().get::<Protocol>().is_some_and(|name| name.as_str() == "websocket")
        }
        _ => {
            request.method() == Method::GET
                && names(request.headers(), &CONNECTION, "upgrade")
                && names(request.headers(), &UPGRADE, "websocket")
        }
    }
}

/// Whether a header's list has a word in it.
fn names(headers: &HeaderMap, header: &HeaderName, word: &str) -> bool {
    let lists = headers.get_all(header).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|found| found.trim().eq_ignore_ascii_case(word))
}

/// Answers a request that asks for a socket: opens it where the handler has one at the path, and passes the handler's answer on where it has none.
pub(crate) async fn open(link: Arc<Link>, mut request: Request<RequestBody>) -> Result<Response<ServedBody>, Infallible> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, _) = request.into_parts();
    let head = Head::new(&parts);
    let Ok(described) = admit::answer(link.shared.clone(), link.activity.clone(), head.get()).await;
    let description = match describe(described).await {
        Ok(description) => description,
        // Over HTTP/2 any success would be a socket.
        Err(answer) if parts.version == Version::HTTP_2 && answer.status().is_success() => {
            return Ok(refuse::handshake(StatusCode::NOT_FOUND, "There is no WebSocket at this path"));
        }
        Err(answer) => return Ok(answer),
    };
    let options = &link.shared.options;
    if !origin::may_open(&parts.headers, head.host(), &options.socket.origins) {
        tracing::warn!("refused a WebSocket to a page of another origin");
        return Ok(refuse::origin());
    }
    if parts.headers.get(SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        let mut response = refuse::handshake(StatusCode::UPGRADE_REQUIRED, "The version of WebSocket is not 13: use a client of RFC 6455");
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, VERSION);
        return Ok(response);
    }
    let mut response = Response::new(ServedBody::whole(""));
    if parts.version == Version::HTTP_2 {
        *response.status_mut() = StatusCode::OK;
    } else {
        let Some(accept) = parts.headers.get(SEC_WEBSOCKET_KEY).and_then(accept) else {
            return Ok(refuse::handshake(
                StatusCode::BAD_REQUEST,
                "The header sec-websocket-key does not hold 16 bytes in base64: use a client of RFC 6455",
            ));
        };
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, WEBSOCKET);
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    let Ok(place) = link.shared.sockets.clone().try_acquire_owned() else {
        refused("websockets");
        tracing::warn!(limit = options.sockets, "refused a WebSocket: as many as the limit are open");
        return Ok(refuse::sockets());
    };
    let (busy, here) = (link.activity.begin(), Here::socket());
    let session = session::run(link.clone(), head.to(description.post.clone()), description, upgrade);
    link.spawn(async move {
        session.await;
        drop((place, busy, here));
    });
    Ok(response)
}

/// The handler's description of a socket, or its answer where that is something else.
async fn describe(response: Response<ServedBody>) -> Result<Description, Response<ServedBody>> {
    #[derive(Deserialize)]
    struct Described {
        websocket: Description,
    }
    if response.status() != StatusCode::UPGRADE_REQUIRED {
        return Err(response);
    }
    let (parts, body) = response.into_parts();
    let bytes = Limited::new(body, DESCRIPTION_MAX).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    match serde_json::from_slice::<Described>(&bytes) {
        Ok(described) => Ok(described.websocket),
        Err(_) => Err(Response::from_parts(parts, ServedBody::whole(bytes))),
    }
}

/// Adds to a 426 what it must have, and what is the connection's business and none of a handler's.
pub(crate) fn complete<B>(response: &mut Response<B>, version: Version) {
    if response.status() == StatusCode::UPGRADE_REQUIRED && version < Version::HTTP_2 {
        response.headers_mut().insert(UPGRADE, WEBSOCKET);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

/// Proves that the key was read.
fn accept(key: &HeaderValue) -> Option<HeaderValue> {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    BASE64_STANDARD.decode(key.as_bytes()).ok().filter(|key| key.len() == 16)?;
    let hash = Sha1::new().chain_update(key.as_bytes()).chain_update(GUID).finalize();
    HeaderValue::try_from(BASE64_STANDARD.encode(hash)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_key_of_the_standard_s_example() {
        assert_eq!(accept(&HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==")).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for wrong in ["", "x", "dGhlIHNhbXBsZQ==", "dGhlIHNhbXBsZSBub25jZQ"] {
            assert!(accept(&HeaderValue::from_static(wrong)).is_none(), "{wrong}");
        }
    }
}
