//! The connections of the interface: their number is bounded, and those that only wait give way.
//!
//! Anybody who reaches the address can open connections and say nothing. So a new connection never
//! waits for the old ones: if there are too many, the oldest one that has no request to answer is
//! closed, first one of the address that has the most.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The open connections.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    /// In the order of their beginning.
    open: Mutex<Vec<Arc<ConnectionSlot>>>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    address: IpAddr,
    /// A request is being answered, which was let in and is complete.
    is_busy: AtomicBool,
    closed: Notify,
}

impl Connections {
    /// Room for `most` connections.
    pub(super) fn new(most: usize) -> Connections {
        Connections {
            most,
            open: Mutex::default(),
        }
    }

    /// Makes room for a connection from `address`. `None` if all others have requests to answer.
    pub(super) fn admit(&self, address: IpAddr) -> Option<Arc<ConnectionSlot>> {
        let mut open = self.open();
        if open.len() >= self.most {
            let place = least_needed(&open)?;
            open.remove(place).closed.notify_one();
        }
        let slot = Arc::new(ConnectionSlot {
            address,
            is_busy: AtomicBool::new(false),
            closed: Notify::new(),
        });
        open.push(Arc::clone(&slot));
        Some(slot)
    }

    /// Records the end of a connection.
    pub(super) fn ended(&self, slot: &Arc<ConnectionSlot>) {
        self.open().retain(|open| !Arc::ptr_eq(open, slot));
    }

    fn open(&self) -> MutexGuard<'_, Vec<Arc<ConnectionSlot>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The oldest connection without a request, of the address that has the most of them.
fn least_needed(open: &[Arc<ConnectionSlot>]) -> Option<usize> {
    let waiting = || open.iter().enumerate().filter(|(_, slot)| !slot.is_busy());
    let mut by_address: HashMap<IpAddr, usize> = HashMap::new();
    for (_, slot) in waiting() {
        *by_address.entry(slot.address).or_default() += 1;
    }
    let most = by_address.values().copied().max()?;
    let mut oldest = waiting().filter(|(_, slot)| by_address[&slot.address] == most);
    oldest.next().map(|(place, _)| place)
}

impl ConnectionSlot {
    /// Waits until the connection has to give way.
    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }

    /// Runs `answer`; the connection does not give way meanwhile.
    pub(super) async fn while_busy<A: Future>(&self, answer: A) -> A::Output {
        let _busy = Busy::begin(&self.is_busy);
        answer.await
    }

    /// The address of the client.
    pub(super) fn client(&self) -> IpAddr {
        self.address
    }

    fn is_busy(&self) -> bool {
        self.is_busy.load(Ordering::Relaxed)
    }
}

/// A request that is being answered, even if it is given up.
struct Busy<'s>(&'s AtomicBool);

impl Busy<'_> {
    fn begin(is_busy: &AtomicBool) -> Busy<'_> {
        is_busy.store(true, Ordering::Relaxed);
        Busy(is_busy)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn addresses(connections: &Connections) -> Vec<IpAddr> {
        connections.open().iter().map(|slot| slot.address).collect()
    }

    #[test]
    fn the_oldest_waiting_connection_of_the_busiest_address_gives_way() {
        let connections = Connections::new(4);
        let slots: Vec<_> = [1, 2, 3, 2]
            .map(|last| connections.admit(address(last)).unwrap())
            .into();
        slots[1].is_busy.store(true, Ordering::Relaxed);
        // 2 has one that waits, as 1 and 3 have: the oldest is that of 1.
        connections.admit(address(4)).unwrap();
        assert_eq!(addresses(&connections), [2, 3, 2, 4].map(address));
        slots[1].is_busy.store(false, Ordering::Relaxed);
        connections.admit(address(5)).unwrap();
        assert_eq!(addresses(&connections), [3, 2, 4, 5].map(address));
        connections.ended(&slots[2]);
        connections.admit(address(6)).unwrap();
        assert_eq!(addresses(&connections), [2, 4, 5, 6].map(address));
    }

    #[test]
    fn connections_with_requests_stay() {
        let connections = Connections::new(2);
        for _ in 0..2 {
            let slot = connections.admit(address(1)).unwrap();
            slot.is_busy.store(true, Ordering::Relaxed);
        }
        assert!(connections.admit(address(2)).is_none());
    }
}
