//! Schedules: when a cron expression comes due by the clock of a zone.
//!
//! A job in a skipped hour runs once right after the gap, together with all others of that gap, and
//! a job in a repeated hour runs once.

use chrono::{NaiveDateTime, TimeDelta};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::moment::{LAST_SECS, instant_of, naive, offset_at};
use tero_semantics::timestamp::Timestamp;

/// When something is to be done again and again: a cron expression in a zone.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
    zone: Tz,
}

/// Why a schedule was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleError {
    /// Not five fields: minute, hour, day of month, month, day of week.
    Fields {
        /// How many it has.
        found: usize,
    },
    /// A field that says nothing, in the words of the parser.
    Field(String),
    /// No date ever matches, like the 30th of February.
    Never,
}

impl std::fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ScheduleError::Fields { found } => {
                write!(
                    f,
                    "a schedule has five fields (minute, hour, day of month, month, day of week), this one has {found}"
                )
            }
            ScheduleError::Field(what) => write!(f, "{what}"),
            ScheduleError::Never => write!(f, "no date ever matches this schedule"),
        }
    }
}

impl std::error::Error for ScheduleError {}

/// The parser's own words, without their class before and the full stop behind.
fn told(error: &str) -> String {
    error
        .split_once(": ")
        .map_or(error, |(_, what)| what)
        .trim_end_matches('.')
        .to_ascii_lowercase()
}

impl Schedule {
    /// Reads a cron expression of five fields (minute, hour, day of month, month, day of week).
    ///
    /// # Errors
    /// [`ScheduleError`] where it has not five fields, a field says nothing, or no date ever
    /// matches.
    pub fn parse(expression: &str, zone: Tz) -> Result<Schedule, ScheduleError> {
        let found = expression.split_whitespace().count();
        if found != 5 {
            return Err(ScheduleError::Fields { found });
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser
            .parse(expression)
            .map_err(|error| ScheduleError::Field(told(&error.to_string())))?;
        let schedule = Schedule { cron, zone };
        // Every combination of month, day and weekday comes round within the 400 years of the
        // Gregorian calendar.
        match schedule.next_local(naive(0)) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never),
        }
    }

    /// The zone whose clock the schedule follows.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The first instant after `now` at which the schedule comes due; none past the year 4999.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let secs = now.unix_secs().clamp(0, LAST_SECS);
        let mut local = naive(secs + offset_at(secs, self.zone));
        loop {
            local = self.next_local(local)?;
            // In an overlap, the local times of its first pass come up again in the second: they
            // are over.
            let due = instant_of(local, self.zone);
            if due > now {
                return Some(due);
            }
        }
    }

    /// The first local time after `local` that the expression matches, without regard to the zone.
    fn next_local(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        self.cron
            .find_next_occurrence(&local, false)
            .ok()
            .filter(|next| *next > local && *next - local < TimeDelta::days(400 * 366))
    }
}

#[cfg(test)]
mod tests;
