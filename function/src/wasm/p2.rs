//! WASI 0.2, for hosts without 0.3: every import is a call that waits, but what goes over HTTP. wstd's executor waits for that.

use std::{future::poll_fn, task::Poll};

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::BodyExt;
use wasip2::{
    exports::http::incoming_handler::Guest,
    http::types::{ErrorCode, IncomingRequest, ResponseOutparam},
};
use wstd::http::{Body, Client, request, server::Responder};

use super::{BROKE_OFF, STORE, Wasi, bucket_error, buckets};
use crate::ports::{self, Incoming, KeyValueError, OutboundError, Timeouts};

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod spin {
    wit_bindgen::generate!({
        path: "../wit/spin",
        world: "settings",
        generate_all,
    });
}

use spin::fermyon::spin::variables;

struct Component;

wasip2::http::proxy::export!(Component with_types_in wasip2);

impl Guest for Component {
    fn handle(request: IncomingRequest, response: ResponseOutparam) {
        wstd::runtime::block_on(async {
            let responder = Responder::new(response);
            match request::try_from_incoming(request) {
                Ok(request) => {
                    let response = crate::handle(Wasi, request.map(Body::into_boxed_body)).await;
                    // A client that is gone is no reason to trap, as wstd's own macro for servers would.
                    let _ = responder.respond(response.map(Body::from_http_body)).await;
                }
                Err(error) => responder.fail(error),
            }
        });
    }
}

/// Lets what waits for HTTP go on.
pub(super) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl ports::KeyValue for Wasi {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KeyValueError> {
        open()?.get(key).map_err(failed)
    }

    async fn set(&self, key: &str, value: Vec<u8>) -> Result<(), KeyValueError> {
        open()?.set(key, &value).map_err(failed)
    }

    async fn delete(&self, key: &str) -> Result<(), KeyValueError> {
        open()?.delete(key).map_err(failed)
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>, KeyValueError> {
        // The interface knows no prefix: all keys come, page by page, and those of others are left out here.
        let bucket = open()?;
        let (mut keys, mut cursor) = (Vec::new(), None);
        loop {
            let page = bucket.list_keys(cursor.as_deref()).map_err(failed)?;
            keys.extend(page.keys.into_iter().filter(|key| key.starts_with(prefix)));
            if page.cursor.is_none() || page.cursor == cursor {
                break;
            }
            cursor = page.cursor;
        }
        keys.sort_unstable();
        Ok(keys)
    }
}

fn open() -> Result<buckets::Bucket, KeyValueError> {
    buckets::open(STORE).map_err(failed)
}

fn failed(error: buckets::Error) -> KeyValueError {
    bucket_error(STORE, error)
}

impl ports::Settings for Wasi {
    async fn get(&self, name: &str) -> Option<String> {
        variables::get(name).ok()
    }
}

impl ports::Outbound for Wasi {
    async fn send(&self, request: http::Request<Bytes>, timeouts: Timeouts) -> Result<http::Response<Incoming>, OutboundError> {
        let mut client = Client::new();
        client.set_connect_timeout(timeouts.connect);
        client.set_first_byte_timeout(timeouts.first_byte);
        client.set_between_bytes_timeout(timeouts.idle);
        let response = client.send(request).await.map_err(|error| outbound_error(&error))?;
        Ok(response.map(|body| {
            let pieces = body.into_boxed_body().into_data_stream();
            Box::pin(pieces.map(|piece| piece.map_err(|error| outbound_error(&error)))) as Incoming
        }))
    }
}

fn outbound_error(error: &wstd::http::Error) -> OutboundError {
    match error.downcast_ref() {
        Some(code) => super::outbound_error!(ErrorCode, code),
        None => OutboundError { message: BROKE_OFF.to_owned() },
    }
}
