//! Forgetting what nobody asks for any more: a little of it with some of the requests, as there is nothing here that runs by itself.

use super::value;
use crate::{
    ident,
    ports::{KeyValue, KeyValueError, Ports},
};

/// Responses that are kept: the newest.
const MAX_RESPONSES: usize = 40_000;
/// Keys of all conversations together. At it, nothing more is taken.
pub(crate) const MAX_CONVERSATION_KEYS: usize = 40_000;
/// One request of so many sweeps.
const SELDOM: u8 = 64;
/// Keys that one sweep removes: more than come between two.
const AT_ONCE: usize = 128;

/// Sweeps with some of the `secret`s. What fails is tried again with another.
pub(crate) async fn sweep<P: Ports>(ports: &P, secret: &str) {
    let dice = secret.get(46..).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    if dice.is_some_and(|dice| dice % SELDOM == 0) {
        // Whoever asks for something else is not to be troubled by it.
        let _ = responses(ports).await;
        let _ = orphans(ports).await;
    }
}

/// Removes responses beyond the newest, and those whose time is over. Their keys are sorted by their time.
async fn responses<P: Ports>(ports: &P) -> Result<(), KeyValueError> {
    let keys = ports.key_value().keys("response/").await?;
    let beyond = keys.len().saturating_sub(MAX_RESPONSES);
    for (index, key) in keys.iter().take(AT_ONCE).enumerate() {
        let value = if index < beyond { None } else { ports.key_value().get(key).await? };
        if value.is_some_and(|value| !value::is_over(&value, ident::now())) {
            break;
        }
        ports.key_value().delete(key).await?;
    }
    Ok(())
}

/// Removes what was said in conversations that are gone: what an answer added while its conversation was deleted, or what a deletion left that was broken off.
async fn orphans<P: Ports>(ports: &P) -> Result<(), KeyValueError> {
    let keys = ports.key_value().keys("conversation/").await?;
    let conversation = |key: &str| key.split('/').nth(1).map(str::to_owned);
    let mut removed = 0;
    let mut head = None;
    // A conversation's own key comes before all those within it.
    for key in keys {
        if key.split('/').count() == 2 {
            head = conversation(&key);
        } else if conversation(&key) != head && removed < AT_ONCE {
            ports.key_value().delete(&key).await?;
            removed += 1;
        }
    }
    Ok(())
}
