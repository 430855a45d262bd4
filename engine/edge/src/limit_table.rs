//! The buckets of rate limits, in a table that never grows.
//!
//! A bucket lies in one of two sets of four, chosen by a keyed hash of limit and client, so that
//! a client can't aim at those of others. A set is one line of the processor's cache: a request of
//! a known client touches one line and takes no lock. A bucket that has become full says nothing
//! any more, and gives its place to the next client. If all eight places are in use, the client has
//! no bucket: its request passes, and is counted.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tero_semantics::rate_limit::BucketState;
use tero_semantics::timestamp::Timestamp;

/// Buckets in a set.
const WAYS: usize = 4;
/// Bytes of a set.
const SET_BYTES: u64 = size_of::<BucketSet>() as u64;

/// The buckets of all limits and clients.
#[derive(Debug)]
pub struct LimitTable {
    hasher: RandomState,
    /// A power of two.
    sets: usize,
    /// Made when the first request is limited.
    made: OnceLock<Box<[BucketSet]>>,
    /// Requests that found no place.
    overflows: AtomicU64,
}

/// Buckets that share a line of the cache.
#[derive(Debug, Default)]
#[repr(align(64))]
struct BucketSet([Bucket; WAYS]);

#[derive(Debug, Default)]
struct Bucket {
    /// The hash of limit and client; 0 if it was never used.
    owner: AtomicU64,
    /// As in [`BucketState`].
    full_at: AtomicU64,
}

const _: () = assert!(
    size_of::<BucketSet>() == 64,
    "a set is one line of the cache"
);

impl LimitTable {
    /// A table that takes at most so many bytes, and at least one set.
    pub fn new(bytes: u64) -> LimitTable {
        let sets = usize::try_from(bytes / SET_BYTES)
            .unwrap_or(usize::MAX)
            .max(1);
        LimitTable {
            hasher: RandomState::new(),
            sets: 1 << sets.ilog2(),
            made: OnceLock::new(),
            overflows: AtomicU64::new(0),
        }
    }

    /// The bytes that it takes when it is in use.
    pub fn bytes(&self) -> u64 {
        self.sets as u64 * SET_BYTES
    }

    /// Buckets that it has room for.
    pub fn capacity(&self) -> u64 {
        (self.sets * WAYS) as u64
    }

    /// Requests that passed since no place was left.
    pub fn overflows(&self) -> u64 {
        self.overflows.load(Ordering::Relaxed)
    }

    /// Changes the bucket of a limit and client: `change` says the new state and a result, or
    /// that it stays. It may be called again, if another thread changes the bucket meanwhile. `None`
    /// if the table has no room for the bucket.
    #[inline]
    pub fn change<T>(
        &self,
        owner: &impl Hash,
        now: Timestamp,
        change: impl Fn(BucketState) -> (Option<BucketState>, T),
    ) -> Option<T> {
        let bucket = self.bucket(owner, now)?;
        let mut seen = bucket.full_at.load(Ordering::Relaxed);
        loop {
            let (changed, result) = change(BucketState(seen));
            let Some(BucketState(full_at)) = changed else {
                return Some(result);
            };
            match bucket.full_at.compare_exchange_weak(
                seen,
                full_at,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(result),
                Err(other) => seen = other,
            }
        }
    }

    #[inline]
    fn bucket(&self, owner: &impl Hash, now: Timestamp) -> Option<&Bucket> {
        let table = self
            .made
            .get_or_init(|| (0..self.sets).map(|_| BucketSet::default()).collect());
        let hash = self.hasher.hash_one(owner);
        // The lowest bit is set in each: 0 is a free place.
        let owner = hash | 1;
        // Two halves of the hash choose the sets. All bits but the lowest tell owners apart.
        let (one, other) = ((hash >> 32) as usize, (hash >> 1) as usize);
        let sets = [
            &table[one & (self.sets - 1)],
            &table[other & (self.sets - 1)],
        ];
        let mut known = sets.iter().flat_map(|set| &set.0);
        if let Some(bucket) = known.find(|bucket| bucket.owner.load(Ordering::Relaxed) == owner) {
            return Some(bucket);
        }
        self.place(sets, owner, now)
    }

    /// A bucket for an owner that has none: one that was never used, or that has become full.
    #[cold]
    fn place<'t>(
        &self,
        sets: [&'t BucketSet; 2],
        owner: u64,
        now: Timestamp,
    ) -> Option<&'t Bucket> {
        for bucket in sets.into_iter().flat_map(|set| &set.0) {
            let before = bucket.owner.load(Ordering::Relaxed);
            let state = BucketState(bucket.full_at.load(Ordering::Relaxed));
            if !state.is_full(now) {
                continue;
            }
            // What it says, that it is full, is true of the new owner too.
            let exchanged =
                bucket
                    .owner
                    .compare_exchange(before, owner, Ordering::Relaxed, Ordering::Relaxed);
            if exchanged.is_ok() || exchanged == Err(owner) {
                return Some(bucket);
            }
        }
        self.overflows.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;
    use std::time::Duration;

    use super::*;
    use tero_semantics::rate_limit::{BucketAnswer, BucketRate};

    const NOW: Timestamp = Timestamp::from_unix_secs(1_773_144_000);

    /// Whether the request of a client is refused.
    fn is_refused(table: &LimitTable, rate: BucketRate, client: u128, now: Timestamp) -> bool {
        let take = |bucket| match rate.take(bucket, now, 1) {
            BucketAnswer::Taken(state) => (Some(state), false),
            BucketAnswer::Refused(_) => (None, true),
        };
        let owner = ("limit", Ipv6Addr::from_bits(client));
        table.change(&owner, now, take).unwrap_or(false)
    }

    #[test]
    fn a_million_addresses_stay_within_the_bound() {
        let table = LimitTable::new(100_000);
        assert_eq!((table.bytes(), table.capacity()), (65_536, 4_096));
        let rate = BucketRate::new(1, Duration::from_secs(10), 1);
        assert!(!is_refused(&table, rate, u128::MAX, NOW));
        let refused = (0..1_000_000).filter(|client| is_refused(&table, rate, *client, NOW));
        assert_eq!(refused.count(), 0, "all of them are new");
        let made = table.made.get().unwrap();
        assert_eq!(size_of_val(&**made) as u64, table.bytes());
        let used = made.iter().flat_map(|set| &set.0);
        let used = used
            .filter(|bucket| bucket.owner.load(Ordering::Relaxed) != 0)
            .count() as u64;
        assert_eq!(used, table.capacity());
        assert_eq!(table.overflows(), 1_000_001 - used);
        assert!(
            is_refused(&table, rate, u128::MAX, NOW),
            "those who were there are limited"
        );
        // When their buckets are full, others get the places.
        let later = NOW.saturating_add(Duration::from_secs(10));
        let before = table.overflows();
        assert!(!is_refused(&table, rate, 5_000_000, later));
        assert!(is_refused(&table, rate, 5_000_000, later));
        assert_eq!(table.overflows(), before);
    }

    #[test]
    fn a_table_that_is_half_full_has_a_place_for_nearly_all() {
        let table = LimitTable::new(1 << 20);
        let rate = BucketRate::new(1, Duration::from_secs(10), 1);
        let clients = u128::from(table.capacity() / 2);
        for client in 0..clients {
            is_refused(&table, rate, client, NOW);
        }
        assert!(
            table.overflows() < table.capacity() / 100,
            "{} of {clients}",
            table.overflows()
        );
        let unlimited = (0..clients).filter(|client| !is_refused(&table, rate, *client, NOW));
        assert!(unlimited.count() as u64 <= table.capacity() / 100);
    }

    #[test]
    fn many_threads_take_no_more_than_there_is() {
        let table = LimitTable::new(4096);
        let rate = BucketRate::new(1, Duration::from_secs(3_600), 1_000);
        let take = || {
            (0..1_000)
                .filter(|_| !is_refused(&table, rate, 7, NOW))
                .count()
        };
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        // Two threads may have made a bucket each in the first moment.
        assert!((1_000..=2_000).contains(&taken), "{taken}");
        assert!(is_refused(&table, rate, 7, NOW));
    }

    #[test]
    fn the_smallest_table_has_one_set() {
        let table = LimitTable::new(0);
        assert_eq!((table.bytes(), table.capacity()), (64, 4));
        let rate = BucketRate::new(1, Duration::from_secs(10), 1);
        assert!(!is_refused(&table, rate, 1, NOW) && is_refused(&table, rate, 1, NOW));
    }
}
