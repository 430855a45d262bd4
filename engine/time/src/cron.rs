//! Schedules: at which instants a cron expression comes due, by the clock of a zone.
//!
//! A time of day, as `30 2 * * *`, comes due once a day: in an hour that is skipped when clocks go
//! forward right after the gap, together with all others in that gap; in an hour that is repeated
//! when clocks go back in the first pass. An interval, as `*/15 * * * *` or `30 * * * *`, runs on
//! through both passes. Debian's cron makes the same distinction, by a `*` at the beginning of
//! minute or hour; it leaves an interval out that falls into a gap as a whole.

mod grammar;

use chrono::{NaiveDateTime, TimeDelta};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::moment::{LAST_SECS, instant_of, naive, offset_at};
use crate::zones;
use tero_semantics::timestamp::Timestamp;

/// A clock has never gone back by more.
const LONGEST_OVERLAP_SECS: i64 = 86_400;

/// A cron expression in a zone.
///
/// ```
/// use tero_semantics::timestamp::Timestamp;
/// use tero_time::cron::Schedule;
///
/// let zone = chrono_tz::America::Argentina::Buenos_Aires;
/// let opening = Schedule::parse("30 8 * * MON-SAT", zone).unwrap();
/// let sunday = Timestamp::from_unix_secs(1_773_576_000); // 2026-03-15T12:00:00Z
/// let monday = Timestamp::from_unix_secs(1_773_660_600); // 2026-03-16T11:30:00Z
/// assert_eq!(opening.next_after(sunday), Some(monday));
/// ```
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
    is_interval: bool,
    zone: Tz,
}

/// Why a schedule was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The expression has not five fields: minute, hour, day of month, month, day of week.
    #[error(
        "a schedule has five fields (minute, hour, day of month, month, day of week), this one has {found}"
    )]
    Fields {
        /// How many fields it has.
        found: usize,
    },
    /// A field can't be used.
    #[error("the {field} `{text}` {problem}")]
    Field {
        /// Its name.
        field: &'static str,
        /// The part of it that is wrong.
        text: String,
        /// What is wrong with it.
        problem: String,
        /// What to write instead.
        cure: String,
    },
    /// The expression begins with @ and isn't a known nickname.
    #[error("`{text}` is not a nickname of a schedule")]
    Nickname {
        /// The expression.
        text: String,
        /// What to write instead.
        cure: String,
    },
    /// No date ever matches, as with the 30th of February.
    #[error("no date ever matches this schedule")]
    Never,
}

impl ScheduleError {
    /// What to write instead.
    pub fn cure(&self) -> &str {
        match self {
            ScheduleError::Field { cure, .. } | ScheduleError::Nickname { cure, .. } => cure,
            ScheduleError::Fields { .. } => {
                "write five fields, minute hour day month weekday: \"30 8 * * MON-SAT\""
            }
            ScheduleError::Never => "write a day that the month has",
        }
    }
}

impl Schedule {
    /// Reads a cron expression: five fields (minute, hour, day of month, month, day of week) or a
    /// nickname, `@daily`. The documentation of time has the whole grammar.
    ///
    /// # Errors
    /// [`ScheduleError`]: it has not five fields, a field can't be used, or no date ever matches.
    pub fn parse(expression: &str, zone: Tz) -> Result<Schedule, ScheduleError> {
        let plain = grammar::read(expression)?;
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser
            .parse(&plain.text)
            .map_err(|_| ScheduleError::Never)?;
        let schedule = Schedule {
            cron,
            is_interval: plain.is_interval,
            zone,
        };
        // The Gregorian calendar repeats after 400 years, so a combination of month, day and weekday
        // that does not occur in them never does.
        match schedule.next_local(naive(0)) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never),
        }
    }

    /// The zone whose clock the schedule follows.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The first instant after `now` at which the schedule comes due; `None` after the year 4999.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let next = self.next_in_first_pass(now)?;
        if !self.is_interval {
            return Some(next);
        }
        Some(self.next_in_second_pass(now, next).unwrap_or(next))
    }

    /// The first instant after `now`, without the second pass of repeated hours.
    fn next_in_first_pass(&self, now: Timestamp) -> Option<Timestamp> {
        let secs = now.unix_secs().clamp(0, LAST_SECS);
        let mut local = naive(secs + offset_at(secs, self.zone));
        loop {
            local = self.next_local(local)?;
            // In the second pass of an overlap, local times of the first pass come again. They are
            // over.
            let due = instant_of(local, self.zone);
            if due > now {
                return Some(due);
            }
        }
    }

    /// The first instant after `now` and before `end` in the second pass of a repeated hour.
    fn next_in_second_pass(&self, now: Timestamp, end: Timestamp) -> Option<Timestamp> {
        let data = zones::in_force();
        let (now, end) = (now.unix_secs().max(0), end.unix_secs());
        // `now` may lie in a second pass, and none has ever been longer than a day.
        let mut from = now - LONGEST_OVERLAP_SECS;
        while let Some((change, offset_secs)) = data.next_change(from, end, self.zone) {
            let overlap_end = change + data.offset_at(change - 1, self.zone) - offset_secs;
            // The last second that is too early.
            let before = now.max(change - 1);
            if before < overlap_end {
                let due = self.next_local(naive(before + offset_secs))?;
                let due = due.and_utc().timestamp() - offset_secs;
                if due < overlap_end && due < end {
                    return Some(Timestamp::from_unix_secs(due));
                }
            }
            from = change;
        }
        None
    }

    /// The first local time after `local` that matches the expression, whatever the zone.
    fn next_local(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        self.cron
            .find_next_occurrence(&local, false)
            .ok()
            .filter(|next| *next > local && *next - local < TimeDelta::days(400 * 366))
    }
}

#[cfg(test)]
mod tests;
