//! The models that an engine knows: by name with the state of their loading, and by the hash of their bytes.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use tokio::sync::watch;

use crate::{Error, ErrorKind, Graph, graph::GraphShared};

/// How far a named model is.
#[derive(Debug, Clone)]
pub(crate) enum LoadState {
    Loading,
    Ready(Graph),
    Failed(Error),
}

/// The sha256 of a model's bytes.
pub(crate) type Hash = [u8; 32];

#[derive(Debug, Default)]
pub(crate) struct Graphs {
    /// In the order of adding.
    named: Vec<(String, watch::Sender<LoadState>)>,
    /// Held by their users only: with the last of them the model is unloaded.
    by_hash: HashMap<Hash, Weak<GraphShared>>,
}

impl Graphs {
    /// Adds `name`, or begins anew with it; its state is set through what is returned.
    pub(crate) fn add(&mut self, name: &str, state: LoadState) -> watch::Sender<LoadState> {
        let (sender, _) = watch::channel(state);
        match self.named.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = sender.clone(),
            None => self.named.push((name.into(), sender.clone())),
        }
        sender
    }

    /// To watch the state of `name`.
    pub(crate) fn watch(&self, name: &str) -> Result<watch::Receiver<LoadState>, Error> {
        let found = self.named.iter().find(|(known, _)| known == name);
        found.map(|(_, state)| state.subscribe()).ok_or_else(|| {
            let known = self.names().join("`, `");
            let cure = if known.is_empty() { "none is served".into() } else { format!("there is `{known}`") };
            Error::new(ErrorKind::ModelNotFound, format!("no model `{name}` is served here: {cure}"))
        })
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.named.iter().map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn by_hash(&self, hash: &Hash) -> Option<Graph> {
        self.by_hash.get(hash)?.upgrade().map(Graph)
    }

    pub(crate) fn share(&mut self, hash: Hash, graph: &Graph) {
        self.by_hash.retain(|_, known| known.strong_count() > 0);
        self.by_hash.insert(hash, Arc::downgrade(&graph.0));
    }
}
