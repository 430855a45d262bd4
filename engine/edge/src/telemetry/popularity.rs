//! Which pages visitors ask for, and when: requests by site, URL, variant and hour of the local
//! week, in bounded memory.
//!
//! The counters are those of Misra and Gries, with the median subtracted when memory is full, as in
//! the frequent-items sketch of Anderson et al. (2017). With room for `C` pages and `N` requests
//! (decayed), at most `2N/C` is subtracted in all. So:
//! - every page with more requests than that is in the sketch, and
//! - the number reported for it is never too high, and too low by at most that.
//!
//! All requests lose half their weight every week, so the bound holds for decayed numbers too.
//! [`saved`] keeps the counters over a restart.

mod hours;
pub mod saved;
mod sketch;

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use chrono_tz::Tz;
use foldhash::quality::SeedableRandomState;

use tero_policy_host::PopularPage;
use tero_semantics::timestamp::Timestamp;
use tero_time::moment::local_hour_of_week;

use sketch::Sketch;

pub use hours::Hours;
pub use sketch::HALF_LIFE;

/// Memory for all sites together, in bytes: room for some 100,000 pages that are requested in one
/// hour of the week each, or 12,000 that are requested in every hour.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The longest URL that is counted, in bytes.
pub const MAX_URL_BYTES: usize = 2_048;

/// At most so many web origins of a site are counted.
pub const MAX_WEB_ORIGINS: usize = 16;

/// The longest web origin, in bytes: a scheme, the longest host that DNS allows, and a port.
const MAX_WEB_ORIGIN_BYTES: usize = 255 + "https://:65535".len();

/// Locks of a site, over which its pages are spread.
const SHARDS: usize = 4;
/// Which pages visitors ask for. Shared by all threads; not on the path of a hit.
#[derive(Debug)]
pub struct Popularity {
    sites: ArcSwap<Vec<SitePopularity>>,
    max_bytes: usize,
    hasher: SeedableRandomState,
}

/// Requests for a page.
#[derive(Clone, Copy, Debug)]
pub struct PageRequests<'p> {
    /// The path, with the query parameters that count.
    pub url: &'p str,
    /// The policies' variant.
    pub variant: Option<&'p str>,
    /// The number of requests.
    pub requests: u32,
}

/// The counters of a site.
#[derive(Clone, Debug)]
struct SitePopularity {
    zone: Tz,
    shards: Arc<[Mutex<Sketch>; SHARDS]>,
    hosts: Arc<Mutex<WebOriginCounts>>,
}

/// Requests by web origin, a scheme and an authority. Space-saving counters (Metwally et al.), since
/// clients may send any host to a site that accepts all hosts.
#[derive(Debug, Default)]
struct WebOriginCounts(Vec<(Box<str>, u64)>);

impl Default for Popularity {
    fn default() -> Popularity {
        Popularity::new()
    }
}

impl Popularity {
    /// Counters that use at most [`MAX_BYTES`]. They count nothing before
    /// [`Popularity::set_sites`].
    pub fn new() -> Popularity {
        Popularity::within(MAX_BYTES)
    }

    /// Counters that use at most `max_bytes`.
    pub fn within(max_bytes: usize) -> Popularity {
        Popularity::hashing(max_bytes, SeedableRandomState::random())
    }

    /// Counters for a replay: the same requests always leave the same numbers, to the last bit. Not for
    /// clients: they could choose pages that share one lock.
    pub fn for_replay() -> Popularity {
        Popularity::hashing(MAX_BYTES, SeedableRandomState::fixed())
    }

    fn hashing(max_bytes: usize, hasher: SeedableRandomState) -> Popularity {
        Popularity {
            sites: ArcSwap::default(),
            max_bytes,
            hasher,
        }
    }

    /// Sets the zones of the sites, by index. Every site gets the same share of the memory. The
    /// counters of an index stay, also if its zone changes.
    pub fn set_sites(&self, zones: &[Tz]) {
        let shard_bytes = self.max_bytes / zones.len().max(1) / SHARDS;
        let old = self.sites.load();
        let sites = zones.iter().enumerate().map(|(index, zone)| {
            let counters = old.get(index).cloned();
            let site = SitePopularity {
                zone: *zone,
                ..counters.unwrap_or_else(|| SitePopularity::new(*zone, shard_bytes))
            };
            for shard in site.shards.iter() {
                lock(shard).fit_into(shard_bytes);
            }
            site
        });
        self.sites.store(Arc::new(sites.collect()));
    }

    /// Counts requests for a page of a site. Ignores a site that isn't set, and a URL that is
    /// empty, is longer than [`MAX_URL_BYTES`] or has control characters.
    pub fn record(&self, site: usize, page: PageRequests<'_>, now: Timestamp) {
        let sites = self.sites.load();
        let Some(site) = sites.get(site) else { return };
        if page.requests == 0 || !is_countable(page.url) {
            return;
        }
        let key = key(page.url, page.variant);
        let hour = local_hour_of_week(now, site.zone);
        lock(self.shard(site, &key)).record(key, hour, page.requests, now);
    }

    fn shard<'s>(&self, site: &'s SitePopularity, key: &str) -> &'s Mutex<Sketch> {
        &site.shards[usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0)]
    }

    /// Counts `requests` for a web origin of a site. At most [`MAX_WEB_ORIGINS`]
    /// are kept: those with the most requests.
    pub fn record_web_origin(&self, site: usize, origin: &str, requests: u32) {
        if let Some(site) = self.sites.load().get(site)
            && origin.len() <= MAX_WEB_ORIGIN_BYTES
        {
            lock(&site.hosts).record(origin, requests.into());
        }
    }

    /// The web origins of a site that visitors have asked for, the most requested first. Those that were
    /// saved by an earlier version have no scheme.
    pub fn web_origins(&self, site: usize) -> Vec<Box<str>> {
        let sites = self.sites.load();
        let Some(site) = sites.get(site) else {
            return Vec::new();
        };
        let mut counts = lock(&site.hosts).0.clone();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.into_iter().map(|(host, _)| host).collect()
    }

    /// The `n` most requested pages in these hours of the week, the most requested first. Requests
    /// are decayed by `now`.
    pub fn top(&self, site: usize, hours: Hours, n: usize, now: Timestamp) -> Vec<PopularPage> {
        let sites = self.sites.load();
        let Some(site) = sites.get(site) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for shard in site.shards.iter() {
            lock(shard).add_requested_in(hours, now, &mut found);
        }
        // The order must not depend on the seed of the hasher.
        found.sort_unstable_by(|one: &(f64, Box<str>), other| {
            other.0.total_cmp(&one.0).then_with(|| one.1.cmp(&other.1))
        });
        found.truncate(n);
        found
            .into_iter()
            .map(|(requests, key)| page(requests, &key))
            .collect()
    }

    /// By how many requests, decayed by `now`, the numbers of [`Popularity::top`] are too low at
    /// most.
    pub fn error_bound(&self, site: usize, now: Timestamp) -> f64 {
        let sites = self.sites.load();
        let Some(site) = sites.get(site) else {
            return 0.0;
        };
        site.shards
            .iter()
            .map(|shard| lock(shard).error_bound(now))
            .fold(0.0, f64::max)
    }

    /// The memory in use, in bytes.
    pub fn bytes(&self) -> usize {
        self.sites
            .load()
            .iter()
            .flat_map(|site| site.shards.iter())
            .map(|shard| lock(shard).bytes)
            .sum()
    }
}

/// Whether a page with this URL is counted.
fn is_countable(url: &str) -> bool {
    !url.is_empty() && url.len() <= MAX_URL_BYTES && !url.bytes().any(|byte| byte < b' ')
}

/// The key of a page in a sketch: URL and variant, separated by a NUL, which neither has.
fn key(url: &str, variant: Option<&str>) -> Box<str> {
    match variant {
        None => url.into(),
        Some(variant) => [url, variant].join("\0").into(),
    }
}

/// The page of a key in a sketch.
fn page(requests: f64, key: &str) -> PopularPage {
    let (url, variant) = match key.split_once('\0') {
        Some((url, variant)) => (url, Some(Arc::from(variant))),
        None => (key, None),
    };
    // A reported page was requested at least once, however little weight is left.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let requests = requests.round().max(1.0) as u64;
    PopularPage {
        url: url.to_owned(),
        requests,
        variant,
    }
}

impl SitePopularity {
    fn new(zone: Tz, shard_bytes: usize) -> SitePopularity {
        SitePopularity {
            zone,
            shards: Arc::new(std::array::from_fn(|_| {
                Mutex::new(Sketch::new(shard_bytes))
            })),
            hosts: Arc::default(),
        }
    }
}

impl WebOriginCounts {
    /// Counts `requests` for `host`. A new host beyond [`MAX_WEB_ORIGINS`] replaces the rarest, and
    /// inherits its count.
    fn record(&mut self, host: &str, requests: u64) {
        if let Some((_, count)) = self.0.iter_mut().find(|(known, _)| &**known == host) {
            *count = count.saturating_add(requests);
        } else if self.0.len() < MAX_WEB_ORIGINS {
            self.0.push((host.into(), requests));
        } else if let Some(rarest) = self.0.iter_mut().min_by_key(|(_, count)| *count) {
            *rarest = (host.into(), rarest.1.saturating_add(requests));
        }
    }
}

fn lock<T>(shard: &Mutex<T>) -> MutexGuard<'_, T> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
