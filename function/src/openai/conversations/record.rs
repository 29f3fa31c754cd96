//! A conversation as it is kept: a key for itself, and one for each time that something was added, so that those who add at the same time do not undo each other. An item that
//! was deleted has a key too, which says so; then its text is taken out of what it was added with.

use serde_json::{Map, Value};

use serde::{Deserialize, Serialize};

use http::StatusCode;

use crate::{
    ident,
    openai::responses::{Item, item::Names},
    ports::Ports,
    store,
    wire::{ApiError, error::ErrorType, table::quoted},
};

/// Times that something is added to a conversation.
const MAX_ADDITIONS: usize = 1000;

/// A conversation that is there.
#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    secret: String,
    head: Head,
}

/// What its own key holds, which nothing changes.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Head {
    created_at: u64,
    metadata: Map<String, Value>,
}

/// What was added at one time.
struct Addition {
    key: String,
    items: Vec<Item>,
}

impl Conversation {
    /// Begins one.
    pub(super) async fn begin<P: Ports>(ports: &P, metadata: Map<String, Value>) -> Result<Self, ApiError> {
        check_enabled(ports).await?;
        let conversation = Self { secret: ident::secret(0)?, head: Head { created_at: ident::now(), metadata } };
        store::sweep(ports, &conversation.secret).await;
        check_all(ports).await?;
        store::set(ports, &conversation.key(), None, &conversation.head).await?;
        Ok(conversation)
    }

    /// The one of an id.
    pub(crate) async fn find<P: Ports>(ports: &P, id: &str) -> Result<Self, ApiError> {
        check_enabled(ports).await?;
        if let Some(secret) = id.strip_prefix("conv_").filter(|secret| ident::is_secret(secret)) {
            let key = format!("conversation/{secret}");
            if let Some(head) = store::get::<P, Head>(ports, &key).await? {
                return Ok(Self { secret: secret.to_owned(), head });
            }
        }
        let message = format!("Conversation with id {} not found.", quoted(id));
        Err(ApiError::new(StatusCode::NOT_FOUND, ErrorType::InvalidRequest, message).code("conversation_not_found"))
    }

    pub(crate) fn id(&self) -> String {
        format!("conv_{}", self.secret)
    }

    /// Unix time in seconds.
    pub(crate) fn created_at(&self) -> u64 {
        self.head.created_at
    }

    fn key(&self) -> String {
        format!("conversation/{}", self.secret)
    }

    /// The names of all of the caller's, the oldest first.
    pub(crate) async fn all<P: Ports>(ports: &P) -> Result<Vec<String>, ApiError> {
        let keys = store::keys(ports, "conversation/").await?;
        let heads = keys.iter().filter_map(|key| key.strip_prefix("conversation/")).filter(|name| ident::is_secret(name));
        Ok(heads.map(|secret| format!("conv_{secret}")).collect())
    }

    /// Its notes, which have a key of their own once they were changed.
    pub(crate) async fn metadata<P: Ports>(&self, ports: &P) -> Result<Map<String, Value>, ApiError> {
        let changed = store::get(ports, &format!("{}/metadata", self.key())).await?;
        Ok(changed.unwrap_or_else(|| self.head.metadata.clone()))
    }

    pub(super) async fn set_metadata<P: Ports>(&self, ports: &P, metadata: &Map<String, Value>) -> Result<(), ApiError> {
        store::set(ports, &format!("{}/metadata", self.key()), None, metadata).await.map(|_| ())
    }

    /// Removes it. What is left of it where this breaks off is nobody's, and is swept.
    pub(super) async fn delete<P: Ports>(&self, ports: &P) -> Result<(), ApiError> {
        let within = store::keys(ports, &format!("{}/", self.key())).await?;
        store::delete_for_good(ports, &self.key()).await?;
        for key in within {
            store::delete(ports, &key).await?;
        }
        Ok(())
    }

    /// All items, the oldest first.
    pub(crate) async fn items<P: Ports>(&self, ports: &P) -> Result<Vec<Item>, ApiError> {
        Ok(self.additions(ports).await?.into_iter().flat_map(|addition| addition.items).collect())
    }

    /// The keys of what was added, sorted by time, and the ids of what was deleted.
    async fn keys<P: Ports>(&self, ports: &P) -> Result<(Vec<String>, Vec<String>), ApiError> {
        let prefix = format!("{}/", self.key());
        let (mut additions, mut deleted) = (Vec::new(), Vec::new());
        for key in store::keys(ports, &prefix).await? {
            match key[prefix.len()..].split_once('/') {
                Some((_, item)) => deleted.push(item.to_owned()),
                None if ident::is_secret(addition(&key).0) => additions.push(key),
                None => {}
            }
        }
        Ok((additions, deleted))
    }

    async fn additions<P: Ports>(&self, ports: &P) -> Result<Vec<Addition>, ApiError> {
        let (keys, deleted) = self.keys(ports).await?;
        let mut additions = Vec::with_capacity(keys.len());
        for key in keys {
            let mut items: Vec<Item> = store::get(ports, &key).await?.unwrap_or_default();
            items.retain(|item| !deleted.iter().any(|id| id == item.id()));
            additions.push(Addition { key, items });
        }
        Ok(additions)
    }

    /// 400 where nothing more can be added.
    pub(crate) async fn check_room<P: Ports>(&self, ports: &P) -> Result<(), ApiError> {
        check_all(ports).await?;
        if self.keys(ports).await?.0.len() >= MAX_ADDITIONS {
            let message = format!("Something was added to this conversation {MAX_ADDITIONS} times, which is the most: begin another.");
            return Err(ApiError::parameter("conversation", message).code("conversation_full"));
        }
        Ok(())
    }

    /// Adds items, all or none. Where the conversation was deleted meanwhile they are nobody's.
    pub(crate) async fn append<P: Ports>(&self, ports: &P, items: &[Item]) -> Result<(), ApiError> {
        if items.is_empty() || store::get::<P, Head>(ports, &self.key()).await?.is_none() {
            return Ok(());
        }
        // What was there before comes before, whatever the clock says.
        let last = self.keys(ports).await?.0.last().map_or(0, |key| ident::time_of(addition(key).0));
        // Writing plain structs to memory cannot fail.
        let bytes = serde_json::to_vec(items).map_or(0, |json| json.len());
        store::set(ports, &format!("{}/{}-{bytes:x}", self.key(), ident::secret(last)?), None, &items).await.map(|_| ())
    }

    /// Removes an item. Returns whether it was there.
    pub(super) async fn delete_item<P: Ports>(&self, ports: &P, id: &str) -> Result<bool, ApiError> {
        if Names::secret_of(id).is_none() {
            return Ok(false);
        }
        let mut additions = self.additions(ports).await?.into_iter();
        let Some(Addition { key, .. }) = additions.find(|addition| addition.items.iter().any(|item| item.id() == id)) else {
            return Ok(false);
        };
        // From here it is gone, also where another item of the same time is deleted at this moment.
        store::set(ports, &format!("{key}/{id}"), None, &Value::Null).await?;
        let left = self.additions(ports).await?.into_iter().find(|addition| addition.key == key);
        if let Some(Addition { items, .. }) = left {
            store::set(ports, &key, None, &items).await?;
        }
        Ok(true)
    }
}

/// The name of an addition and how many bytes it had when it was made, which its key says so that nobody needs to read it to know.
fn addition(key: &str) -> (&str, u64) {
    let name = key.rsplit('/').next().unwrap_or_default();
    let (secret, bytes) = name.split_once('-').unwrap_or((name, ""));
    (secret, u64::from_str_radix(bytes, 16).unwrap_or(0))
}

async fn check_enabled<P: Ports>(ports: &P) -> Result<(), ApiError> {
    if store::enabled(ports).await {
        return Ok(());
    }
    let message = "There are no conversations here, as the setting 'store_responses' is false: send what was said before as 'input'.";
    Err(ApiError::bad_request(message).code("store_disabled"))
}

/// 400 where no conversation can take anything more.
async fn check_all<P: Ports>(ports: &P) -> Result<(), ApiError> {
    let keys = store::keys(ports, "conversation/").await?;
    let bytes: u64 = keys.iter().map(|key| addition(key).1).sum();
    if keys.len() < store::MAX_CONVERSATION_KEYS && bytes < store::MAX_CONVERSATION_BYTES {
        return Ok(());
    }
    let message = "All conversations together are as many and as long as can be kept here: delete some.";
    Err(ApiError::bad_request(message).code("conversations_full"))
}
