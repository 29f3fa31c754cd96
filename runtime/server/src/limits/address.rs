//! Addresses as limits count them, and networks as they are written.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;

/// What counts as one client: an IPv4 address, or a /64 of IPv6, which is the least that a provider gives to one customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Client(u64);

impl From<IpAddr> for Client {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u64::from(address.to_bits())),
            // No address of IPv6 in use begins with 32 zero bits and meets those of IPv4; ::1 is 0, as 0.0.0.0 is, which is no client.
            IpAddr::V6(address) => Self((address.to_bits() >> 64) as u64),
        }
    }
}

/// A network in CIDR notation, `10.0.0.0/8`; an address alone is the network of just this address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether `address` lies in it; an IPv4 address may also come in the form that IPv6 has for it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical())));
        net.map(Self).map_err(|_| NetworkError(text.to_owned()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no network: write an address (192.0.2.7, 2001:db8::7), or a network as 10.0.0.0/8")]
pub struct NetworkError(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> Client {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_64_of_ipv6_is_one_client() {
        assert_eq!(client("2001:db8:1:2::1"), client("2001:db8:1:2:ffff::9"));
        assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
    }

    #[test]
    fn networks_are_read_and_contain() {
        let network = |text: &str| text.parse::<Network>();
        let contains = |net: &str, address: &str| network(net).unwrap().contains(address.parse().unwrap());
        assert!(contains("10.0.0.0/8", "10.9.8.7") && contains("10.0.0.0/8", "::ffff:10.9.8.7") && !contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("192.0.2.7", "192.0.2.7") && !contains("192.0.2.7", "192.0.2.8"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1") && !contains("2001:db8::/32", "::1"));
        for wrong in ["", "10.0.0.0/33", "proxy.example", "10.0.0"] {
            assert!(network(wrong).unwrap_err().to_string().contains("10.0.0.0/8"), "{wrong}");
        }
    }
}
