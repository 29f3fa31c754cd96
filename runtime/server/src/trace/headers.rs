//! Header fields for the collector, such as its key: `OTEL_EXPORTER_OTLP_TRACES_HEADERS`, or `OTEL_EXPORTER_OTLP_HEADERS` where that is not set (opentelemetry.io/docs/specs/otel/protocol/exporter).

use http::{HeaderMap, HeaderName, HeaderValue};

use super::TraceError;

const NAMES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];

/// The fields of the environment.
pub(super) fn from_environment() -> Result<HeaderMap, TraceError> {
    let Some((name, text)) = NAMES.into_iter().find_map(|name| Some((name, std::env::var(name).ok()?))) else {
        return Ok(HeaderMap::new());
    };
    parse(&text).ok_or(TraceError::Headers(name))
}

/// `name=value,name=value` with values in URL encoding. What is wrong is not repeated: it may be a secret.
fn parse(text: &str) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for field in text.split(',').map(str::trim).filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once('=')?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        let mut value = HeaderValue::from_bytes(&decoded(value.trim())?).ok()?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Some(headers)
}

/// The bytes of what `%XX` stands in; `+` is itself here, other than in forms.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2).filter(|code| code.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend(&part.as_bytes()[2..]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_pairs_with_encoded_values() {
        let headers = parse("authorization=Bearer%20a+b=, x-tenant = one ,").unwrap();
        assert_eq!(headers["authorization"], "Bearer a+b=");
        assert_eq!(headers["x-tenant"], "one");
        assert!(parse("").unwrap().is_empty());
        for wrong in ["authorization", "a b=c", "a=%zz", "a=%4", "a=%0A", "=c", "a=%+1"] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }
}
