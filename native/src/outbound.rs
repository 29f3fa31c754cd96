//! The handler's port for other servers.

use bytes::Bytes;
use futures::StreamExt;
use hearth_function::ports::{self, Incoming, OutboundError, Timeouts};
use hearth_server::{Outgoing, OutgoingError, OutgoingTimeouts};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};

/// Sends requests.
#[derive(Debug, Default)]
pub(crate) struct Outbound(Outgoing);

impl ports::Outbound for Outbound {
    async fn send(&self, request: Request<Bytes>, timeouts: Timeouts) -> Result<Response<Incoming>, OutboundError> {
        let Timeouts { connect, first_byte, idle } = timeouts;
        let response = self.0.send(request.map(Full::new), OutgoingTimeouts { connect, first_byte, idle }).await.map_err(failed)?;
        Ok(response.map(|body| {
            let pieces = body.into_data_stream().map(|piece| piece.map_err(failed));
            Box::pin(pieces) as Incoming
        }))
    }
}

fn failed(error: OutgoingError) -> OutboundError {
    OutboundError { message: error.to_string() }
}
