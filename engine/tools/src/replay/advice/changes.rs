//! How long content stays the same: answers for one URL are compared that lie about a minute, an hour,
//! a day apart.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::rule_text::shown;
use super::{ConfigEdit, MAX_PATTERNS, Proposal, StudiedAnswer, hashed, parameters};
use tero_semantics::timestamp::Timestamp;

/// Distances at which answers are compared, and so the lifetimes that are proposed.
const STEPS: [Duration; 10] = [
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(3_600),
    Duration::from_secs(4 * 3_600),
    Duration::from_secs(12 * 3_600),
    Duration::from_secs(86_400),
    Duration::from_secs(3 * 86_400),
    Duration::from_secs(7 * 86_400),
];

/// The share of pairs that may differ at the distance of a lifetime. A response is used when it is
/// half as old on average, so about half of this share of hits is outdated.
const MAX_CHANGED_FRESH: f64 = 0.04;

/// The share of pairs that may differ at the distance of lifetime and stale window together. Only the
/// first visitor after an expiry gets the stale response: it is revalidated at once.
const MAX_CHANGED_STALE: f64 = 0.20;

/// The fewest pairs from which a share is drawn.
const MIN_PAIRS: u64 = 30;

/// The fewest requests of a pattern for which something is proposed.
const MIN_REQUESTS: u64 = 200;

/// As how many pairs those of one path count at most, at each distance, whatever queries it is asked
/// with: the share of a folder comes from many of its paths.
const MAX_PAIRS_OF_PATH: u32 = 30;

/// How many URLs are followed, times devices.
const MAX_FOLLOWED: usize = 100_000;

/// How many URLs of one path are followed, times devices: one with invented queries leaves room for
/// others.
const MAX_FOLLOWED_OF_PATH: u32 = 1_000;

/// What is known of all patterns.
#[derive(Debug, Default)]
pub(super) struct ChangeStudy {
    patterns: BTreeMap<String, PatternRequests>,
    /// By path, in an order that is the same in every run: shares are added up. At most as many as URLs
    /// are followed.
    paths: BTreeMap<u64, PathChanges>,
    /// By URL and device: the answer at which the current distance of each step began.
    followed: HashMap<u64, [Option<SeenContent>; STEPS.len()]>,
    requests: u64,
}

#[derive(Clone, Copy, Debug)]
struct SeenContent {
    at: Timestamp,
    content: u64,
}

/// The requests of a pattern.
#[derive(Clone, Copy, Debug)]
struct PatternRequests {
    /// Its number.
    number: usize,
    requests: u64,
    by_length: u64,
}

/// What is known of a path.
#[derive(Debug, Default)]
struct PathChanges {
    /// The number of its pattern.
    pattern: usize,
    /// How many of its URLs are followed, times devices.
    followed: u32,
    pairs: [PathPairs; STEPS.len()],
}

#[derive(Clone, Copy, Debug, Default)]
struct PathPairs {
    pairs: u32,
    changed: u32,
}

/// What is known of a pattern.
#[derive(Clone, Copy, Debug, Default)]
struct PatternChanges {
    pairs: [ChangePairs; STEPS.len()],
}

/// The pairs of a pattern's paths, of which none weighs more than [`MAX_PAIRS_OF_PATH`].
#[derive(Clone, Copy, Debug, Default)]
struct ChangePairs {
    paths: u64,
    /// All pairs, as they were counted.
    counted: u64,
    pairs: u64,
    changed: f64,
}

impl ChangePairs {
    fn add(&mut self, path: PathPairs) {
        let weight = path.pairs.min(MAX_PAIRS_OF_PATH);
        self.paths += u64::from(path.pairs > 0);
        self.counted += u64::from(path.pairs);
        self.pairs += u64::from(weight);
        self.changed += f64::from(weight) * f64::from(path.changed) / f64::from(path.pairs.max(1));
    }

    fn changed_share(self) -> f64 {
        self.changed / self.pairs.max(1) as f64
    }
}

impl ChangeStudy {
    pub(super) fn add(&mut self, answer: &StudiedAnswer<'_>) {
        self.requests += 1;
        if !self.patterns.contains_key(answer.pattern) && self.patterns.len() >= MAX_PATTERNS {
            return;
        }
        let number = self.patterns.len();
        let requests = PatternRequests {
            number,
            requests: 0,
            by_length: 0,
        };
        let pattern = self
            .patterns
            .entry(answer.pattern.to_owned())
            .or_insert(requests);
        pattern.requests += 1;
        pattern.by_length += u64::from(!answer.has_tag);
        let record = answer.record;
        let query = parameters(record.query().unwrap_or_default(), "");
        let key = hashed(&(record.host.as_deref(), record.path(), query, answer.device));
        let is_new = !self.followed.contains_key(&key);
        if is_new && self.followed.len() >= MAX_FOLLOWED {
            return;
        }
        let path = self.paths.entry(hashed(&record.path())).or_default();
        path.pattern = pattern.number;
        if is_new {
            if path.followed >= MAX_FOLLOWED_OF_PATH {
                return;
            }
            path.followed += 1;
        }
        let now = SeenContent {
            at: record.at,
            content: answer.content,
        };
        let seen = self.followed.entry(key).or_default();
        for ((seen, step), count) in seen.iter_mut().zip(STEPS).zip(&mut path.pairs) {
            let Some(earlier) = *seen else {
                *seen = Some(now);
                continue;
            };
            let distance = now.at.since(earlier.at);
            if distance < step {
                continue;
            }
            // A pair that lies much further apart says little about this distance.
            if distance <= step * 2 {
                count.pairs = count.pairs.saturating_add(1);
                let is_changed = earlier.content != now.content;
                count.changed = count.changed.saturating_add(u32::from(is_changed));
            }
            *seen = Some(now);
        }
    }

    pub(super) fn proposals(&self) -> Vec<Proposal> {
        let changes = self.changes();
        let mut patterns: Vec<_> = self.studied().collect();
        patterns.sort_by_key(|(_, of)| std::cmp::Reverse(of.requests));
        patterns
            .into_iter()
            .filter_map(|(pattern, of)| changes[of.number].proposal(pattern, *of))
            .collect()
    }

    /// The patterns with enough requests.
    fn studied(&self) -> impl Iterator<Item = (&String, &PatternRequests)> {
        let patterns = self.patterns.iter();
        patterns.filter(|(_, of)| of.requests >= MIN_REQUESTS)
    }

    /// By number of the pattern: what its paths tell together.
    fn changes(&self) -> Vec<PatternChanges> {
        let mut changes = vec![PatternChanges::default(); self.patterns.len()];
        for path in self.paths.values() {
            let of = &mut changes[path.pattern];
            for (of, pairs) in of.pairs.iter_mut().zip(path.pairs) {
                of.add(pairs);
            }
        }
        changes
    }

    /// Patterns for which even the shortest lifetime is too long, with their share of the requests.
    pub(super) fn restless(&self) -> Vec<(String, f64)> {
        let share = |requests: u64| requests as f64 / self.requests.max(1) as f64;
        let changes = self.changes();
        self.studied()
            .filter(|(_, of)| changes[of.number].longest(MAX_CHANGED_FRESH).is_none())
            .map(|(pattern, of)| (pattern.clone(), share(of.requests)))
            .collect()
    }
}

impl PatternChanges {
    /// The longest distance up to which no more than a share of pairs differ; `None` if the shortest
    /// is too long, or too little is known.
    fn longest(&self, most: f64) -> Option<usize> {
        let mut longest = None;
        for (step, count) in self.pairs.iter().enumerate() {
            if count.pairs >= MIN_PAIRS {
                if count.changed_share() > most {
                    break;
                }
                longest = Some(step);
            }
        }
        longest
    }

    fn proposal(&self, pattern: &str, of: PatternRequests) -> Option<Proposal> {
        let fresh = self.longest(MAX_CHANGED_FRESH)?;
        let stale = self.longest(MAX_CHANGED_STALE).unwrap_or(fresh);
        let (ttl, window) = (STEPS[fresh], STEPS[stale]);
        let count = self.pairs[fresh];
        let by = if of.by_length * 2 > of.requests {
            " by their length: an `etag` in the log would say more"
        } else {
            " by `ETag`"
        };
        let mut reason = format!(
            "of answers that lie {} apart ({} pairs, {} paths), {} differ{by}",
            shown(ttl),
            count.counted,
            count.paths,
            share(count),
        );
        if stale > fresh {
            let differ = share(self.pairs[stale]);
            reason += &format!("; {} apart, {differ} differ", shown(window));
        }
        Some(Proposal {
            title: format!(
                "{pattern}: fresh for {}, and stale for {} while it is revalidated",
                shown(ttl),
                shown(window)
            ),
            reason,
            edits: vec![ConfigEdit::Lifetime {
                pattern: pattern.to_owned(),
                ttl,
                stale: window,
            }],
        })
    }
}

/// The share of pairs that differ, as people read it.
fn share(pairs: ChangePairs) -> String {
    format!("{:.1} %", 100.0 * pairs.changed_share())
}
