//! The counters of one shard.

use std::collections::HashMap;
use std::time::Duration;

use super::Hours;
use tero_semantics::timestamp::Timestamp;

/// After this long a request counts half.
pub const HALF_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// What a page costs beyond its key and its hours.
pub(super) const ENTRY_BYTES: usize = 96;
pub(super) const HOUR_BYTES: usize = size_of::<(u8, f32)>();
/// Beyond so many half-lives the weights are brought back to one, long before they overflow.
const MAX_HALF_LIVES: f64 = 24.0;
/// Less than this many requests is forgotten.
const NEGLIGIBLE: f32 = 0.01;

/// The counters of one shard. All weights are those of requests at `base`.
#[derive(Debug)]
pub(super) struct Sketch {
    pub(super) pages: HashMap<Box<str>, PageWeight, foldhash::quality::RandomState>,
    pub(super) bytes: usize,
    pub(super) max_bytes: usize,
    /// What has been taken off all counters so far.
    pub(super) taken_off: f64,
    pub(super) base: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct PageWeight {
    /// The counter: decides who stays.
    pub(super) weight: f64,
    /// Requests since the page came in, by hour of the week.
    pub(super) hours: Vec<(u8, f32)>,
}

impl PageWeight {
    pub(super) fn bytes(&self, key: &str) -> usize {
        ENTRY_BYTES + key.len() + self.hours.capacity() * HOUR_BYTES
    }
}

impl Sketch {
    pub(super) fn new(max_bytes: usize) -> Sketch {
        Sketch {
            pages: HashMap::default(),
            bytes: 0,
            max_bytes,
            taken_off: 0.0,
            base: Timestamp::default(),
        }
    }

    /// Forgets until what is left takes no more than `max_bytes`.
    pub(super) fn fit_into(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
        while self.bytes > max_bytes {
            self.take_off_median();
        }
    }

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

    /// Takes the median off every counter and forgets the pages that have nothing left: at least
    /// half of them.
    pub(super) fn take_off_median(&mut self) {
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
    pub(super) fn wanted_in(&self, hours: Hours, now: Timestamp, found: &mut Vec<(f64, Box<str>)>) {
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

    pub(super) fn error_bound(&self, now: Timestamp) -> f64 {
        self.taken_off * self.decay(now)
    }

    /// From the weight of requests at `base` to their weight at `now`.
    pub(super) fn decay(&self, now: Timestamp) -> f64 {
        (-self.half_lives(now))
            .clamp(-MAX_HALF_LIVES, MAX_HALF_LIVES)
            .exp2()
    }

    #[allow(clippy::cast_precision_loss)] // Milliseconds over weeks.
    pub(super) fn half_lives(&self, now: Timestamp) -> f64 {
        let passed = now.unix_millis().saturating_sub(self.base.unix_millis());
        passed as f64 / HALF_LIFE.as_millis() as f64
    }

    /// Makes `now` the base, and forgets what no longer counts.
    pub(super) fn rebase(&mut self, now: Timestamp) {
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
