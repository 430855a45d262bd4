//! Who may ask the next hops of a site, and until when.
//!
//! A request holds two places: one of `max_fetches`, which bounds the work of the origin, and one of
//! `max_origin_connections`. Who waits for whom, and what bounds the wait:
//!
//! | while | the request holds | what ends it |
//! |---|---|---|
//! | the first `request_buffer` bytes of its content come from the client | nothing | `body_timeout`, `min_rate` |
//! | it waits for a place | nothing, or a connection | `connect_timeout`: 503 |
//! | it is connected, sent, and answered | both | `connect_timeout`, `response_timeout` |
//! | the client sends the rest of its content | both; the fetch is *lent* | `body_timeout`, `min_rate` |
//! | the response goes into the store | both | the end of the response; `body_timeout` between two pieces |
//! | the response goes to its own client, or to the readers of a fill's window | both; the fetch is lent | the end of the response; `body_timeout`, `write_timeout`, `min_rate` |
//! | the response is stored, and clients still read it | nothing | `write_timeout`, `min_rate` |
//!
//! Where only a client decides how long it takes, the fetch is lent: after `release_fetch_after`,
//! another request that finds no free place takes it over. The connection stays counted until the
//! response has ended. So clients that send or read slowly can't keep others from the origin before
//! `max_origin_connections` of them are there, and `min_rate` ends the slowest of them.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::StreamPlace;
use super::content_leave::LeaveEnd;
use super::next_hop::HopPlace;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// How often a request that waits for a place looks for one that was lent meanwhile, at least.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Lanes over which the keys of waiting requests are spread.
const LANES: usize = 256;

/// The bounds of a [`PermitPool`].
#[derive(Clone, Copy, Debug)]
pub(super) struct PermitLimits {
    /// Requests under way at the same time.
    pub(super) fetches: usize,
    /// Connections in use at the same time.
    pub(super) connections: usize,
    /// Requests that wait for one of these.
    pub(super) waiting: usize,
    /// How long a lent fetch can't be taken over.
    pub(super) release_after: Duration,
}

/// The places of a site's requests.
#[derive(Debug)]
pub(super) struct PermitPool {
    fetches: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    release_after: Duration,
    lent: Mutex<LentFetches>,
    /// For the keys of `lent`.
    next: AtomicU64,
    /// Of the requests with the keys of a lane, one stands in the queue.
    lanes: Box<[Semaphore]>,
    hasher: RandomState,
    /// Requests that wait.
    waiting: AtomicUsize,
    max_waiting: usize,
}

/// The fetches that were lent, by the time since when.
type LentFetches = BTreeMap<LentKey, OwnedSemaphorePermit>;
type LentKey = (Timestamp, u64);

/// The places of one request.
#[derive(Debug)]
pub struct FetchPermit {
    pool: Arc<PermitPool>,
    fetch: FetchPlace,
    _connection: OwnedSemaphorePermit,
    /// Its place on a connection that it shares.
    _stream: Option<StreamPlace>,
    /// Its place at its hop.
    _hop: Option<HopPlace>,
    /// Its place at this node as a shield.
    _own_shield: Option<HopPlace>,
    /// Its content waits for leave to be sent.
    _leave: Option<LeaveEnd>,
}

#[derive(Debug)]
enum FetchPlace {
    Held(OwnedSemaphorePermit),
    /// In the pool under this key, unless another request has taken it over.
    Lent(LentKey),
    Released,
}

/// A request that waits for a place, as long as this lives.
struct WaitingRequest<'p>(&'p PermitPool);

impl WaitingRequest<'_> {
    /// `None` if as many wait as may.
    fn enter(pool: &PermitPool) -> Option<WaitingRequest<'_>> {
        let before = pool.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = WaitingRequest(pool);
        (before < pool.max_waiting).then_some(waiting)
    }
}

impl Drop for WaitingRequest<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PermitPool {
    pub(super) fn new(limits: PermitLimits) -> Arc<PermitPool> {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits));
        Arc::new(PermitPool {
            fetches: semaphore(limits.fetches),
            connections: semaphore(limits.connections),
            release_after: limits.release_after,
            lent: Mutex::default(),
            next: AtomicU64::new(0),
            lanes: (0..LANES).map(|_| Semaphore::new(1)).collect(),
            hasher: RandomState::new(),
            waiting: AtomicUsize::new(0),
            max_waiting: limits.waiting,
        })
    }

    /// Requests that wait for a place.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The fetches that a request could have now.
    pub(super) fn available(&self, now: Timestamp) -> usize {
        self.reclaim(now);
        let fetches = self.fetches.available_permits();
        fetches.min(self.connections.available_permits())
    }

    /// Takes a place for a request with this key. `None` if there is none within `patience`, or if
    /// `max_waiting` requests wait already. Of the requests with one key, one stands in the queue: many
    /// requests for one URL don't hold up those for others.
    pub(super) async fn take(
        self: &Arc<PermitPool>,
        clock: &Clock,
        key: &[u8],
        patience: Duration,
    ) -> Option<FetchPermit> {
        let connections = Arc::clone(&self.connections);
        let fetches = Arc::clone(&self.fetches);
        if let Ok(connection) = Arc::clone(&connections).try_acquire_owned()
            && let Ok(fetch) = Arc::clone(&fetches).try_acquire_owned()
        {
            return Some(self.permit(fetch, connection));
        }
        let _waiting = WaitingRequest::enter(self)?;
        let lane = &self.lanes[self.hasher.hash_one(key) as usize % LANES];
        let wait = async {
            let _turn = lane.acquire().await.ok()?;
            let connection = connections.acquire_owned().await.ok()?;
            let fetch = self.next_fetch(clock).await?;
            Some(self.permit(fetch, connection))
        };
        clock.timeout(patience, wait).await.ok().flatten()
    }

    /// Waits for a fetch that is free, or that was lent for long enough.
    async fn next_fetch(&self, clock: &Clock) -> Option<OwnedSemaphorePermit> {
        let mut free = pin!(Arc::clone(&self.fetches).acquire_owned());
        loop {
            let look_again = self.reclaim(clock.now());
            tokio::select! {
                biased;
                fetch = &mut free => return fetch.ok(),
                () = clock.sleep_until(look_again) => {}
            }
        }
    }

    /// Frees the fetches that were lent for long enough. Returns when to look for the next ones.
    fn reclaim(&self, now: Timestamp) -> Timestamp {
        let mut lent = self.lock();
        while let Some(first) = lent.first_entry() {
            let due = first.key().0.saturating_add(self.release_after);
            if due > now {
                return due;
            }
            drop(first.remove());
        }
        now.saturating_add(self.release_after.max(LOOK_AGAIN))
    }

    fn permit(
        self: &Arc<PermitPool>,
        fetch: OwnedSemaphorePermit,
        connection: OwnedSemaphorePermit,
    ) -> FetchPermit {
        FetchPermit {
            pool: Arc::clone(self),
            fetch: FetchPlace::Held(fetch),
            _connection: connection,
            _stream: None,
            _hop: None,
            _own_shield: None,
            _leave: None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, LentFetches> {
        self.lent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FetchPermit {
    /// Holds the request's place on a connection that it shares with others, and at its hop, and
    /// the end of its wait for leave.
    pub(super) fn hold(
        &mut self,
        stream: Option<StreamPlace>,
        hop: HopPlace,
        leave: Option<LeaveEnd>,
    ) {
        (self._stream, self._hop, self._leave) = (stream, Some(hop), leave);
    }

    /// Holds the request's place at this node as a shield.
    pub(super) fn hold_own_shield(&mut self, place: HopPlace) {
        self._own_shield = Some(place);
    }

    /// Lends the fetch: from now on, the request waits for its own client. Does nothing if it was
    /// lent before.
    pub fn lend(&mut self, now: Timestamp) {
        if !matches!(self.fetch, FetchPlace::Held(_)) {
            return;
        }
        let key = (now, self.pool.next.fetch_add(1, Ordering::Relaxed));
        if let FetchPlace::Held(fetch) = std::mem::replace(&mut self.fetch, FetchPlace::Released)
            && !self.pool.release_after.is_zero()
        {
            self.pool.lock().insert(key, fetch);
            self.fetch = FetchPlace::Lent(key);
        }
    }
}

impl Drop for FetchPermit {
    fn drop(&mut self) {
        if let FetchPlace::Lent(key) = &self.fetch {
            self.pool.lock().remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(3);

    fn pool(fetches: usize, connections: usize, release_after: u64) -> (Arc<PermitPool>, Clock) {
        let limits = PermitLimits {
            fetches,
            connections,
            waiting: 1_000,
            release_after: Duration::from_secs(release_after),
        };
        let clock = Clock::by_hand(Timestamp::from_unix_secs(1_000));
        (PermitPool::new(limits), clock)
    }

    #[tokio::test]
    async fn a_lent_fetch_is_taken_over_after_its_time_and_not_before() {
        let (pool, clock) = pool(1, 3, 2);
        let mut slow = pool.take(&clock, b"k", PATIENCE).await.unwrap();
        slow.lend(clock.now());
        assert_eq!(pool.available(clock.now()), 0);
        let next = tokio::spawn({
            let (pool, clock) = (Arc::clone(&pool), clock.clone());
            async move { pool.take(&clock, b"k", PATIENCE).await }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_millis(1_999));
        tokio::task::yield_now().await;
        assert!(!next.is_finished());
        clock.advance(Duration::from_millis(1));
        let next = next.await.unwrap();
        assert!(next.is_some());
        drop(slow);
        assert_eq!(pool.available(clock.now()), 0, "its place is another one's");
        drop(next);
        assert_eq!(pool.available(clock.now()), 1);
    }

    #[tokio::test]
    async fn a_lent_fetch_is_free_when_its_request_ends() {
        let (pool, clock) = pool(1, 3, 600);
        let mut slow = pool.take(&clock, b"k", PATIENCE).await.unwrap();
        slow.lend(clock.now());
        slow.lend(clock.now());
        drop(slow);
        assert_eq!(pool.available(clock.now()), 1);
    }

    #[tokio::test]
    async fn connections_stay_bounded_when_fetches_are_lent() {
        let (pool, clock) = pool(1, 2, 0);
        let mut slow = Vec::new();
        for _ in 0..2 {
            let mut permit = pool.take(&clock, b"k", PATIENCE).await.unwrap();
            permit.lend(clock.now());
            slow.push(permit);
        }
        let third = tokio::spawn({
            let (pool, clock) = (Arc::clone(&pool), clock.clone());
            async move { pool.take(&clock, b"k", PATIENCE).await.is_some() }
        });
        tokio::task::yield_now().await;
        clock.advance(PATIENCE);
        assert!(!third.await.unwrap());
        slow.pop();
        assert!(pool.take(&clock, b"k", PATIENCE).await.is_some());
    }

    #[tokio::test]
    async fn no_more_wait_than_may() {
        let (pool, clock) = pool(1, 10, 0);
        let pool = Arc::new(PermitPool {
            max_waiting: 2,
            ..Arc::into_inner(pool).unwrap()
        });
        let _first = pool.take(&clock, b"k", PATIENCE).await.unwrap();
        let wait = |key: &'static [u8]| {
            let (pool, clock) = (Arc::clone(&pool), clock.clone());
            tokio::spawn(async move { pool.take(&clock, key, PATIENCE).await.is_some() })
        };
        let (_one, _two) = (wait(b"1"), wait(b"2"));
        tokio::task::yield_now().await;
        assert_eq!(pool.waiting(), 2);
        assert!(pool.take(&clock, b"3", PATIENCE).await.is_none(), "at once");
    }

    #[tokio::test]
    async fn many_requests_for_one_key_do_not_hold_up_another() {
        let (pool, clock) = pool(1, 1_000, 60);
        let first = pool.take(&clock, b"crowd", PATIENCE).await.unwrap();
        let served = Arc::new(Mutex::new(Vec::new()));
        for key in [vec![&b"crowd"[..]; 100], vec![b"other"]].concat() {
            let (pool, clock, served) = (Arc::clone(&pool), clock.clone(), Arc::clone(&served));
            tokio::spawn(async move {
                let permit = pool.take(&clock, key, PATIENCE).await;
                served.lock().unwrap().push(key);
                drop(permit);
            });
            tokio::task::yield_now().await;
        }
        drop(first);
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        let served = served.lock().unwrap();
        let place = served.iter().position(|key| *key == b"other");
        assert_eq!((served.len(), place), (101, Some(1)));
    }

    #[tokio::test]
    async fn three_times_the_capacity_gives_no_more_errors_than_are_due() {
        // Ten at a time, a second each: ten a second can be served, thirty come.
        let (pool, clock) = pool(10, 1_000, 600);
        let (errors, served) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut key = 0_u32;
        for tick in 0..700 {
            // For 60 seconds, three every tenth of a second.
            for _ in 0..if tick < 600 { 3 } else { 0 } {
                key += 1;
                let (pool, clock) = (Arc::clone(&pool), clock.clone());
                let (errors, served) = (Arc::clone(&errors), Arc::clone(&served));
                tokio::spawn(async move {
                    match pool.take(&clock, &key.to_be_bytes(), PATIENCE).await {
                        None => errors.fetch_add(1, Ordering::Relaxed),
                        Some(permit) => {
                            clock.sleep(Duration::from_secs(1)).await;
                            drop(permit);
                            served.fetch_add(1, Ordering::Relaxed)
                        }
                    };
                });
            }
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            clock.advance(Duration::from_millis(100));
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let (errors, served) = (
            errors.load(Ordering::Relaxed),
            served.load(Ordering::Relaxed),
        );
        assert_eq!(errors + served, 1_800);
        let due = 1_800 - 600;
        assert!(errors * 10 <= due * 11, "{errors} errors, {due} are due");
    }
}
