//! `/health/live`: the server's own word that it runs; and the one that it will not for long, in place of the handler's that it is ready.

use http::{HeaderValue, Method, Request, Response, StatusCode, header::ALLOW};

use crate::{body::ServedBody, refuse};

/// 200 as long as connections are served, whatever becomes of models.
const LIVE: &str = "/health/live";

/// The answer to a request that is about the server alone; `ready` are the paths at which a handler says that it is ready.
pub(crate) fn answer<T>(request: &Request<T>, draining: bool, ready: &[&str]) -> Option<Response<ServedBody>> {
    let path = request.uri().path();
    if path == LIVE {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = refuse::method();
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(response);
        }
        return Some(refuse::json(StatusCode::OK, r#"{"status":"ok"}"#.to_owned()));
    }
    (draining && ready.contains(&path)).then(refuse::stopping)
}
