//! Whether an address may be listened on with what protects it.

use std::net::{IpAddr, SocketAddr};

/// Why an address may not be listened on: others could reach it, and something is open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{address} can be reached from other machines, and {open}. {cure}; or listen on 127.0.0.1 alone; or say that it is meant so, as behind a proxy or in a network of \
     your own, with --allow-exposed"
)]
pub struct ExposureError {
    address: SocketAddr,
    open: &'static str,
    cure: &'static str,
}

/// Whether a server may listen on `address`: on loopback always, else with both keys and TLS, or where it was `allowed`.
///
/// # Errors
/// [`ExposureError`], which says what is open and how to close it.
pub fn exposure(address: SocketAddr, keys: bool, tls: bool, allowed: bool) -> Result<(), ExposureError> {
    let loopback = match address.ip().to_canonical() {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => address.is_loopback(),
    };
    let (open, cure) = match (keys, tls) {
        (true, true) => return Ok(()),
        _ if loopback || allowed => return Ok(()),
        (false, false) => (
            "anyone who does may use it and read what others say: it asks for no keys and has no TLS",
            "Make keys (hearth keys create) and turn TLS on (--tls-cert and --tls-key, --acme-domain, or for a trial --tls-self-signed)",
        ),
        (false, true) => ("anyone who does may use it: it asks for no keys", "Make keys (hearth keys create)"),
        (true, false) => (
            "keys and chats would go over the network for anyone to read: it has no TLS",
            "Turn TLS on (--tls-cert and --tls-key, --acme-domain, or for a trial --tls-self-signed)",
        ),
    };
    Err(ExposureError { address, open, cure })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_needs_nothing_and_all_else_needs_both() {
        let check =
            |address: &str, keys, tls, allowed| exposure(address.parse().unwrap(), keys, tls, allowed).map_err(|error| error.to_string());
        for loopback in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(check(loopback, false, false, false), Ok(()), "{loopback}");
        }
        for open in ["0.0.0.0:1", "[::]:1", "192.168.1.2:1", "[2001:db8::1]:1"] {
            assert_eq!(check(open, true, true, false), Ok(()));
            assert_eq!(check(open, false, false, true), Ok(()));
            for (keys, tls, says) in [(false, false, "no keys and has no TLS"), (false, true, "no keys"), (true, false, "no TLS")] {
                let error = check(open, keys, tls, false).unwrap_err();
                assert!(error.contains(says) && error.contains("--allow-exposed") && error.starts_with(open), "{error}");
                assert_eq!(error.contains("--tls-cert"), !tls, "{error}");
                assert_eq!(error.contains("hearth keys"), !keys, "{error}");
            }
        }
    }
}
