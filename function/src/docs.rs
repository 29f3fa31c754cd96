//! `GET /docs`: a page that shows `/openapi.json` to people: three static files within the handler, under a policy that lets nothing but these files run.

use http::{HeaderValue, Response, StatusCode, header};

use crate::{Body, respond};

/// A file of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asset {
    content_type: &'static str,
    bytes: &'static [u8],
}

const HTML: Asset = Asset { content_type: "text/html; charset=utf-8", bytes: include_bytes!("../docs/docs.html") };
const SCRIPT: Asset = Asset { content_type: "text/javascript; charset=utf-8", bytes: include_bytes!("../docs/docs.js") };
const STYLE: Asset = Asset { content_type: "text/css; charset=utf-8", bytes: include_bytes!("../docs/docs.css") };

/// No inline script or style, no foreign origin, no frame around it, and no text that a script could turn into markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The file at `path`.
pub(crate) fn asset(path: &str) -> Option<Asset> {
    match path {
        "/docs" => Some(HTML),
        "/docs.js" => Some(SCRIPT),
        "/docs.css" => Some(STYLE),
        _ => None,
    }
}

/// Answers with a file.
pub(crate) fn get(asset: Asset) -> Response<Body> {
    let mut response = respond::full(StatusCode::OK, asset.content_type, asset.bytes);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
