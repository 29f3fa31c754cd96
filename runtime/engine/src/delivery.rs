//! The bounded channel between a sequence on the engine's thread and its reader.
//!
//! The engine decodes ahead into it. When it is full the sequence pauses; the reader, once it has taken half, tells the engine to go on. One place is kept for the
//! end, so that the engine never waits.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering, fence},
};

use tokio::sync::mpsc;

use crate::{Error, output::Chunk};

/// Chunks that the engine decodes ahead of the reader.
const CHUNKS: usize = 32;

/// What a sequence tells its reader.
#[derive(Debug)]
pub(crate) enum Event {
    /// Text of a generation that goes on.
    Chunk(Chunk),
    /// The rest of its text, and its result as JSON. Nothing follows.
    End(Chunk, String),
    /// In tensor mode, the logits after this many tokens.
    Logits(usize, Vec<f32>),
    /// The embeddings that were asked for, one after the other, the length of one, and the result as JSON. Nothing follows.
    Embeddings(Vec<f32>, usize, String),
    /// The sequence is no more. Nothing follows.
    Failed(Error),
}

/// The engine's end.
#[derive(Debug)]
pub(crate) struct Delivery {
    events: mpsc::Sender<Event>,
    paused: Arc<AtomicBool>,
}

/// The reader's end.
#[derive(Debug)]
pub(crate) struct Receipt {
    events: mpsc::Receiver<Event>,
    paused: Arc<AtomicBool>,
}

/// Both ends of a new channel.
pub(crate) fn channel() -> (Delivery, Receipt) {
    let (sender, receiver) = mpsc::channel(CHUNKS + 1);
    let paused = Arc::new(AtomicBool::new(false));
    (Delivery { events: sender, paused: paused.clone() }, Receipt { events: receiver, paused })
}

impl Delivery {
    /// Hands an event over; never waits. False when the reader is gone.
    pub(crate) fn send(&self, event: Event) -> bool {
        self.events.try_send(event).is_ok()
    }

    /// Whether the sequence must pause: there is room only for its end. If so the reader will say when to go on.
    pub(crate) fn must_pause(&self) -> bool {
        if self.events.capacity() > 1 {
            return false;
        }
        self.paused.store(true, Ordering::SeqCst);
        // The reader may have taken its last event in between and will not look again. With a fence on each side, one of the two sees what the other did.
        fence(Ordering::SeqCst);
        if self.events.capacity() > CHUNKS / 2 {
            self.paused.store(false, Ordering::SeqCst);
            return false;
        }
        true
    }
}

impl Receipt {
    /// The next event, and whether the engine must be told to go on. `None` when the engine has stopped. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<(Event, bool)> {
        let event = self.events.recv().await?;
        fence(Ordering::SeqCst);
        let resumes = self.events.len() <= CHUNKS / 2 && self.paused.swap(false, Ordering::SeqCst);
        Some((event, resumes))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn chunk() -> Event {
        Event::Chunk(Chunk::default())
    }

    #[test]
    fn pauses_with_one_place_left_and_resumes_once_at_half() {
        let (delivery, mut receipt) = channel();
        for sent in 1..=CHUNKS {
            assert!(delivery.send(chunk()));
            assert_eq!(delivery.must_pause(), sent == CHUNKS);
        }
        assert!(delivery.send(Event::Failed(Error::internal("kept a place"))));
        let resumed: Vec<bool> = (0..=CHUNKS).map(|_| receipt.next().now_or_never().unwrap().unwrap().1).collect();
        assert_eq!(resumed.iter().filter(|resumes| **resumes).count(), 1);
        assert!(resumed[CHUNKS / 2]);
    }

    #[test]
    fn a_reader_that_is_gone_is_noticed() {
        let (delivery, receipt) = channel();
        drop(receipt);
        assert!(!delivery.send(chunk()));
    }
}
