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

pub mod saved;

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono_tz::Tz;

use tero_policy_host::PopularPage;
use tero_semantics::timestamp::Timestamp;
use tero_time::moment::local_hour_of_week;

/// After this long a request counts half.
pub const HALF_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// Memory for all sites together, in bytes: room for some 100,000 pages that are wanted at one hour
/// of the week, or 12,000 that are wanted at all.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Longer URLs are not counted.
pub const MAX_URL_BYTES: usize = 2_048;

/// Hosts of one site that are told apart.
pub const MAX_HOSTS: usize = 16;

/// The longest host that DNS has.
const MAX_HOST_BYTES: usize = 255;

const HOURS_OF_WEEK: u8 = 168;
const HOUR: Duration = Duration::from_secs(3_600);
/// Pages of one site are spread over that many locks.
const SHARDS: usize = 4;
/// What a page costs beyond its key and its hours.
const ENTRY_BYTES: usize = 96;
const HOUR_BYTES: usize = size_of::<(u8, f32)>();
/// Beyond so many half-lives the weights are brought back to one, long before they overflow.
const MAX_HALF_LIVES: f64 = 24.0;
/// Less than this many requests is forgotten.
const NEGLIGIBLE: f32 = 0.01;

/// Some hours of the local week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours([u64; 3]);

impl Hours {
    /// Every hour of the week.
    pub const ALL: Hours = Hours([u64::MAX; 3]);
    /// None.
    pub const NONE: Hours = Hours([0; 3]);

    /// The hours that the clock of `zone` shows from `from` to before `until`, as far as a week
    /// goes.
    pub fn between(from: Timestamp, until: Timestamp, zone: Tz) -> Hours {
        let last = until.saturating_sub(Duration::from_millis(1)).max(from);
        let steps = (0..HOURS_OF_WEEK)
            .map(|step| from.saturating_add(HOUR * u32::from(step)))
            .take_while(|time| *time < last);
        steps.chain([last]).fold(Hours::NONE, |hours, time| {
            hours.with(local_hour_of_week(time, zone))
        })
    }

    /// The same hours of the day on every day of the week.
    pub fn on_every_day(self) -> Hours {
        let hours = (0..HOURS_OF_WEEK).filter(|hour| self.has(*hour));
        hours.fold(Hours::NONE, |all, hour| {
            (0..7).fold(all, |all, day| all.with(day * 24 + hour % 24))
        })
    }

    /// These and one more: 0 is Monday from 00:00, 167 is Sunday from 23:00; others are ignored.
    pub fn with(mut self, hour_of_week: u8) -> Hours {
        if hour_of_week < HOURS_OF_WEEK {
            self.0[usize::from(hour_of_week / 64)] |= 1 << (hour_of_week % 64);
        }
        self
    }

    /// Whether the hour is one of these.
    pub fn has(self, hour_of_week: u8) -> bool {
        self.0
            .get(usize::from(hour_of_week / 64))
            .is_some_and(|bits| bits & (1 << (hour_of_week % 64)) != 0)
    }
}

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

/// The counters of one shard. All weights are those of requests at `base`.
#[derive(Debug)]
struct Sketch {
    pages: HashMap<Box<str>, PageWeight, foldhash::quality::RandomState>,
    bytes: usize,
    max_bytes: usize,
    /// What has been taken off all counters so far.
    taken_off: f64,
    base: Timestamp,
}

#[derive(Debug, Default)]
struct PageWeight {
    /// The counter: decides who stays.
    weight: f64,
    /// Requests since the page came in, by hour of the week.
    hours: Vec<(u8, f32)>,
}

impl PageWeight {
    fn bytes(&self, key: &str) -> usize {
        ENTRY_BYTES + key.len() + self.hours.capacity() * HOUR_BYTES
    }
}

impl Sketch {
    fn new(max_bytes: usize) -> Sketch {
        Sketch {
            pages: HashMap::default(),
            bytes: 0,
            max_bytes,
            taken_off: 0.0,
            base: Timestamp::default(),
        }
    }

    /// Forgets until what is left takes no more than `max_bytes`.
    fn fit_into(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
        while self.bytes > max_bytes {
            self.take_off_median();
        }
    }

    fn record(&mut self, key: Box<str>, hour: u8, requests: u32, now: Timestamp) {
        if self.pages.is_empty() || self.half_lives(now).abs() > MAX_HALF_LIVES {
            self.rebase(now);
        }
        let weight = f64::from(requests) * self.half_lives(now).exp2();
        let before = self.pages.get(&key).map_or(0, |page| page.bytes(&key));
        let length = key.len();
        let page = self.pages.entry(key).or_default();
        page.weight += weight;
        #[allow(clippy::cast_possible_truncation)]
        // A factor of at most 2^24, in numbers that are estimates.
        let weight = weight as f32;
        match page.hours.binary_search_by_key(&hour, |(hour, _)| *hour) {
            Ok(at) => page.hours[at].1 += weight,
            Err(at) => {
                page.hours.reserve_exact(1);
                page.hours.insert(at, (hour, weight));
            }
        }
        self.bytes =
            (self.bytes - before) + ENTRY_BYTES + length + page.hours.capacity() * HOUR_BYTES;
        self.fit_into(self.max_bytes);
    }

    /// Takes the median off every counter and forgets the pages that have nothing left: at least
    /// half of them.
    fn take_off_median(&mut self) {
        let mut weights: Vec<f64> = self.pages.values().map(|page| page.weight).collect();
        if weights.is_empty() {
            return;
        }
        let middle = weights.len() / 2;
        let (_, median, _) = weights.select_nth_unstable_by(middle, f64::total_cmp);
        let median = *median;
        self.taken_off += median;
        for page in self.pages.values_mut() {
            page.weight -= median;
        }
        self.pages.retain(|_, page| page.weight > 0.0);
        self.bytes = self.pages.iter().map(|(key, page)| page.bytes(key)).sum();
    }

    /// Adds every page with its requests in these hours, as they count now.
    fn wanted_in(&self, hours: Hours, now: Timestamp, found: &mut Vec<(f64, Box<str>)>) {
        let decay = self.decay(now);
        for (key, page) in &self.pages {
            let wanted: f64 = page
                .hours
                .iter()
                .filter(|(hour, _)| hours.has(*hour))
                .map(|(_, weight)| f64::from(*weight))
                .sum();
            if wanted > 0.0 {
                found.push((wanted * decay, key.clone()));
            }
        }
    }

    fn error_bound(&self, now: Timestamp) -> f64 {
        self.taken_off * self.decay(now)
    }

    /// From the weight of requests at `base` to their weight at `now`.
    fn decay(&self, now: Timestamp) -> f64 {
        (-self.half_lives(now))
            .clamp(-MAX_HALF_LIVES, MAX_HALF_LIVES)
            .exp2()
    }

    #[allow(clippy::cast_precision_loss)] // Milliseconds over weeks.
    fn half_lives(&self, now: Timestamp) -> f64 {
        let passed = now.unix_millis().saturating_sub(self.base.unix_millis());
        passed as f64 / HALF_LIFE.as_millis() as f64
    }

    /// Makes `now` the base, and forgets what no longer counts.
    fn rebase(&mut self, now: Timestamp) {
        let decay = self.decay(now);
        self.base = now;
        self.taken_off *= decay;
        #[allow(clippy::cast_possible_truncation)]
        let decay_f32 = decay as f32;
        for page in self.pages.values_mut() {
            page.weight *= decay;
            page.hours
                .iter_mut()
                .for_each(|(_, weight)| *weight *= decay_f32);
            page.hours.retain(|(_, weight)| *weight >= NEGLIGIBLE);
            page.hours.shrink_to_fit();
        }
        self.pages.retain(|_, page| !page.hours.is_empty());
        self.bytes = self.pages.iter().map(|(key, page)| page.bytes(key)).sum();
    }
}

#[cfg(test)]
mod tests;
