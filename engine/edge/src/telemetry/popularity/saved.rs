//! Saved counters, so that a restart doesn't forget which pages were popular last Monday at nine.
//!
//! Anything may have happened to a saved file: impossible values are left out when it is restored,
//! and memory stays bounded. What a later version has saved beside is passed over: it may be rolled back.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::hours::HOURS_OF_WEEK;
use super::sketch::{PageWeight, Sketch};
use super::{MAX_WEB_ORIGIN_BYTES, Popularity, WebOriginCounts, is_countable, key, lock};
use tero_semantics::timestamp::Timestamp;

/// The longest name of a variant, in bytes, when variants of several policies join.
const MAX_VARIANT_BYTES: usize = 1_024;

/// More requests than any site has had.
const MAX_WEIGHT: f64 = 1e15;

/// The counters of a site.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedSite {
    /// The time of saving, in milliseconds since 1970: requests of that time count fully, earlier
    /// ones less, by [`super::HALF_LIFE`].
    pub unix_millis: i64,
    /// By how many requests the numbers are too low at most.
    pub error_bound: f64,
    /// Pages, in no order.
    pub pages: Vec<SavedPage>,
    /// Web origins with their requests.
    pub hosts: Vec<(Box<str>, u64)>,
}

/// The counters of a page in a variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedPage {
    /// Path and query.
    pub url: Box<str>,
    /// The variant; `None` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Box<str>>,
    /// The counter that decides whether the page stays.
    pub weight: f64,
    /// Requests by hour of the week, in ascending order.
    pub hours: Vec<(u8, f32)>,
}

impl Popularity {
    /// The counters of a site, as of `now`; `None` if the site isn't set.
    pub fn save(&self, site: usize, now: Timestamp) -> Option<SavedSite> {
        let sites = self.sites.load();
        let site = sites.get(site)?;
        let mut saved = SavedSite {
            unix_millis: now.unix_millis(),
            hosts: lock(&site.hosts).0.clone(),
            ..SavedSite::default()
        };
        for shard in site.shards.iter() {
            let sketch = lock(shard);
            saved.error_bound = saved.error_bound.max(sketch.error_bound(now));
            sketch.save(now, &mut saved.pages);
        }
        Some(saved)
    }

    /// Continues from saved counters, if the site has counted nothing yet. Leaves out impossible
    /// pages and hosts, and returns how many those are.
    pub fn restore(&self, site: usize, saved: SavedSite, now: Timestamp) -> usize {
        let sites = self.sites.load();
        let Some(site) = sites.get(site) else {
            return 0;
        };
        let has_pages = |shard: &Mutex<Sketch>| !lock(shard).pages.is_empty();
        if site.shards.iter().any(has_pages) {
            return 0;
        }
        // Requests of a future time would count for more than those to come.
        let then = Timestamp::from_unix_millis(saved.unix_millis).min(now);
        for shard in site.shards.iter() {
            let mut sketch = lock(shard);
            sketch.rebase(then);
            sketch.subtracted = saved.possible_error_bound();
        }
        let in_all = saved.pages.len() + saved.hosts.len();
        let mut restored = 0;
        for page in saved.pages.into_iter().filter(SavedPage::is_possible) {
            let key = key(&page.url, page.variant.as_deref());
            lock(self.shard(site, &key)).restore(key, page);
            restored += 1;
        }
        let mut hosts = WebOriginCounts::default();
        for (host, count) in saved.hosts.into_iter().filter(is_possible_web_origin) {
            hosts.record(&host, count);
            restored += 1;
        }
        *lock(&site.hosts) = hosts;
        in_all - restored
    }
}

impl SavedSite {
    fn possible_error_bound(&self) -> f64 {
        if self.error_bound.is_finite() {
            self.error_bound.clamp(0.0, MAX_WEIGHT)
        } else {
            0.0
        }
    }
}

fn is_possible_web_origin((host, _): &(Box<str>, u64)) -> bool {
    !host.is_empty() && host.len() <= MAX_WEB_ORIGIN_BYTES
}

impl SavedPage {
    fn is_possible(&self) -> bool {
        let mut hours = self.hours.iter();
        is_countable(&self.url)
            && self.variant.as_deref().is_none_or(is_possible_variant)
            && is_possible_weight(self.weight)
            && self.hours.windows(2).all(|pair| pair[0].0 < pair[1].0)
            && hours
                .all(|&(hour, weight)| hour < HOURS_OF_WEEK && is_possible_weight(weight.into()))
    }
}

fn is_possible_variant(variant: &str) -> bool {
    !variant.is_empty()
        && variant.len() <= MAX_VARIANT_BYTES
        && !variant.bytes().any(|byte| byte < b' ')
}

fn is_possible_weight(weight: f64) -> bool {
    weight > 0.0 && weight <= MAX_WEIGHT
}

impl Sketch {
    fn save(&self, now: Timestamp, pages: &mut Vec<SavedPage>) {
        let decay = self.decay(now);
        #[allow(clippy::cast_possible_truncation)] // The numbers are estimates.
        let decay_f32 = decay as f32;
        pages.extend(self.pages.iter().map(|(key, page)| {
            let (url, variant) = key
                .split_once('\0')
                .map_or((&**key, None), |(url, variant)| (url, Some(variant.into())));
            let hours = page
                .hours
                .iter()
                .map(|(hour, weight)| (*hour, weight * decay_f32));
            let hours = hours.filter(|(_, weight)| *weight > 0.0).collect();
            SavedPage {
                url: url.into(),
                variant,
                weight: page.weight * decay,
                hours,
            }
        }));
    }

    fn restore(&mut self, key: Box<str>, saved: SavedPage) {
        let mut hours = saved.hours;
        hours.shrink_to_fit();
        let page = PageWeight {
            weight: saved.weight,
            hours,
        };
        self.bytes += page.bytes(&key);
        if let Some(double) = self.pages.insert(key.clone(), page) {
            self.bytes -= double.bytes(&key);
        }
        self.fit_into(self.max_bytes);
    }
}
