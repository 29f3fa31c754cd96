//! Forgetting what nobody asks for any more, and encrypting anew what is under an old data key: a little of it with some of the requests, as there is nothing here that runs by
//! itself. Whoever asks, what is swept is everybody's.

use std::collections::{BTreeMap, HashMap};

use super::{
    failed,
    place::{Place, ROOTS},
    ring, rotate, value,
};
use crate::{
    ident,
    ports::{KeyValue, Ports},
    wire::ApiError,
};

/// Responses that are kept for each owner, and bytes of them: the newest.
const MAX_RESPONSES: usize = 40_000;
const MAX_RESPONSE_BYTES: u64 = 1 << 30;
/// Keys of all conversations of an owner together, and bytes. At either, nothing more is taken.
pub(crate) const MAX_CONVERSATION_KEYS: usize = 40_000;
pub(crate) const MAX_CONVERSATION_BYTES: u64 = 1 << 30;
/// One request of so many sweeps.
const SELDOM: u8 = 64;
/// Keys that one sweep removes: more than come between two.
const AT_ONCE: usize = 128;

/// Answers of the cache that one sweep looks at, for each owner.
const FEW: usize = 16;

/// The store's keys of what one owner keeps, each kind sorted.
#[derive(Default)]
struct Kept {
    /// By their names, which are sorted by time.
    responses: BTreeMap<String, String>,
    /// What notes the bytes of a response, by its name.
    sizes: HashMap<String, (String, u64)>,
    conversations: Vec<(String, String)>,
    cache: Vec<String>,
}

/// Sweeps with some of the `secret`s. What fails is tried again with another.
pub(crate) async fn sweep<P: Ports>(ports: &P, secret: &str) {
    let dice = secret.get(46..).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    if dice.is_some_and(|dice| dice % SELDOM == 0) {
        // Whoever asks for something else is not to be troubled by it.
        let _ = forget(ports.key_value()).await;
        if let Ok(ring) = ring(ports).await {
            let _ = rotate::some(&ring).await;
        }
    }
}

async fn forget<K: KeyValue>(store: &K) -> Result<(), ApiError> {
    let now = ident::now();
    let mut over = Vec::new();
    for kept in by_owner(store).await?.into_values() {
        over.extend(responses(store, &kept, now).await?);
        over.extend(orphans(&kept));
        over.extend(answers(store, &kept, now).await?);
    }
    for path in store.keys(rotate::DELETED).await.map_err(failed)?.into_iter().take(AT_ONCE) {
        let until = store.get(&path).await.map_err(failed)?.and_then(|value| String::from_utf8(value).ok()?.parse::<u64>().ok());
        if until.is_none_or(|until| until <= now) {
            over.push(path);
        }
    }
    for path in over.into_iter().take(AT_ONCE) {
        store.delete(&path).await.map_err(failed)?;
    }
    Ok(())
}

async fn by_owner<K: KeyValue>(store: &K) -> Result<BTreeMap<Option<String>, Kept>, ApiError> {
    let mut owners = BTreeMap::<_, Kept>::new();
    for root in ROOTS.into_iter().chain([super::SIZES]) {
        for path in store.keys(root).await.map_err(failed)? {
            let Place { owner, key } = Place::of(&path);
            let kept = owners.entry(owner).or_default();
            match key.split_once('/') {
                Some(("response", name)) => drop(kept.responses.insert(name.to_owned(), path)),
                Some(("response-size", noted)) => {
                    let size = noted.split_once('-').and_then(|(name, size)| Some((name, u64::from_str_radix(size, 16).ok()?)));
                    let (name, size) = size.unwrap_or((noted, 0));
                    kept.sizes.insert(name.to_owned(), (path, size));
                }
                Some(("conversation", name)) => kept.conversations.push((name.to_owned(), path)),
                Some(("cache", _)) => kept.cache.push(path),
                _ => {}
            }
        }
    }
    Ok(owners)
}

/// Responses beyond the newest, those whose time is over, and the notes of those that are gone.
async fn responses<K: KeyValue>(store: &K, kept: &Kept, now: u64) -> Result<Vec<String>, ApiError> {
    let size = |name: &String| kept.sizes.get(name).map_or(0, |(_, size)| *size);
    let mut bytes: u64 = kept.responses.keys().map(size).sum();
    let mut count = kept.responses.len();
    let mut over = Vec::new();
    for (name, path) in kept.responses.iter().take(AT_ONCE) {
        let beyond = count > MAX_RESPONSES || bytes > MAX_RESPONSE_BYTES;
        if !beyond && !store.get(path).await.map_err(failed)?.is_none_or(|value| value::is_over(&value, now)) {
            break;
        }
        (count, bytes) = (count - 1, bytes - size(name));
        over.push(path.clone());
    }
    over.extend(kept.sizes.iter().filter(|(name, _)| !kept.responses.contains_key(*name)).map(|(_, (path, _))| path.clone()));
    Ok(over)
}

/// What was said in conversations that are gone: what an answer added while its conversation was deleted, or what a deletion left that was broken off.
fn orphans(kept: &Kept) -> impl Iterator<Item = String> {
    let mut head = None;
    // A conversation's own key comes before all those within it.
    kept.conversations.iter().filter_map(move |(name, path)| match name.split_once('/') {
        None => {
            head = Some(name);
            None
        }
        Some((conversation, _)) => head.is_none_or(|head| head != conversation).then(|| path.clone()),
    })
}

/// A few answers of the cache whose time is over: others each time.
async fn answers<K: KeyValue>(store: &K, kept: &Kept, now: u64) -> Result<Vec<String>, ApiError> {
    let begin = now as usize % kept.cache.len().max(1);
    let mut over = Vec::new();
    for path in kept.cache.iter().skip(begin).take(FEW) {
        if store.get(path).await.map_err(failed)?.is_some_and(|value| value::is_over(&value, now)) {
            over.push(path.clone());
        }
    }
    Ok(over)
}
