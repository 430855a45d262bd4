//! The stored responses whose end is watched, and how many revalidations ahead their sites may
//! begin: bounded by a share of all requests to the origin, by a rate, and by how the origin does.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::StatusCode;

use super::hits;
use super::site::{Site, Sites};
use crate::pace::{FetchSignal, Pace};
use crate::store::stored::StoredResponse;
use tero_config::RefreshAhead;
use tero_semantics::timestamp::Timestamp;

/// Of a site's share, so many seconds' worth of the rate can be saved up.
const SAVED_SECS: f64 = 10.0;

/// How often the list is looked through for responses that are no longer stored.
const TIDY_PERIOD: Duration = Duration::from_secs(1);

/// How many responses are marked under the lock at once.
const MARKED_AT_ONCE: usize = 256;

/// Revalidations ahead that are under way for a site at once.
const CONCURRENCY: usize = 8;

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
    /// When responses that are no longer stored were last taken out.
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

/// What came of a revalidation that no client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RevalidationResult {
    /// The response is stored.
    Stored,
    /// The next hop answered with this status, and the answer is not stored; and how long the next
    /// hop wants to be left alone.
    NotStored(StatusCode, Option<Duration>),
    /// The next hop did not answer, or not to the end; and how long it wants to be left alone.
    Failed(Option<Duration>),
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

    /// Watches the end of a response that has just been stored, if its site wants that.
    pub(super) fn watch_expiry(&self, site: &Site, stored: &Arc<StoredResponse>, now: Timestamp) {
        let Some(settings) = &site.settings.refresh_ahead else {
            return;
        };
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
        self.with(site, settings, now, |ahead| {
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

    /// Marks the stored responses whose end is near and that visitors want often. To be called
    /// every second or so.
    pub fn mark_expiring(&self, sites: &Sites, now: Timestamp) {
        for site in sites.iter() {
            let Some(settings) = &site.settings.refresh_ahead else {
                continue;
            };
            // Many may end at the same time of day, and requests want the lock, too.
            while self.with(site, settings, now, |ahead| ahead.mark_some(settings, now)) {
                std::thread::yield_now();
            }
        }
    }

    /// Whether one more revalidation of the site may go out; it has begun, then.
    pub(super) fn begin(&self, site: &Site, settings: &RefreshAhead, now: Timestamp) -> bool {
        let all = site
            .counters
            .origin_requests()
            .iter()
            .map(|(_, count)| count)
            .sum();
        self.with(site, settings, now, |ahead| ahead.begin(settings, all, now))
    }

    /// Takes back a revalidation that has begun: another request revalidates already.
    pub(super) fn give_back(&self, site: &Site, settings: &RefreshAhead, now: Timestamp) {
        self.with(site, settings, now, SiteWatchlist::give_back);
    }

    /// Ends a revalidation that began at `began`.
    pub(super) fn end(
        &self,
        site: &Site,
        settings: &RefreshAhead,
        result: &RevalidationResult,
        (began, now): (Timestamp, Timestamp),
    ) {
        self.with(site, settings, now, |ahead| {
            ahead.end(result, now.since(began), now)
        });
    }
}

impl SiteWatchlist {
    /// Marks some of those whose end is near; whether there may be more.
    fn mark_some(&mut self, settings: &RefreshAhead, now: Timestamp) -> bool {
        for _ in 0..MARKED_AT_ONCE {
            let next = self.watched.peek();
            if next.is_none_or(|Reverse(watched)| watched.at > now) {
                return false;
            }
            let stored = self
                .watched
                .pop()
                .and_then(|Reverse(watched)| watched.stored.upgrade())
                .filter(|stored| hits::hits_so_far(stored) >= settings.min_hits);
            if let Some(stored) = stored {
                hits::mark_due(&stored);
            }
        }
        true
    }

    /// Whether one more may go out, of `all` requests to the origin so far.
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

    fn give_back(&mut self) {
        self.saved += 1.0;
        self.under_way -= 1;
        self.sent -= 1;
    }

    fn end(&mut self, result: &RevalidationResult, took: Duration, now: Timestamp) {
        self.under_way = self.under_way.saturating_sub(1);
        let count = match result {
            RevalidationResult::Stored => &mut self.counts.refreshed,
            RevalidationResult::NotStored(..) | RevalidationResult::Failed(_) => {
                &mut self.counts.failed
            }
        };
        *count += 1;
        let signal = match result {
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
        self.pace.end(signal, now);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
