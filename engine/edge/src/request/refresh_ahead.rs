//! Work that no visitor waits for: what plans fetch ahead of demand, and what is revalidated before
//! it expires.
//!
//! For the latter the end of each stored response is watched. Shortly before it, one that visitors
//! wanted often is marked, and the next of them sets the revalidation off, with his own request and
//! without waiting for it. How many go out is bounded by a share of all requests to the origin, by
//! a rate, and by how the origin does.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::admit::Exchange;
use super::revalidate::RevalidationResult;
use super::site::Site;
use super::{Answer, Edge, hits, revalidate};
use crate::pace::{FetchSignal, Pace};
use crate::store::stored::StoredResponse;
use tero_config::RefreshAhead;
use tero_semantics::cache_status::Forward;
use tero_semantics::timestamp::Timestamp;

/// So many seconds' worth of the rate can be saved up of a site's share.
const SAVED_SECS: f64 = 10.0;

/// How often those that are watched are looked through for what is no longer stored.
const TIDY_PERIOD: Duration = Duration::from_secs(1);

/// How many are marked under the lock at once.
const MARKED_AT_ONCE: usize = 256;

/// Revalidations ahead that are under way for a site at once.
const CONCURRENCY: usize = 8;

/// What a plan finds of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmLookup {
    /// Nothing.
    Absent,
    /// It is stale.
    Stale,
    /// It is fresh, and won't be to the end of the plan's window.
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
}

/// What is stored for a plan's request: whether it will do until `until`, and for a page that
/// changed at `changed`.
pub fn look_for_plan(
    edge: &Edge,
    exchange: &Exchange,
    until: Timestamp,
    changed: Option<Timestamp>,
) -> (WarmLookup, Option<Arc<StoredResponse>>) {
    let variants = edge.store.peek(&exchange.key);
    let Some(stored) = variants
        .as_ref()
        .and_then(|variants| variants.select(&exchange.parts.headers))
    else {
        return (WarmLookup::Absent, None);
    };
    let (freshness, now) = (&stored.head.freshness, exchange.at);
    let stored_at = now.saturating_sub(freshness.age(now));
    let found = match () {
        () if !freshness.is_fresh(now) => WarmLookup::Stale,
        () if changed.is_some_and(|changed| stored_at < changed && changed <= now) => {
            WarmLookup::Changed
        }
        () if freshness.fresh_until() < until => WarmLookup::GoesStale,
        () => WarmLookup::Fresh,
    };
    (found, Some(Arc::clone(stored)))
}

/// Fetches for a plan what [`look_for_plan`] found wanting.
pub async fn fetch(
    edge: &Arc<Edge>,
    exchange: &Arc<Exchange>,
    found: WarmLookup,
    stored: Option<Arc<StoredResponse>>,
) -> Answer {
    let why = match found {
        WarmLookup::Absent => Forward::UriMiss,
        WarmLookup::Stale => Forward::Stale,
        // That something fresh is stored is no answer to a request that wants it fresher.
        WarmLookup::GoesStale | WarmLookup::Changed | WarmLookup::Fresh => Forward::Request,
    };
    super::fetch(edge, exchange, stored, why).await
}

/// What became of revalidations ahead, by site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefreshAheadCounts {
    /// The origin answered, and the answer is stored.
    pub refreshed: u64,
    /// It did not answer, or nothing that can be stored.
    pub failed: u64,
    /// Not begun, since the site's share or rate was used up, or the origin has too much to do.
    pub held_back: u64,
    /// Stored responses that were not watched, since `max_watched` others were.
    pub unwatched: u64,
}

/// Which stored responses are watched, and how their sites' origins do.
#[derive(Debug, Default)]
pub struct Watchlist(Mutex<HashMap<usize, SiteWatchlist>>);

#[derive(Debug)]
struct SiteWatchlist {
    watched: BinaryHeap<Reverse<ExpiringResponse>>,
    /// When those that are no longer stored were last taken out.
    tidied: Timestamp,
    pace: Pace,
    /// The rate that the pace has.
    rate: f64,
    under_way: usize,
    /// Revalidations that the share allows.
    saved: f64,
    /// Requests to the origin, those of here left out, when it was counted last.
    others: u64,
    /// Sent to the origin.
    sent: u64,
    counts: RefreshAheadCounts,
}

/// A stored response, and when its end is near.
#[derive(Debug)]
struct ExpiringResponse {
    at: Timestamp,
    stored: Weak<StoredResponse>,
}

impl PartialEq for ExpiringResponse {
    fn eq(&self, other: &ExpiringResponse) -> bool {
        self.at == other.at
    }
}

impl Eq for ExpiringResponse {}

impl PartialOrd for ExpiringResponse {
    fn partial_cmp(&self, other: &ExpiringResponse) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ExpiringResponse {
    fn cmp(&self, other: &ExpiringResponse) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl Watchlist {
    fn with<T>(
        &self,
        site: &Site,
        settings: &RefreshAhead,
        now: Timestamp,
        act: impl FnOnce(&mut SiteWatchlist) -> T,
    ) -> T {
        let mut sites = lock(&self.0);
        let pace = || Pace::new(settings.rate, CONCURRENCY, now);
        let new = || SiteWatchlist {
            watched: BinaryHeap::new(),
            tidied: Timestamp::default(),
            pace: pace(),
            rate: settings.rate,
            under_way: 0,
            saved: 0.0,
            others: 0,
            sent: 0,
            counts: RefreshAheadCounts::default(),
        };
        let ahead = sites.entry(site.index).or_insert_with(new);
        // A new configuration may want another rate.
        if ahead.rate.to_bits() != settings.rate.to_bits() {
            (ahead.pace, ahead.rate) = (pace(), settings.rate);
        }
        act(ahead)
    }

    /// What became of revalidations ahead of a site.
    pub fn counts(&self, site: usize) -> RefreshAheadCounts {
        lock(&self.0)
            .get(&site)
            .map(|site| site.counts)
            .unwrap_or_default()
    }
}

/// Watches the end of a response that has just been stored, if its site wants that.
pub(super) fn watch_expiry(edge: &Edge, site: &Site, stored: &Arc<StoredResponse>) {
    let Some(settings) = &site.settings.refresh_ahead else {
        return;
    };
    let now = edge.clock.now();
    let until = stored.head.freshness.fresh_until();
    let is_wanted = settings.tags.is_empty()
        || stored
            .head
            .fields
            .tags()
            .any(|tag| settings.tags.iter().any(|wanted| **wanted == *tag));
    if !is_wanted || until.since(now) <= settings.before * 2 {
        return;
    }
    edge.watchlist.with(site, settings, now, |ahead| {
        // Not for each response that is stored while all that are watched are still there: this
        // looks at each of them.
        if ahead.watched.len() >= settings.max_watched
            && (now.since(ahead.tidied) >= TIDY_PERIOD || now < ahead.tidied)
        {
            ahead
                .watched
                .retain(|Reverse(watched)| watched.stored.strong_count() > 0);
            ahead.tidied = now;
        }
        if ahead.watched.len() >= settings.max_watched {
            ahead.counts.unwatched += 1;
            return;
        }
        ahead.watched.push(Reverse(ExpiringResponse {
            at: until.saturating_sub(settings.before),
            stored: Arc::downgrade(stored),
        }));
    });
}

/// Marks the stored responses whose end is near and that visitors want often. To be called every
/// second or so.
pub fn mark_expiring(edge: &Edge) {
    let now = edge.clock.now();
    let sites = edge.sites.load();
    for site in sites.iter() {
        let Some(settings) = &site.settings.refresh_ahead else {
            continue;
        };
        let mark_some = |ahead: &mut SiteWatchlist| {
            for _ in 0..MARKED_AT_ONCE {
                if ahead
                    .watched
                    .peek()
                    .is_none_or(|Reverse(watched)| watched.at > now)
                {
                    return false;
                }
                let stored = ahead
                    .watched
                    .pop()
                    .and_then(|Reverse(watched)| watched.stored.upgrade());
                if let Some(stored) =
                    stored.filter(|stored| hits::hits_so_far(stored) >= settings.min_hits)
                {
                    hits::mark_due(&stored);
                }
            }
            true
        };
        // Many may end at the same time of day, and requests want the lock, too.
        while edge.watchlist.with(site, settings, now, mark_some) {
            std::thread::yield_now();
        }
    }
}

/// Revalidates a marked response in the background, for all who come after this visitor.
pub(super) fn revalidate(edge: &Arc<Edge>, exchange: &Arc<Exchange>, stored: &Arc<StoredResponse>) {
    let site = &exchange.site;
    let Some(settings) = site.settings.refresh_ahead.clone() else {
        return;
    };
    // What somebody is told by his name is nobody else's: the next visitor will do.
    if exchange.fields.authorization || exchange.directives.no_store {
        return hits::mark_due(stored);
    }
    let now = edge.clock.now();
    let all: u64 = site
        .counters
        .origin_requests()
        .iter()
        .map(|(_, count)| count)
        .sum();
    if !edge.watchlist.with(site, &settings, now, |ahead| {
        ahead.begin(&settings, all, now)
    }) {
        return;
    }
    let Some(lead) = edge.collapse.lead(&exchange.key) else {
        return edge
            .watchlist
            .with(site, &settings, now, |ahead| ahead.give_back());
    };
    let (edge, exchange, stored) = (Arc::clone(edge), Arc::clone(exchange), Arc::clone(stored));
    tokio::spawn(async move {
        let refreshed = revalidate::revalidate_to_completion(&edge, &exchange, stored, lead).await;
        let ended = edge.clock.now();
        edge.watchlist
            .with(&exchange.site, &settings, ended, |ahead| {
                ahead.end(&refreshed, ended.since(now), ended)
            });
    });
}

impl SiteWatchlist {
    /// Whether one more may go out.
    fn begin(&mut self, settings: &RefreshAhead, all: u64, now: Timestamp) -> bool {
        let others = all.saturating_sub(self.sent);
        // A share of all requests, as a number for each of the others.
        let for_each = settings.share / (1.0 - settings.share);
        #[allow(clippy::cast_precision_loss)] // Of small numbers.
        let earned = others.saturating_sub(self.others) as f64 * for_each;
        self.others = others;
        self.saved = (self.saved + earned).min((settings.rate * SAVED_SECS).max(1.0));
        if self.saved < 1.0
            || self.under_way >= self.pace.concurrency()
            || !self.pace.wait(now).is_zero()
        {
            self.counts.held_back += 1;
            return false;
        }
        self.saved -= 1.0;
        self.under_way += 1;
        self.sent += 1;
        self.pace.begin(now);
        true
    }

    /// Somebody else is at it.
    fn give_back(&mut self) {
        self.saved += 1.0;
        self.under_way -= 1;
        self.sent -= 1;
    }

    fn end(&mut self, refreshed: &RevalidationResult, took: Duration, now: Timestamp) {
        self.under_way = self.under_way.saturating_sub(1);
        let count = match refreshed {
            RevalidationResult::Stored => &mut self.counts.refreshed,
            RevalidationResult::NotStored(..) | RevalidationResult::Failed(_) => {
                &mut self.counts.failed
            }
        };
        *count += 1;
        let sign = match refreshed {
            RevalidationResult::NotStored(status, retry_after)
                if status.is_server_error() || *status == 429 =>
            {
                FetchSignal::Overloaded {
                    retry_after: *retry_after,
                }
            }
            RevalidationResult::Failed(retry_after) => FetchSignal::Overloaded {
                retry_after: *retry_after,
            },
            RevalidationResult::Stored | RevalidationResult::NotStored(..) => {
                FetchSignal::Answered(took)
            }
        };
        self.pace.end(sign, now);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
