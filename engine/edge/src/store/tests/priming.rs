//! The size of moka's frequency sketch.

use super::super::memory::{Departures, MapEviction, bounded_map};
use super::super::response_map::ResponseMap;
use super::super::sketch_priming::{PrimingEntries, SketchPriming};
use super::super::stored::LargePieces;
use super::*;
use moka::sync::Cache;

/// The entries that find room.
const ROOM: u64 = 1_000;
const REQUESTS: usize = 100_000;

/// Pages by Zipf's law, the same each time.
fn trace() -> Vec<usize> {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=10_000)
        .map(|rank| {
            sum += f64::from(rank).powf(-0.9);
            sum
        })
        .collect();
    let mut state = 7_u64;
    let next = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let place = (state >> 11) as f64 / (1_u64 << 53) as f64 * sum;
        sums.partition_point(|sum| *sum <= place)
    };
    (0..REQUESTS).map(next).collect()
}

/// Hits in percent of a cache that is looked into and filled so.
fn hits(mut found: impl FnMut(usize) -> bool, mut put: impl FnMut(usize)) -> f64 {
    let mut hits = 0;
    for page in trace() {
        if found(page) {
            hits += 1;
        } else {
            put(page);
        }
    }
    f64::from(hits) * 100.0 / REQUESTS as f64
}

/// Of moka by itself: with weights of one, or without weights, which mean the same.
fn hits_of_moka(has_weights: bool) -> f64 {
    let builder = Cache::<usize, ()>::builder().max_capacity(ROOM);
    let cache = match has_weights {
        true => builder.weigher(|_, ()| 1).build(),
        false => builder.build(),
    };
    hits(
        |page| cache.get(&page).is_some(),
        |page| {
            cache.insert(page, ());
            cache.run_pending_tasks();
        },
    )
}

fn map(memory: u64, entries: PrimingEntries) -> ResponseMap {
    let left = Departures {
        index: Arc::default(),
        evictions: Arc::default(),
        large: Arc::new(LargePieces::default()),
        disk: None,
        hasher: foldhash::quality::SeedableRandomState::fixed(),
    };
    bounded_map(MapEviction::Frequency(memory, entries), left)
}

/// Of a map of responses whose sketch was primed.
fn hits_of_primed() -> f64 {
    let keys: Vec<Key> = (0..10_000)
        .map(|number| key(&format!("/{number:05}"), None))
        .collect();
    let response = Variants::new(vec![Arc::new(TestResponse::default().stored())]);
    let weight = response.weight() + keys[0].weight();
    let entries = PrimingEntries::default();
    let map = map(ROOM * weight, entries.clone());
    let priming = SketchPriming::new(ROOM * weight, entries);
    let shared = hits(
        |page| map.get(&keys[page]).is_some(),
        |page| {
            priming.before_entry(&map, map.weighted_size() + weight);
            map.insert(keys[page].clone(), response.clone());
            map.run_pending_tasks();
        },
    );
    assert_eq!(priming.placeholders(), 0);
    assert_eq!(
        map.entry_count(),
        ROOM,
        "placeholders and ballast have left"
    );
    assert_eq!(map.weighted_size(), ROOM * weight);
    shared
}

#[test]
fn a_primed_sketch_is_as_good_as_one_of_the_right_size() {
    let (right, primed) = (hits_of_moka(false), hits_of_primed());
    assert!(
        (right - primed).abs() < 0.7,
        "{right:.2} % and {primed:.2} %"
    );
}

/// Fails when moka sizes the sketch of weighted entries like that of others. Then `SketchPriming` has
/// nothing to do any more, and can go, with docs/upstream/moka-sketch.md.
#[test]
fn moka_still_sizes_the_sketch_of_weighted_entries_too_small() {
    let (right, weighted) = (hits_of_moka(false), hits_of_moka(true));
    assert!(
        weighted < right - 1.5,
        "{weighted:.2} % with weights, {right:.2} % without: moka has changed"
    );
}

/// Fails when moka keeps count of what it removes. Then `Store::remove_from` needs no pending tasks
/// run any more (docs/upstream/moka-weights.md).
#[test]
fn moka_still_loses_count_of_an_entry_that_was_replaced_and_removed() {
    let cache = Cache::<u8, u32>::builder()
        .max_capacity(10_000)
        .weigher(|_, weight| *weight)
        .build();
    cache.insert(1, 10);
    cache.insert(2, 5_000);
    cache.run_pending_tasks();
    cache.insert(1, 1_000);
    cache.invalidate(&1);
    cache.run_pending_tasks();
    assert_eq!(cache.weighted_size(), 4_010, "moka has changed");
}

#[test]
fn few_entries_that_come_and_go_leave_few_placeholders() {
    let entries = PrimingEntries::default();
    let map = map(1 << 30, entries.clone());
    let priming = SketchPriming::new(1 << 30, entries);
    let response = Variants::new(vec![Arc::new(TestResponse::default().stored())]);
    for number in 0..2_000 {
        let page = key(&format!("/{number}"), None);
        priming.before_entry(&map, map.weighted_size() + 1_000);
        map.insert(page.clone(), response.clone());
        map.run_pending_tasks();
        if number >= 20 {
            map.invalidate(&key(&format!("/{}", number - 20), None));
            map.run_pending_tasks();
        }
    }
    assert!(
        (20..=30).contains(&priming.placeholders()),
        "{}",
        priming.placeholders()
    );
}
