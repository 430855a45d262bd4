//! Offsets of zones from UTC, and when they change next.

use std::cell::RefCell;

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;

use tero_semantics::timestamp::Timestamp;

/// How far ahead a change of offset is announced.
pub const OFFSET_CHANGE_HORIZON_DAYS: i64 = 400;

pub(super) const DAY_SECS: i64 = 86_400;
pub(super) const HORIZON_SECS: i64 = OFFSET_CHANGE_HORIZON_DAYS * DAY_SECS;
/// The end of the year 9999: as far as any date here goes.
pub(crate) const LAST_SECS: i64 = 253_402_300_799;

/// A change of a zone's offset from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OffsetChange {
    /// The first second of the new offset, since the Unix epoch.
    pub unix_secs: i64,
    /// Minutes east of UTC from then on.
    pub utc_offset_mins: i16,
}

/// The next change of the zone's offset within [`OFFSET_CHANGE_HORIZON_DAYS`] of `now`.
pub fn next_offset_change(now: Timestamp, zone: Tz) -> Option<OffsetChange> {
    let secs = now.unix_secs().clamp(0, LAST_SECS);
    span_at(secs, zone)
        .next
        .filter(|next| next.unix_secs - secs <= HORIZON_SECS)
}

/// A stretch of time with one offset, as far as it has been looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    zone: Tz,
    from: i64,
    /// Exclusive. The offset holds from `from` to here.
    until: i64,
    pub(super) offset_secs: i64,
    /// The change at `until`, if there is one.
    pub(super) next: Option<OffsetChange>,
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

pub(super) fn span_at(secs: i64, zone: Tz) -> Span {
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
pub(super) fn look_ahead(secs: i64, zone: Tz) -> Span {
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

pub(crate) fn offset_at(secs: i64, zone: Tz) -> i64 {
    i64::from(
        zone.offset_from_utc_datetime(&naive(secs))
            .fix()
            .local_minus_utc(),
    )
}

pub(crate) fn naive(secs: i64) -> NaiveDateTime {
    DateTime::from_timestamp(secs, 0)
        .unwrap_or_default()
        .naive_utc()
}

/// A number whose range is known to fit.
pub(super) fn small<T: TryInto<U>, U: Default>(number: T) -> U {
    number.try_into().unwrap_or_default()
}
