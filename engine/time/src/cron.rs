//! Schedules: at which instants a cron expression comes due, by the clock of a zone.
//!
//! A job in an hour that is skipped when clocks go forward runs once, right after the gap, together
//! with all others in that gap. A job in an hour that is repeated when clocks go back runs once.

use chrono::{NaiveDateTime, TimeDelta};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::moment::{LAST_SECS, instant_of, naive, offset_at};
use tero_semantics::timestamp::Timestamp;

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
    zone: Tz,
}

/// Why a schedule was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleError {
    /// The expression has not five fields: minute, hour, day of month, month, day of week.
    Fields {
        /// How many fields it has.
        found: usize,
    },
    /// A field is malformed; the text is the parser's.
    Field(String),
    /// No date ever matches, as with the 30th of February.
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

/// The parser's text, without the class of error before it and the full stop after it.
fn text_of(error: &str) -> String {
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
    /// [`ScheduleError`]: it has not five fields, a field is malformed, or no date ever matches.
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
            .map_err(|error| ScheduleError::Field(text_of(&error.to_string())))?;
        let schedule = Schedule { cron, zone };
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
