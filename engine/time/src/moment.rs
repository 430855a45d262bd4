//! Local moments: what the clock on the wall of a zone shows, and which instant a local time is,
//! across gaps and overlaps.
//!
//! A local time in a gap (skipped when the clocks go forward) comes at the end of the gap; a local
//! time in an overlap (shown twice when they go back) comes the first time.

mod offset;

use std::sync::Arc;

use chrono::{Datelike, LocalResult, NaiveDate, NaiveDateTime, TimeZone, Timelike, Weekday};
use chrono_tz::Tz;

use crate::calendar::{Calendar, Holiday};
use tero_semantics::timestamp::Timestamp;

use offset::{DAY_SECS, HORIZON_SECS, small, span_at};
pub(crate) use offset::{LAST_SECS, naive, offset_at};
pub use offset::{OFFSET_CHANGE_HORIZON_DAYS, OffsetChange, next_offset_change};

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

#[cfg(test)]
mod tests;
