//! The latest purges of things that are kept as hashes, in parts: whatever is done with all of them is done
//! with one part after the other, so that requests never wait for more than one.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use foldhash::quality::RandomState;

use crate::store::purge::scope::PurgeMode;

/// Hashes that are remembered at most, but for some that come while others are forgotten. The older half is
/// forgotten then: all records from before count as purged with them.
pub(super) const MAX_HASHES: usize = 1 << 20;
/// A part has 4096 of them at most, or little more: they spread evenly.
pub(super) const PARTS: usize = 256;

/// The latest numbers of hard and of soft purges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LatestPurges {
    pub(super) hard: u64,
    pub(super) soft: u64,
}

impl LatestPurges {
    pub(super) fn add(&mut self, mode: PurgeMode, number: u64) {
        let latest = match mode {
            PurgeMode::Hard => &mut self.hard,
            PurgeMode::Soft => &mut self.soft,
        };
        *latest = number.max(*latest);
    }

    pub(super) fn join(&mut self, other: LatestPurges) {
        self.add(PurgeMode::Hard, other.hard);
        self.add(PurgeMode::Soft, other.soft);
    }

    pub(super) fn last(self) -> u64 {
        self.hard.max(self.soft)
    }
}

/// The latest purges of hashes.
#[derive(Debug)]
pub(super) struct PurgedHashes {
    parts: Vec<HashMap<u64, LatestPurges, RandomState>>,
    /// Says which part a hash is in. Clients choose URLs, but can't know it.
    state: RandomState,
    length: usize,
    forgetting: Option<Forgetting>,
}

/// The older ones are being forgotten.
#[derive(Clone, Copy, Debug)]
struct Forgetting {
    /// Those that were purged last under this number or an earlier one.
    until: u64,
    /// The next part.
    part: usize,
}

impl Default for PurgedHashes {
    fn default() -> PurgedHashes {
        let state = RandomState::default();
        let part = || HashMap::with_hasher(state.clone());
        PurgedHashes {
            parts: std::iter::repeat_with(part).take(PARTS).collect(),
            state,
            length: 0,
            forgetting: None,
        }
    }
}

impl PurgedHashes {
    /// Notes a purge. Returns the latest of those that are forgotten for it.
    pub(super) fn add(&mut self, hash: u64, mode: PurgeMode, number: u64) -> LatestPurges {
        let part = self.part_of(hash);
        let before = self.parts[part].len();
        self.parts[part].entry(hash).or_default().add(mode, number);
        self.length += self.parts[part].len() - before;
        if self.length > MAX_HASHES && self.forgetting.is_none() {
            let until = middle(&self.parts[part]);
            self.forgetting = Some(Forgetting { until, part: 0 });
        }
        self.forget_some()
    }

    /// The latest purges of a hash.
    pub(super) fn latest(&self, hash: u64) -> Option<LatestPurges> {
        self.parts[self.part_of(hash)].get(&hash).copied()
    }

    /// Those of a part.
    pub(super) fn part(&self, part: usize) -> Vec<(u64, LatestPurges)> {
        let part = self.parts[part].iter();
        part.map(|(hash, latest)| (*hash, *latest)).collect()
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.length
    }

    fn part_of(&self, hash: u64) -> usize {
        // The maps use the first and the last bits.
        (self.state.hash_one(hash) >> 32) as usize % PARTS
    }

    /// Forgets the older ones of one part, if it is time to. Returns the latest of them.
    fn forget_some(&mut self) -> LatestPurges {
        let mut forgotten = LatestPurges::default();
        let Some(Forgetting { until, part }) = self.forgetting else {
            return forgotten;
        };
        let hashes = &mut self.parts[part];
        let before = hashes.len();
        hashes.retain(|_, latest| {
            let stays = latest.last() > until;
            if !stays {
                forgotten.join(*latest);
            }
            stays
        });
        self.length -= before - hashes.len();
        let next = part + 1;
        self.forgetting = (next < PARTS).then_some(Forgetting { until, part: next });
        forgotten
    }
}

/// The number in the middle. Of one part, it is near that of all.
fn middle(part: &HashMap<u64, LatestPurges, RandomState>) -> u64 {
    let mut numbers: Vec<u64> = part.values().map(|latest| latest.last()).collect();
    let middle = numbers.len() / 2;
    let (_, number, _) = numbers.select_nth_unstable(middle);
    *number
}
