//! From when until when a certificate holds, and when its end is near enough to be told.

use std::time::Duration;

use tero_semantics::timestamp::Timestamp;

/// From when until when a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// When it begins to hold.
    pub not_before: Timestamp,
    /// Until when it holds.
    pub not_after: Timestamp,
}

impl Validity {
    /// For how long it holds.
    pub fn lifetime(self) -> Duration {
        self.not_after.since(self.not_before)
    }

    /// Whether it has ended, or ends within `most`; within a `part`-th of its lifetime, if that is less. Certificates
    /// are renewed when about a third of their lifetime is left, and some hold for a day.
    pub fn ends_soon(self, now: Timestamp, most: Duration, part: u32) -> bool {
        self.not_after <= now || self.not_after.since(now) <= most.min(self.lifetime() / part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 60 * 60;
    const DAY: u64 = 24 * HOUR;

    #[test]
    fn the_end_of_a_short_life_is_soon_only_when_it_is_near() {
        for (lifetime, left, expected) in [
            (90 * DAY, 14 * DAY + 1, false),
            (90 * DAY, 14 * DAY, true),
            (365 * DAY, 14 * DAY + 1, false),
            // Renewed when a third is left.
            (45 * DAY, 14 * DAY, false),
            (45 * DAY, 7 * DAY, true),
            (DAY, 8 * HOUR, false),
            (DAY, 4 * HOUR, true),
            (DAY, 0, true),
        ] {
            let not_before = Timestamp::from_unix_secs(1_795_608_000);
            let not_after = not_before.saturating_add(Duration::from_secs(lifetime));
            let validity = Validity {
                not_before,
                not_after,
            };
            let now = not_after.saturating_sub(Duration::from_secs(left));
            let most = Duration::from_secs(14 * DAY);
            assert_eq!(
                validity.ends_soon(now, most, 6),
                expected,
                "{left} of {lifetime}"
            );
        }
    }
}
