//! Instants, with arithmetic that saturates instead of overflowing (RFC 9111 §1.2.2).

use std::time::Duration;

/// An instant: milliseconds since the Unix epoch, UTC, negative before it.
///
/// ```
/// use std::time::Duration;
/// use tero_semantics::timestamp::Timestamp;
///
/// let noon = Timestamp::from_unix_secs(1_773_144_000);
/// let later = noon.saturating_add(Duration::from_millis(1_999));
/// assert_eq!(later.unix_millis(), 1_773_144_001_999);
/// assert_eq!(later.unix_secs(), 1_773_144_001); // rounded down
///
/// assert_eq!(later.since(noon), Duration::from_millis(1_999));
/// assert_eq!(noon.since(later), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant that many milliseconds after the Unix epoch.
    #[inline]
    pub const fn from_unix_millis(millis: i64) -> Timestamp {
        Timestamp(millis)
    }

    /// The instant that many seconds after the Unix epoch; beyond what milliseconds can hold, the
    /// last or the first one.
    #[inline]
    pub const fn from_unix_secs(secs: i64) -> Timestamp {
        Timestamp(secs.saturating_mul(1_000))
    }

    /// Milliseconds since the Unix epoch.
    #[inline]
    pub const fn unix_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    #[inline]
    pub const fn unix_secs(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The instant that much later, in whole milliseconds.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tero_semantics::timestamp::Timestamp;
    ///
    /// let last = Timestamp::from_unix_millis(i64::MAX);
    /// assert_eq!(last.saturating_add(Duration::MAX), last);
    /// ```
    #[inline]
    pub fn saturating_add(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(millis(duration)))
    }

    /// The instant that much earlier, in whole milliseconds.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tero_semantics::timestamp::Timestamp;
    ///
    /// let first = Timestamp::from_unix_millis(i64::MIN);
    /// assert_eq!(first.saturating_sub(Duration::MAX), first);
    /// ```
    #[inline]
    pub fn saturating_sub(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(millis(duration)))
    }

    /// The time from `earlier` to this instant; zero if `earlier` is the later one.
    #[inline]
    pub fn since(self, earlier: Timestamp) -> Duration {
        let elapsed = i128::from(self.0) - i128::from(earlier.0);
        Duration::from_millis(u64::try_from(elapsed.max(0)).unwrap_or(u64::MAX))
    }
}

#[inline]
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
