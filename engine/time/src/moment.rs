//! Local moments: what the wall clock of a zone shows at an instant, and at which instant it shows
//! a local time, across gaps and overlaps.
//!
//! A local time in a gap (skipped when clocks go forward) means the end of the gap. A local time in
//! an overlap (shown twice when clocks go back) means the first time.

mod offset;

use std::sync::Arc;

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike, Weekday};
use chrono_tz::Tz;

use crate::calendar::{Calendar, Holiday};
use crate::zones::{self, LocalOffsets};
use tero_semantics::timestamp::Timestamp;

use offset::{DAY_SECS, HORIZON_SECS, small, span_at};
pub(crate) use offset::{LAST_SECS, naive, offset_at};
pub use offset::{OFFSET_CHANGE_HORIZON_DAYS, OffsetChange, next_offset_change};

/// What the wall clock of a zone shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Moment {
    /// The instant, in seconds since the Unix epoch: from 0 to the end of the year 9999.
    pub unix_secs: u64,
    /// The local year, 1969 to 10000.
    pub year: u16,
    /// The local month, 1 to 12.
    pub month: u8,
    /// The local day of the month, 1 to 31.
    pub day: u8,
    /// The local day of the week.
    pub weekday: Weekday,
    /// The local hour, 0 to 23.
    pub hour: u8,
    /// The local minute, 0 to 59.
    pub minute: u8,
    /// The local second, 0 to 59.
    pub second: u8,
    /// The offset, in minutes east of UTC.
    pub utc_offset_mins: i16,
    /// The next change of the offset; `None` if there is none within
    /// [`OFFSET_CHANGE_HORIZON_DAYS`].
    pub next_offset_change: Option<OffsetChange>,
    /// The calendar's entry for the local date.
    pub holiday: Option<Arc<Holiday>>,
    /// The calendar's entries for the days around it, each with its distance in days (see
    /// [`Calendar::near`]).
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

/// What the clock of `zone` shows at `now`. Instants before 1970 and after 9999 count as the first
/// and the last one between.
///
/// This costs well under a microsecond: each thread remembers the offset of a zone and its next
/// change.
///
/// ```
/// use chrono::Weekday;
/// use tero_semantics::timestamp::Timestamp;
/// use tero_time::calendar::Calendar;
/// use tero_time::moment::moment;
///
/// let noon = Timestamp::from_unix_secs(1_773_144_000); // 2026-03-10T12:00:00Z
/// let zone = chrono_tz::America::Argentina::Buenos_Aires;
/// let it = moment(noon, zone, &Calendar::default());
/// assert_eq!((it.weekday, it.hour, it.minute), (Weekday::Tue, 9, 0));
/// assert_eq!(it.utc_offset_mins, -180);
/// assert_eq!(it.date().to_string(), "2026-03-10");
/// ```
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

/// The start of the minute that the clock of `zone` shows at `now`. It differs between zones only
/// if one of their offsets isn't a whole number of minutes.
pub fn cut_to_minute(now: Timestamp, zone: Tz) -> Timestamp {
    let secs = now.unix_secs().clamp(0, LAST_SECS);
    let offset = span_at(secs, zone).offset_secs;
    Timestamp::from_unix_secs(secs - (secs + offset).rem_euclid(60))
}

/// The hour that the clock of `zone` shows at `now`, 0 to 23.
pub fn local_hour(now: Timestamp, zone: Tz) -> u8 {
    let secs = now.unix_secs().clamp(0, LAST_SECS);
    small((secs + span_at(secs, zone).offset_secs).rem_euclid(DAY_SECS) / 3_600)
}

/// The hour of the local week at `now`, 0 to 167: 0 is Monday from 00:00, 167 is Sunday from 23:00.
pub fn local_hour_of_week(now: Timestamp, zone: Tz) -> u8 {
    let secs = now.unix_secs().clamp(0, LAST_SECS);
    // The Unix epoch was a Thursday.
    let since_monday = secs + span_at(secs, zone).offset_secs + 3 * DAY_SECS;
    small(since_monday.rem_euclid(7 * DAY_SECS) / 3_600)
}

/// The instant at which the clock of `zone` shows `local`; in a gap its end, in an overlap the
/// first of the two.
///
/// ```
/// use chrono::NaiveDate;
/// use tero_time::moment::instant_of;
///
/// // In Madrid, clocks went from 02:00 to 03:00 on this day.
/// let day = NaiveDate::from_ymd_opt(2026, 3, 29).unwrap();
/// let skipped = day.and_hms_opt(2, 30, 0).unwrap();
/// let end_of_gap = day.and_hms_opt(3, 0, 0).unwrap();
/// let zone = chrono_tz::Europe::Madrid;
/// assert_eq!(instant_of(skipped, zone), instant_of(end_of_gap, zone));
/// ```
pub fn instant_of(local: NaiveDateTime, zone: Tz) -> Timestamp {
    instants_of(local, zone).0
}

/// The instant of [`instant_of`], and in an overlap the second one.
pub(crate) fn instants_of(local: NaiveDateTime, zone: Tz) -> (Timestamp, Option<Timestamp>) {
    let utc = local.and_utc().timestamp();
    let instant = |offset_secs| Timestamp::from_unix_secs(utc - offset_secs);
    match zones::in_force().local_offsets(local, zone) {
        LocalOffsets::One(offset_secs) => (instant(offset_secs), None),
        LocalOffsets::Two(first, second) => (instant(first), Some(instant(second))),
        LocalOffsets::Gap => (Timestamp::from_unix_secs(end_of_gap(local, zone)), None),
    }
}

/// The first second after the gap that `local` falls into.
fn end_of_gap(local: NaiveDateTime, zone: Tz) -> i64 {
    // No clock has ever gone forward by more than a day, so two days before and after, a single
    // offset holds on each side of the gap.
    let utc = local.and_utc().timestamp();
    let (mut before, mut after) = (utc - 2 * DAY_SECS, utc + 2 * DAY_SECS);
    // The wall clock runs with the instants, and jumps over `local` at the gap.
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

#[cfg(test)]
mod tests;
