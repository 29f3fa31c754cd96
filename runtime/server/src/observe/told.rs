//! What a handler tells of a request in `hearth-log-…` fields, of the head or of the body's trailers.

use http::{HeaderMap, HeaderName};

const PREFIX: &str = "hearth-log-";
/// Bytes of one value.
const VALUE_MAX: usize = 256;

/// What a handler told. All of it is optional, and none of it is trusted to be short or printable.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Told {
    /// The id of the key, never the key.
    pub(crate) key: Option<String>,
    pub(crate) model: Option<String>,
    /// The pattern of the path, of which there are few.
    pub(crate) route: Option<String>,
    /// OpenTelemetry's `gen_ai.operation.name`.
    pub(crate) operation: Option<String>,
    pub(crate) finish: Option<String>,
    pub(crate) prompt_tokens: Option<u64>,
    pub(crate) cached_tokens: Option<u64>,
    pub(crate) completion_tokens: Option<u64>,
    pub(crate) ttft_ms: Option<f64>,
}

impl Told {
    /// Takes all such fields out of `fields`. Of one that comes again the last counts.
    pub(crate) fn take(&mut self, fields: &mut HeaderMap) {
        let names: Vec<HeaderName> = fields.keys().filter(|name| name.as_str().starts_with(PREFIX)).cloned().collect();
        for name in names {
            let value = fields.get_all(&name).iter().next_back().and_then(|value| value.to_str().ok()).map(str::to_owned);
            fields.remove(&name);
            let Some(value) = value.filter(|value| !value.is_empty() && value.len() <= VALUE_MAX) else { continue };
            match &name.as_str()[PREFIX.len()..] {
                "key" => self.key = Some(value),
                "model" => self.model = Some(value),
                "route" => self.route = Some(value),
                "operation" => self.operation = Some(value),
                "finish" => self.finish = Some(value),
                "prompt-tokens" => self.prompt_tokens = value.parse().ok(),
                "cached-tokens" => self.cached_tokens = value.parse().ok(),
                "completion-tokens" => self.completion_tokens = value.parse().ok(),
                "ttft-ms" => self.ttft_ms = value.parse().ok().filter(|ms: &f64| ms.is_finite() && *ms >= 0.0),
                // Of a later handler.
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn takes_what_it_knows_and_leaves_nothing_of_it() {
        let mut fields = HeaderMap::new();
        for (name, value) in [
            ("hearth-log-model", "smollm2"),
            ("hearth-log-prompt-tokens", "12"),
            ("hearth-log-completion-tokens", "many"),
            ("hearth-log-ttft-ms", "NaN"),
            ("hearth-log-later", "x"),
            ("etag", "y"),
        ] {
            fields.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        fields.append("hearth-log-model", HeaderValue::from_static("gemma"));
        fields.append("hearth-log-key", HeaderValue::from_str(&"k".repeat(300)).unwrap());
        let mut told = Told { finish: Some("stop".into()), ..Told::default() };
        told.take(&mut fields);
        let wanted = Told { model: Some("gemma".into()), prompt_tokens: Some(12), finish: Some("stop".into()), ..Told::default() };
        assert_eq!(told, wanted);
        assert_eq!(fields.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["etag"]);
    }
}
