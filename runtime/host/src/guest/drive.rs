//! One request on one instance: until the guest has nothing left to do, the client went away, it failed, or its time is up.

use std::{
    future::{pending, poll_fn},
    pin::pin,
    sync::Arc,
};

use http::{Request, Response, header};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use wasmtime::AsContextMut;
use wasmtime_wasi_http::{WasiBody, WasiHttpView, handler::Prepared};

use super::{
    body::{Cancel, GuestBody, Outcome},
    component::{Guest, Instance},
    state::State,
};

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// All instances are at work.
    #[error("all {0} instances are at work (--max-instances)")]
    Busy(usize),
    /// It did not answer in time.
    #[error("it took longer than {0} s (--request-timeout)")]
    Timeout(u64),
    /// It trapped, returned an error, or could not be instantiated.
    #[error("{0}")]
    Failed(String),
}

type Head = Result<Response<WasiBody>, Failure>;

impl Guest {
    /// Answers one request. Dropping the future, or the body of its response, stops the guest.
    pub(crate) async fn answer(self: &Arc<Self>, request: Request<WasiBody>) -> Result<Response<GuestBody>, Failure> {
        let options = &self.runtime.options;
        let is_head = request.method() == http::Method::HEAD;
        let permit = self.runtime.permits.clone().try_acquire_owned().map_err(|_| Failure::Busy(options.instances))?;
        let deadline = Instant::now() + options.request_timeout;
        let failed = |error: wasmtime::Error| Failure::Failed(describe(&error));
        let instance = tokio::time::timeout_at(deadline, self.instance()).await;
        let instance = instance.map_err(|_| Failure::Timeout(options.request_timeout.as_secs()))?.map_err(failed)?;

        let progress = instance.store.data().progress.clone();
        let (head, heads) = tokio::sync::oneshot::channel();
        let (cancel, cancelled) = Cancel::new();
        let outcome = Outcome::default();
        tokio::spawn(self.clone().drive(instance, request, Call { head, cancelled, outcome: outcome.clone(), deadline, permit }));
        let response =
            heads.await.unwrap_or_else(|_| Err(Failure::Failed(outcome.failure().unwrap_or("it gave no response").to_owned())))?;
        let declared = response.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let left = if is_head { Some(0) } else { declared };
        Ok(response.map(|inner| GuestBody::guest(inner, left, outcome, progress, cancel)))
    }

    async fn drive(self: Arc<Self>, mut instance: Instance, request: Request<WasiBody>, call: Call) {
        let Call { head, cancelled, outcome, deadline, permit } = call;
        let mut head = Some(head);
        let mut refused = false;
        let mut pass_on = |answer: wasmtime::Result<Response<WasiBody>>| {
            // An error here is the guest's own answer to the request, or a trap; either way this instance is not used again.
            refused |= answer.is_err();
            if let Some(head) = head.take() {
                let _ = head.send(answer.map_err(|error| Failure::Failed(describe(&error))));
            }
        };
        let ended = {
            let Instance { store, proxy, .. } = &mut instance;
            let (sender, mut answer) = futures::channel::oneshot::channel();
            let run = store.run_concurrent(async |accessor| -> wasmtime::Result<()> {
                let prepared = accessor.with(|mut access| Prepared::new(access.as_context_mut(), proxy, request, State::http, sender))?;
                prepared.run(accessor, pending()).await?;
                poll_fn(|context| accessor.poll_no_interesting_tasks(context)).await;
                Ok(())
            });
            let gone = async {
                // Only a message counts: without one the response is complete and the sender simply gone.
                if cancelled.await.is_err() {
                    pending().await
                }
            };
            let mut run = pin!(run);
            let mut gone = pin!(gone);
            let mut answered = false;
            // The answer is passed on out here: inside of `run_concurrent` nothing goes on while the guest is in a host call that holds the store, as every blocking write
            // of WASI 0.2 does, and that may be waiting for the answer to be read.
            let ended = loop {
                tokio::select! {
                    biased;
                    answer = &mut answer, if !answered => {
                        answered = true;
                        answer.into_iter().for_each(&mut pass_on);
                    }
                    ended = &mut run => break Some(ended.and_then(|ended| ended)),
                    () = &mut gone => break None,
                    () = tokio::time::sleep_until(deadline) => {
                        break Some(Err(Timeout(self.runtime.options.request_timeout.as_secs()).into()));
                    }
                }
            };
            if !answered {
                answer.try_recv().into_iter().flatten().for_each(&mut pass_on);
            }
            ended
        };
        let id = &self.shared.id;
        match ended {
            Some(Ok(())) if !refused => self.give_back(instance),
            Some(Ok(())) => {}
            None => tracing::debug!(component = %id, "the client went away; the request is cancelled"),
            Some(Err(error)) => {
                let reason = if instance.store.data().memory.refused {
                    format!(
                        "it reached its {} bytes of memory (--max-instance-memory): {}",
                        self.runtime.options.instance_memory,
                        describe(&error)
                    )
                } else {
                    describe(&error)
                };
                // The order matters: dropping the store ends the body, which then looks here.
                outcome.fail(reason.clone());
                if let Some(head) = head.take() {
                    let failure = match error.downcast_ref::<Timeout>() {
                        Some(Timeout(seconds)) => Failure::Timeout(*seconds),
                        None => Failure::Failed(reason),
                    };
                    let _ = head.send(Err(failure));
                } else if !refused {
                    tracing::error!(component = %id, "the component failed after it had begun to answer: {reason}");
                }
                drop(instance);
            }
        }
        drop(permit);
    }
}

/// All that the driver of a request holds.
struct Call {
    head: tokio::sync::oneshot::Sender<Head>,
    cancelled: tokio::sync::oneshot::Receiver<()>,
    outcome: Outcome,
    deadline: Instant,
    permit: OwnedSemaphorePermit,
}

#[derive(Debug, thiserror::Error)]
#[error("it took longer than {0} s and was stopped (--request-timeout)")]
struct Timeout(u64);

/// The innermost cause: the layers above it are wasmtime's backtrace.
fn describe(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}
