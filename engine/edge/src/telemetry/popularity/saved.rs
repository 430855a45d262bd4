//! What was counted, as it is written down, so that a restart does not forget which pages were
//! popular last Monday at nine.
//!
//! It is read as what it is, a file that anything may have happened to: what can't be is left out,
//! and the memory stays bounded.

use serde::{Deserialize, Serialize};

use super::hours::HOURS_OF_WEEK;
use super::sketch::{PageWeight, Sketch};
use super::{HostCounts, MAX_HOST_BYTES, Popularity, is_countable, key, lock};
use tero_semantics::timestamp::Timestamp;

/// The longest name that variants of several policies have together.
const MAX_VARIANT_BYTES: usize = 1_024;

/// More requests than anybody has had.
const MAX_WEIGHT: f64 = 1e15;

/// What was counted for a site.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedSite {
    /// The time whose requests count whole; earlier ones count less, as [`super::HALF_LIFE`] says.
    pub unix_millis: i64,
    /// How many requests the numbers are too low at most.
    pub error_bound: f64,
    /// In no order.
    pub pages: Vec<SavedPage>,
    /// Hosts, and how often they were asked for.
    pub hosts: Vec<(Box<str>, u64)>,
}

/// What was counted for a page in a variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPage {
    /// Path and query.
    pub url: Box<str>,
    /// None where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Box<str>>,
    /// The counter that decides who stays.
    pub weight: f64,
    /// Requests by hour of the week.
    pub hours: Vec<(u8, f32)>,
}

impl Popularity {
    /// What is counted for a site, as of `now`; none where there is no such site.
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

    /// Counts on from what was saved, if nothing is counted for the site yet. What can't be is left
    /// out; how many pages and hosts that are is returned.
    pub fn restore(&self, site: usize, saved: SavedSite, now: Timestamp) -> usize {
        let sites = self.sites.load();
        let Some(site) = sites.get(site) else {
            return 0;
        };
        if site
            .shards
            .iter()
            .any(|shard| !lock(shard).pages.is_empty())
        {
            return 0;
        }
        // Requests of a time that is not yet would count for more than those that come.
        let then = Timestamp::from_unix_millis(saved.unix_millis).min(now);
        let in_all = saved.pages.len() + saved.hosts.len();
        let mut taken = 0;
        let bound = if saved.error_bound.is_finite() {
            saved.error_bound.clamp(0.0, MAX_WEIGHT)
        } else {
            0.0
        };
        for shard in site.shards.iter() {
            let mut sketch = lock(shard);
            sketch.rebase(then);
            sketch.taken_off = bound;
        }
        for page in saved.pages.into_iter().filter(SavedPage::is_possible) {
            let key = key(&page.url, page.variant.as_deref());
            lock(self.shard(site, &key)).restore(key, page);
            taken += 1;
        }
        let good = |host: &(Box<str>, u64)| !host.0.is_empty() && host.0.len() <= MAX_HOST_BYTES;
        let mut hosts = HostCounts::default();
        for (host, count) in saved.hosts.into_iter().filter(good) {
            hosts.record(&host, count);
            taken += 1;
        }
        *lock(&site.hosts) = hosts;
        in_all - taken
    }
}

impl SavedPage {
    fn is_possible(&self) -> bool {
        let in_order = self.hours.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let is_number = |weight: f64| weight > 0.0 && weight <= MAX_WEIGHT;
        let good_variant = |variant: &str| {
            !variant.is_empty()
                && variant.len() <= MAX_VARIANT_BYTES
                && !variant.bytes().any(|byte| byte < b' ')
        };
        is_countable(&self.url)
            && self.variant.as_deref().is_none_or(good_variant)
            && is_number(self.weight)
            && in_order
            && self
                .hours
                .iter()
                .all(|(hour, weight)| *hour < HOURS_OF_WEEK && is_number((*weight).into()))
    }
}

impl Sketch {
    fn save(&self, now: Timestamp, pages: &mut Vec<SavedPage>) {
        let decay = self.decay(now);
        #[allow(clippy::cast_possible_truncation)] // Of a number that is an estimate.
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
