//! Which next hop is asked first, and which ones after it.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::FixedState;

use super::health::HopUse;
use super::next_hop::NextHop;
use tero_config::BalanceBy;
use tero_semantics::timestamp::Timestamp;

/// Turns of the round-robin, at most: greater weights are scaled down.
const MAX_TURNS: u32 = 4_096;
/// An origin that is chosen by the key gets at most so many times its share of the requests under
/// way.
const BOUNDED_LOAD: f64 = 1.25;

/// Chooses among the next hops of a site.
#[derive(Debug)]
pub(super) struct Balancer {
    by: BalanceBy,
    /// Requests under way up to which a hop that is chosen by the key is not full.
    spill_above: usize,
    /// The round-robin of the primary hops, and that of the backups.
    turns: [Vec<usize>; 2],
    next: AtomicUsize,
}

/// The hops in the order in which they are asked.
#[derive(Debug, Default)]
pub(super) struct HopOrder<'h> {
    /// They are asked in this order.
    pub(super) hops: Vec<&'h Arc<NextHop>>,
    /// A hop whose rest is over, and which a request of the edge's own may try.
    pub(super) on_trial: Option<&'h Arc<NextHop>>,
}

/// All hops that may be asked.
#[derive(Debug)]
pub(super) struct RankedHops<'h> {
    /// In the order in which they are asked.
    pub(super) hops: Vec<&'h Arc<NextHop>>,
    /// So many of them, from the first, are healthy.
    pub(super) healthy: usize,
    /// A hop whose rest is over.
    pub(super) on_trial: Option<&'h Arc<NextHop>>,
}

impl Balancer {
    pub(super) fn new(by: BalanceBy, hops: &[Arc<NextHop>]) -> Balancer {
        Balancer {
            by,
            spill_above: 0,
            turns: [false, true].map(|is_backup| {
                let weights = hops.iter().map(|hop| match hop.is_backup == is_backup {
                    true => hop.weight,
                    false => 0,
                });
                turns(&weights.collect::<Vec<_>>())
            }),
            next: AtomicUsize::new(0),
        }
    }

    /// By the key, where a hop is full only above so many requests under way.
    pub(super) fn by_key_above(spill_above: usize, hops: &[Arc<NextHop>]) -> Balancer {
        Balancer {
            spill_above,
            ..Balancer::new(BalanceBy::Key, hops)
        }
    }

    /// The order for a request with this key: healthy hops, then healthy backups, then those that
    /// rest. Hops that an operator has taken out are left out, unless nothing else is left.
    pub(super) fn order<'h>(
        &self,
        hops: &'h [Arc<NextHop>],
        key: &[u8],
        now: Timestamp,
    ) -> HopOrder<'h> {
        if let [only] = hops {
            return HopOrder {
                hops: vec![only],
                on_trial: None,
            };
        }
        let ranked = self.ranked(hops, key, now);
        HopOrder {
            on_trial: ranked.on_trial.filter(|_| ranked.healthy > 0),
            hops: ranked.hops,
        }
    }

    /// All hops that may be asked, also if that is one.
    pub(super) fn ranked<'h>(
        &self,
        hops: &'h [Arc<NextHop>],
        key: &[u8],
        now: Timestamp,
    ) -> RankedHops<'h> {
        let uses: Vec<HopUse> = hops.iter().map(|hop| hop.health.usability(now)).collect();
        let of_use = |places: &[usize], wanted: HopUse| -> Vec<usize> {
            places
                .iter()
                .copied()
                .filter(|&place| uses[place] == wanted)
                .collect()
        };
        let [primary, backup] = [0, 1].map(|group| self.preference(hops, &self.turns[group], key));
        let all = [&primary[..], &backup].concat();
        let mut order = of_use(&primary, HopUse::Healthy);
        order.extend(of_use(&backup, HopUse::Healthy));
        let on_trial = of_use(&primary, HopUse::OnTrial);
        let healthy = order.len();
        order.extend(&on_trial);
        order.extend(of_use(&backup, HopUse::OnTrial));
        order.extend(of_use(&all, HopUse::Resting));
        if order.is_empty() {
            order = all;
        }
        RankedHops {
            hops: order.into_iter().map(|place| &hops[place]).collect(),
            healthy,
            on_trial: on_trial.first().map(|&place| &hops[place]),
        }
    }

    /// All hops of a group, the best first, however they do.
    fn preference(&self, hops: &[Arc<NextHop>], turns: &[usize], key: &[u8]) -> Vec<usize> {
        if turns.is_empty() {
            return Vec::new();
        }
        match self.by {
            BalanceBy::RoundRobin => self.in_turn(turns),
            BalanceBy::LeastBusy => self.less_busy_of_two(hops, turns),
            BalanceBy::Key => by_key(hops, turns, key, self.spill_above),
        }
    }

    fn in_turn(&self, turns: &[usize]) -> Vec<usize> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let turn = (0..turns.len()).map(|step| turns[(first + step) % turns.len()]);
        distinct(turn)
    }

    /// Two hops are drawn by lot, and the one that is less busy goes first.
    fn less_busy_of_two(&self, hops: &[Arc<NextHop>], turns: &[usize]) -> Vec<usize> {
        let lot = mixed(self.next.fetch_add(1, Ordering::Relaxed) as u64);
        let rotated = (lot >> 32) as usize % turns.len();
        let mut order =
            distinct((0..turns.len()).map(|step| turns[(rotated + step) % turns.len()]));
        let others = order.len().saturating_sub(1);
        if others == 0 {
            return order;
        }
        let other = 1 + (lot as u32 as usize) % others;
        if load(&hops[order[other]]) < load(&hops[order[0]]) {
            order.swap(0, other);
        }
        order
    }
}

/// By the key (rendezvous hashing), those with more than their share of the load last.
fn by_key(hops: &[Arc<NextHop>], turns: &[usize], key: &[u8], spill_above: usize) -> Vec<usize> {
    let mut order = distinct(turns.iter().copied());
    let weight: u32 = order.iter().map(|&place| hops[place].weight).sum();
    let under_way: usize = order
        .iter()
        .map(|&place| hops[place].health.in_flight())
        .sum();
    let score = |place: usize| {
        let hop = &hops[place];
        let mut hasher = FixedState::with_seed(0).build_hasher();
        hasher.write(hop.name.as_bytes());
        hasher.write_u8(0xff);
        hasher.write(key);
        // Of 53 bits, so that it is above 0 and below 1.
        let drawn = ((mixed(hasher.finish()) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -f64::from(hop.weight) / drawn.ln()
    };
    order.sort_by(|one, other| score(*other).total_cmp(&score(*one)));
    let is_full = |place: &usize| {
        let hop = &hops[*place];
        let share = f64::from(hop.weight) / f64::from(weight.max(1));
        let in_flight = hop.health.in_flight();
        let most = (BOUNDED_LOAD * (under_way + 1) as f64 * share).ceil();
        in_flight >= spill_above && in_flight as f64 >= most
    };
    let (full, free): (Vec<_>, Vec<_>) = order.into_iter().partition(is_full);
    [free, full].concat()
}

/// Requests under way in relation to the weight.
fn load(hop: &NextHop) -> f64 {
    hop.health.in_flight() as f64 / f64::from(hop.weight)
}

/// Each place once, in the order of its first turn.
fn distinct(turns: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut order = Vec::new();
    for place in turns {
        if !order.contains(&place) {
            order.push(place);
        }
    }
    order
}

/// The places by their weights, spread evenly over the round.
fn turns(weights: &[u32]) -> Vec<usize> {
    let sum: u64 = weights.iter().copied().map(u64::from).sum();
    let divisor = weights
        .iter()
        .copied()
        .fold(0, greatest_common_divisor)
        .max(1);
    let scale = sum.div_ceil(u64::from(MAX_TURNS)).max(u64::from(divisor));
    let weights: Vec<i64> = weights
        .iter()
        .map(|&weight| match weight {
            0 => 0,
            weight => (i64::from(weight) / i64::try_from(scale).unwrap_or(i64::MAX)).max(1),
        })
        .collect();
    let sum: i64 = weights.iter().sum();
    let mut current = vec![0_i64; weights.len()];
    let mut turns = Vec::new();
    for _ in 0..sum {
        for (current, weight) in current.iter_mut().zip(&weights) {
            *current += weight;
        }
        let most = current
            .iter()
            .copied()
            .zip(0..)
            .filter(|(_, place)| weights[*place] > 0);
        let Some((_, place)) = most.max_by_key(|(current, place)| (*current, usize::MAX - place))
        else {
            break;
        };
        current[place] -= sum;
        turns.push(place);
    }
    turns
}

fn greatest_common_divisor(one: u32, other: u32) -> u32 {
    match (one, other) {
        (0, other) => other,
        (one, 0) => one,
        (one, other) => greatest_common_divisor(other, one % other),
    }
}

/// Spreads the bits of a number (the finaliser of SplitMix64).
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hops(weights: &[u32]) -> Vec<Arc<NextHop>> {
        let hop = |(place, weight): (usize, &u32)| {
            Arc::new(NextHop::for_test(&format!("app-{place}"), *weight))
        };
        weights.iter().enumerate().map(hop).collect()
    }

    fn first(balancer: &Balancer, hops: &[Arc<NextHop>], key: &[u8]) -> String {
        let order = balancer.order(hops, key, Timestamp::from_unix_secs(1_000));
        order.hops[0].name.clone()
    }

    #[test]
    fn turns_follow_the_weights_and_are_spread_evenly() {
        assert_eq!(turns(&[1, 1]), [0, 1]);
        assert_eq!(turns(&[2, 1]), [0, 1, 0]);
        assert_eq!(turns(&[300, 100]), [0, 0, 1, 0]);
        assert_eq!(turns(&[0, 5]), [1]);
        assert!(turns(&[]).is_empty());
        assert!(turns(&[1_000; 64]).len() <= MAX_TURNS as usize);
        assert_eq!(
            turns(&[1_000, 1_000, 1])
                .iter()
                .filter(|&&place| place == 2)
                .count(),
            1
        );
    }

    #[test]
    fn a_key_stays_with_its_origin_and_few_keys_move_when_one_is_added() {
        let (three, four) = (hops(&[1, 1, 1]), hops(&[1, 1, 1, 1]));
        let old = Balancer::new(BalanceBy::Key, &three);
        let new = Balancer::new(BalanceBy::Key, &four);
        let mut moved = 0;
        for key in 0..4_000_u32 {
            let key = key.to_be_bytes();
            let (before, after) = (first(&old, &three, &key), first(&new, &four, &key));
            assert_eq!(before, first(&old, &three, &key));
            if before != after {
                assert_eq!(after, "app-3", "a key moves to the new origin only");
                moved += 1;
            }
        }
        assert!((900..1_100).contains(&moved), "{moved}");
    }

    #[test]
    fn keys_follow_the_weights() {
        let hops = hops(&[3, 1]);
        let balancer = Balancer::new(BalanceBy::Key, &hops);
        let of_first = (0..4_000_u32)
            .filter(|key| first(&balancer, &hops, &key.to_be_bytes()) == "app-0")
            .count();
        assert!((2_900..3_100).contains(&of_first), "{of_first}");
    }

    #[test]
    fn an_origin_gets_no_more_than_a_quarter_above_its_share() {
        let hops = hops(&[1, 1]);
        let balancer = Balancer::new(BalanceBy::Key, &hops);
        let mut taken = [0, 0];
        for _ in 0..80 {
            let order = balancer.order(&hops, b"one key", Timestamp::from_unix_secs(1_000));
            order.hops[0].health.enter();
            taken[usize::from(order.hops[0].name == "app-1")] += 1;
        }
        assert_eq!(taken.iter().max(), Some(&50));
    }

    #[test]
    fn a_hop_is_full_only_above_its_requests_to_spare() {
        let hops = hops(&[1, 1]);
        let balancer = Balancer::by_key_above(32, &hops);
        let own = first(&balancer, &hops, b"one key");
        for _ in 0..32 {
            let order = balancer.order(&hops, b"one key", Timestamp::from_unix_secs(1_000));
            assert_eq!(order.hops[0].name, own);
            order.hops[0].health.enter();
        }
        assert_ne!(first(&balancer, &hops, b"one key"), own);
    }

    #[test]
    fn the_less_busy_of_two_goes_first() {
        let hops = hops(&[1, 1]);
        let balancer = Balancer::new(BalanceBy::LeastBusy, &hops);
        hops[0].health.enter();
        for _ in 0..20 {
            assert_eq!(first(&balancer, &hops, b"k"), "app-1");
        }
    }
}
