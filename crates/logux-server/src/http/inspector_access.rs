//! Who may see the inspector.

use std::{net::IpAddr, str::FromStr};

use hyper::{HeaderMap, header::HOST};
use ipnet::IpNet;

use crate::{
    error::BuildError,
    networks::{contain, read_networks},
};

/// Who may see the inspector in development: those who ask from these addresses and networks. Loopback addresses unless given.
///
/// They have to ask for the server by an IP address, `localhost` or a name below it. A page of somebody else can make a name of its own
/// point here, and would see everything with the eyes of whoever looks at that page.
///
/// ```
/// use logux_server::InspectorAccess;
///
/// let at_home: InspectorAccess = "127.0.0.1, 192.168.1.0/24".parse()?;
/// # Ok::<(), logux_server::BuildError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectorAccess(Vec<IpNet>);

impl Default for InspectorAccess {
    fn default() -> Self {
        Self(["127.0.0.0/8", "::1/128"].iter().filter_map(|network| network.parse().ok()).collect())
    }
}

impl FromStr for InspectorAccess {
    type Err = BuildError;

    /// Reads a list separated by commas.
    fn from_str(list: &str) -> Result<Self, BuildError> {
        read_networks(list.split(',').map(str::trim).filter(|text| !text.is_empty())).map(Self)
    }
}

impl InspectorAccess {
    /// Whether somebody may see it.
    pub(super) fn admits(&self, remote: Option<IpAddr>, headers: &HeaderMap) -> bool {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        remote.is_some_and(|remote| contain(&self.0, remote)) && is_no_domain(host)
    }
}

/// Whether a host, with or without a port, is an address or `localhost`.
fn is_no_domain(host: &str) -> bool {
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = without_port.to_ascii_lowercase();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_only() {
        for host in [
            "127.0.0.1:31337",
            "[::1]:80",
            "[::1]",
            "localhost",
            "LocalHost:1",
            "a.localhost:1",
            "192.168.1.2",
        ] {
            assert!(is_no_domain(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:31337",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            ":",
        ] {
            assert!(!is_no_domain(host), "{host}");
        }
    }

    #[test]
    fn those_from_the_networks() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "192.168.1.2:31337".parse().unwrap());
        let from = |audience: &InspectorAccess, remote: &str| {
            audience.admits(Some(remote.parse().unwrap()), &headers)
        };
        let own = InspectorAccess::default();
        assert!(from(&own, "127.0.0.9") && from(&own, "::1") && from(&own, "::ffff:127.0.0.1"));
        assert!(!from(&own, "192.168.1.3") && !own.admits(None, &headers));
        let home: InspectorAccess = "192.168.1.0/24".parse().unwrap();
        assert!(from(&home, "192.168.1.3") && !from(&home, "127.0.0.1"));
        headers.insert(HOST, "evil.example".parse().unwrap());
        assert!(!home.admits(Some("192.168.1.3".parse().unwrap()), &headers));
    }
}
