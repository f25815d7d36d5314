//! Lists of IP addresses and networks, as settings name them.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::error::BuildError;

/// Reads addresses and networks.
pub(crate) fn read_networks<'a>(
    names: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<IpNet>, BuildError> {
    let read =
        |text: &str| text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    names
        .into_iter()
        .map(|text| read(text).map_err(|_| BuildError::Mask { network: text.to_owned() }))
        .collect()
}

/// Whether an address lies in one of several networks. IPv4 addresses in IPv6 clothes count as what they are.
pub(crate) fn contain(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}
