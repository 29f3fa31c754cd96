//! Settings in their types.

use crate::ports::Settings;

/// A whole number; one that is not a number counts as not set.
pub(crate) async fn number<S: Settings>(settings: &S, name: &str) -> Option<usize> {
    settings.get(name).await?.trim().parse().ok()
}

/// A list with commas, each name once, in order.
pub(crate) async fn names<S: Settings>(settings: &S, name: &str) -> Vec<String> {
    let value = settings.get(name).await.unwrap_or_default();
    let mut names = Vec::<String>::new();
    for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// A yes or no; `default` where it is not set.
pub(crate) async fn flag<S: Settings>(settings: &S, name: &str, default: bool) -> bool {
    match settings.get(name).await.unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" => default,
        word => !["false", "0", "no", "off"].contains(&word),
    }
}
