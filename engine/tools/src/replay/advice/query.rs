//! Query parameters that don't count: requests that differ in one parameter alone, close in time, get
//! the same content.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::plain::is_plain_name;
use super::{ConfigEdit, Proposal, StudiedAnswer, hashed, is_tracking, parameters, percent};
use tero_semantics::timestamp::Timestamp;

/// How close two requests must be to be compared: content changes meanwhile.
const CLOSE: Duration = Duration::from_secs(300);

/// The fewest comparisons from which it follows that a parameter doesn't count.
const MIN_COMPARISONS: u64 = 50;

/// The share of comparisons that may differ, beyond twice that of requests that are alike: content
/// changes now and then.
const MAX_DIFFERENT: f64 = 0.02;

/// How many parameters of a request are looked at.
const MAX_PARAMETERS: usize = 8;

/// How many names of parameters are studied.
const MAX_NAMES: usize = 1_000;

/// How many URLs are remembered. When they are full, all are forgotten: only close ones count.
const MAX_REMEMBERED: usize = 100_000;

/// The name under which tracking parameters are counted; no parameter has it.
const TRACKING: &str = "tracking parameters";

#[derive(Debug, Default)]
pub(super) struct QueryStudy {
    names: BTreeMap<String, ParameterCount>,
    /// By what is left of a request without one parameter.
    seen: HashMap<u64, SeenRest>,
    /// Requests that are alike in all: how often content changes between close ones.
    alike: QueryPairs,
}

#[derive(Clone, Copy, Debug)]
struct SeenRest {
    at: Timestamp,
    /// The parameter that was left out, with its value; 0: there was none.
    left_out: u64,
    name: u64,
    content: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct ParameterCount {
    /// Requests that differ in the parameter alone.
    apart: QueryPairs,
    /// Requests that have it and are alike.
    alike: QueryPairs,
}

#[derive(Clone, Copy, Debug, Default)]
struct QueryPairs {
    pairs: u64,
    different: u64,
}

impl QueryPairs {
    fn add(&mut self, is_different: bool) {
        self.pairs += 1;
        self.different += u64::from(is_different);
    }

    fn share(self) -> f64 {
        self.different as f64 / self.pairs.max(1) as f64
    }
}

impl ParameterCount {
    /// Whether the content doesn't depend on it. `usual` is how often content changes anyway.
    fn is_idle(&self, usual: QueryPairs) -> bool {
        let usual = if self.alike.pairs >= MIN_COMPARISONS {
            self.alike
        } else {
            usual
        };
        self.apart.pairs >= MIN_COMPARISONS
            && self.apart.share() <= 2.0 * usual.share() + MAX_DIFFERENT
    }
}

impl QueryStudy {
    pub(super) fn add(&mut self, answer: &StudiedAnswer<'_>) {
        if self.seen.len() >= MAX_REMEMBERED {
            self.seen.clear();
        }
        let record = answer.record;
        let query = record.query().unwrap_or_default();
        let key = |name: &str| {
            let rest = parameters(query, name);
            hashed(&(record.host.as_deref(), record.path(), rest, answer.device))
        };
        let mut now = SeenRest {
            at: record.at,
            left_out: 0,
            name: 0,
            content: answer.content,
        };
        let mut is_tracked = false;
        for parameter in query.split('&').take(MAX_PARAMETERS) {
            let name = parameter.split('=').next().unwrap_or_default();
            if name.is_empty() {
                continue;
            }
            if is_tracking(name) {
                is_tracked = true;
                continue;
            }
            now.left_out = hashed(&parameter);
            now.name = hashed(&name);
            self.compare(key(name), name, now);
        }
        let whole = key("");
        if is_tracked {
            // Tracking parameters come together: they are studied as one.
            now.left_out = hashed(&query);
            now.name = 1;
            self.compare(whole, TRACKING, now);
        } else {
            (now.left_out, now.name) = (0, 0);
            let earlier = self.seen.insert(whole, now);
            if let Some(earlier) = earlier.filter(|earlier| is_close(earlier, &now))
                && earlier.name == 0
            {
                let is_different = earlier.content != now.content;
                self.alike.add(is_different);
                for parameter in query.split('&').take(MAX_PARAMETERS) {
                    let name = parameter.split('=').next().unwrap_or_default();
                    if let Some(count) = self.names.get_mut(name) {
                        count.alike.add(is_different);
                    }
                }
            }
        }
    }

    fn compare(&mut self, key: u64, name: &str, now: SeenRest) {
        let is_known = self.names.contains_key(name);
        if !is_known && (self.names.len() >= MAX_NAMES || !is_studied(name)) {
            return;
        }
        let count = self.names.entry(name.to_owned()).or_default();
        if let Some(earlier) = self.seen.insert(key, now)
            && (earlier.name == now.name || earlier.name == 0)
            && earlier.left_out != now.left_out
            && is_close(&earlier, &now)
        {
            count.apart.add(earlier.content != now.content);
        }
    }

    /// Proposes to leave out what doesn't count.
    pub(super) fn proposal(&self) -> Option<Proposal> {
        let idle: Vec<(&String, &ParameterCount)> = self
            .names
            .iter()
            .filter(|(_, count)| count.is_idle(self.alike))
            .collect();
        if idle.is_empty() {
            return None;
        }
        let mut drop = Vec::new();
        let mut reasons = Vec::new();
        for (name, count) in idle {
            match name.as_str() {
                TRACKING => {
                    drop.extend(["utm_*", "fbclid", "gclid"].map(str::to_owned));
                }
                name => drop.push(name.to_owned()),
            }
            reasons.push(format!(
                "{name}: of {} pairs of requests that differ in it alone, {} got other content",
                count.apart.pairs,
                percent(count.apart.different, count.apart.pairs)
            ));
        }
        Some(Proposal {
            title: format!("query parameters that don't count: {}", drop.join(", ")),
            reason: reasons.join("; "),
            edits: vec![ConfigEdit::DropParameters { names: drop }],
        })
    }
}

/// Whether a name is counted: one that may be written into a configuration.
fn is_studied(name: &str) -> bool {
    name == TRACKING || is_plain_name(name)
}

fn is_close(earlier: &SeenRest, now: &SeenRest) -> bool {
    now.at.since(earlier.at) <= CLOSE
}
