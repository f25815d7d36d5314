//! Lists of IP addresses and networks in a configuration.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::error::BuildError;

/// Parses addresses and networks.
pub(crate) fn read_networks<'a>(
    list: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<IpNet>, BuildError> {
    let parse =
        |text: &str| text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    list.into_iter()
        .map(|text| parse(text).map_err(|_| BuildError::Mask { network: text.to_owned() }))
        .collect()
}

/// Returns `true` if one of the networks contains the address. IPv4-mapped IPv6 addresses count as
/// IPv4 addresses.
pub(crate) fn contain(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// Returns the part of an address that identifies a customer of a provider: the whole IPv4 address,
/// or the first 64 bits of an IPv6 address.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8::1"), network("2001:db8::2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:10.0.0.1"), "10.0.0.1");
    }
}
