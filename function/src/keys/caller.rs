//! Whose request it is, for as long as it is answered. All beneath the routes keeps, finds and counts what is this caller's.

use std::sync::{
    LazyLock, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use super::Limits;
use crate::{limits::Used, store::DataKeys};

/// Whose request it is.
#[derive(Debug, Default)]
pub struct Caller {
    /// The key's id, where there was a key.
    id: Option<String>,
    /// Whose what is kept is; `None` is the house, which all are where no key is needed.
    owner: Option<String>,
    /// Names of the models that the key is for; none is all.
    models: Vec<String>,
    limits: Limits,
    /// What was used of the limits when this request came.
    used: Mutex<Used>,
    /// Opened for this request.
    data_keys: DataKeys,
    /// What is answered is kept by the client's wish, and by no cache beside it.
    uncached: AtomicBool,
    /// How many Hearths the request has come through.
    hops: u8,
    /// What is here, and no other server, is to answer.
    stays: AtomicBool,
    /// Sequences that were computed here, and on another server.
    here: AtomicUsize,
    elsewhere: AtomicUsize,
    /// Sequences that were answered from the cache, and those that were computed.
    hits: AtomicUsize,
    computed: AtomicUsize,
}

impl Caller {
    pub(super) fn new(id: String, owner: Option<String>, models: Vec<String>, limits: Limits) -> Self {
        Self { id: Some(id), owner, models, limits, ..Self::default() }
    }

    /// Nobody in particular: whoever asks where no key is needed.
    pub fn nobody() -> &'static Self {
        static NOBODY: LazyLock<Caller> = LazyLock::new(Caller::default);
        &NOBODY
    }

    /// The key's id, where there was a key.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whose what is kept is, as a part of its key; `None` is the house.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether the key is for a model.
    pub(crate) fn may_use(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|known| known == model)
    }

    /// The models that the key is for; none is all.
    pub(crate) fn models(&self) -> &[String] {
        &self.models
    }

    pub(crate) fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn data_keys(&self) -> &DataKeys {
        &self.data_keys
    }

    /// From here on nothing is taken from the cache or put into it.
    pub(crate) fn leave_cache(&self) {
        self.uncached.store(true, Ordering::Relaxed);
    }

    pub(crate) fn uses_cache(&self) -> bool {
        !self.uncached.load(Ordering::Relaxed)
    }

    /// With the number of Hearths that the request has come through.
    #[must_use]
    pub(crate) fn after(self, hops: u8) -> Self {
        Self { hops, ..self }
    }

    /// Whether the request has come through another Hearth.
    pub(crate) fn was_passed_on(&self) -> bool {
        self.hops > 0
    }

    /// From here on no other server is asked.
    pub(crate) fn stay(&self) {
        self.stays.store(true, Ordering::Relaxed);
    }

    pub(crate) fn stays(&self) -> bool {
        self.stays.load(Ordering::Relaxed)
    }

    /// Notes a sequence that this server answers, or another.
    pub(crate) fn note_served(&self, elsewhere: bool) {
        if elsewhere { &self.elsewhere } else { &self.here }.fetch_add(1, Ordering::Relaxed);
    }

    /// Who answered: of several sequences the other server counts, if it was any of them.
    pub(crate) fn served_by(&self) -> Option<&'static str> {
        match (self.elsewhere.load(Ordering::Relaxed), self.here.load(Ordering::Relaxed)) {
            (0, 0) => None,
            (0, _) => Some("local"),
            _ => Some("fallback"),
        }
    }

    /// Notes a sequence that was answered from the cache, or one that was not.
    pub(crate) fn note_answered(&self, cached: bool) {
        if cached { &self.hits } else { &self.computed }.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether all that was answered came from the cache.
    pub(crate) fn is_hit(&self) -> bool {
        self.hits.load(Ordering::Relaxed) > 0 && self.computed.load(Ordering::Relaxed) == 0
    }
}
