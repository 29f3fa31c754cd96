//! A guest of WASI 0.2: it exports `wasi:http/incoming-handler`, as components of older SDKs do.

use wasi::{
    exports::http::incoming_handler::Guest,
    http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
};

struct Older;

wasi::http::proxy::export!(Older);

impl Guest for Older {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        if path == "/trap" {
            panic!("before any response");
        }
        let response = OutgoingResponse::new(Fields::new());
        let body = response.body().expect("the body is taken once");
        ResponseOutparam::set(out, Ok(response));
        let stream = body.write().expect("the stream is taken once");
        let write = |text: &str| stream.blocking_write_and_flush(text.as_bytes());
        let _ = write("piece 0\n");
        match path.as_str() {
            "/trap-mid" => panic!("in the middle of the response"),
            "/endless" => while write("more\n").is_ok() {},
            _ => {
                let _ = write(&path);
            }
        }
        drop(stream);
        let _ = OutgoingBody::finish(body, None);
    }
}
