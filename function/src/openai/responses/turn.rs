//! One turn of a conversation: what came before it, what was sent, and the keeping of what came of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    answer::Response,
    input::{self, Sent},
    item::{Item, Names, Part},
    request::{Before, ResponseRequest},
};
use crate::{
    ident,
    nn::internal,
    openai::conversations::Conversation,
    ports::Ports,
    store,
    wire::{
        ApiError,
        table::{invalid, quoted},
    },
};

/// Bytes of a conversation's JSON, so that an answer has room beside it in what is kept.
pub(crate) const MAX_ITEMS_BYTES: usize = store::MAX_DOCUMENT_BYTES / 4 * 3;

/// A response as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kept<R, I> {
    pub(crate) response: R,
    /// What it is an answer to, from the beginning of the conversation: a response can be gone on from whatever becomes of those before it.
    pub(crate) items: I,
}

/// A response as it is read.
pub(crate) type Read = Kept<Value, Vec<Item>>;

/// A turn.
pub(super) struct Turn {
    secret: String,
    /// Until when the response is kept, if it is.
    keep: Option<Option<u64>>,
    conversation: Option<Conversation>,
    /// What came before, and what was sent.
    items: Vec<Item>,
    /// Where in them the latter begins.
    sent: usize,
}

/// The response of an id, or `None`.
pub(crate) async fn find<P: Ports>(ports: &P, id: &str) -> Result<Option<Read>, ApiError> {
    match key(id) {
        Some(key) if store::enabled(ports).await => store::get(ports, &key).await,
        _ => Ok(None),
    }
}

/// Where the response of an id is kept, if it can be one.
pub(super) fn key(id: &str) -> Option<String> {
    id.strip_prefix("resp_").filter(|secret| ident::is_secret(secret)).map(|secret| format!("response/{secret}"))
}

/// The ids of all of the caller's responses, the oldest first.
pub(crate) async fn all<P: Ports>(ports: &P) -> Result<Vec<String>, ApiError> {
    let keys = store::keys(ports, "response/").await?;
    Ok(keys.iter().filter_map(|key| key.strip_prefix("response/")).map(|secret| format!("resp_{secret}")).collect())
}

impl Turn {
    /// Finds what comes before a request. Returns the names of the items to come, too.
    pub(super) async fn begin<P: Ports>(ports: &P, request: &mut ResponseRequest) -> Result<(Self, Names), ApiError> {
        let enabled = store::enabled(ports).await;
        let secret = ident::secret(0)?;
        let keep = if enabled && request.store { Some(store::expiry(ports, ident::now()).await) } else { None };
        let mut turn = Self { keep, conversation: None, items: Vec::new(), sent: 0, secret };
        match &request.before {
            Before::Nothing => {}
            Before::Response(id) => turn.items = previous(ports, id).await?,
            Before::Conversation(id) => {
                let conversation = Conversation::find(ports, id).await?;
                turn.items = conversation.items(ports).await?;
                conversation.check_room(ports).await?;
                turn.conversation = Some(conversation);
            }
        }
        turn.sent = turn.items.len();
        let mut names = Names::new(turn.secret.clone());
        for sent in std::mem::take(&mut request.input) {
            let mut item = match sent {
                Sent::Item(item) => item,
                Sent::Reference(id, path) => referenced(ports, &id, &path).await?,
            };
            input::name(&mut item, &mut names);
            turn.items.push(item);
        }
        if turn.keep.is_some() || turn.conversation.is_some() {
            check_size(&turn.items, "input")?;
            store::sweep(ports, &turn.secret).await;
            // That nothing can be kept is better known before the model has computed for nothing.
            store::check(ports).await?;
            store::get::<P, Value>(ports, &turn.key()).await?;
            // What is kept is deleted when its owner says so, and a cache would not know of it.
            ports.caller().leave_cache();
        }
        Ok((turn, names))
    }

    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// Whether the response is kept.
    pub(super) fn is_kept(&self) -> bool {
        self.keep.is_some()
    }

    fn key(&self) -> String {
        format!("response/{}", self.secret)
    }

    /// Keeps what came of the turn. The response is there before the conversation tells of it: whatever breaks off in between, no turn is in a conversation twice.
    pub(super) async fn keep<P: Ports>(&self, ports: &P, response: &Response) -> Result<(), ApiError> {
        if self.keep.is_none() && self.conversation.is_none() {
            return Ok(());
        }
        let mut response = response.clone();
        for part in response.output.iter_mut().flat_map(Item::parts_mut) {
            if let Part::OutputText { logprobs, .. } = part {
                // They would be a hundred times the text.
                logprobs.clear();
            }
        }
        if let Some(expires) = self.keep {
            let bytes = store::set(ports, &self.key(), expires, &Kept { response: &response, items: &self.items }).await?;
            if let Err(error) = store::note_size(ports, &self.secret, bytes).await {
                let _ = store::delete(ports, &self.key()).await;
                return Err(error);
            }
        }
        if let Some(conversation) = &self.conversation {
            let said: Vec<_> = self.items[self.sent..].iter().chain(&response.output).cloned().collect();
            if let Err(error) = conversation.append(ports, &said).await {
                // What is not acknowledged is better not there: whoever asks again would find it twice.
                if self.keep.is_some() {
                    let _ = store::delete(ports, &self.key()).await;
                }
                return Err(error);
            }
        }
        Ok(())
    }
}

/// 400 where a conversation's items are more than can be kept.
pub(crate) fn check_size(items: &[Item], param: &str) -> Result<(), ApiError> {
    // Writing plain structs to memory cannot fail.
    let bytes = serde_json::to_vec(items).map_or(0, |json| json.len());
    if bytes <= MAX_ITEMS_BYTES {
        return Ok(());
    }
    let why = format!(
        "with it the conversation has {bytes} bytes, where {MAX_ITEMS_BYTES} can be kept. Begin another, or keep nothing: send 'store': false."
    );
    Err(invalid(param, why))
}

/// What was said up to a response, and in it.
async fn previous<P: Ports>(ports: &P, id: &str) -> Result<Vec<Item>, ApiError> {
    let Some(Kept { mut response, mut items }) = find(ports, id).await? else {
        let why = match store::enabled(ports).await {
            true => "it was never kept, was deleted, or its time is over",
            false => "nothing is kept here, as the setting 'store_responses' is false",
        };
        let message = format!("Previous response with id {} not found: {why}.", quoted(id));
        return Err(ApiError::parameter("previous_response_id", message).code("previous_response_not_found"));
    };
    let output: Vec<Item> = serde_json::from_value(response["output"].take())
        // Without serde_json's words, which may have a piece of what was said.
        .map_err(|_| internal("What was kept cannot be read: it is not what was kept.").code("store_damaged"))?;
    items.extend(output);
    Ok(items)
}

/// An item of a kept response.
async fn referenced<P: Ports>(ports: &P, id: &str, path: &str) -> Result<Item, ApiError> {
    let items = match Names::secret_of(id) {
        Some(secret) => previous(ports, &format!("resp_{secret}")).await.or_else(|error| match error.code {
            Some("previous_response_not_found") => Ok(Vec::new()),
            _ => Err(error),
        })?,
        None => Vec::new(),
    };
    let found = items.into_iter().find(|item| item.id() == id);
    found
        .ok_or_else(|| invalid(path, format!("no kept response has the item {}: send the item itself.", quoted(id))).code("item_not_found"))
}
