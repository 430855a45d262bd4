//! Variants that aren't worth it: devices that get the same content.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::{ConfigEdit, MAX_PATTERNS, Proposal, StudiedAnswer, hashed, parameters, percent};
use tero_semantics::timestamp::Timestamp;

/// How close two requests must be to be compared.
const CLOSE: Duration = Duration::from_secs(300);

/// The fewest comparisons from which something follows.
const MIN_COMPARISONS: u64 = 50;

/// The share of comparisons that may differ, since content changes now and then.
const MAX_DIFFERENT: f64 = 0.03;

/// How many URLs are remembered. When they are full, all are forgotten: only close ones count.
const MAX_REMEMBERED: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct DeviceStudy {
    patterns: BTreeMap<String, DeviceCount>,
    /// By URL: the last answer.
    seen: HashMap<u64, SeenDevice>,
}

#[derive(Clone, Copy, Debug)]
struct SeenDevice {
    at: Timestamp,
    device: u64,
    content: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct DeviceCount {
    comparisons: u64,
    different: u64,
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
        let count = self.patterns.entry(answer.pattern.to_owned()).or_default();
        if let Some(earlier) = self.seen.insert(key, now)
            && earlier.device != now.device
            && now.at.since(earlier.at) <= CLOSE
        {
            count.comparisons += 1;
            count.different += u64::from(earlier.content != now.content);
        }
    }

    /// Proposes to give all devices the same stored response. It takes effect where a policy names the
    /// pattern as one with variants.
    pub(super) fn proposals(&self) -> Vec<Proposal> {
        self.patterns
            .iter()
            .filter(|(_, count)| {
                count.comparisons >= MIN_COMPARISONS
                    && count.different as f64 <= MAX_DIFFERENT * count.comparisons as f64
            })
            .map(|(pattern, count)| Proposal {
                title: format!("{pattern}: no variants by device"),
                reason: format!(
                    "of {} pairs of requests by different devices, {} got other content",
                    count.comparisons,
                    percent(count.different, count.comparisons)
                ),
                edits: vec![ConfigEdit::NoVariants {
                    pattern: pattern.clone(),
                }],
            })
            .collect()
    }
}
