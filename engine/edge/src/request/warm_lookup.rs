//! What a warming plan finds stored of a page that it wants.

use std::sync::Arc;

use super::disk_lookup;
use super::visit::{Look, Visit};
use crate::store::stored::StoredResponse;
use tero_semantics::cache_status::Forward;
use tero_semantics::disposition::StoredMatch;
use tero_semantics::timestamp::Timestamp;

/// What a plan finds of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmLookup {
    /// Nothing.
    Absent,
    /// It is stale.
    Stale,
    /// It is fresh, but not to the end of the plan's window.
    GoesStale,
    /// It is fresh, and the sitemap says that the page has changed since.
    Changed,
    /// It is fresh to the end of the window.
    Fresh,
}

impl WarmLookup {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            WarmLookup::Absent => "absent",
            WarmLookup::Stale => "stale",
            WarmLookup::GoesStale => "goes-stale",
            WarmLookup::Changed => "changed",
            WarmLookup::Fresh => "fresh",
        }
    }

    /// Why a request for it goes forward.
    pub(super) fn forward(self) -> Forward {
        match self {
            WarmLookup::Absent => Forward::UriMiss,
            WarmLookup::Stale => Forward::Stale,
            // The stored response is fresh, but not as fresh as the request wants it.
            WarmLookup::GoesStale | WarmLookup::Changed | WarmLookup::Fresh => Forward::Request,
        }
    }
}

/// The stored response for a plan's request, and whether it is good enough until `until`, and for a
/// page that changed at `changed`. Memory alone is asked.
pub fn look_for_plan(
    visit: Visit<'_>,
    until: Timestamp,
    changed: Option<Timestamp>,
) -> (WarmLookup, Option<Arc<StoredResponse>>) {
    judged(visit, visit.stored(Look::Peek), until, changed)
}

/// The same. What memory doesn't have is looked for on the disks, and goes back into memory.
pub async fn look_below_for_plan(
    visit: Visit<'_>,
    until: Timestamp,
    changed: Option<Timestamp>,
) -> (WarmLookup, Option<Arc<StoredResponse>>) {
    let found = look_for_plan(visit, until, changed);
    if found.0 != WarmLookup::Absent || !disk_lookup::may_answer(visit) {
        return found;
    }
    let found = disk_lookup::find(visit).await;
    let kept = found.and_then(|found| found.keep(visit));
    let stored = match visit.stored(Look::Peek) {
        StoredMatch::Nothing | StoredMatch::OtherVariants => visit.selected(kept),
        selected => selected,
    };
    judged(visit, stored, until, changed)
}

fn judged(
    visit: Visit<'_>,
    stored: StoredMatch<Arc<StoredResponse>>,
    until: Timestamp,
    changed: Option<Timestamp>,
) -> (WarmLookup, Option<Arc<StoredResponse>>) {
    let exchange = visit.exchange;
    let StoredMatch::Selected(stored) = stored else {
        return (WarmLookup::Absent, None);
    };
    let (freshness, now) = (&stored.head.freshness, exchange.at);
    // The window's end and the change of the page are times of the system's clock.
    let clock = &visit.edge.clock;
    let stored_at = clock.wall_of(now.saturating_sub(freshness.age(now)));
    let found = match () {
        () if !freshness.is_fresh(now) => WarmLookup::Stale,
        () if changed.is_some_and(|changed| stored_at < changed && changed <= exchange.wall()) => {
            WarmLookup::Changed
        }
        () if clock.wall_of(freshness.fresh_until()) < until => WarmLookup::GoesStale,
        () => WarmLookup::Fresh,
    };
    (found, Some(stored))
}
