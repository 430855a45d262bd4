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

    /// Whether the hour is in the set.
    pub fn has(self, hour_of_week: u8) -> bool {
        self.0
            .get(usize::from(hour_of_week / 64))
            .is_some_and(|bits| bits & (1 << (hour_of_week % 64)) != 0)
    }
}
