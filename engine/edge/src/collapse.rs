//! Collapsing: of many requests for a key, one leads and fetches; the others follow and wait for
//! it.
//!
//! A [`Flight`] is a fetch under way. The first request to join leads, and holds a [`Lead`] until
//! new requests find the response in the store. A leader tells its
//! followers what came of it, failures included, so that a crowd doesn't ask, one by one, an origin
//! that is down. If it ends without a word, one of its followers leads.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use tokio::sync::watch;

/// Locks over which the keys are spread.
const SHARDS: usize = 64;

type Flights<T> = HashMap<Arc<[u8]>, Arc<Flight<T>>, RandomState>;

/// The fetches under way, by key. A leader shares a `T` with its followers.
#[derive(Debug)]
pub struct Collapse<T> {
    shards: Box<[Mutex<Flights<T>>]>,
    hasher: RandomState,
}

/// A fetch under way.
#[derive(Debug)]
pub struct Flight<T> {
    state: watch::Sender<FlightState<T>>,
}

#[derive(Clone, Debug)]
enum FlightState<T> {
    Waiting,
    Answered(T),
    Failed,
}

/// The role of a request that joined.
#[derive(Debug)]
pub enum FlightRole<T: Clone> {
    /// It fetches, and tells the others by its lead.
    Leader(Lead<T>),
    /// Another request fetches; wait for it.
    Follower(Arc<Flight<T>>),
}

/// The end of a follower's wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlightResult<T> {
    /// The leader shares this.
    Answered(T),
    /// The leader ended without a word. Join again: as the next leader, or as its follower.
    Failed,
}

impl<T: Clone> Collapse<T> {
    /// Without fetches under way.
    pub fn new() -> Collapse<T> {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Collapse {
            shards,
            hasher: RandomState::default(),
        }
    }

    /// Joins the fetch of `key`: as its leader, if no fetch is under way.
    pub fn join(self: &Arc<Self>, key: &[u8]) -> FlightRole<T> {
        let mut shard = self.shard(key);
        if let Some(flight) = shard.get(key) {
            return FlightRole::Follower(Arc::clone(flight));
        }
        let key: Arc<[u8]> = key.into();
        let flight = Arc::new(Flight {
            state: watch::Sender::new(FlightState::Waiting),
        });
        shard.insert(Arc::clone(&key), Arc::clone(&flight));
        FlightRole::Leader(Lead {
            collapse: Arc::clone(self),
            key,
            flight,
        })
    }

    /// Leads the fetch of `key`; `None` if another request leads it.
    pub fn lead(self: &Arc<Self>, key: &[u8]) -> Option<Lead<T>> {
        match self.join(key) {
            FlightRole::Leader(lead) => Some(lead),
            FlightRole::Follower(_) => None,
        }
    }

    /// The number of fetches under way.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Whether no fetch is under way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Flights<T>> {
        lock(&self.shards[self.hasher.hash_one(key) as usize % SHARDS])
    }
}

impl<T: Clone> Default for Collapse<T> {
    fn default() -> Self {
        Collapse::new()
    }
}

impl<T: Clone> Flight<T> {
    /// Waits until the leader shares or fails. The caller sets the deadline.
    pub async fn wait(&self) -> FlightResult<T> {
        let mut state = self.state.subscribe();
        let answered = state
            .wait_for(|state| !matches!(state, FlightState::Waiting))
            .await;
        match answered.as_deref() {
            Ok(FlightState::Answered(shared)) => FlightResult::Answered(shared.clone()),
            _ => FlightResult::Failed,
        }
    }
}

/// The leader's hold on its flight. Dropping it ends the flight: without a [`Lead::share`] the
/// leader has failed, and a follower leads.
#[derive(Debug)]
pub struct Lead<T: Clone> {
    collapse: Arc<Collapse<T>>,
    key: Arc<[u8]>,
    flight: Arc<Flight<T>>,
}

impl<T: Clone> Lead<T> {
    /// Gives `shared` to all followers, present and future, until the lead is dropped.
    pub fn share(&self, shared: T) {
        self.flight
            .state
            .send_replace(FlightState::Answered(shared));
    }

    /// Ends the flight, and then gives `shared` to the present followers: those who join again find
    /// no flight, and one of them leads.
    pub fn hand_over(&self, shared: T) {
        self.end();
        self.share(shared);
    }

    /// Takes the flight from those that can be joined.
    fn end(&self) {
        let mut shard = self.collapse.shard(&self.key);
        // After `hand_over`, another flight may have the key.
        if shard
            .get(&self.key)
            .is_some_and(|flight| Arc::ptr_eq(flight, &self.flight))
        {
            shard.remove(&self.key);
        }
    }
}

impl<T: Clone> Drop for Lead<T> {
    fn drop(&mut self) {
        self.end();
        self.flight.state.send_if_modified(|state| {
            let waiting = matches!(state, FlightState::Waiting);
            if waiting {
                *state = FlightState::Failed;
            }
            waiting
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leader(collapse: &Arc<Collapse<u8>>) -> Lead<u8> {
        collapse.lead(b"k").expect("no fetch is under way")
    }

    fn follower(collapse: &Arc<Collapse<u8>>) -> Arc<Flight<u8>> {
        match collapse.join(b"k") {
            FlightRole::Follower(flight) => flight,
            FlightRole::Leader(_) => panic!("another request leads"),
        }
    }

    #[tokio::test]
    async fn early_and_late_followers_get_the_shared_value() {
        let collapse = Arc::new(Collapse::new());
        let lead = leader(&collapse);
        let early = follower(&collapse);
        lead.share(7);
        let late = follower(&collapse);
        assert_eq!(early.wait().await, FlightResult::Answered(7));
        assert_eq!(late.wait().await, FlightResult::Answered(7));
        drop(lead);
        assert_eq!(
            early.wait().await,
            FlightResult::Answered(7),
            "after the end of the flight too"
        );
        assert!(collapse.is_empty());
    }

    #[tokio::test]
    async fn a_follower_leads_after_a_failure() {
        let collapse = Arc::new(Collapse::new());
        let lead = leader(&collapse);
        let flight = follower(&collapse);
        drop(lead);
        assert_eq!(flight.wait().await, FlightResult::Failed);
        let FlightRole::Leader(_second) = collapse.join(b"k") else {
            panic!("the first to join again leads")
        };
        assert!(matches!(collapse.join(b"k"), FlightRole::Follower(_)));
    }

    #[tokio::test]
    async fn followers_of_a_flight_that_was_handed_over_lead_the_next_one() {
        let collapse = Arc::new(Collapse::new());
        let first = leader(&collapse);
        let flight = follower(&collapse);
        first.hand_over(7);
        let second = leader(&collapse);
        assert_eq!(flight.wait().await, FlightResult::Answered(7));
        // The end of the first flight is not that of the second.
        drop(first);
        let flight = follower(&collapse);
        second.share(8);
        assert_eq!(flight.wait().await, FlightResult::Answered(8));
        drop(second);
        assert!(collapse.is_empty());
    }

    #[test]
    fn keys_do_not_wait_for_each_other() {
        let collapse = Arc::new(Collapse::<u8>::new());
        let _lead = leader(&collapse);
        assert!(collapse.lead(b"other").is_some());
    }
}
