//! Who a request is from when it came through proxies.
//!
//! Anyone can write `x-forwarded-for`; it is believed only from configured proxies, and only as far as these wrote it: each appends the address that it saw, so the
//! list is read from its right, over the proxies, to the first address that is none.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};

use super::Network;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Whether the client's own connection is encrypted, in the extensions of each request: by this server's TLS, or by that of a trusted proxy in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Secure(pub bool);

/// The client behind `peer`, and what a trusted proxy says of the protocol it was asked by. The port is 0 where the proxy did not tell it.
pub(crate) fn client(peer: SocketAddr, headers: &HeaderMap, trusted: &[Network]) -> (SocketAddr, Option<Secure>) {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer.ip()) {
        return (peer, None);
    }
    let mut client = peer;
    for entry in headers.get_all(FOR).iter().rev().flat_map(|value| value.to_str().unwrap_or("?").rsplit(',')) {
        // What no proxy writes was written by whoever is behind the last one that is known.
        let Some(address) = address(entry.trim()) else { break };
        client = address;
        if !is_trusted(client.ip()) {
            break;
        }
    }
    // The last word is the nearest proxy's own.
    let proto = headers.get_all(PROTO).iter().next_back().and_then(|value| value.to_str().ok()?.rsplit(',').next());
    (client, proto.map(|proto| Secure(proto.trim().eq_ignore_ascii_case("https"))))
}

/// An address as proxies write them: alone, with a port, or in brackets.
fn address(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().map(|address: IpAddr| SocketAddr::new(address, 0)).or_else(|_| text.parse::<SocketAddr>()).ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The client's address for a peer and the values of `x-forwarded-for`, with 10.0.0.0/8 and fd00::/8 trusted.
    fn found(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FOR, value.parse().unwrap());
        }
        client(peer.parse().unwrap(), &headers, &trusted).0.to_string()
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        let cases: [(&str, &[&str], &str); 14] = [
            ("192.0.2.1:7", &[], "192.0.2.1:7"),
            ("192.0.2.1:7", &["10.0.0.1"], "192.0.2.1:7"),
            ("10.0.0.1:7", &[], "10.0.0.1:7"),
            ("10.0.0.1:7", &["192.0.2.9"], "192.0.2.9:0"),
            ("10.0.0.1:7", &["1.1.1.1, 192.0.2.9"], "192.0.2.9:0"),
            ("10.0.0.1:7", &["1.1.1.1", "192.0.2.9, 10.0.0.5"], "192.0.2.9:0"),
            ("10.0.0.1:7", &["192.0.2.9", "1.1.1.1"], "1.1.1.1:0"),
            ("10.0.0.1:7", &["10.0.0.9, 10.0.0.5"], "10.0.0.9:0"),
            ("10.0.0.1:7", &["192.0.2.9, unknown, 10.0.0.5"], "10.0.0.5:0"),
            ("10.0.0.1:7", &["192.0.2.9, "], "10.0.0.1:7"),
            ("10.0.0.1:7", &["192.0.2.9:4711"], "192.0.2.9:4711"),
            ("[fd00::1]:7", &["2001:db8::9"], "[2001:db8::9]:0"),
            ("[fd00::1]:7", &["[2001:db8::9]:4711,[fd00::2]"], "[2001:db8::9]:4711"),
            ("[::ffff:10.0.0.1]:7", &["::ffff:192.0.2.9"], "192.0.2.9:0"),
        ];
        for (peer, forwarded, expected) in cases {
            assert_eq!(found(peer, forwarded), expected, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn the_protocol_is_the_nearest_proxy_s_word() {
        let trusted = ["10.0.0.1".parse().unwrap()];
        let secure = |peer: &str, proto: &str| {
            let headers = HeaderMap::from_iter([(PROTO, proto.parse().unwrap())]);
            client(peer.parse().unwrap(), &headers, &trusted).1
        };
        assert_eq!(secure("10.0.0.1:7", "https"), Some(Secure(true)));
        assert_eq!(secure("10.0.0.1:7", "https, http"), Some(Secure(false)));
        assert_eq!(secure("192.0.2.1:7", "https"), None);
    }
}
