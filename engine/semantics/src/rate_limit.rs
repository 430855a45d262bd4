//! Rate limits: a bucket of requests that fills at a steady rate, as one number, and the fields that
//! tell a client of it (`RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers-11,
//! `Retry-After` of RFC 9110 §10.2.3).
//!
//! The number is the time at which the bucket will be full. A request moves it by the time in which
//! one request comes back, and is refused if the bucket would need more than its whole size to fill
//! up again. So nothing runs between requests, and a bucket that is full is like one that was never
//! used.

use std::time::Duration;

use http::HeaderName;

use super::timestamp::Timestamp;

/// `RateLimit`
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// `RateLimit-Policy`
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

const NANOS_PER_SEC: u64 = 1_000_000_000;
const NANOS_PER_MILLI: u64 = 1_000_000;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketRate {
    /// In which time one request comes back, in nanoseconds; 1 or more.
    interval: u64,
    /// Requests that a full bucket holds; 1 or more.
    burst: u32,
}

/// A bucket: when it will be full, in nanoseconds since 1970. Any time that has passed means that it
/// is full, 0 among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BucketState(pub u64);

/// What a bucket says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketAnswer {
    /// It holds what the request costs.
    Taken(BucketState),
    /// It doesn't, and will after this time.
    Refused(Duration),
}

impl BucketRate {
    /// A bucket of `burst` requests that gets `requests` back in the time `per`. Each counts as 1 if
    /// it is 0.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tero_semantics::rate_limit::{BucketAnswer, BucketRate, BucketState};
    /// use tero_semantics::timestamp::Timestamp;
    ///
    /// let rate = BucketRate::new(10, Duration::from_secs(1), 1);
    /// let now = Timestamp::from_unix_secs(1_773_144_000);
    /// let BucketAnswer::Taken(used) = rate.take(BucketState::default(), now, 1) else {
    ///     panic!("a new bucket is full")
    /// };
    /// let wait = Duration::from_millis(100);
    /// assert_eq!(rate.take(used, now, 1), BucketAnswer::Refused(wait));
    /// let later = now.saturating_add(wait);
    /// assert!(matches!(rate.take(used, later, 1), BucketAnswer::Taken(_)));
    /// ```
    pub fn new(requests: u32, per: Duration, burst: u32) -> BucketRate {
        let per = u64::try_from(per.as_nanos()).unwrap_or(u64::MAX);
        BucketRate {
            interval: (per / u64::from(requests.max(1))).max(1),
            burst: burst.max(1),
        }
    }

    /// The time in which an empty bucket becomes full.
    pub fn recovery(self) -> Duration {
        Duration::from_nanos(self.time_of(self.burst))
    }

    fn time_of(self, requests: u32) -> u64 {
        self.interval.saturating_mul(u64::from(requests))
    }

    /// Asks for `cost` requests. A refusal costs nothing. What costs more than a bucket holds is
    /// given if the bucket is full.
    #[inline]
    pub fn take(self, bucket: BucketState, now: Timestamp, cost: u32) -> BucketAnswer {
        let now = nanos(now);
        let full_at = bucket.0.max(now).saturating_add(self.time_of(cost));
        let latest = now.saturating_add(self.time_of(self.burst.max(cost)));
        match full_at.checked_sub(latest) {
            Some(wait @ 1..) => BucketAnswer::Refused(Duration::from_nanos(wait)),
            _ => BucketAnswer::Taken(BucketState(full_at)),
        }
    }

    /// Charges `cost` requests that have been made, whatever the bucket holds. What a client owes is
    /// never more than one whole bucket.
    pub fn charge(self, bucket: BucketState, now: Timestamp, cost: u32) -> BucketState {
        let now = nanos(now);
        let full_at = bucket.0.max(now).saturating_add(self.time_of(cost));
        let most = now.saturating_add(self.time_of(self.burst).saturating_mul(2));
        BucketState(full_at.min(most.max(bucket.0)))
    }

    /// Gives back `cost` requests that were taken.
    pub fn give_back(self, bucket: BucketState, cost: u32) -> BucketState {
        BucketState(bucket.0.saturating_sub(self.time_of(cost)))
    }

    /// Requests that the bucket holds.
    pub fn left(self, bucket: BucketState, now: Timestamp) -> u32 {
        let now = nanos(now);
        let latest = now.saturating_add(self.time_of(self.burst));
        let left = latest.saturating_sub(bucket.0.max(now)) / self.interval;
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    /// The value of `RateLimit-Policy`: how many requests a client of the limit `name` has in which
    /// time. `name` is a name as in the configuration.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tero_semantics::rate_limit::BucketRate;
    ///
    /// let rate = BucketRate::new(10, Duration::from_secs(1), 25);
    /// assert_eq!(rate.policy_field("api"), "\"api\";q=25;w=3");
    /// let wait = Duration::from_millis(1);
    /// assert_eq!(rate.limit_field("api", wait), "\"api\";r=0;t=1");
    /// ```
    pub fn policy_field(self, name: &str) -> String {
        let window = whole_secs(self.recovery());
        format!("\"{name}\";q={};w={window}", self.burst)
    }

    /// The value of `RateLimit` for a client that has nothing left until after `wait`.
    pub fn limit_field(self, name: &str, wait: Duration) -> String {
        format!("\"{name}\";r=0;t={}", whole_secs(wait))
    }
}

impl BucketState {
    /// Whether the bucket is full, and so like one that was never used.
    #[inline]
    pub fn is_full(self, now: Timestamp) -> bool {
        self.0 <= nanos(now)
    }
}

/// Seconds, rounded up, and 1 or more: a client that waits as long is not refused again.
pub fn whole_secs(wait: Duration) -> u64 {
    let nanos = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
    nanos.div_ceil(NANOS_PER_SEC).max(1)
}

fn nanos(time: Timestamp) -> u64 {
    u64::try_from(time.unix_millis())
        .unwrap_or(0)
        .saturating_mul(NANOS_PER_MILLI)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::NOON;
    use super::*;

    fn after(millis: u64) -> Timestamp {
        NOON.saturating_add(Duration::from_millis(millis))
    }

    /// Sends requests at these times, in milliseconds after noon, and returns which were let in.
    fn let_in(rate: BucketRate, times: &[u64]) -> Vec<bool> {
        let mut bucket = BucketState::default();
        let mut ask = |millis: &u64| match rate.take(bucket, after(*millis), 1) {
            BucketAnswer::Taken(state) => {
                bucket = state;
                true
            }
            BucketAnswer::Refused(_) => false,
        };
        times.iter().map(&mut ask).collect()
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let rate = BucketRate::new(2, Duration::from_secs(1), 3);
        let times = [
            0, 0, 0, 0, 499, 500, 501, 1_000, 1_001, 10_000, 10_000, 10_000, 10_000,
        ];
        let expected = [
            true, true, true, false, false, true, false, true, false, true, true, true, false,
        ];
        assert_eq!(let_in(rate, &times), expected);
    }

    #[test]
    fn a_debt_has_a_bound_and_is_paid_before_anything_else() {
        let rate = BucketRate::new(1, Duration::from_secs(1), 5);
        let mut bucket = BucketState::default();
        for _ in 0..100 {
            bucket = rate.charge(bucket, after(0), 3);
        }
        assert_eq!(rate.left(bucket, after(0)), 0);
        let wait = Duration::from_secs(6);
        assert_eq!(rate.take(bucket, after(0), 1), BucketAnswer::Refused(wait));
        assert!(matches!(
            rate.take(bucket, after(5_999), 1),
            BucketAnswer::Refused(_)
        ));
        assert!(matches!(
            rate.take(bucket, after(6_000), 1),
            BucketAnswer::Taken(_)
        ));
        // Of a debt that a slower rate has left, a charge takes nothing back.
        let older = BucketState(bucket.0 * 2);
        assert_eq!(rate.charge(older, after(0), 1), older);
    }

    #[test]
    fn what_is_left_and_what_is_given_back() {
        let rate = BucketRate::new(10, Duration::from_secs(1), 4);
        let full = BucketState::default();
        assert_eq!(rate.left(full, after(0)), 4);
        let BucketAnswer::Taken(used) = rate.take(full, after(0), 3) else {
            panic!("it holds four")
        };
        assert_eq!(
            (rate.left(used, after(0)), rate.left(used, after(100))),
            (1, 2)
        );
        assert_eq!(rate.left(rate.give_back(used, 2), after(0)), 3);
        assert!(!used.is_full(after(299)) && used.is_full(after(300)));
    }

    #[test]
    fn extremes_are_taken() {
        let widest = BucketRate::new(u32::MAX, Duration::ZERO, u32::MAX);
        let slowest = BucketRate::new(0, Duration::MAX, u32::MAX);
        for rate in [widest, slowest] {
            for bucket in [0, 1, u64::MAX] {
                for now in [i64::MIN, -1, 0, i64::MAX] {
                    let (bucket, now) = (BucketState(bucket), Timestamp::from_unix_millis(now));
                    for cost in [0, 1, u32::MAX] {
                        let _ = rate.take(bucket, now, cost);
                        let _ = rate.charge(bucket, now, cost);
                        let _ = rate.give_back(bucket, cost);
                    }
                    let _ = rate.left(bucket, now);
                }
            }
            assert!(whole_secs(rate.recovery()) >= 1);
        }
    }

    fn rates() -> impl Strategy<Value = BucketRate> {
        (1..500_u32, 1..20_000_u64, 1..50_u32).prop_map(|(requests, millis, burst)| {
            BucketRate::new(requests, Duration::from_millis(millis), burst)
        })
    }

    /// Times of requests in order, in milliseconds.
    fn times() -> impl Strategy<Value = Vec<u64>> {
        proptest::collection::vec(0..300_u64, 1..120).prop_map(|pauses| {
            let mut now = 0;
            pauses
                .into_iter()
                .map(|pause| {
                    now += pause;
                    now
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn no_span_lets_more_in_than_a_burst_and_the_rate(rate in rates(), times in times()) {
            let let_in = let_in(rate, &times);
            let of: Vec<u64> = times
                .iter()
                .zip(&let_in)
                .filter_map(|(time, is_in)| is_in.then_some(*time))
                .collect();
            for (first, from) in of.iter().enumerate() {
                for (last, to) in of.iter().enumerate().skip(first) {
                    let came_back = (to - from) * NANOS_PER_MILLI / rate.interval;
                    let most = u64::from(rate.burst) + came_back;
                    prop_assert!((last - first + 1) as u64 <= most, "{from} to {to}");
                }
            }
        }

        #[test]
        fn whoever_keeps_to_the_rate_is_never_refused(
            requests in 1..100_u32,
            burst in 1..10_u32,
            count in 1..200_u64,
        ) {
            let rate = BucketRate::new(requests, Duration::from_secs(1), burst);
            let pause = 1_000_u64.div_ceil(u64::from(requests));
            let times: Vec<u64> = (0..count).map(|place| place * pause).collect();
            prop_assert!(let_in(rate, &times).into_iter().all(|is_in| is_in));
        }

        #[test]
        fn whoever_waits_as_told_is_let_in_and_not_before(
            rate in rates(),
            full_at in 0..60_000_u64,
            cost in 1..5_u32,
        ) {
            let bucket = BucketState(nanos(after(full_at)));
            if let BucketAnswer::Refused(wait) = rate.take(bucket, NOON, cost) {
                let millis = u64::try_from(wait.as_nanos()).unwrap().div_ceil(NANOS_PER_MILLI);
                prop_assert!(matches!(rate.take(bucket, after(millis), cost), BucketAnswer::Taken(_)));
                let early = rate.take(bucket, after(millis - 1), cost);
                prop_assert!(matches!(early, BucketAnswer::Refused(_)));
                let whole = NOON.saturating_add(Duration::from_secs(whole_secs(wait)));
                prop_assert!(matches!(rate.take(bucket, whole, cost), BucketAnswer::Taken(_)));
            }
        }

        #[test]
        fn taking_and_giving_back_changes_nothing(rate in rates(), full_at in 0..5_000_u64) {
            let bucket = BucketState(nanos(after(full_at)));
            if let BucketAnswer::Taken(taken) = rate.take(bucket, NOON, 1) {
                prop_assert!(taken > bucket);
                prop_assert_eq!(rate.give_back(taken, 1), bucket);
                prop_assert_eq!(rate.left(taken, NOON) + 1, rate.left(bucket, NOON));
            }
        }
    }
}
