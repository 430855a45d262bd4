//! How many connections each client has open (`max_connections_per_client`).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;

/// The bits of an IPv6 address that belong to its owner, who may use all addresses below.
const IPV6_NETWORK: u128 = !0 << 64;

/// The open connections, by client.
#[derive(Debug)]
pub(super) struct ClientConnections {
    most: usize,
    open: Mutex<OpenConnections>,
}

type OpenConnections = HashMap<IpAddr, usize, RandomState>;

/// One connection of a client. Dropping it makes room for another one.
#[derive(Debug)]
pub(super) struct ClientPlace {
    clients: Arc<ClientConnections>,
    client: IpAddr,
}

impl ClientConnections {
    /// At most `most` connections for each client.
    pub(super) fn new(most: usize) -> Arc<ClientConnections> {
        Arc::new(ClientConnections {
            most,
            open: Mutex::default(),
        })
    }

    /// Counts a connection of the client with this address. `None` if it has too many.
    pub(super) fn enter(self: &Arc<ClientConnections>, address: IpAddr) -> Option<ClientPlace> {
        let client = client_of(address);
        let mut open = self.lock();
        let count = open.entry(client).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(ClientPlace {
            clients: Arc::clone(self),
            client,
        })
    }

    fn lock(&self) -> MutexGuard<'_, OpenConnections> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        let mut open = self.clients.lock();
        if let Some(count) = open.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.client);
            }
        }
    }
}

/// What counts as one client: an IPv4 address, or an IPv6 network of 64 bits.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & IPV6_NETWORK).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_by_client_and_forgotten_at_their_end() {
        let clients = ClientConnections::new(2);
        let enter = |address: &str| clients.enter(address.parse().unwrap());
        let first = enter("192.0.2.1");
        let second = enter("::ffff:192.0.2.1");
        assert!(first.is_some() && second.is_some());
        assert!(enter("192.0.2.1").is_none());
        assert!(enter("192.0.2.2").is_some(), "another client");
        drop(first);
        assert!(enter("192.0.2.1").is_some());
        drop(second);
        assert!(clients.lock().is_empty());
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let clients = ClientConnections::new(1);
        let enter = |address: &str| clients.enter(address.parse().unwrap());
        let _first = enter("2001:db8:0:1::1").unwrap();
        assert!(enter("2001:db8:0:1:ffff::2").is_none());
        assert!(enter("2001:db8:0:2::1").is_some());
    }
}
