use super::*;
use crate::dice::Dice;

/// A store that evicts the least recently used key, done the slow way: hits of a trace.
fn slow_lru(trace: &[(u64, u64)], memory: u64) -> f64 {
    let mut stored: Vec<(u64, u64)> = Vec::new();
    let mut hits = 0_u64;
    for (key, weight) in trace {
        if let Some(place) = stored.iter().position(|(known, _)| known == key) {
            stored.remove(place);
            hits += 1;
        }
        stored.push((*key, *weight));
        while stored.iter().map(|(_, weight)| weight).sum::<u64>() > memory {
            stored.remove(0);
        }
    }
    hits as f64 / trace.len() as f64
}

/// Keys by Zipf's law, as pages are asked for, with weights that differ.
fn zipf(keys: u64, requests: usize, seed: u64) -> Vec<(u64, u64)> {
    let mut dice = Dice::seeded(seed);
    let mut sums = Vec::new();
    let mut sum = 0.0;
    for rank in 1..=keys {
        sum += 1.0 / (rank as f64).powf(0.9);
        sums.push(sum);
    }
    let draw = |dice: &mut Dice| {
        let at = dice.next() as f64 / u64::MAX as f64 * sum;
        sums.partition_point(|sum| *sum < at) as u64
    };
    let weight = |key: u64| 500 + key.wrapping_mul(7_919) % 4_000;
    let keys = (0..requests).map(|_| draw(&mut dice));
    keys.map(|key| (key, weight(key))).collect()
}

fn curve_of(trace: &[(u64, u64)], settings: CurveSettings) -> HitCurve {
    let (mut curve, mut seen) = (HitCurve::new(settings), std::collections::HashSet::new());
    for (key, weight) in trace {
        curve.access(&key.to_be_bytes(), *weight, !seen.insert(*key));
    }
    curve
}

const EXACT: CurveSettings = CurveSettings {
    share: 1.0,
    head: 0,
    most: usize::MAX,
};

#[test]
fn a_curve_of_all_keys_is_that_of_a_store() {
    let trace = zipf(300, 4_000, 1);
    let curve = curve_of(&trace, EXACT);
    for step in [14.0_f64, 15.0, 16.0, 17.0, 18.0, 19.0] {
        let memory = step.exp2() as u64;
        let (told, slow) = (curve.hit_rate(memory), slow_lru(&trace, memory));
        assert!((told - slow).abs() < 0.003, "{memory}: {told} {slow}");
    }
}

#[test]
fn a_hundredth_of_the_keys_tells_the_curve_within_a_hundredth() {
    for seed in 1..=3 {
        let trace = zipf(100_000, 400_000, seed);
        let exact = curve_of(&trace, EXACT);
        let sampled = curve_of(
            &trace,
            CurveSettings {
                share: 0.01,
                head: 1_000,
                most: usize::MAX,
            },
        );
        let sizes: Vec<u64> = (0..60)
            .map(|step| (18.0 + f64::from(step) / 6.0).exp2() as u64)
            .collect();
        let off = |size: &u64| (exact.hit_rate(*size) - sampled.hit_rate(*size)).abs();
        let mean = sizes.iter().map(off).sum::<f64>() / sizes.len() as f64;
        assert!(mean < 0.01, "seed {seed}: {mean}");
        assert!(sampled.keys.len() < 100_000 / 100 * 2 + 1_000);
    }
}

#[test]
fn the_share_falls_when_there_are_too_many_keys() {
    let trace = zipf(100_000, 300_000, 4);
    let exact = curve_of(&trace, EXACT);
    let bounded = curve_of(
        &trace,
        CurveSettings {
            share: 1.0,
            head: 1_000,
            most: 5_000,
        },
    );
    assert!(bounded.keys.len() <= 6_001 && bounded.threshold < u64::MAX / 8);
    let off = |size: u64| (exact.hit_rate(size) - bounded.hit_rate(size)).abs();
    assert!(
        [1 << 20, 1 << 22, 1 << 24, 1 << 26]
            .into_iter()
            .all(|size| off(size) < 0.03)
    );
}

#[test]
fn what_expires_is_a_miss_at_any_size() {
    let mut curve = HitCurve::new(EXACT);
    for _ in 0..10 {
        curve.access(b"a", 1_000, false);
    }
    assert_eq!(curve.hit_rate(1 << 40), 0.0);
    curve.access(b"a", 1_000, true);
    assert!((curve.hit_rate(1 << 40) - 1.0 / 11.0).abs() < 1e-9);
    assert_eq!(curve.hit_rate(500), 0.0);
    assert_eq!(HitCurve::new(EXACT).points(), []);
}
