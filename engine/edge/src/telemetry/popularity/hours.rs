//! Hours of the local week.

use std::time::Duration;

use chrono_tz::Tz;

use tero_semantics::timestamp::Timestamp;
use tero_time::moment::local_hour_of_week;

pub(super) const HOURS_OF_WEEK: u8 = 168;
const HOUR: Duration = Duration::from_secs(3_600);
/// A set of hours of the local week: 0 is Monday from 00:00, 167 is Sunday from 23:00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours([u64; 3]);

impl Hours {
    /// Every hour of the week.
    pub const ALL: Hours = Hours([u64::MAX; 3]);
    /// No hour.
    pub const NONE: Hours = Hours([0; 3]);

    /// The hours that a clock in `zone` shows from `from` until just before `until`, for a week at
    /// most.
    pub fn between(from: Timestamp, until: Timestamp, zone: Tz) -> Hours {
        let last = until.saturating_sub(Duration::from_millis(1)).max(from);
        let steps = (0..HOURS_OF_WEEK)
            .map(|step| from.saturating_add(HOUR * u32::from(step)))
            .take_while(|time| *time < last);
        steps.chain([last]).fold(Hours::NONE, |hours, time| {
            hours.with(local_hour_of_week(time, zone))
        })
    }

    /// The same hours of the day, on every day of the week.
    pub fn on_every_day(self) -> Hours {
        let hours = (0..HOURS_OF_WEEK).filter(|hour| self.has(*hour));
        hours.fold(Hours::NONE, |all, hour| {
            (0..7).fold(all, |all, day| all.with(day * 24 + hour % 24))
        })
    }

    /// These hours and one more, 0 to 167; others are ignored.
    pub fn with(mut self, hour_of_week: u8) -> Hours {
        if hour_of_week < HOURS_OF_WEEK {
            self.0[usize::from(hour_of_week / 64)] |= 1 << (hour_of_week % 64);
        }
        self
    }

    /// The set as it travels between nodes: a bit for each hour, the lowest one first.
    pub fn to_bits(self) -> [u64; 3] {
        self.0
    }

    /// The set that travelled as these bits.
    pub fn from_bits(bits: [u64; 3]) -> Hours {
        Hours(bits)
    }

    /// Whether the hour is in the set.
    pub fn has(self, hour_of_week: u8) -> bool {
        self.0
            .get(usize::from(hour_of_week / 64))
            .is_some_and(|bits| bits & (1 << (hour_of_week % 64)) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UTC: Tz = chrono_tz::UTC;
    /// Monday 5 January 2026, 00:00 UTC.
    const MONDAY: Timestamp = Timestamp::from_unix_secs(1_767_571_200);

    fn after_mins(mins: u64) -> Timestamp {
        MONDAY.saturating_add(Duration::from_secs(mins * 60))
    }

    #[track_caller]
    fn check(hours: Hours, expected: &[u8]) {
        let found: Vec<u8> = (0..168).filter(|hour| hours.has(*hour)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn hours_between_two_times_are_those_that_a_clock_shows() {
        let between = |from, until| Hours::between(after_mins(from), after_mins(until), UTC);
        check(between(8 * 60, 12 * 60), &[8, 9, 10, 11]);
        check(between(8 * 60 + 30, 12 * 60 + 30), &[8, 9, 10, 11, 12]);
        check(between(8 * 60 + 30, 8 * 60 + 31), &[8]);
        check(between(60, 60), &[1]);
        check(between(60, 0), &[1]);
        let all: Vec<u8> = (0..168).collect();
        check(between(0, 30 * 24 * 60), &all);
        // In New York, the day when the clocks go forward has no hour from two to three.
        let one_o_clock = Timestamp::from_unix_secs(1_805_004_000);
        let three_o_clock = one_o_clock.saturating_add(2 * HOUR);
        let hours = Hours::between(one_o_clock, three_o_clock, chrono_tz::America::New_York);
        check(hours, &[6 * 24 + 1, 6 * 24 + 3]);
    }

    #[test]
    fn hours_wrap_at_the_end_of_the_week_and_repeat_on_every_day() {
        let sunday_evening = MONDAY.saturating_sub(2 * HOUR);
        let hours = Hours::between(sunday_evening, sunday_evening.saturating_add(4 * HOUR), UTC);
        check(hours, &[0, 1, 166, 167]);
        let daily = hours.on_every_day();
        assert_eq!((0..168).filter(|hour| daily.has(*hour)).count(), 28);
        assert!(daily.has(24) && daily.has(24 + 23) && !daily.has(24 + 2));
        assert_eq!(Hours::NONE.with(168).with(255), Hours::NONE);
    }
}
