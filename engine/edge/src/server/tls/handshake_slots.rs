//! How many TLS handshakes are under way (`max_handshakes`).
//!
//! A handshake takes a round trip or two. Where there are too many, the oldest is given up: most
//! likely its client never meant to finish it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The handshakes under way.
#[derive(Debug)]
pub(in crate::server) struct HandshakeSlots {
    most: usize,
    open: Mutex<OpenHandshakes>,
}

#[derive(Debug, Default)]
struct OpenHandshakes {
    /// By their numbers, which rise.
    slots: BTreeMap<u64, oneshot::Sender<()>>,
    next: u64,
}

/// The place of one handshake. Dropping it makes room for another one.
#[derive(Debug)]
pub(super) struct HandshakeSlot {
    slots: Arc<HandshakeSlots>,
    number: u64,
    kept: oneshot::Receiver<()>,
}

impl HandshakeSlots {
    /// At most `most` handshakes, at least one.
    pub(in crate::server) fn new(most: usize) -> Arc<HandshakeSlots> {
        Arc::new(HandshakeSlots {
            most: most.max(1),
            open: Mutex::default(),
        })
    }

    /// Begins a handshake. If there are too many then, the oldest one is given up.
    pub(super) fn enter(self: &Arc<HandshakeSlots>) -> HandshakeSlot {
        let (keep, kept) = oneshot::channel();
        let mut open = self.lock();
        let number = open.next;
        open.next += 1;
        open.slots.insert(number, keep);
        if open.slots.len() > self.most {
            open.slots.pop_first();
        }
        HandshakeSlot {
            slots: Arc::clone(self),
            number,
            kept,
        }
    }

    fn lock(&self) -> MutexGuard<'_, OpenHandshakes> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HandshakeSlot {
    /// Returns when the handshake is given up for newer ones.
    pub(super) async fn given_up(&mut self) {
        // Nothing is ever sent: the sender goes with the place.
        let _ = (&mut self.kept).await;
    }
}

impl Drop for HandshakeSlot {
    fn drop(&mut self) {
        self.slots.lock().slots.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn is_given_up(slot: &mut HandshakeSlot) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(slot.given_up()).poll(&mut context).is_ready()
    }

    #[test]
    fn the_oldest_handshake_makes_room() {
        let slots = HandshakeSlots::new(2);
        let (mut first, mut second) = (slots.enter(), slots.enter());
        assert!(!is_given_up(&mut first) && !is_given_up(&mut second));
        let mut third = slots.enter();
        assert!(is_given_up(&mut first));
        assert!(!is_given_up(&mut second) && !is_given_up(&mut third));
        drop(second);
        let mut fourth = slots.enter();
        assert!(!is_given_up(&mut third) && !is_given_up(&mut fourth));
    }

    #[test]
    fn handshakes_that_end_are_forgotten() {
        let slots = HandshakeSlots::new(3);
        for _ in 0..10 {
            drop((slots.enter(), slots.enter(), slots.enter(), slots.enter()));
        }
        assert!(slots.lock().slots.is_empty());
    }
}
