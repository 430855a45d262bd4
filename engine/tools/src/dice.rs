//! Pseudo-random numbers: the same seed gives the same numbers.

/// A splitmix64 generator: good enough for drawings and made-up visitors, but not for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn seeded(seed: u64) -> Dice {
        Dice(seed)
    }

    /// A generator seeded by a text.
    pub(crate) fn of(text: &str) -> Dice {
        // FNV-1a: std's hasher does not promise to stay the same between releases.
        Dice(text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A number from 0 to below 1.
    pub(crate) fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// How often something happens that happens `mean` times on average (Poisson's law, by Knuth).
    pub(crate) fn events(&mut self, mean: f64) -> u32 {
        let mut events = 0;
        let mut left = mean.max(0.0);
        // The exponential of a large mean is 0 in floating point.
        while left > 0.0 {
            let step = left.min(500.0);
            let (limit, mut product) = ((-step).exp(), self.part());
            while product > limit {
                product *= self.part();
                events += 1;
            }
            left -= step;
        }
        events
    }

    /// A number below `end` by Zipf's law: 1 comes half as often as 0, and 2 a third as often; 0 if
    /// `end` is 0.
    pub(crate) fn zipf(&mut self, end: u64) -> u64 {
        let total: f64 = (1..=end).map(|rank| 1.0 / rank as f64).sum();
        let mut left = self.part() * total;
        for rank in 1..end {
            left -= 1.0 / rank as f64;
            if left < 0.0 {
                return rank - 1;
            }
        }
        end.saturating_sub(1)
    }

    /// The index of one of `weights`, drawn in proportion to its weight; 0 if there are none.
    pub(crate) fn weighted(&mut self, weights: impl Iterator<Item = u32> + Clone) -> usize {
        let total: u64 = weights.clone().map(u64::from).sum();
        let mut left = self.below(total);
        for (index, weight) in weights.enumerate() {
            if left < u64::from(weight) {
                return index;
            }
            left -= u64::from(weight);
        }
        0
    }
}
