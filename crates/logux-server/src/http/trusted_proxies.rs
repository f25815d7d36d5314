//! Finding the client's address behind reverse proxies.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use hyper::HeaderMap;
use ipnet::IpNet;

use crate::{
    error::BuildError,
    networks::{contain, read_networks},
};

/// The proxies whose `X-Forwarded-For` header is trusted: addresses and networks, and the word
/// `unix` for all peers on Unix sockets.
///
/// ```
/// use logux_server::TrustedProxies;
///
/// let proxies: TrustedProxies = "10.0.0.0/8, ::1, unix".parse()?;
/// # Ok::<(), logux_server::BuildError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    unix: bool,
}

impl FromStr for TrustedProxies {
    type Err = BuildError;

    /// Parses a list separated by commas.
    fn from_str(list: &str) -> Result<Self, BuildError> {
        let names = list.split(',').map(str::trim).filter(|text| !text.is_empty());
        let (unix, networks): (Vec<&str>, Vec<&str>) = names.partition(|name| *name == "unix");
        Ok(Self { networks: read_networks(networks)?, unix: !unix.is_empty() })
    }
}

impl TrustedProxies {
    /// Returns whether the header of this peer is trusted. `None` is a peer on a Unix socket.
    pub(crate) fn trusts(&self, peer: Option<SocketAddr>) -> bool {
        match peer {
            None => self.unix,
            Some(peer) => contain(&self.networks, peer.ip()),
        }
    }

    /// Returns whether a proxy that is not trusted has forwarded a request, as far as the proxy
    /// tells. The address of its peer is then not that of the client.
    pub(super) fn is_forwarded_by_other(
        &self,
        peer: Option<SocketAddr>,
        headers: &HeaderMap,
    ) -> bool {
        let is_of_proxy = |name: &str| {
            name.starts_with("x-forwarded-") || matches!(name, "forwarded" | "via" | "x-real-ip")
        };
        !self.trusts(peer) && headers.keys().any(|name| is_of_proxy(name.as_str()))
    }

    /// Returns the client's address. Each proxy appends the address of its peer to the header, so
    /// the client is the last address that is not a trusted proxy; earlier ones could be forged.
    /// The port is 0 if the proxy does not report it.
    pub(crate) fn client(
        &self,
        peer: Option<SocketAddr>,
        headers: &HeaderMap,
    ) -> Option<SocketAddr> {
        let mut client = peer;
        let lines: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|line| line.to_str().ok())
            .collect();
        let mut hops = lines.iter().flat_map(|line| line.split(',')).map(str::trim).rev();
        while self.trusts(client) {
            let Some(hop) = hops.next().and_then(parse_hop) else { break };
            client = Some(hop);
        }
        client
    }
}

/// Parses an address with or without a port.
fn parse_hop(hop: &str) -> Option<SocketAddr> {
    let without_port = || hop.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    hop.parse().ok().or_else(|| without_port().map(|address| SocketAddr::new(address, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &str, peer: Option<&str>, lines: &[&str]) -> Option<String> {
        let proxies: TrustedProxies = proxies.parse().unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let found = proxies.client(peer.map(|peer| peer.parse().unwrap()), &headers);
        found.map(|address| address.to_string())
    }

    #[test]
    fn the_last_address_that_is_not_a_trusted_proxy_is_the_client() {
        let proxy = Some("10.0.0.1:5000");
        let cases: [(&[&str], &str); 8] = [
            (&["203.0.113.7"], "203.0.113.7:0"),
            (&["203.0.113.7:1234"], "203.0.113.7:1234"),
            (&["6.6.6.6, 203.0.113.7, 10.9.9.9"], "203.0.113.7:0"),
            (&["6.6.6.6", "203.0.113.7, 10.9.9.9"], "203.0.113.7:0"),
            (&["2001:db8::7"], "[2001:db8::7]:0"),
            (&["[2001:db8::7]:99, ::ffff:10.0.0.2"], "[2001:db8::7]:99"),
            (&[], "10.0.0.1:5000"),
            (&["203.0.113.7, unknown"], "10.0.0.1:5000"),
        ];
        for (lines, expected) in cases {
            assert_eq!(client("10.0.0.0/8", proxy, lines).as_deref(), Some(expected), "{lines:?}");
        }
    }

    #[test]
    fn proxies_that_were_not_named_are_noticed() {
        let proxies: TrustedProxies = "10.0.0.1".parse().unwrap();
        for name in ["x-forwarded-for", "x-forwarded-proto", "forwarded", "via", "x-real-ip"] {
            let mut headers = HeaderMap::new();
            let is_forwarded = |peer: &str, headers: &HeaderMap| {
                proxies.is_forwarded_by_other(Some(peer.parse().unwrap()), headers)
            };
            assert!(!is_forwarded("127.0.0.1:1", &headers));
            headers.insert(name, "1.1.1.1".parse().unwrap());
            assert!(is_forwarded("127.0.0.1:1", &headers) && !is_forwarded("10.0.0.1:1", &headers));
        }
    }

    #[test]
    fn other_peers_are_not_trusted() {
        assert_eq!(
            client("10.0.0.0/8", Some("9.9.9.9:1"), &["1.1.1.1"]).as_deref(),
            Some("9.9.9.9:1")
        );
        assert_eq!(client("", Some("127.0.0.1:1"), &["1.1.1.1"]).as_deref(), Some("127.0.0.1:1"));
        assert_eq!(client("10.0.0.0/8", None, &["1.1.1.1"]), None, "Unix sockets must be listed");
        assert_eq!(
            client("unix, 10.0.0.1", None, &["1.1.1.1, 10.0.0.1"]).as_deref(),
            Some("1.1.1.1:0")
        );
        assert_eq!(client("unix", None, &["1.1.1.1, 2.2.2.2"]).as_deref(), Some("2.2.2.2:0"));
        assert_eq!(client("unix", None, &[]), None);
        assert!("10.0.0.0/33".parse::<TrustedProxies>().is_err());
    }
}
