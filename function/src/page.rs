//! The chat page: three static files within the handler, under a policy that lets nothing but these files run.

use http::{HeaderValue, Response, StatusCode, header};

use crate::{Body, respond};

/// A file of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asset {
    content_type: &'static str,
    bytes: &'static [u8],
}

const HTML: Asset = Asset { content_type: "text/html; charset=utf-8", bytes: include_bytes!("../page/index.html") };
const SCRIPT: Asset = Asset { content_type: "text/javascript; charset=utf-8", bytes: include_bytes!("../page/page.js") };
const STYLE: Asset = Asset { content_type: "text/css; charset=utf-8", bytes: include_bytes!("../page/page.css") };

/// No inline script or style, no foreign origin, no frame around it: text of a model that reached the page as markup would still run nothing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The file at `path`.
pub(crate) fn asset(path: &str) -> Option<Asset> {
    match path {
        "/" => Some(HTML),
        "/page.js" => Some(SCRIPT),
        "/page.css" => Some(STYLE),
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
