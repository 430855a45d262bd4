//! Offsets of zones from UTC, and when they change next.

use std::cell::RefCell;

use chrono::{DateTime, NaiveDateTime};
use chrono_tz::Tz;

use crate::zones;
use tero_semantics::timestamp::Timestamp;

/// How many days ahead a change of offset is announced.
pub const OFFSET_CHANGE_HORIZON_DAYS: i64 = 400;

pub(super) const DAY_SECS: i64 = 86_400;
pub(super) const HORIZON_SECS: i64 = OFFSET_CHANGE_HORIZON_DAYS * DAY_SECS;
/// The last second of the year 9999, since the Unix epoch: as far as any date here goes.
pub(crate) const LAST_SECS: i64 = 253_402_300_799;

/// How many spans a thread remembers.
const MAX_SPANS: usize = 16;

thread_local! {
    static SPANS: RefCell<Spans> = const {
        RefCell::new(Spans {
            generation: 0,
            spans: Vec::new(),
        })
    };
}

/// Remembered spans. What they say holds until the zone data change.
struct Spans {
    /// That of the zone data.
    generation: u64,
    spans: Vec<Span>,
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
    SPANS.with_borrow_mut(|remembered| {
        // Read before the data are: a span of newer data is at worst forgotten once more.
        let generation = zones::generation();
        if remembered.generation != generation {
            remembered.generation = generation;
            remembered.spans.clear();
        }
        let spans = &mut remembered.spans;
        let known = spans
            .iter()
            .find(|span| span.zone == zone && span.answers(secs));
        if let Some(span) = known {
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
    let data = zones::in_force();
    let end = secs + 2 * HORIZON_SECS;
    let change = data.next_change(secs, end, zone);
    Span {
        zone,
        from: secs,
        until: change.map_or(end, |(unix_secs, _)| unix_secs),
        offset_secs: data.offset_at(secs, zone),
        next: change.map(|(unix_secs, offset_secs)| OffsetChange {
            unix_secs,
            utc_offset_mins: small(offset_secs.div_euclid(60)),
        }),
    }
}

/// The offset of a zone at a second since the Unix epoch, in seconds east of UTC.
pub(crate) fn offset_at(secs: i64, zone: Tz) -> i64 {
    zones::in_force().offset_at(secs, zone)
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
