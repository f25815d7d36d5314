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
