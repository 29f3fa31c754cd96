//! The chat page: static files within the handler, under a policy that lets nothing but these files run. `build.rs` embeds them, compressed beforehand.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
        REFERRER_POLICY, VARY,
    },
};

use crate::{Body, respond};

/// A file of the page.
#[derive(Debug)]
pub(crate) struct Asset {
    path: &'static str,
    content_type: &'static str,
    /// A hash of the plain file.
    etag: Option<&'static str>,
    /// Whether its path has a hash of what is in it.
    immutable: bool,
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

const ASSETS: &[Asset] = &include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// No inline script or style, no foreign origin, no frame around it, and no text that a script could turn into markup: what a model says runs nothing and loads nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The file at `path`.
pub(crate) fn asset(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

/// Answers a request with these headers with a file: in the best coding that the client takes, or with 304 where it has that already.
pub(crate) fn get(asset: &Asset, request: &HeaderMap) -> Response<Body> {
    let (coding, bytes) = match (asset.brotli, asset.gzip) {
        (Some(brotli), _) if accepts(request, "br") => ("br", brotli),
        (_, Some(gzip)) if accepts(request, "gzip") => ("gzip", gzip),
        _ => ("", asset.plain),
    };
    // Each coding is other bytes, and so has a tag of its own.
    let etag = asset.etag.map(|hash| if coding.is_empty() { format!("\"{hash}\"") } else { format!("\"{hash}-{coding}\"") });
    let known = etag.as_deref().is_some_and(|etag| matches(request, etag));
    let mut response = respond::full(StatusCode::OK, asset.content_type, if known { Bytes::new() } else { Bytes::from_static(bytes) });
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if asset.immutable {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    }
    if let Some(etag) = etag.and_then(|etag| HeaderValue::try_from(etag).ok()) {
        headers.insert(ETAG, etag);
    }
    if known {
        headers.remove(CONTENT_TYPE);
        headers.remove(CONTENT_LENGTH);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else if !coding.is_empty() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}

/// Whether the client takes `coding`: it is named, with a weight that is not zero.
fn accepts(request: &HeaderMap, coding: &str) -> bool {
    values(request, ACCEPT_ENCODING).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
        named && !parts.any(|part| part.strip_prefix("q=").is_some_and(|weight| weight.parse::<f32>().unwrap_or(0.0) <= 0.0))
    })
}

/// Whether the client has the file with this tag. A weak tag means the same file here: proxies make them of strong ones.
fn matches(request: &HeaderMap, etag: &str) -> bool {
    values(request, IF_NONE_MATCH).any(|item| item == "*" || item.strip_prefix("W/").unwrap_or(item) == etag)
}

/// The items of a header that is a list.
fn values(request: &HeaderMap, name: http::HeaderName) -> impl Iterator<Item = &str> {
    request.get_all(name).into_iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}
