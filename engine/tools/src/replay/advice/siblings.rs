//! Variants that aren't worth it: devices that get the same content.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::{ConfigEdit, MAX_PATTERNS, Proposal, StudiedAnswer, hashed, parameters};
use tero_semantics::timestamp::Timestamp;

/// How close two requests must be to be compared.
const CLOSE: Duration = Duration::from_secs(300);

/// The fewest comparisons from which something follows.
const MIN_COMPARISONS: u64 = 50;

/// As how many comparisons those of one path count at most, so that a popular page doesn't speak for
/// the others of its pattern.
const MAX_COMPARISONS_OF_PATH: u32 = 50;

/// The fewest comparisons of one path from which it follows that devices count there.
const MIN_COMPARISONS_OF_PATH: u32 = 10;

/// The share of one path's comparisons beyond which devices count there.
const MAX_DIFFERENT_OF_PATH: f64 = 0.5;

/// The share of comparisons that may differ, since content changes now and then.
const MAX_DIFFERENT: f64 = 0.03;

/// How many URLs are remembered. When they are full, all are forgotten: only close ones count.
const MAX_REMEMBERED: usize = 100_000;

/// How many paths are counted by themselves. Those that come later are not counted.
const MAX_PATHS: usize = 50_000;

#[derive(Debug, Default)]
pub(super) struct DeviceStudy {
    /// Patterns, with their numbers.
    patterns: BTreeMap<String, usize>,
    /// By path, in an order that is the same in every run: shares are added up.
    paths: BTreeMap<u64, PathDevices>,
    /// By URL: the last answer.
    seen: HashMap<u64, SeenDevice>,
}

#[derive(Clone, Copy, Debug)]
struct SeenDevice {
    at: Timestamp,
    device: u64,
    content: u64,
}

/// Comparisons of one path.
#[derive(Clone, Copy, Debug)]
struct PathDevices {
    /// The number of its pattern.
    pattern: usize,
    comparisons: u32,
    different: u32,
}

/// The comparisons of a pattern's paths, of which none weighs more than [`MAX_COMPARISONS_OF_PATH`].
#[derive(Clone, Copy, Debug, Default)]
struct DeviceCount {
    /// All comparisons, as they were counted.
    counted: u64,
    comparisons: u64,
    different: f64,
    /// Devices count on one of its paths.
    has_variants: bool,
}

impl DeviceCount {
    fn add(&mut self, path: &PathDevices) {
        let weight = path.comparisons.min(MAX_COMPARISONS_OF_PATH);
        let share = f64::from(path.different) / f64::from(path.comparisons.max(1));
        self.counted += u64::from(path.comparisons);
        self.comparisons += u64::from(weight);
        self.different += share * f64::from(weight);
        self.has_variants |=
            path.comparisons >= MIN_COMPARISONS_OF_PATH && share > MAX_DIFFERENT_OF_PATH;
    }

    fn share(self) -> f64 {
        self.different / self.comparisons.max(1) as f64
    }

    fn is_alike(self) -> bool {
        self.comparisons >= MIN_COMPARISONS && !self.has_variants && self.share() <= MAX_DIFFERENT
    }
}

impl DeviceStudy {
    pub(super) fn add(&mut self, answer: &StudiedAnswer<'_>) {
        if self.seen.len() >= MAX_REMEMBERED {
            self.seen.clear();
        }
        if !self.patterns.contains_key(answer.pattern) && self.patterns.len() >= MAX_PATTERNS {
            return;
        }
        let record = answer.record;
        let query = parameters(record.query().unwrap_or_default(), "");
        let key = hashed(&(record.host.as_deref(), record.path(), query));
        let now = SeenDevice {
            at: record.at,
            device: hashed(&answer.device),
            content: answer.content,
        };
        let number = self.patterns.len();
        let pattern = *self
            .patterns
            .entry(answer.pattern.to_owned())
            .or_insert(number);
        if let Some(earlier) = self.seen.insert(key, now)
            && earlier.device != now.device
            && now.at.since(earlier.at) <= CLOSE
        {
            self.compare(pattern, record.path(), earlier.content != now.content);
        }
    }

    fn compare(&mut self, pattern: usize, path: &str, is_different: bool) {
        let key = hashed(&path);
        if !self.paths.contains_key(&key) && self.paths.len() >= MAX_PATHS {
            return;
        }
        let path = self.paths.entry(key).or_insert(PathDevices {
            pattern,
            comparisons: 0,
            different: 0,
        });
        path.comparisons = path.comparisons.saturating_add(1);
        path.different = path.different.saturating_add(u32::from(is_different));
    }

    /// Proposes to give all devices the same stored response. It takes effect where a policy names the
    /// pattern as one with variants.
    pub(super) fn proposals(&self) -> Vec<Proposal> {
        let mut counts = vec![DeviceCount::default(); self.patterns.len()];
        for path in self.paths.values() {
            counts[path.pattern].add(path);
        }
        self.patterns
            .iter()
            .map(|(pattern, number)| (pattern, counts[*number]))
            .filter(|(_, count)| count.is_alike())
            .map(|(pattern, count)| Proposal {
                title: format!("{pattern}: no variants by device"),
                reason: format!(
                    "of {} pairs of requests by different devices, {:.1} % got other content",
                    count.counted,
                    100.0 * count.share()
                ),
                edits: vec![ConfigEdit::NoVariants {
                    pattern: pattern.clone(),
                }],
            })
            .collect()
    }
}
