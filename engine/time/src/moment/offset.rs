//! Offsets of zones from UTC, and when they change next.

use std::cell::RefCell;

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;

use tero_semantics::timestamp::Timestamp;

/// How many days ahead a change of offset is announced.
pub const OFFSET_CHANGE_HORIZON_DAYS: i64 = 400;

pub(super) const DAY_SECS: i64 = 86_400;
pub(super) const HORIZON_SECS: i64 = OFFSET_CHANGE_HORIZON_DAYS * DAY_SECS;
/// The last second of the year 9999, since the Unix epoch: as far as any date here goes.
pub(crate) const LAST_SECS: i64 = 253_402_300_799;

/// How many spans a thread remembers. What they say never changes.
const MAX_SPANS: usize = 16;

thread_local! {
    static SPANS: RefCell<Vec<Span>> = const { RefCell::new(Vec::new()) };
}

/// A change of a zone's offset from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OffsetChange {
    /// The first second of the new offset, since the Unix epoch.
    pub unix_secs: i64,
    /// The new offset, in minutes east of UTC.
    pub utc_offset_mins: i16,
}

/// The next change of the zone's offset; `None` if there is none within
/// [`OFFSET_CHANGE_HORIZON_DAYS`] of `now`.
///
/// ```
/// use tero_semantics::timestamp::Timestamp;
/// use tero_time::moment::next_offset_change;
///
/// let new_year = Timestamp::from_unix_secs(1_767_225_600); // 2026-01-01T00:00:00Z
/// let change = next_offset_change(new_year, chrono_tz::Europe::Madrid).unwrap();
/// assert_eq!(change.unix_secs, 1_774_746_000); // 2026-03-29T01:00:00Z
/// assert_eq!(change.utc_offset_mins, 120);
/// ```
pub fn next_offset_change(now: Timestamp, zone: Tz) -> Option<OffsetChange> {
    let secs = now.unix_secs().clamp(0, LAST_SECS);
    span_at(secs, zone)
        .next
        .filter(|next| next.unix_secs - secs <= HORIZON_SECS)
}

/// A span of time with one offset, as far as it has been searched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    zone: Tz,
    from: i64,
    /// Exclusive: the offset holds from `from` to here.
    until: i64,
    pub(super) offset_secs: i64,
    /// The change at `until`; `None` if the search ended there without one.
    pub(super) next: Option<OffsetChange>,
}

impl Span {
    /// Whether the span answers for that second and for the horizon after it.
    fn answers(&self, secs: i64) -> bool {
        self.from <= secs
            && secs < self.until
            && (self.next.is_some() || secs + HORIZON_SECS < self.until)
    }
}

/// The span around a second, remembered or new.
pub(super) fn span_at(secs: i64, zone: Tz) -> Span {
    SPANS.with_borrow_mut(|spans| {
        let remembered = spans
            .iter()
            .find(|span| span.zone == zone && span.answers(secs));
        if let Some(span) = remembered {
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

/// Searches for the next change of offset, twice as far as it is announced, so that a zone without
/// changes is rarely searched.
pub(super) fn look_ahead(secs: i64, zone: Tz) -> Span {
    let offset_secs = offset_at(secs, zone);
    let end = secs + 2 * HORIZON_SECS;
    let mut last = secs;
    // Offsets hold for weeks at least, so daily steps miss no change.
    while last < end {
        let step = last + DAY_SECS;
        if offset_at(step, zone) != offset_secs {
            let change = change_between(last, step, zone);
            return Span {
                zone,
                from: secs,
                until: change.unix_secs,
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

/// The one change of offset after `before` and not after `after`.
fn change_between(mut before: i64, mut after: i64, zone: Tz) -> OffsetChange {
    let offset_secs = offset_at(before, zone);
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if offset_at(middle, zone) == offset_secs {
            before = middle;
        } else {
            after = middle;
        }
    }
    OffsetChange {
        unix_secs: after,
        utc_offset_mins: small(offset_at(after, zone).div_euclid(60)),
    }
}

/// The offset of a zone at a second since the Unix epoch, in seconds east of UTC.
pub(crate) fn offset_at(secs: i64, zone: Tz) -> i64 {
    let offset = zone.offset_from_utc_datetime(&naive(secs));
    i64::from(offset.fix().local_minus_utc())
}

/// The date and time that a clock at UTC shows at a second since the Unix epoch.
pub(crate) fn naive(secs: i64) -> NaiveDateTime {
    DateTime::from_timestamp(secs, 0)
        .unwrap_or_default()
        .naive_utc()
}

/// A number whose range is known to fit.
pub(super) fn small<T: TryInto<U>, U: Default>(number: T) -> U {
    number.try_into().unwrap_or_default()
}
