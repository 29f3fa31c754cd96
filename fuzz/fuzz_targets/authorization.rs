//! Any bytes: reading them as `Authorization` or as `x-api-key` ends in a credential or in a refusal; a key has an id and a secret of the forms that keys have, and is what the
//! bytes say; and nothing of a secret is shown.
#![no_main]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hearth_function::keys::Credential;
use http::HeaderValue;

fn digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    for credential in [Credential::authorization(&value), Credential::api_key(&value)].into_iter().flatten() {
        let shown = format!("{credential:?}");
        match credential {
            Credential::Key { id, secret } => {
                assert!(digits(&id, 32) && digits(secret.reveal(), 64));
                assert!(!shown.contains(secret.reveal()));
                let text = value.to_str().expect("a credential is text");
                let decoded = text.rsplit(' ').find(|word| !word.is_empty()).and_then(|word| STANDARD.decode(word).ok());
                let said = text.contains(secret.reveal()) || decoded.is_none_or(|pair| String::from_utf8_lossy(&pair).contains(secret.reveal()));
                assert!(said);
                // Sent in the other way it is the same.
                let token = HeaderValue::try_from(format!("hearth-{id}-{}", secret.reveal())).expect("digits");
                assert_eq!(Credential::api_key(&token), Ok(Credential::Key { id, secret }));
            }
            Credential::Other(text) => assert!(!text.reveal().is_empty() && shown.len() < 40),
        }
    }
});
