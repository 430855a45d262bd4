//! How long content stays the same: answers for one URL are compared that lie about a minute, an hour,
//! a day apart.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::edit::shown;
use super::{ConfigEdit, MAX_PATTERNS, Proposal, StudiedAnswer, hashed, parameters, percent};
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

/// How many URLs are followed, times devices.
const MAX_FOLLOWED: usize = 100_000;

/// What is known of all patterns.
#[derive(Debug, Default)]
pub(super) struct ChangeStudy {
    patterns: BTreeMap<String, PatternChanges>,
    /// By URL and device: the answer at which the current distance of each step began.
    followed: HashMap<u64, [Option<SeenContent>; STEPS.len()]>,
    requests: u64,
}

#[derive(Clone, Copy, Debug)]
struct SeenContent {
    at: Timestamp,
    content: u64,
}

/// What is known of a pattern.
#[derive(Debug, Default)]
struct PatternChanges {
    requests: u64,
    by_length: u64,
    pairs: [ChangePairs; STEPS.len()],
}

#[derive(Clone, Copy, Debug, Default)]
struct ChangePairs {
    pairs: u64,
    changed: u64,
}

impl ChangePairs {
    fn changed_share(self) -> f64 {
        self.changed as f64 / self.pairs.max(1) as f64
    }
}

impl ChangeStudy {
    pub(super) fn add(&mut self, answer: &StudiedAnswer<'_>) {
        self.requests += 1;
        if !self.patterns.contains_key(answer.pattern) && self.patterns.len() >= MAX_PATTERNS {
            return;
        }
        let pattern = self.patterns.entry(answer.pattern.to_owned()).or_default();
        pattern.requests += 1;
        pattern.by_length += u64::from(!answer.has_tag);
        let record = answer.record;
        let query = parameters(record.query().unwrap_or_default(), "");
        let key = hashed(&(record.host.as_deref(), record.path(), query, answer.device));
        if !self.followed.contains_key(&key) && self.followed.len() >= MAX_FOLLOWED {
            return;
        }
        let now = SeenContent {
            at: record.at,
            content: answer.content,
        };
        let seen = self.followed.entry(key).or_default();
        for ((seen, step), count) in seen.iter_mut().zip(STEPS).zip(&mut pattern.pairs) {
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
                count.pairs += 1;
                count.changed += u64::from(earlier.content != now.content);
            }
            *seen = Some(now);
        }
    }

    pub(super) fn proposals(&self) -> Vec<Proposal> {
        let mut patterns: Vec<_> = self
            .patterns
            .iter()
            .filter(|(_, changes)| changes.requests >= MIN_REQUESTS)
            .collect();
        patterns.sort_by_key(|(_, changes)| std::cmp::Reverse(changes.requests));
        patterns
            .into_iter()
            .filter_map(|(pattern, changes)| changes.proposal(pattern))
            .collect()
    }

    /// Patterns for which even the shortest lifetime is too long, with their share of the requests.
    pub(super) fn restless(&self) -> Vec<(String, f64)> {
        let share = |requests: u64| requests as f64 / self.requests.max(1) as f64;
        self.patterns
            .iter()
            .filter(|(_, changes)| changes.requests >= MIN_REQUESTS)
            .filter(|(_, changes)| changes.longest(MAX_CHANGED_FRESH).is_none())
            .map(|(pattern, changes)| (pattern.clone(), share(changes.requests)))
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

    fn proposal(&self, pattern: &str) -> Option<Proposal> {
        let fresh = self.longest(MAX_CHANGED_FRESH)?;
        let stale = self.longest(MAX_CHANGED_STALE).unwrap_or(fresh);
        let (ttl, window) = (STEPS[fresh], STEPS[stale]);
        let count = self.pairs[fresh];
        let by = if self.by_length * 2 > self.requests {
            " by their length: an `etag` in the log would say more"
        } else {
            " by `ETag`"
        };
        let mut reason = format!(
            "of {} pairs of answers that lie {} apart, {} differ{by}",
            count.pairs,
            shown(ttl),
            percent(count.changed, count.pairs),
        );
        if stale > fresh {
            let count = self.pairs[stale];
            reason += &format!(
                "; {} apart, {} differ",
                shown(window),
                percent(count.changed, count.pairs)
            );
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
