//! Who asks, by address: the connection's peer, or behind proxies that are trusted, whom they say it is.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use actix_web::http::header::{self, HeaderMap};
use ipnet::IpNet;

/// A network whose machines tell the truth in `X-Forwarded-For`, `10.0.0.0/8` for example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedProxy(IpNet);

/// Why a text is no [`TrustedProxy`].
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("must be an IP address or a network like 10.0.0.0/8, several separated by commas")]
pub struct InvalidNetwork;

impl FromStr for TrustedProxy {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let text = text.trim();
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Self).map_err(|_| InvalidNetwork)
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The address of the client whose connection comes from `peer`.
///
/// Each proxy appends whom it was asked by, so the list is true from its right end as far as the proxies that
/// wrote it are trusted: the client is the first from there that is not. What a client writes itself is left
/// of that, and never read.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[TrustedProxy]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|proxy| proxy.0.contains(&address));
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        return client;
    }
    let lists: Vec<&[u8]> =
        headers.get_all(header::X_FORWARDED_FOR).map(header::HeaderValue::as_bytes).collect();
    for entry in lists.iter().rev().flat_map(|list| list.rsplit(|byte| *byte == b',')) {
        // What is no address was written by nobody who is trusted: the last that is known stands.
        let Some(address) = parse(entry) else { break };
        client = address;
        if !is_trusted(client) {
            break;
        }
    }
    client
}

/// An address, with or without a port.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let address = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|with| with.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn client(peer: &str, forwarded: &[&'static str]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8", "192.0.2.1"].map(|text| text.parse().unwrap());
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(header::X_FORWARDED_FOR, HeaderValue::from_static(value));
        }
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn p6_only_a_trusted_peer_is_believed() {
        assert_eq!(client("198.51.100.7", &["203.0.113.9"]), "198.51.100.7");
        assert_eq!(client("10.1.2.3", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(
            client("::ffff:10.1.2.3", &["203.0.113.9"]),
            "203.0.113.9",
            "an IPv4 address on a dual socket"
        );
        assert_eq!(client("10.1.2.3", &[]), "10.1.2.3");
    }

    #[test]
    fn p6_the_rightmost_untrusted_address_is_the_client() {
        assert_eq!(client("10.1.2.3", &["1.1.1.1, 203.0.113.9, 10.9.9.9"]), "203.0.113.9");
        assert_eq!(client("10.1.2.3", &["1.1.1.1", "203.0.113.9,192.0.2.1"]), "203.0.113.9");
        assert_eq!(client("10.1.2.3", &["10.3.3.3, 10.2.2.2"]), "10.3.3.3", "all are trusted");
        assert_eq!(client("10.1.2.3", &["1.1.1.1, nonsense, 10.9.9.9"]), "10.9.9.9");
        assert_eq!(client("fd00::1", &["[2001:db8::9]:4711"]), "2001:db8::9");
        assert_eq!(client("10.1.2.3", &["203.0.113.9:80"]), "203.0.113.9");
    }

    #[test]
    fn a_network_is_an_address_with_or_without_a_length() {
        for good in ["10.0.0.0/8", "192.0.2.1", "fd00::/8", " ::1 "] {
            assert!(good.parse::<TrustedProxy>().is_ok(), "{good}");
        }
        for bad in ["", "10.0.0.0/33", "localhost", "10.0.0", "*"] {
            assert!(bad.parse::<TrustedProxy>().is_err(), "{bad}");
        }
    }
}
