//! Local time: what the clock on the wall of a zone shows, and when a schedule comes due, across
//! gaps and overlaps.
//!
//! A local time in a gap (skipped when the clocks go forward) comes at the end of the gap; a local
//! time in an overlap (shown twice when they go back) comes the first time. So a job in a skipped
//! hour runs once right after the gap, together with all others of that gap, and a job in a
//! repeated hour runs once.

use std::cell::RefCell;
use std::sync::Arc;

use chrono::{
    DateTime, Datelike, LocalResult, NaiveDate, NaiveDateTime, Offset, TimeDelta, TimeZone,
    Timelike, Weekday,
};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::calendar::{Calendar, Holiday};
use tero_semantics::timestamp::Timestamp;

/// How far ahead a change of offset is announced.
pub const OFFSET_CHANGE_HORIZON_DAYS: i64 = 400;

const DAY_SECS: i64 = 86_400;
const HORIZON_SECS: i64 = OFFSET_CHANGE_HORIZON_DAYS * DAY_SECS;
/// The end of the year 9999: as far as any date here goes.
const LAST_SECS: i64 = 253_402_300_799;

/// A change of a zone's offset from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OffsetChange {
    /// The first second of the new offset, since the Unix epoch.
    pub unix_secs: i64,
    /// Minutes east of UTC from then on.
    pub utc_offset_mins: i16,
}

/// What the clock on the wall of a zone shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Moment {
    /// Since the Unix epoch; 0 to the end of the year 9999.
    pub unix_secs: u64,
    /// The local year.
    pub year: u16,
    /// 1 to 12
    pub month: u8,
    /// 1 to 31
    pub day: u8,
    /// The local day of the week.
    pub weekday: Weekday,
    /// 0 to 23
    pub hour: u8,
    /// 0 to 59
    pub minute: u8,
    /// 0 to 59
    pub second: u8,
    /// Minutes east of UTC.
    pub utc_offset_mins: i16,
    /// The next change of the offset within [`OFFSET_CHANGE_HORIZON_DAYS`].
    pub next_offset_change: Option<OffsetChange>,
    /// The entry of the local date in the calendar.
    pub holiday: Option<Arc<Holiday>>,
    /// The entries of the days around it, with the days that lie between (see [`Calendar::near`]).
    pub nearby_holidays: Vec<(i8, Arc<Holiday>)>,
}

impl Moment {
    /// The local date.
    pub fn date(&self) -> NaiveDate {
        NaiveDate::from_ymd_opt(
            i32::from(self.year),
            u32::from(self.month),
            u32::from(self.day),
        )
        .unwrap_or_default()
    }
}

/// What the clock of `zone` shows at `now`. Times before 1970 and after 9999 are taken for the
/// nearest within.
///
/// Costs well under a microsecond: the zone's offset and its next change are remembered per thread.
pub fn moment(now: Timestamp, zone: Tz, calendar: &Calendar) -> Moment {
    let secs = now.unix_secs().clamp(0, LAST_SECS);
    let span = span_at(secs, zone);
    let local = naive(secs + span.offset_secs);
    let (date, time) = (local.date(), local.time());
    Moment {
        unix_secs: secs.unsigned_abs(),
        year: small(date.year()),
        month: small(date.month()),
        day: small(date.day()),
        weekday: date.weekday(),
        hour: small(time.hour()),
        minute: small(time.minute()),
        second: small(time.second()),
        utc_offset_mins: small(span.offset_secs.div_euclid(60)),
        next_offset_change: span
            .next
            .filter(|next| next.unix_secs - secs <= HORIZON_SECS),
        holiday: calendar.on(date).cloned(),
        nearby_holidays: calendar.near(date),
    }
}

/// `now` cut to the minute that the clock of `zone` shows (offsets of whole minutes are the same in
/// every zone).
pub fn cut_to_minute(now: Timestamp, zone: Tz) -> Timestamp {
    let secs = now.unix_secs().clamp(0, LAST_SECS);
    let offset = span_at(secs, zone).offset_secs;
    Timestamp::from_unix_secs(secs - (secs + offset).rem_euclid(60))
}

/// The next change of the zone's offset within [`OFFSET_CHANGE_HORIZON_DAYS`] of `now`.
pub fn next_offset_change(now: Timestamp, zone: Tz) -> Option<OffsetChange> {
    let secs = now.unix_secs().clamp(0, LAST_SECS);
    span_at(secs, zone)
        .next
        .filter(|next| next.unix_secs - secs <= HORIZON_SECS)
}

/// The hour that the clock of `zone` shows, 0 to 23.
pub fn local_hour(now: Timestamp, zone: Tz) -> u8 {
    let secs = now.unix_secs().clamp(0, LAST_SECS);
    small((secs + span_at(secs, zone).offset_secs).rem_euclid(DAY_SECS) / 3_600)
}

/// The hour of the local week: 0 is Monday from 00:00, 167 is Sunday from 23:00.
pub fn local_hour_of_week(now: Timestamp, zone: Tz) -> u8 {
    let secs = now.unix_secs().clamp(0, LAST_SECS);
    // The Unix epoch was a Thursday.
    let since_monday = secs + span_at(secs, zone).offset_secs + 3 * DAY_SECS;
    small(since_monday.rem_euclid(7 * DAY_SECS) / 3_600)
}

/// The instant at which the clock of `zone` shows `local`: in a gap its end, in an overlap the
/// first of both.
pub fn instant_of(local: NaiveDateTime, zone: Tz) -> Timestamp {
    let secs = match zone.from_local_datetime(&local) {
        LocalResult::Single(time) => time.timestamp(),
        LocalResult::Ambiguous(first, second) => first.timestamp().min(second.timestamp()),
        LocalResult::None => end_of_gap(local, zone),
    };
    Timestamp::from_unix_secs(secs)
}

/// The first second after the gap that `local` falls into.
fn end_of_gap(local: NaiveDateTime, zone: Tz) -> i64 {
    // No clock has ever been put forward by more than a day: two days round it, one offset stands
    // on each side of the gap.
    let utc = local.and_utc().timestamp();
    let (mut before, mut after) = (utc - 2 * DAY_SECS, utc + 2 * DAY_SECS);
    // The wall clock runs on through the instants, and jumps over `local` where the gap is.
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if naive(middle + offset_at(middle, zone)) < local {
            before = middle;
        } else {
            after = middle;
        }
    }
    after
}

/// A stretch of time with one offset, as far as it has been looked at.
#[derive(Clone, Copy, Debug)]
struct Span {
    zone: Tz,
    from: i64,
    /// Exclusive. The offset holds from `from` to here.
    until: i64,
    offset_secs: i64,
    /// The change at `until`, if there is one.
    next: Option<OffsetChange>,
}

impl Span {
    /// Whether the span answers for that second, the horizon included.
    fn answers(&self, secs: i64) -> bool {
        self.from <= secs
            && secs < self.until
            && (self.next.is_some() || secs + HORIZON_SECS < self.until)
    }
}

/// Spans remembered per thread: what they say never changes, so this is a memory of pure answers.
const MAX_SPANS: usize = 16;

thread_local! {
    static SPANS: RefCell<Vec<Span>> = const { RefCell::new(Vec::new()) };
}

fn span_at(secs: i64, zone: Tz) -> Span {
    SPANS.with_borrow_mut(|spans| {
        if let Some(span) = spans
            .iter()
            .find(|span| span.zone == zone && span.answers(secs))
        {
            return *span;
        }
        let span = look_ahead(secs, zone);
        spans.retain(|other| other.zone != zone);
        if spans.len() >= MAX_SPANS {
            spans.remove(0);
        }
        spans.push(span);
        span
    })
}

/// Looks for the next change of offset, twice as far as it is announced, so that a zone without
/// changes is looked at rarely.
fn look_ahead(secs: i64, zone: Tz) -> Span {
    let offset_secs = offset_at(secs, zone);
    let end = secs + 2 * HORIZON_SECS;
    let mut last = secs;
    // The offsets of a zone stand for weeks at least, so daily steps miss none.
    while last < end {
        let step = last + DAY_SECS;
        let offset = offset_at(step, zone);
        if offset != offset_secs {
            let (mut before, mut after) = (last, step);
            while after - before > 1 {
                let middle = before + (after - before) / 2;
                if offset_at(middle, zone) == offset_secs {
                    before = middle
                } else {
                    after = middle
                }
            }
            let change = OffsetChange {
                unix_secs: after,
                utc_offset_mins: small(offset_at(after, zone).div_euclid(60)),
            };
            return Span {
                zone,
                from: secs,
                until: after,
                offset_secs,
                next: Some(change),
            };
        }
        last = step;
    }
    Span {
        zone,
        from: secs,
        until: last,
        offset_secs,
        next: None,
    }
}

fn offset_at(secs: i64, zone: Tz) -> i64 {
    i64::from(
        zone.offset_from_utc_datetime(&naive(secs))
            .fix()
            .local_minus_utc(),
    )
}

fn naive(secs: i64) -> NaiveDateTime {
    DateTime::from_timestamp(secs, 0)
        .unwrap_or_default()
        .naive_utc()
}

/// A number whose range is known to fit.
fn small<T: TryInto<U>, U: Default>(number: T) -> U {
    number.try_into().unwrap_or_default()
}

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
