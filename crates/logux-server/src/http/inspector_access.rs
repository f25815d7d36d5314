//! Access control of the inspector.

use std::{net::IpAddr, str::FromStr};

use hyper::{HeaderMap, header::HOST};
use ipnet::IpNet;

use crate::{
    error::BuildError,
    networks::{contain, read_networks},
};

/// The addresses and networks that may see the inspector in development. Default: the loopback
/// addresses.
///
/// The `Host` header must be an IP address, `localhost` or a name below it. Otherwise a page of
/// another origin could let its own domain name point to this server, and read everything through
/// the browser of a user with access (DNS rebinding).
///
/// ```
/// use logux_server::InspectorAccess;
///
/// let access: InspectorAccess = "127.0.0.1, 192.168.1.0/24".parse()?;
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

    /// Parses a list separated by commas.
    fn from_str(list: &str) -> Result<Self, BuildError> {
        read_networks(list.split(',').map(str::trim).filter(|text| !text.is_empty())).map(Self)
    }
}

impl InspectorAccess {
    /// Returns whether a request may see the inspector.
    pub(super) fn allows(&self, remote: Option<IpAddr>, headers: &HeaderMap) -> bool {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        remote.is_some_and(|remote| contain(&self.0, remote)) && is_address_or_localhost(host)
    }
}

/// Returns whether a host, with or without a port, is an IP address or `localhost`.
fn is_address_or_localhost(host: &str) -> bool {
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
    fn only_addresses_and_localhost_are_accepted_hosts() {
        for host in [
            "127.0.0.1:31337",
            "[::1]:80",
            "[::1]",
            "localhost",
            "LocalHost:1",
            "a.localhost:1",
            "192.168.1.2",
        ] {
            assert!(is_address_or_localhost(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:31337",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            ":",
        ] {
            assert!(!is_address_or_localhost(host), "{host}");
        }
    }

    #[test]
    fn only_addresses_in_the_networks_have_access() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "192.168.1.2:31337".parse().unwrap());
        let from = |access: &InspectorAccess, remote: &str| {
            access.allows(Some(remote.parse().unwrap()), &headers)
        };
        let default = InspectorAccess::default();
        assert!(
            from(&default, "127.0.0.9")
                && from(&default, "::1")
                && from(&default, "::ffff:127.0.0.1")
        );
        assert!(!from(&default, "192.168.1.3") && !default.allows(None, &headers));
        let home: InspectorAccess = "192.168.1.0/24".parse().unwrap();
        assert!(from(&home, "192.168.1.3") && !from(&home, "127.0.0.1"));
        headers.insert(HOST, "evil.example".parse().unwrap());
        assert!(!home.allows(Some("192.168.1.3".parse().unwrap()), &headers));
    }
}
