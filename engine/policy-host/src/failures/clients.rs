//! Who asked the questions that failed. One client can make up any number of questions that fail, so
//! a client counts no more than its part towards switching a policy off for all, and is held back by
//! itself instead.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::WINDOW;
use tero_semantics::timestamp::Timestamp;

/// So many clients have to fail before a policy is switched off for all.
const FEWEST_CLIENTS: u32 = 5;
/// How many clients are remembered; the oldest are forgotten first.
const MAX_CLIENTS: usize = 1024;

/// A client, as failures count it: an IPv4 address, or the network of 64 bits of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientNetwork(IpAddr);

impl ClientNetwork {
    pub(crate) fn of(client: IpAddr) -> ClientNetwork {
        ClientNetwork(match client.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let network = address.to_bits() >> 64 << 64;
                IpAddr::V6(network.into())
            }
        })
    }
}

/// Whether several clients have asked lately.
#[derive(Debug)]
pub(super) struct Askers {
    /// A number for the latest client.
    latest: AtomicU64,
    /// When another client than the one before asked, in milliseconds since 1970.
    changed: AtomicI64,
}

impl Default for Askers {
    fn default() -> Askers {
        Askers {
            latest: AtomicU64::new(0),
            changed: AtomicI64::new(i64::MIN),
        }
    }
}

impl Askers {
    pub(super) fn note(&self, client: u64, now: Timestamp) {
        let latest = self.latest.load(Ordering::Relaxed);
        if latest != client {
            self.latest.store(client, Ordering::Relaxed);
            if latest != 0 {
                self.changed.store(now.unix_millis(), Ordering::Relaxed);
            }
        }
    }

    /// Whether more than one client has asked in the last 20 seconds.
    pub(super) fn are_several(&self, now: Timestamp) -> bool {
        let changed = self.changed.load(Ordering::Relaxed);
        changed != i64::MIN && now.since(Timestamp::from_unix_millis(changed)) < 2 * WINDOW
    }
}

/// The clients whose questions failed lately.
#[derive(Debug, Default)]
pub(super) struct FailingClients(VecDeque<FailingClient>);

/// What failed for one client in the last 20 seconds.
#[derive(Debug)]
struct FailingClient {
    network: ClientNetwork,
    since: Timestamp,
    failed: u32,
    spent: Duration,
    held_until: Option<Timestamp>,
}

/// Of a failure, what counts towards switching the policy off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CountedFailure {
    /// Whether the question counts.
    pub(super) counts: bool,
    /// The time that counts.
    pub(super) spent: Duration,
    /// Whether the client has failed more than its part.
    pub(super) is_beyond: bool,
}

impl FailingClients {
    /// Notes a failure of a client. `enough` failures, or `most` of the time, switch a policy off.
    pub(super) fn note(
        &mut self,
        network: ClientNetwork,
        (is_new, spent): (bool, Duration),
        (enough, most): (u32, Duration),
        now: Timestamp,
    ) -> CountedFailure {
        let client = self.entry(network, now);
        client.failed = client.failed.saturating_add(u32::from(is_new));
        let its_part = most / FEWEST_CLIENTS;
        let before = client.spent.min(its_part);
        client.spent = client.spent.saturating_add(spent);
        CountedFailure {
            counts: is_new && client.failed <= enough.div_ceil(FEWEST_CLIENTS),
            spent: client.spent.min(its_part).saturating_sub(before),
            is_beyond: client.failed > enough.div_ceil(FEWEST_CLIENTS) || client.spent > its_part,
        }
    }

    /// Asks nothing for this client before `until`.
    pub(super) fn hold_back(&mut self, network: ClientNetwork, until: Timestamp, now: Timestamp) {
        self.entry(network, now).held_until = Some(until);
    }

    /// Whether nothing is asked for this client.
    pub(super) fn is_held_back(&self, network: ClientNetwork, now: Timestamp) -> bool {
        let mut clients = self.0.iter();
        clients.any(|client| client.network == network && client.is_held(now))
    }

    /// How many clients are held back.
    pub(super) fn held_back(&self, now: Timestamp) -> usize {
        self.0.iter().filter(|client| client.is_held(now)).count()
    }

    fn entry(&mut self, network: ClientNetwork, now: Timestamp) -> &mut FailingClient {
        let is_over = |client: &FailingClient| {
            !client.is_held(now) && (now < client.since || now.since(client.since) >= 2 * WINDOW)
        };
        self.0.retain(|client| !is_over(client));
        let place = self.0.iter().position(|client| client.network == network);
        let place = place.unwrap_or_else(|| {
            if self.0.len() == MAX_CLIENTS {
                self.0.pop_front();
            }
            self.0.push_back(FailingClient {
                network,
                since: now,
                failed: 0,
                spent: Duration::ZERO,
                held_until: None,
            });
            self.0.len() - 1
        });
        &mut self.0[place]
    }
}

impl FailingClient {
    fn is_held(&self, now: Timestamp) -> bool {
        self.since <= now && self.held_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_address_or_a_network_of_ipv6() {
        let of = |text: &str| ClientNetwork::of(text.parse().unwrap());
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    }

    #[test]
    fn one_client_is_not_several() {
        let askers = Askers::default();
        let at = |secs: i64| Timestamp::from_unix_secs(secs);
        askers.note(1, at(0));
        askers.note(1, at(5));
        assert!(!askers.are_several(at(5)));
        askers.note(2, at(10));
        assert!(askers.are_several(at(29)) && !askers.are_several(at(30)));
    }

    #[test]
    fn clients_are_bounded_and_forgotten() {
        let mut clients = FailingClients::default();
        let at = |secs: i64| Timestamp::from_unix_secs(secs);
        let of = |number: u32| ClientNetwork::of(IpAddr::V4(number.into()));
        let note = |clients: &mut FailingClients, number, now| {
            clients.note(of(number), (true, Duration::ZERO), (10, WINDOW), now)
        };
        for number in 0..2_000 {
            note(&mut clients, number, at(0));
        }
        assert_eq!(clients.0.len(), MAX_CLIENTS);
        assert!(note(&mut clients, 7, at(19)).counts);
        assert!(note(&mut clients, 7, at(19)).counts);
        let third = note(&mut clients, 7, at(19));
        assert!(!third.counts && third.is_beyond);
        // Its failures are forgotten after 20 seconds, unless it is held back.
        assert!(note(&mut clients, 7, at(39)).counts);
        assert_eq!(clients.0.len(), 1);
        clients.hold_back(of(7), at(100), at(39));
        assert!(clients.is_held_back(of(7), at(99)) && !clients.is_held_back(of(8), at(99)));
        assert!(!clients.is_held_back(of(7), at(100)));
        assert_eq!(
            (clients.held_back(at(99)), clients.held_back(at(100))),
            (1, 0)
        );
    }

    #[test]
    fn the_time_of_one_client_counts_up_to_its_part() {
        let mut clients = FailingClients::default();
        let now = Timestamp::from_unix_secs(0);
        let network = ClientNetwork::of(IpAddr::V4(1.into()));
        let secs = Duration::from_secs;
        let counted: Vec<_> = (0..3)
            .map(|_| {
                clients
                    .note(network, (false, secs(3)), (10, secs(25)), now)
                    .spent
            })
            .collect();
        assert_eq!(counted, [secs(3), secs(2), secs(0)]);
    }
}
