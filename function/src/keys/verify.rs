//! The check of a request's key.

use http::{HeaderMap, StatusCode};

use super::{
    Caller, Credential, KeysError, Limits, Malformed, Scope, manage,
    record::{read_used, used_key},
    secret::{self, same},
};
use crate::{
    ident,
    nn::internal,
    ports::{KeyValue, Ports, Settings},
    settings, store,
    wire::{ApiError, error::ErrorType},
};

/// Seconds within which a further use is not noted.
const NOTED: u64 = 60;
/// The id of the key that the settings have, in logs and counts.
const STATIC: &str = "static";

/// What a request needs of a key.
pub(crate) enum Need {
    /// None.
    Nothing,
    /// One of this scope.
    Scope(Scope),
}

/// Whose request it is.
///
/// # Errors
/// 401 where the key is missing or no good, 403 where it is good but not for this; 503 where the store that has the keys fails.
pub(crate) async fn authenticate<P: Ports>(ports: &P, headers: &HeaderMap, need: Need) -> Result<Caller, ApiError> {
    let Need::Scope(needed) = need else { return Ok(Caller::default()) };
    let fixed = ports.settings().get("api_key").await.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
    // A word that is not known is none that lets everybody in.
    let open = matches!(ports.settings().get("keys").await.unwrap_or_default().trim(), "" | "none");
    if open && fixed.is_none() {
        return Ok(Caller::default());
    }
    let credential = Credential::of(headers)
        .map_err(|Malformed| refused("invalid_api_key", format!("The request's key cannot be read: {Malformed}.")))?;
    let cure = "send it as 'Authorization: Bearer KEY' or as 'x-api-key: KEY'";
    let credential =
        credential.ok_or_else(|| refused("missing_api_key", format!("This service needs a key, and none was sent: {cure}.")))?;
    let defaults = Limits {
        requests_per_minute: limit(ports, "limit_requests_per_minute").await,
        tokens_per_minute: limit(ports, "limit_tokens_per_minute").await,
        concurrent: limit(ports, "limit_concurrent").await,
    };
    let invalid = || refused("invalid_api_key", "The key is not known here: it is misspelt, or of another service.".to_owned());
    let (id, secret) = match credential {
        Credential::Other(text) if fixed.as_deref().is_some_and(|fixed| same(fixed, text.reveal())) => {
            // Whoever has it is the house: what was kept before there were keys is theirs.
            return Ok(Caller::new(STATIC.to_owned(), None, Vec::new(), defaults));
        }
        Credential::Key { id, secret } => {
            let token = format!("hearth-{id}-{}", secret.reveal());
            if fixed.as_deref().is_some_and(|fixed| same(fixed, &token)) {
                return Ok(Caller::new(STATIC.to_owned(), None, Vec::new(), defaults));
            }
            (id, secret)
        }
        Credential::Other(_) => return Err(invalid()),
    };
    let record = manage::read(ports.key_value(), &id).await.map_err(|error| match error {
        KeysError::Store(error) => store::failed(error),
        other => internal(format!("Keys cannot be checked: {other}.")).code("store_damaged"),
    })?;
    // What is computed for an id that is not known is what is computed for one that is.
    let (salt, hash) = record.as_ref().map_or(("", ""), |record| (&record.salt, &record.hash));
    let good = same(&secret::hash(salt, secret.reveal()), hash);
    let record = record.filter(|_| good).ok_or_else(invalid)?;
    let now = ident::now();
    if record.revoked.is_some() {
        return Err(refused("revoked_api_key", "The key was revoked: ask whoever runs this service for another.".to_owned()));
    }
    if record.expires.is_some_and(|expires| expires <= now) {
        return Err(refused("expired_api_key", "The key's time is over: ask whoever runs this service for another.".to_owned()));
    }
    note(ports, &id, now).await;
    if !record.scopes.iter().any(|scope| scope.lets(needed)) {
        let has: Vec<_> = record.scopes.iter().map(Scope::to_string).collect();
        let message = format!("The key is good, but not for this, which needs the scope '{needed}': it has {}.", has.join(", "));
        return Err(forbidden("insufficient_permissions", message));
    }
    let limits = Limits {
        requests_per_minute: record.limits.requests_per_minute.or(defaults.requests_per_minute),
        tokens_per_minute: record.limits.tokens_per_minute.or(defaults.tokens_per_minute),
        concurrent: record.limits.concurrent.or(defaults.concurrent),
    };
    Ok(Caller::new(id.clone(), Some(id), record.models, limits))
}

async fn limit<P: Ports>(ports: &P, name: &str) -> Option<u32> {
    settings::number(ports.settings(), name).await.and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0)
}

/// Notes that a key is used now. Where that fails it is no matter of the request.
async fn note<P: Ports>(ports: &P, id: &str, now: u64) {
    let path = used_key(id);
    if let Ok(used) = ports.key_value().get(&path).await
        && used.as_deref().and_then(read_used).is_none_or(|used| now >= used.saturating_add(NOTED) || used > now)
    {
        let _ = ports.key_value().set(&path, now.to_string().into_bytes()).await;
    }
}

fn refused(code: &'static str, message: String) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, ErrorType::InvalidRequest, message).code(code)
}

/// 403: the key is good, but not for this.
pub(crate) fn forbidden(code: &'static str, message: String) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, ErrorType::Permission, message).code(code)
}
