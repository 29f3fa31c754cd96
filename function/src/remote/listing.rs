//! Which models the other server has. Its answer is kept for a short time, and so is that there was none, so that no list waits for it twice.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Method;
use serde::Deserialize;

use super::Link;
use crate::ports::Ports;

const FRESH: Duration = Duration::from_secs(15);
const FRESH_FAILURE: Duration = Duration::from_secs(5);
/// Bytes of a list.
const LIST_MAX: usize = 1 << 20;
/// Servers whose lists are kept. A service has one; this bounds those of its past.
const KEPT_MAX: usize = 16;

static KEPT: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

struct Kept {
    url: String,
    at: Instant,
    /// `None` where there was no answer.
    names: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct List {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

/// The names of the other server's models that the caller may use, its default first; none where it does not answer, where there is none, and for a request that came from another
/// Hearth already.
pub(crate) async fn names<P: Ports>(ports: &P) -> Vec<String> {
    let caller = ports.caller();
    if caller.was_passed_on() {
        return Vec::new();
    }
    let Some(link) = Link::of(ports.settings()).await else { return Vec::new() };
    let known = known(link.url());
    let names = match known {
        Some(names) => names,
        None => {
            let names = ask(&link, ports).await;
            keep(link.url(), names.clone());
            names
        }
    };
    names.unwrap_or_default().into_iter().filter(|name| caller.may_use(name)).collect()
}

fn known(url: &str) -> Option<Option<Vec<String>>> {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = kept.iter().find(|kept| kept.url == url)?;
    let fresh = if kept.names.is_some() { FRESH } else { FRESH_FAILURE };
    (kept.at.elapsed() < fresh).then(|| kept.names.clone())
}

fn keep(url: &str, names: Option<Vec<String>>) {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.retain(|kept| kept.url != url);
    if kept.len() == KEPT_MAX {
        kept.remove(0);
    }
    kept.push(Kept { url: url.to_owned(), at: Instant::now(), names });
}

async fn ask<P: Ports>(link: &Link, ports: &P) -> Option<Vec<String>> {
    let mut exchange = link.ask(ports, Method::GET, "/v1/models", Bytes::new()).await.ok()?;
    let bytes = exchange.whole(ports, LIST_MAX).await.ok()?;
    let list: List = serde_json::from_slice(&bytes).ok()?;
    Some(list.data.into_iter().map(|model| model.id).collect())
}
