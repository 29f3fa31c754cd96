//! Another server beside the scripted world, whose handler is the same, and the way to it.

use std::{pin::Pin, sync::Mutex};

use bytes::Bytes;
use futures::{StreamExt, stream};
use hearth_function::ports;
use http::{Request, Response};
use http_body::Body as _;

use crate::world::{Frames, World, pause};

/// The other server, and how it is to be reached.
#[derive(Default)]
pub struct Other {
    pub world: Option<World>,
    way: Mutex<Way>,
    sent: Mutex<Vec<Sent>>,
}

/// What becomes of requests to the other server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Way {
    /// It answers.
    #[default]
    Open,
    /// It takes no connection.
    Refused,
    /// Its answer breaks off after so many pieces.
    Breaks(usize),
    /// Its answer ends after so many pieces as if it were whole.
    Ends(usize),
    /// A proxy answers in its stead.
    Proxy(u16),
}

/// A request that was sent to another server.
#[derive(Debug, Clone)]
pub struct Sent {
    pub head: http::request::Parts,
    pub body: Bytes,
    pub timeouts: ports::Timeouts,
}

impl World {
    /// From now on the way to the other server is such.
    pub fn way(&self, way: Way) {
        *self.other().way.lock().unwrap() = way;
    }

    /// What was sent to the other server.
    pub fn sent(&self) -> Vec<Sent> {
        self.other().sent.lock().unwrap().clone()
    }
}

/// What another server's answer will be.
type Exchange = Pin<Box<dyn Future<Output = Result<Response<ports::Incoming>, ports::OutboundError>> + Send>>;

impl ports::Outbound for World {
    // A type with a name: the other's handler is the same, and a future within itself would have no type.
    #[allow(refining_impl_trait)]
    fn send(&self, request: Request<Bytes>, timeouts: ports::Timeouts) -> Exchange {
        let (head, body) = request.into_parts();
        assert!(head.uri.scheme().is_some() && head.uri.authority().is_some(), "{}", head.uri);
        self.other().sent.lock().unwrap().push(Sent { head: head.clone(), body: body.clone(), timeouts });
        let way = *self.other().way.lock().unwrap();
        let other = self.other().world.clone().expect("there is another server");
        Box::pin(async move {
            pause().await;
            let most = match way {
                Way::Refused => return Err(ports::OutboundError { message: "it refuses connections".into() }),
                Way::Proxy(status) => {
                    let page = stream::iter([Ok(Bytes::from_static(b"<html>"))]);
                    return Ok(Response::builder().status(status).body(Box::pin(page) as ports::Incoming).unwrap());
                }
                Way::Breaks(pieces) | Way::Ends(pieces) => pieces,
                Way::Open => usize::MAX,
            };
            let answer = hearth_function::handle(other, Request::from_parts(head, Frames::whole(body))).await;
            Ok(answer.map(|body| {
                let pieces = stream::unfold((body, 0), move |(mut body, made)| async move {
                    if made == most {
                        let broken = ports::OutboundError { message: "the connection to it broke off".into() };
                        return if matches!(way, Way::Breaks(_)) { Some((Err(broken), (body, usize::MAX))) } else { None };
                    }
                    let Ok(frame) = std::future::poll_fn(|task| Pin::new(&mut body).poll_frame(task)).await.transpose();
                    Some((Ok(frame?.into_data().unwrap_or_default()), (body, made + 1)))
                });
                Box::pin(pieces.fuse()) as ports::Incoming
            }))
        })
    }
}
