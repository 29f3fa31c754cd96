//! Where something is kept: whose it is, and its key among theirs. The store's own key has both in it, so that no other caller's key leads there.

/// Where all is that has an owner.
const OWNED: &str = "owned/";

/// Whose something is, and its key among theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The id of their key; `None` is the house.
    pub(super) owner: Option<String>,
    pub(super) key: String,
}

impl Place {
    pub(super) fn new(owner: Option<&str>, key: &str) -> Self {
        Self { owner: owner.map(str::to_owned), key: key.to_owned() }
    }

    /// The store's key.
    pub(super) fn path(&self) -> String {
        match &self.owner {
            Some(owner) => format!("{OWNED}{owner}/{}", self.key),
            None => self.key.clone(),
        }
    }

    /// Of a store's key.
    pub(super) fn of(path: &str) -> Self {
        match path.strip_prefix(OWNED).and_then(|rest| rest.split_once('/')) {
            Some((owner, key)) => Self::new(Some(owner), key),
            None => Self::new(None, path),
        }
    }
}

/// All beginnings of the store's keys of what is kept for somebody.
pub(super) const ROOTS: [&str; 4] = ["cache/", "conversation/", OWNED, "response/"];
