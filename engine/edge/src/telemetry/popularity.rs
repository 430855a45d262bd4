//! Which pages are wanted, when: requests by site, URL, variant and hour of the local week, in
//! bounded memory.
//!
//! The counters are those of Misra and Gries with the median taken off when memory is full, as in
//! the frequent-items sketch of Anderson et al. (2017). With room for `C` pages and `N` requests
//! (decayed), what is taken off in all is at most `2N/C`, so:
//! - a page that was asked for more often than that is in the sketch, and
//! - the number told for it is never too high, and too low by at most that.
//!
//! Requests lose half their weight every week, all alike, so the bound holds for the decayed
//! numbers too. What is counted can be written down and counted on from there, see [`saved`].

mod hours;
pub mod saved;
mod sketch;

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use chrono_tz::Tz;

use tero_policy_host::PopularPage;
use tero_semantics::timestamp::Timestamp;
use tero_time::moment::local_hour_of_week;

use sketch::Sketch;

pub use hours::Hours;
pub use sketch::HALF_LIFE;

/// Memory for all sites together, in bytes: room for some 100,000 pages that are wanted at one hour
/// of the week, or 12,000 that are wanted at all.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Longer URLs are not counted.
pub const MAX_URL_BYTES: usize = 2_048;

/// Hosts of one site that are told apart.
pub const MAX_HOSTS: usize = 16;

/// The longest host that DNS has.
const MAX_HOST_BYTES: usize = 255;

/// Pages of one site are spread over that many locks.
const SHARDS: usize = 4;
/// What visitors wanted. Shared; off the path of a hit.
#[derive(Debug)]
pub struct Popularity {
    sites: ArcSwap<Vec<SitePopularity>>,
    max_bytes: usize,
    hasher: foldhash::quality::RandomState,
}

#[derive(Clone, Debug)]
struct SitePopularity {
    zone: Tz,
    shards: Arc<[Mutex<Sketch>; SHARDS]>,
    hosts: Arc<Mutex<HostCounts>>,
}

/// Requests by host: the counters of Metwally's space-saving, since clients may send any host to a
/// site that takes any.
#[derive(Debug, Default)]
struct HostCounts(Vec<(Box<str>, u64)>);

impl Default for Popularity {
    fn default() -> Popularity {
        Popularity::new()
    }
}

impl Popularity {
    /// Counters that take at most [`MAX_BYTES`]. They count nothing until they are told the sites.
    pub fn new() -> Popularity {
        Popularity::within(MAX_BYTES)
    }

    /// Counters that take at most `max_bytes`.
    pub fn within(max_bytes: usize) -> Popularity {
        Popularity {
            sites: ArcSwap::default(),
            max_bytes,
            hasher: foldhash::quality::RandomState::default(),
        }
    }

    /// Tells the zones of the sites, by index; every site gets the same share of the memory. What
    /// is counted for an index stays, also when its zone changes.
    pub fn set_sites(&self, zones: &[Tz]) {
        let shard_bytes = self.max_bytes / zones.len().max(1) / SHARDS;
        let old = self.sites.load();
        let shards = || {
            Arc::new(std::array::from_fn(|_| {
                Mutex::new(Sketch::new(shard_bytes))
            }))
        };
        let site = |(index, zone): (usize, &Tz)| {
            let shards = old
                .get(index)
                .map_or_else(shards, |site| Arc::clone(&site.shards));
            shards
                .iter()
                .for_each(|shard| lock(shard).fit_into(shard_bytes));
            SitePopularity {
                zone: *zone,
                shards,
                hosts: old
                    .get(index)
                    .map(|site| Arc::clone(&site.hosts))
                    .unwrap_or_default(),
            }
        };
        self.sites
            .store(Arc::new(zones.iter().enumerate().map(site).collect()));
    }

    /// Counts `requests` for a page: its path with the query that counts, and the variant it was
    /// asked for in. A site that there is not, a URL longer than [`MAX_URL_BYTES`] or with control
    /// characters is not counted.
    pub fn record(
        &self,
        site: usize,
        url: &str,
        variant: Option<&str>,
        requests: u32,
        now: Timestamp,
    ) {
        let sites = self.sites.load();
        let Some(site) = sites.get(site) else { return };
        if requests == 0 || !is_countable(url) {
            return;
        }
        let key = key(url, variant);
        let hour = local_hour_of_week(now, site.zone);
        lock(self.shard(site, &key)).record(key, hour, requests, now);
    }

    fn shard<'s>(&self, site: &'s SitePopularity, key: &str) -> &'s Mutex<Sketch> {
        &site.shards[usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0)]
    }

    /// Counts `requests` for a host of a site. At most [`MAX_HOSTS`] are told apart; those that are
    /// asked for most stay.
    pub fn record_host(&self, site: usize, host: &str, requests: u32) {
        if let Some(site) = self.sites.load().get(site)
            && host.len() <= MAX_HOST_BYTES
        {
            lock(&site.hosts).record(host, requests.into());
        }
    }

    /// The hosts of a site that visitors have asked for, those asked for most first.
    pub fn hosts(&self, site: usize) -> Vec<Box<str>> {
        let sites = self.sites.load();
        let Some(site) = sites.get(site) else {
            return Vec::new();
        };
        let mut counts = lock(&site.hosts).0.clone();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts.into_iter().map(|(host, _)| host).collect()
    }

    /// The `n` pages that were wanted most in these hours of the week, most wanted first.
    pub fn top(&self, site: usize, hours: Hours, n: usize, now: Timestamp) -> Vec<PopularPage> {
        let sites = self.sites.load();
        let Some(site) = sites.get(site) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for shard in site.shards.iter() {
            lock(shard).wanted_in(hours, now, &mut found);
        }
        // The order must not depend on the seed of a hash.
        found.sort_unstable_by(|one: &(f64, Box<str>), other| {
            other.0.total_cmp(&one.0).then_with(|| one.1.cmp(&other.1))
        });
        found.truncate(n);
        found
            .into_iter()
            .map(|(requests, key)| page(requests, &key))
            .collect()
    }

    /// How many requests the numbers of [`Popularity::top`] are too low at most, as decayed by
    /// `now`.
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

    /// Memory taken, in bytes.
    pub fn bytes(&self) -> usize {
        self.sites
            .load()
            .iter()
            .flat_map(|site| site.shards.iter())
            .map(|shard| lock(shard).bytes)
            .sum()
    }
}

fn is_countable(url: &str) -> bool {
    !url.is_empty() && url.len() <= MAX_URL_BYTES && !url.bytes().any(|byte| byte < b' ')
}

/// URL and variant in one: neither has a NUL.
fn key(url: &str, variant: Option<&str>) -> Box<str> {
    match variant {
        None => url.into(),
        Some(variant) => [url, variant].join("\0").into(),
    }
}

fn page(requests: f64, key: &str) -> PopularPage {
    let (url, variant) = match key.split_once('\0') {
        Some((url, variant)) => (url, Some(Arc::from(variant))),
        None => (key, None),
    };
    // A page that is told was asked for, however little of that is left.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let requests = requests.round().max(1.0) as u64;
    PopularPage {
        url: url.to_owned(),
        requests,
        variant,
    }
}

impl HostCounts {
    fn record(&mut self, host: &str, requests: u64) {
        if let Some((_, count)) = self.0.iter_mut().find(|(known, _)| &**known == host) {
            *count = count.saturating_add(requests);
        } else if self.0.len() < MAX_HOSTS {
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
