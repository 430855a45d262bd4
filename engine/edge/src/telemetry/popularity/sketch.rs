//! Requests by page and hour: the counters of one shard.

use std::collections::HashMap;
use std::time::Duration;

use super::Hours;
use tero_semantics::timestamp::Timestamp;

/// After this time a request counts half.
pub const HALF_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// The memory of a page beyond its key and its hours, in bytes.
pub(super) const ENTRY_BYTES: usize = 96;
pub(super) const HOUR_BYTES: usize = size_of::<(u8, f32)>();
/// After so many half-lives, weights are rebased, long before they overflow.
const MAX_HALF_LIVES: f64 = 24.0;
/// An hour with less weight than this is forgotten, in requests.
const NEGLIGIBLE: f32 = 0.01;

/// The counters of one shard. All weights are those of requests at `base`.
#[derive(Debug)]
pub(super) struct Sketch {
    pub(super) pages: HashMap<Box<str>, PageWeight, foldhash::quality::RandomState>,
    pub(super) bytes: usize,
    pub(super) max_bytes: usize,
    /// The sum of all medians that were subtracted.
    pub(super) subtracted: f64,
    pub(super) base: Timestamp,
}

/// A page in a sketch.
#[derive(Debug, Default)]
pub(super) struct PageWeight {
    /// The counter that decides whether the page stays.
    pub(super) weight: f64,
    /// Requests since the page was added, by hour of the week, in ascending order.
    pub(super) hours: Vec<(u8, f32)>,
}

impl PageWeight {
    /// The memory of the page, in bytes.
    pub(super) fn bytes(&self, key: &str) -> usize {
        ENTRY_BYTES + key.len() + self.hours.capacity() * HOUR_BYTES
    }
}

impl Sketch {
    /// No pages.
    pub(super) fn new(max_bytes: usize) -> Sketch {
        Sketch {
            pages: HashMap::default(),
            bytes: 0,
            max_bytes,
            subtracted: 0.0,
            base: Timestamp::default(),
        }
    }

    /// Sets the limit, and forgets pages until they fit.
    pub(super) fn fit_into(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
        while self.bytes > max_bytes {
            self.subtract_median();
        }
    }

    /// Counts requests for a page in an hour of the week.
    pub(super) fn record(&mut self, key: Box<str>, hour: u8, requests: u32, now: Timestamp) {
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

    /// Subtracts the median from every counter, and forgets the pages without a rest: at least half
    /// of them.
    fn subtract_median(&mut self) {
        let mut weights: Vec<f64> = self.pages.values().map(|page| page.weight).collect();
        if weights.is_empty() {
            return;
        }
        let middle = weights.len() / 2;
        let (_, median, _) = weights.select_nth_unstable_by(middle, f64::total_cmp);
        let median = *median;
        self.subtracted += median;
        for page in self.pages.values_mut() {
            page.weight -= median;
        }
        self.pages.retain(|_, page| page.weight > 0.0);
        self.bytes = self.pages.iter().map(|(key, page)| page.bytes(key)).sum();
    }

    /// Adds every page with requests in these hours to `found`, with their number decayed by `now`.
    pub(super) fn add_requested_in(
        &self,
        hours: Hours,
        now: Timestamp,
        found: &mut Vec<(f64, Box<str>)>,
    ) {
        let decay = self.decay(now);
        for (key, page) in &self.pages {
            let requests: f64 = page
                .hours
                .iter()
                .filter(|(hour, _)| hours.has(*hour))
                .map(|(_, weight)| f64::from(*weight))
                .sum();
            if requests > 0.0 {
                found.push((requests * decay, key.clone()));
            }
        }
    }

    /// By how many requests, decayed by `now`, a number is too low at most.
    pub(super) fn error_bound(&self, now: Timestamp) -> f64 {
        self.subtracted * self.decay(now)
    }

    /// The factor from weights at `base` to weights at `now`.
    pub(super) fn decay(&self, now: Timestamp) -> f64 {
        (-self.half_lives(now))
            .clamp(-MAX_HALF_LIVES, MAX_HALF_LIVES)
            .exp2()
    }

    #[allow(clippy::cast_precision_loss)] // Milliseconds over weeks.
    /// The half-lives from `base` to `now`.
    fn half_lives(&self, now: Timestamp) -> f64 {
        let passed = now.unix_millis().saturating_sub(self.base.unix_millis());
        passed as f64 / HALF_LIFE.as_millis() as f64
    }

    /// Makes `now` the base, and forgets hours and pages that no longer count.
    pub(super) fn rebase(&mut self, now: Timestamp) {
        let decay = self.decay(now);
        self.base = now;
        self.subtracted *= decay;
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
