//! When the clock of a zone is put forward or back.

use std::iter::successors;
use std::time::Duration;

use chrono_tz::Tz;

use super::event::{EventKind, PreviewEvent, PreviewSpan};
use tero_semantics::timestamp::Timestamp;
use tero_time::moment::{self, OffsetChange};

/// The changes of the offset of `zone`, an IANA name.
pub(super) fn changes(zone: &str, span: PreviewSpan) -> Vec<PreviewEvent> {
    let zone: Tz = zone.parse().unwrap_or(Tz::UTC);
    let next = |now: Timestamp| {
        moment::next_offset_change(now, zone)
            .filter(|next| next.unix_secs <= span.until.unix_secs())
    };
    successors(next(span.from), |change| {
        next(Timestamp::from_unix_secs(change.unix_secs))
    })
    .map(|change| event(change, zone))
    .collect()
}

fn event(change: OffsetChange, zone: Tz) -> PreviewEvent {
    let at = Timestamp::from_unix_secs(change.unix_secs);
    let just_before = at.saturating_sub(Duration::from_secs(1));
    let before_mins = moment::moment(just_before, zone, &Default::default()).utc_offset_mins;
    let what = EventKind::OffsetChange {
        before_mins,
        after_mins: change.utc_offset_mins,
    };
    PreviewEvent::new(at, zone, what)
}
