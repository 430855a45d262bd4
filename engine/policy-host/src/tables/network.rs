//! Networks as keys: the length of the prefix, then the bytes of the address that it reaches.
//!
//! IPv4-mapped addresses of IPv6 are addresses of IPv4, so that a client is found however its
//! connection came.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A network of IPv4 has its prefix length as its class, one of IPv6 this number more.
const IPV6: u16 = 33;

/// The key of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NetworkKey {
    /// The class, then at most 16 bytes of the address.
    bytes: [u8; 17],
    length: u8,
}

impl NetworkKey {
    /// The key of an address, or of a network whose other bits are not looked at.
    pub(super) fn of_text(text: &str) -> Option<NetworkKey> {
        let network = match text.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => text.parse().ok()?,
        };
        Some(NetworkKey::of(network))
    }

    /// The key of a network.
    pub(super) fn of(network: IpNet) -> NetworkKey {
        match network {
            IpNet::V4(network) => NetworkKey::of_ipv4(network.addr(), network.prefix_len()),
            IpNet::V6(network) => match (network.addr().to_ipv4_mapped(), network.prefix_len()) {
                (Some(address), bits @ 96..) => NetworkKey::of_ipv4(address, bits - 96),
                (_, bits) => {
                    let class = IPV6 + u16::from(bits);
                    NetworkKey::new(class, bits, &network.addr().octets())
                }
            },
        }
    }

    fn of_ipv4(address: Ipv4Addr, bits: u8) -> NetworkKey {
        NetworkKey::new(u16::from(bits), bits, &address.octets())
    }

    fn new(class: u16, bits: u8, octets: &[u8]) -> NetworkKey {
        let whole = usize::from(bits / 8);
        let mut key = NetworkKey {
            bytes: [0; 17],
            length: 1 + bits.div_ceil(8),
        };
        key.bytes[0] = u8::try_from(class).expect("33 and 128 are less than 256");
        key.bytes[1..=whole].copy_from_slice(&octets[..whole]);
        if !bits.is_multiple_of(8) {
            key.bytes[1 + whole] = octets[whole] & !(0xFF >> (bits % 8));
        }
        key
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The networks that contain this one, itself among them, the smallest first: those of the
    /// `classes`, which are in ascending order.
    pub(super) fn surrounding(self, classes: &[u16]) -> impl Iterator<Item = NetworkKey> + '_ {
        let class = u16::from(self.bytes[0]);
        let first = if class < IPV6 { 0 } else { IPV6 };
        classes
            .iter()
            .rev()
            .skip_while(move |other| **other > class)
            .take_while(move |other| **other >= first)
            .map(move |other| {
                let bits = u8::try_from(other - first).expect("a prefix has at most 128 bits");
                NetworkKey::new(*other, bits, &self.bytes[1..])
            })
    }

    /// The network of a key as text.
    pub(super) fn text_of(key: &[u8]) -> String {
        let class = key.first().copied().map_or(0, u16::from);
        let octets = key.get(1..).unwrap_or_default();
        let network = if class < IPV6 {
            let mut address = [0; 4];
            address[..octets.len()].copy_from_slice(octets);
            IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from(address), class as u8))
        } else {
            let mut address = [0; 16];
            address[..octets.len()].copy_from_slice(octets);
            let bits = (class - IPV6) as u8;
            IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from(address), bits))
        };
        network.to_string()
    }
}
