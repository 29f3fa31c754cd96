//! The models that an engine knows: by name with the state of their loading, and by the hash of their bytes.
//!
//! A model with a file may be loaded when somebody first wants it, and unloaded when nobody has for a while or when another needs its memory. One that cannot be loaded
//! is tried again, but not at each request: loading may take all of the machine.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{Error, ErrorKind, Graph, ModelFile, graph::GraphShared};

/// The longest time between two tries to load a model.
const MAX_PAUSE: Duration = Duration::from_secs(300);

/// How far a named model is.
#[derive(Debug, Clone)]
pub(crate) enum LoadState {
    /// It is loaded when it is wanted.
    Absent,
    /// It is being loaded; those who want it wait where somebody's wish began it.
    Loading {
        on_demand: bool,
    },
    Ready(Graph),
    Failed(Error),
}

/// What is to be done for somebody who wants a model.
#[derive(Debug)]
pub(crate) enum Wanted {
    Here(Graph),
    /// It will be ready, or have failed.
    Coming(watch::Receiver<LoadState>),
    /// The caller is to load it.
    Load(Load),
}

/// A load that has begun.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) file: ModelFile,
    pub(crate) name: String,
    state: watch::Sender<LoadState>,
}

impl Load {
    /// To wait for its end.
    pub(crate) fn watch(&self) -> watch::Receiver<LoadState> {
        self.state.subscribe()
    }
}

/// The sha256 of a model's bytes.
pub(crate) type Hash = [u8; 32];

#[derive(Debug, Default)]
pub(crate) struct Graphs {
    /// In the order of adding.
    named: Vec<Named>,
    /// Held by their users only: with the last of them the model is unloaded.
    by_hash: HashMap<Hash, Weak<GraphShared>>,
}

#[derive(Debug)]
struct Named {
    name: String,
    /// What it is loaded from; nothing for one that came loaded.
    file: Option<ModelFile>,
    /// Whether it is never unloaded.
    stays: bool,
    state: watch::Sender<LoadState>,
    /// When it was last seen to be of use.
    used: Instant,
    /// Loads that failed since one did not, and when the next may be tried.
    failures: u32,
    retry: Instant,
}

impl Graphs {
    /// Adds `name`, or begins anew with it.
    pub(crate) fn add(&mut self, name: &str, file: Option<ModelFile>, stays: bool, state: LoadState) {
        let now = Instant::now();
        let (state, _) = watch::channel(state);
        let named = Named { name: name.into(), file, stays, state, used: now, failures: 0, retry: now };
        match self.named.iter_mut().find(|known| known.name == name) {
            Some(known) => *known = named,
            None => self.named.push(named),
        }
    }

    /// Begins to load `name` where it has a file and is not here.
    pub(crate) fn want(&mut self, name: &str, on_demand: bool) -> Result<Wanted, Error> {
        let now = Instant::now();
        let named = self.find(name)?;
        named.used = now;
        let state = named.state.borrow().clone();
        match (state, &named.file) {
            (LoadState::Ready(graph), _) => Ok(Wanted::Here(graph)),
            (LoadState::Loading { on_demand: true }, _) => Ok(Wanted::Coming(named.state.subscribe())),
            (LoadState::Loading { on_demand: false }, _) => {
                Err(Error::new(ErrorKind::Loading, format!("model `{name}` is being loaded: try again in a moment")))
            }
            (LoadState::Failed(error), file) if file.is_none() || now < named.retry => {
                let rest = named.retry.saturating_duration_since(now).as_secs_f64().ceil();
                let again = if file.is_some() { format!(" (it is tried again in {rest} s)") } else { String::new() };
                Err(Error::new(error.kind, format!("model `{name}` could not be loaded: {}{again}", error.message)))
            }
            (_, Some(file)) => {
                let file = file.clone();
                named.state.send_replace(LoadState::Loading { on_demand });
                Ok(Wanted::Load(Load { file, name: name.into(), state: named.state.clone() }))
            }
            (_, None) => Err(Error::new(ErrorKind::LoadFailed, format!("model `{name}` has no file to be loaded from"))),
        }
    }

    /// How a load ended.
    pub(crate) fn end(&mut self, load: Load, loaded: Result<Graph, Error>) {
        let now = Instant::now();
        // The name may be another model's by now.
        if let Some(named) = self.named.iter_mut().find(|named| named.state.same_channel(&load.state)) {
            named.used = now;
            named.failures = if loaded.is_ok() { 0 } else { named.failures.saturating_add(1) };
            named.retry = now + pause(named.failures);
        }
        load.state.send_replace(loaded.map_or_else(LoadState::Failed, LoadState::Ready));
    }

    /// To watch the state of `name`.
    pub(crate) fn watch(&mut self, name: &str) -> Result<watch::Receiver<LoadState>, Error> {
        self.find(name).map(|named| named.state.subscribe())
    }

    /// Unloads the models that nobody has used for `rest`; those that are in use now begin to rest anew.
    pub(crate) fn unload_rested(&mut self, rest: Duration) {
        let now = Instant::now();
        for named in &mut self.named {
            if named.is_used() {
                named.used = now;
            } else if named.may_go() && now.duration_since(named.used) >= rest {
                tracing::info!(model = named.name, "unloaded: nobody has used it for {} s", rest.as_secs());
                named.state.send_replace(LoadState::Absent);
            }
        }
    }

    /// Unloads the model that has been of no use for longest, for the sake of another. False when there is none that may go.
    pub(crate) fn unload_one(&mut self, sake: &str) -> bool {
        let idle = self.named.iter().filter(|named| named.may_go() && !named.is_used());
        let Some(named) = idle.min_by_key(|named| named.used) else { return false };
        tracing::info!(model = named.name, sake, "unloaded: another model needs its memory");
        named.state.send_replace(LoadState::Absent);
        true
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.named.iter().map(|named| named.name.clone()).collect()
    }

    pub(crate) fn by_hash(&self, hash: &Hash) -> Option<Graph> {
        self.by_hash.get(hash)?.upgrade().map(Graph)
    }

    pub(crate) fn share(&mut self, hash: Hash, graph: &Graph) {
        self.by_hash.retain(|_, known| known.strong_count() > 0);
        self.by_hash.insert(hash, Arc::downgrade(&graph.0));
    }

    fn find(&mut self, name: &str) -> Result<&mut Named, Error> {
        let at = self.named.iter().position(|known| known.name == name).ok_or_else(|| {
            let known = self.names().join("`, `");
            let cure = if known.is_empty() { "none is served".into() } else { format!("there is `{known}`") };
            Error::new(ErrorKind::ModelNotFound, format!("no model `{name}` is served here: {cure}"))
        })?;
        Ok(&mut self.named[at])
    }
}

impl Named {
    /// Whether it is here and could be loaded again.
    fn may_go(&self) -> bool {
        !self.stays && self.file.is_some() && matches!(*self.state.borrow(), LoadState::Ready(_))
    }

    /// Whether somebody beside this list holds it.
    fn is_used(&self) -> bool {
        matches!(&*self.state.borrow(), LoadState::Ready(graph) if Arc::strong_count(&graph.0) > 1)
    }
}

/// How long to wait after so many failures in a row: 2, 4, 8 seconds and so on.
fn pause(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        failures => Duration::from_secs(1 << failures.min(16)).min(MAX_PAUSE),
    }
}
