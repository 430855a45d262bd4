//! The addresses of a next hop, and how one of them is connected to.
//!
//! A name is looked up again at an interval, in the background: requests go on with the addresses
//! that are known. A connection is tried with one address; when that refuses, or says nothing for
//! [`NEXT_ADDRESS`], the next one is tried beside it (RFC 8305 §5). An address that failed is tried
//! last for [`FAILED_FOR`].

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use super::error::LookUpError;
use super::socket::PlainSocket;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// How long an address may say nothing before the next one is tried (RFC 8305 §8).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);
/// For this time, an address that failed is tried after all others.
const FAILED_FOR: Duration = Duration::from_secs(5);
/// A name that can't be looked up is not looked up again for this time.
const LOOK_UP_PAUSE: Duration = Duration::from_secs(1);
/// Addresses of one name that are used, at most.
const MAX_ADDRESSES: usize = 32;

/// The addresses of a host.
#[derive(Debug)]
pub(super) struct Addresses {
    host: String,
    port: u16,
    /// How long a look-up counts.
    look_up_every: Duration,
    known: Mutex<KnownAddresses>,
    /// Where the next connection begins among the addresses.
    next: AtomicUsize,
}

/// What is known of the addresses.
#[derive(Debug, Default)]
struct KnownAddresses {
    list: Vec<KnownAddress>,
    /// When to look up again; `None` for an address that was written as such.
    due: Option<Timestamp>,
    is_looked_up: bool,
}

#[derive(Clone, Copy, Debug)]
struct KnownAddress {
    address: SocketAddr,
    failed_until: Timestamp,
}

impl Addresses {
    /// Those of `host`, a name or an address.
    pub(super) fn new(host: &str, port: u16, look_up_every: Duration) -> Addresses {
        let known = match host.parse::<IpAddr>() {
            Ok(ip) => KnownAddresses {
                list: vec![KnownAddress::new(SocketAddr::new(ip, port))],
                ..KnownAddresses::default()
            },
            Err(_) => KnownAddresses {
                due: Some(Timestamp::default()),
                ..KnownAddresses::default()
            },
        };
        Addresses {
            host: host.to_owned(),
            port,
            look_up_every,
            known: Mutex::new(known),
            next: AtomicUsize::new(0),
        }
    }

    /// Whether the host still has this address, as far as is known.
    pub(super) fn has(&self, address: SocketAddr) -> bool {
        let known = self.known();
        known.list.iter().any(|own| own.address == address)
    }

    /// The addresses that are known.
    pub(super) fn list(&self) -> Vec<SocketAddr> {
        let known = self.known();
        known.list.iter().map(|known| known.address).collect()
    }

    /// Connects to one of the addresses. The caller bounds the time.
    ///
    /// # Errors
    /// The error of the look-up, or of the address that failed last.
    pub(super) async fn connect(self: &Arc<Self>, clock: &Clock) -> io::Result<PlainSocket> {
        let mut waiting = self.in_turn(clock).await?.into_iter();
        let mut attempts = JoinSet::new();
        let mut silent: Vec<SocketAddr> = Vec::new();
        let mut last_error = io::Error::other("the name has no address");
        loop {
            if let Some(address) = waiting.next() {
                silent.push(address);
                attempts.spawn(async move { (address, PlainSocket::tcp(address).await) });
            } else if attempts.is_empty() {
                return Err(last_error);
            }
            let ended = if waiting.len() == 0 {
                attempts.join_next().await
            } else {
                match clock.timeout(NEXT_ADDRESS, attempts.join_next()).await {
                    Ok(ended) => ended,
                    Err(_) => continue,
                }
            };
            match ended {
                Some(Ok((address, Ok(socket)))) => {
                    // Those that were asked before it and are still silent have failed, too.
                    let before = silent.iter().take_while(|silent| **silent != address);
                    self.mark_failed(before.copied().collect(), clock.now());
                    self.mark_good(address);
                    return Ok(socket);
                }
                Some(Ok((address, Err(error)))) => {
                    silent.retain(|silent| *silent != address);
                    self.mark_failed(vec![address], clock.now());
                    last_error = error;
                }
                Some(Err(_)) | None => {}
            }
        }
    }

    /// The addresses, in the order in which a connection tries them.
    async fn in_turn(self: &Arc<Self>, clock: &Clock) -> io::Result<Vec<SocketAddr>> {
        let now = clock.now();
        let is_due = {
            let mut known = self.known();
            let is_due = known.due.is_some_and(|due| due <= now) && !known.is_looked_up;
            known.is_looked_up |= is_due && !known.list.is_empty();
            is_due
        };
        if is_due {
            if self.known().list.is_empty() {
                self.look_up(clock).await?;
            } else {
                let (own, clock) = (Arc::clone(self), clock.clone());
                tokio::spawn(async move {
                    if let Err(error) = own.look_up(&clock).await {
                        tracing::warn!(host = own.host, %error, "the name of an origin can't be looked up; its addresses stay");
                    }
                });
            }
        }
        let known = self.known();
        if known.list.is_empty() {
            return Err(LookUpError::FailedLately.into());
        }
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let turn =
            || (0..known.list.len()).map(|step| known.list[(first + step) % known.list.len()]);
        let good = turn().filter(|known| known.failed_until <= now);
        let failed = turn().filter(|known| known.failed_until > now);
        Ok(good.chain(failed).map(|known| known.address).collect())
    }

    /// Asks the system for the addresses of the name.
    async fn look_up(&self, clock: &Clock) -> io::Result<()> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let mut known = self.known();
        known.is_looked_up = false;
        let found = match found {
            Ok(found) => found.take(MAX_ADDRESSES).collect::<Vec<_>>(),
            Err(error) => {
                known.due = Some(clock.now().saturating_add(LOOK_UP_PAUSE));
                return Err(LookUpError::Failed(error).into());
            }
        };
        if found.is_empty() {
            known.due = Some(clock.now().saturating_add(LOOK_UP_PAUSE));
            return Err(LookUpError::NoAddress.into());
        }
        let before = std::mem::take(&mut known.list);
        for address in in_alternating_families(found) {
            let kept = before.iter().find(|known| known.address == address);
            let is_new = known.list.iter().all(|known| known.address != address);
            if is_new {
                known
                    .list
                    .push(kept.copied().unwrap_or(KnownAddress::new(address)));
            }
        }
        known.due = Some(clock.now().saturating_add(self.look_up_every));
        Ok(())
    }

    fn mark_good(&self, address: SocketAddr) {
        let mut known = self.known();
        for own in known.list.iter_mut().filter(|own| own.address == address) {
            own.failed_until = Timestamp::default();
        }
    }

    fn mark_failed(&self, failed: Vec<SocketAddr>, now: Timestamp) {
        let mut known = self.known();
        for own in &mut known.list {
            if failed.contains(&own.address) {
                own.failed_until = now.saturating_add(FAILED_FOR);
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, KnownAddresses> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownAddress {
    fn new(address: SocketAddr) -> KnownAddress {
        KnownAddress {
            address,
            failed_until: Timestamp::default(),
        }
    }
}

/// The addresses with the families in turn, beginning with that of the first (RFC 8305 §4).
fn in_alternating_families(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let begins_with_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|address| address.is_ipv6() == begins_with_v6);
    let mut turn = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let (one, other) = (first.next(), second.next());
        if one.is_none() && other.is_none() {
            return turn;
        }
        turn.extend(one.into_iter().chain(other));
    }
}
