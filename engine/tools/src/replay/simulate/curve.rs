//! Hit rate over memory, in one pass (Mattson's stack distances, sampled as SHARDS does: Waldspurger et
//! al., FAST 2015).
//!
//! A request is a hit in a store that evicts the least recently used responses, if all that was used
//! since the last request for its key finds room beside it. So the bytes of the distinct keys since then,
//! its stack distance, tell at once for all sizes. Keys that are asked for often are followed exactly: a
//! few of them are a large part of all requests. Of the others, those are followed whose hash falls into
//! a share of all hashes, and each stands for many.

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash, Hasher};

use serde::Serialize;

/// Steps per doubling of the memory.
const STEPS: f64 = 8.0;

/// Doublings of a byte that are told apart: up to 16 TiB.
const DOUBLINGS: usize = 44;

/// Levels of popularity: each is twice the one before.
const LEVELS: usize = 16;

/// What is followed.
#[derive(Clone, Copy, Debug)]
pub struct CurveSettings {
    /// The share of the keys that are followed, beside the head: above 0, at most 1.
    pub share: f64,
    /// Keys that are followed exactly, at most.
    pub head: usize,
    /// Followed keys of the share, at most: the share becomes smaller when there are more.
    pub most: usize,
}

impl Default for CurveSettings {
    fn default() -> CurveSettings {
        CurveSettings {
            share: 1.0,
            head: 4_096,
            most: 65_536,
        }
    }
}

/// A curve in the making.
#[derive(Debug)]
pub struct HitCurve {
    settings: CurveSettings,
    /// Keys with hashes up to this are followed.
    threshold: u64,
    keys: HashMap<u64, SampledKey>,
    order: RecencyOrder,
    counts: KeyPopularity,
    head_keys: usize,
    /// Requests for keys of the head that would hit, by the step of their distance.
    head: Box<[f64]>,
    /// Those for others, by how often their keys were asked for.
    tail: [TailLevel; LEVELS],
    requests: f64,
}

/// Requests for keys of the tail that were asked for about equally often: the followed ones stand for
/// those of their own level, so that it matters little which of the popular ones happen to be followed.
#[derive(Clone, Debug)]
struct TailLevel {
    /// All of them.
    requests: f64,
    /// What the followed ones stand for.
    followed: f64,
    /// Of these, those that would hit, by the step of their distance.
    hits: Box<[f64]>,
}

#[derive(Clone, Copy, Debug)]
struct SampledKey {
    place: usize,
    weight: u64,
    is_head: bool,
}

/// A point of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// The memory for stored responses, in bytes.
    pub bytes: u64,
    /// Hits over looked-up requests.
    pub hit_rate: f64,
}

impl HitCurve {
    /// Without requests.
    pub fn new(settings: CurveSettings) -> HitCurve {
        let steps = || vec![0.0; DOUBLINGS * STEPS as usize + 1].into_boxed_slice();
        HitCurve {
            threshold: threshold_of(settings.share),
            settings,
            keys: HashMap::new(),
            order: RecencyOrder::default(),
            counts: KeyPopularity::new(settings.head),
            head_keys: 0,
            head: steps(),
            tail: std::array::from_fn(|_| TailLevel {
                requests: 0.0,
                followed: 0.0,
                hits: steps(),
            }),
            requests: 0.0,
        }
    }

    /// Counts a request for a key whose stored response weighs `weight` bytes. `is_hit` says whether it
    /// is a hit where nothing is evicted.
    pub fn access(&mut self, key: &[u8], weight: u64, is_hit: bool) {
        let hash = hash_of(key);
        self.requests += 1.0;
        let (count, is_popular) = self.counts.count(hash);
        let known = self.keys.get(&hash).copied();
        let distance = known.filter(|_| is_hit).map(|known| {
            let distance = self.order.after(known.place) + weight as f64;
            step_of(distance).min(self.head.len() - 1)
        });
        let was_head = known.is_some_and(|key| key.is_head);
        let is_sampled = hash <= self.threshold;
        if was_head {
            if let Some(step) = distance {
                self.head[step] += 1.0;
            }
        } else {
            let level = &mut self.tail[level_of(count)];
            level.requests += 1.0;
            if is_sampled {
                // The share may have been larger when others were counted.
                let stands_for = 1.0 / share_of(self.threshold);
                level.followed += stands_for;
                if let Some(step) = distance {
                    level.hits[step] += stands_for;
                }
            }
        }
        let is_head = was_head || is_popular && self.head_keys < self.settings.head;
        if !is_head && !is_sampled {
            return;
        }
        self.follow(hash, weight, is_head, share_of(self.threshold));
        if self.keys.len() - self.head_keys > self.settings.most {
            self.follow_fewer();
        }
    }

    fn follow(&mut self, hash: u64, weight: u64, is_head: bool, share: f64) {
        let stands_for = if is_head { 1.0 } else { 1.0 / share };
        let mass = weight as f64 * stands_for;
        let entry = self.keys.entry(hash);
        if let Entry::Occupied(known) = &entry {
            let known = known.get();
            self.order.remove(known.place);
            self.head_keys -= usize::from(known.is_head);
        }
        let place = self.order.push(hash, mass);
        entry.insert_entry(SampledKey {
            place,
            weight,
            is_head,
        });
        self.head_keys += usize::from(is_head);
        if self.order.is_full() {
            self.order.compact();
            for (place, hash) in self.order.places() {
                if let Some(key) = self.keys.get_mut(&hash) {
                    key.place = place;
                }
            }
        }
    }

    /// Halves the share of the keys that are followed.
    fn follow_fewer(&mut self) {
        self.threshold /= 2;
        let share = share_of(self.threshold);
        let (threshold, order) = (self.threshold, &mut self.order);
        self.keys.retain(|hash, key| {
            let stays = key.is_head || *hash <= threshold;
            order.remove(key.place);
            if stays && !key.is_head {
                order.put(key.place, *hash, key.weight as f64 / share);
            } else if stays {
                order.put(key.place, *hash, key.weight as f64);
            }
            stays
        });
    }

    /// The points of the curve, up to the memory from which on nothing changes.
    pub fn points(&self) -> Vec<CurvePoint> {
        if self.requests == 0.0 {
            return Vec::new();
        }
        let of_tail = |level: &TailLevel, step: usize| match level.followed {
            followed if followed > 0.0 => level.hits[step] * level.requests / followed,
            _ => 0.0,
        };
        let at = |step: usize| {
            let tail = self.tail.iter().map(|level| of_tail(level, step));
            self.head[step] + tail.sum::<f64>()
        };
        let last = (0..self.head.len()).rev().find(|step| at(*step) > 0.0);
        let mut hits = 0.0;
        let points = (0..=last.unwrap_or_default()).map(|step| {
            hits += at(step);
            CurvePoint {
                bytes: bytes_of(step),
                hit_rate: (hits / self.requests).min(1.0),
            }
        });
        points.collect()
    }

    /// The hit rate with so much memory for stored responses.
    pub fn hit_rate(&self, bytes: u64) -> f64 {
        let points = self.points();
        let fits = points.iter().rev().find(|point| point.bytes <= bytes);
        fits.map_or(0.0, |point| point.hit_rate)
    }
}

/// Keys in the order of their last use, with the bytes that each stands for (a Fenwick tree).
#[derive(Debug)]
struct RecencyOrder {
    sums: Vec<f64>,
    keys: Vec<Option<(u64, f64)>>,
    next: usize,
}

impl Default for RecencyOrder {
    fn default() -> RecencyOrder {
        RecencyOrder::of_size(1 << 12)
    }
}

impl RecencyOrder {
    fn of_size(size: usize) -> RecencyOrder {
        RecencyOrder {
            sums: vec![0.0; size + 1],
            keys: vec![None; size],
            next: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.next == self.keys.len()
    }

    fn push(&mut self, key: u64, mass: f64) -> usize {
        let place = self.next;
        self.next += 1;
        self.put(place, key, mass);
        place
    }

    fn put(&mut self, place: usize, key: u64, mass: f64) {
        self.keys[place] = Some((key, mass));
        self.add(place, mass);
    }

    fn remove(&mut self, place: usize) {
        if let Some((_, mass)) = self.keys[place].take() {
            self.add(place, -mass);
        }
    }

    fn add(&mut self, place: usize, mass: f64) {
        let mut at = place + 1;
        while at < self.sums.len() {
            self.sums[at] += mass;
            at += at & at.wrapping_neg();
        }
    }

    fn up_to(&self, place: usize) -> f64 {
        let (mut at, mut sum) = (place + 1, 0.0);
        while at > 0 {
            sum += self.sums[at];
            at -= at & at.wrapping_neg();
        }
        sum
    }

    /// The bytes of all keys that were used after the one at `place`.
    fn after(&self, place: usize) -> f64 {
        match self.next {
            0 => 0.0,
            next => (self.up_to(next - 1) - self.up_to(place)).max(0.0),
        }
    }

    /// Closes the gaps, and makes room.
    fn compact(&mut self) {
        let kept: Vec<(u64, f64)> = self.keys.iter().flatten().copied().collect();
        *self = RecencyOrder::of_size((kept.len() * 2).max(1 << 12));
        for (key, mass) in kept {
            self.push(key, mass);
        }
    }

    fn places(&self) -> impl Iterator<Item = (usize, u64)> {
        let keys = self.keys.iter().enumerate();
        keys.filter_map(|(place, key)| Some((place, key.as_ref()?.0)))
    }
}

/// How often keys were asked for lately, roughly and in little memory (a count-min sketch of two rows).
#[derive(Debug)]
struct KeyPopularity {
    rows: [Vec<u32>; 2],
    requests: u64,
    /// Keys whose share of the requests is above one of so many are popular.
    one_of: u64,
}

impl KeyPopularity {
    fn new(head: usize) -> KeyPopularity {
        KeyPopularity {
            rows: [vec![0; 1 << 16], vec![0; 1 << 16]],
            requests: 0,
            one_of: (head as u64 * 16).max(1),
        }
    }

    /// Counts a request. Returns how often its key was asked for, about, and whether it is popular by now.
    fn count(&mut self, hash: u64) -> (u32, bool) {
        self.requests += 1;
        let mut least = u32::MAX;
        for (row, shift) in self.rows.iter_mut().zip([0, 32]) {
            let cell = &mut row[(hash >> shift) as usize & 0xffff];
            *cell = cell.saturating_add(1);
            least = least.min(*cell);
        }
        let is_popular = u64::from(least) > self.requests / self.one_of + 16;
        (least, is_popular)
    }
}

/// The level of keys that were asked for so often.
fn level_of(count: u32) -> usize {
    (count.max(1).ilog2() as usize).min(LEVELS - 1)
}

fn hash_of(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

fn threshold_of(share: f64) -> u64 {
    match share >= 1.0 {
        true => u64::MAX,
        false => (share.max(0.0) * u64::MAX as f64) as u64,
    }
}

fn share_of(threshold: u64) -> f64 {
    (threshold as f64 / u64::MAX as f64).max(f64::MIN_POSITIVE)
}

/// The step of the memory that has room for so many bytes.
fn step_of(bytes: f64) -> usize {
    (bytes.max(1.0).log2() * STEPS).ceil() as usize
}

fn bytes_of(step: usize) -> u64 {
    (step as f64 / STEPS).exp2().ceil() as u64
}

#[cfg(test)]
mod tests;
