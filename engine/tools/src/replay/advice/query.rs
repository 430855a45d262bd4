//! Query parameters that don't count: requests that differ in one parameter alone, close in time, get
//! the same content.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::plain::is_plain_name;
use super::{ConfigEdit, MAX_PATTERNS, Proposal, StudiedAnswer, hashed, is_tracking};
use super::{parameters, percent};
use tero_semantics::timestamp::Timestamp;

/// How close two requests must be to be compared: content changes meanwhile.
const CLOSE: Duration = Duration::from_secs(300);

/// The fewest comparisons from which it follows that a parameter doesn't count.
const MIN_COMPARISONS: u64 = 50;

/// As how many comparisons those of one path count at most, so that a popular page doesn't speak for
/// the others of its pattern.
const MAX_COMPARISONS_OF_PATH: u64 = 50;

/// How many comparisons may differ on a pattern that has few of them.
const FEW: f64 = 3.0;

/// The fewest comparisons of one path from which it follows that the parameter counts there.
const MIN_COMPARISONS_OF_PATH: u64 = 10;

/// The share of one path's comparisons beyond which the parameter counts there.
const MAX_DIFFERENT_OF_PATH: f64 = 0.5;

/// The share of comparisons that may differ, beyond twice that of requests that are alike: content
/// changes now and then.
const MAX_DIFFERENT: f64 = 0.02;

/// How many parameters of a request are looked at.
const MAX_PARAMETERS: usize = 8;

/// How many names of parameters are studied.
const MAX_NAMES: usize = 1_000;

/// How many paths with a name are counted by themselves. Those that come later are counted together, by
/// their name.
const MAX_PATHS: usize = 50_000;

/// How many URLs are remembered. When they are full, all are forgotten: only close ones count.
const MAX_REMEMBERED: usize = 100_000;

/// The name under which tracking parameters are counted; no parameter has it.
const TRACKING: &str = "tracking parameters";

/// The number of the pattern that stands for paths beyond [`MAX_PATTERNS`] and [`MAX_PATHS`].
const REST: usize = 0;

#[derive(Debug, Default)]
pub(super) struct QueryStudy {
    /// Names, with their numbers.
    names: BTreeMap<String, usize>,
    /// Patterns, with their numbers from 1.
    patterns: BTreeMap<String, usize>,
    /// By number of a pattern: its requests that are alike in all, which tell how often content changes
    /// between close ones.
    alike: Vec<QueryPairs>,
    /// By name and path, in an order that is the same in every run: shares are added up.
    paths: BTreeMap<u64, PathCount>,
    /// By what is left of a request without one parameter.
    seen: HashMap<u64, SeenRest>,
}

#[derive(Clone, Copy, Debug)]
struct SeenRest {
    at: Timestamp,
    /// The parameter that was left out, with its value; 0: there was none.
    left_out: u64,
    name: u64,
    content: u64,
}

/// Requests for a path that differ in a parameter alone.
#[derive(Clone, Copy, Debug)]
struct PathCount {
    name: usize,
    pattern: usize,
    apart: QueryPairs,
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

    fn join(&mut self, other: QueryPairs) {
        self.pairs += other.pairs;
        self.different += other.different;
    }

    /// The share that may differ where content changes by itself as often as in these pairs.
    fn allowed(self) -> f64 {
        2.0 * self.different as f64 / self.pairs.max(1) as f64 + MAX_DIFFERENT
    }
}

/// Comparisons of several paths, of which none weighs more than [`MAX_COMPARISONS_OF_PATH`].
#[derive(Clone, Copy, Debug, Default)]
struct WeighedPairs {
    /// How many paths have the name.
    paths: u64,
    pairs: f64,
    different: f64,
    /// The greatest share that differs of one path's comparisons, where it has enough.
    greatest: f64,
}

impl WeighedPairs {
    fn add(&mut self, count: &PathCount) {
        let QueryPairs { pairs, different } = count.apart;
        let weight = match count.pattern {
            REST => pairs,
            _ => pairs.min(MAX_COMPARISONS_OF_PATH),
        };
        self.paths += 1;
        self.pairs += weight as f64;
        let share = different as f64 / pairs.max(1) as f64;
        self.different += share * weight as f64;
        if pairs >= MIN_COMPARISONS_OF_PATH {
            self.greatest = self.greatest.max(share);
        }
    }

    fn join(&mut self, other: WeighedPairs) {
        self.paths += other.paths;
        self.pairs += other.pairs;
        self.different += other.different;
    }

    fn is_enough(self) -> bool {
        self.pairs >= MIN_COMPARISONS as f64
    }

    fn is_idle(self, allowed: f64) -> bool {
        self.different <= allowed * self.pairs
    }
}

/// What is known of a name on all patterns.
#[derive(Debug, Default)]
struct NameCount {
    apart: QueryPairs,
    /// By number of the pattern.
    patterns: BTreeMap<usize, WeighedPairs>,
}

impl NameCount {
    /// Whether the content depends on it nowhere: not on a path, not on a pattern with enough comparisons,
    /// and not on the other patterns together, of which none has more than a few that differ. Most paths
    /// with the name must be among those that are known.
    fn is_idle(&self, allowed: impl Fn(usize) -> f64, usually: f64) -> bool {
        let mut known = WeighedPairs::default();
        let mut rest = WeighedPairs::default();
        for (pattern, pairs) in &self.patterns {
            let allowed = allowed(*pattern);
            if pairs.greatest > allowed.max(MAX_DIFFERENT_OF_PATH) {
                return false;
            }
            if pairs.is_enough() {
                if !pairs.is_idle(allowed) {
                    return false;
                }
                known.join(*pairs);
            } else {
                if pairs.different > FEW && !pairs.is_idle(allowed) {
                    return false;
                }
                rest.join(*pairs);
            }
        }
        if rest.is_enough() {
            if !rest.is_idle(usually) {
                return false;
            }
            known.join(rest);
            rest.paths = 0;
        }
        known.is_enough() && known.paths > rest.paths
    }
}

impl QueryStudy {
    pub(super) fn add(&mut self, answer: &StudiedAnswer<'_>) {
        if self.seen.len() >= MAX_REMEMBERED {
            self.seen.clear();
        }
        let record = answer.record;
        let query = record.query().unwrap_or_default();
        let pattern = self.pattern(answer.pattern);
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
            self.compare(key(name), name, (pattern, record.path()), now);
        }
        let whole = key("");
        if is_tracked {
            // Tracking parameters come together: they are studied as one.
            now.left_out = hashed(&query);
            now.name = 1;
            self.compare(whole, TRACKING, (pattern, record.path()), now);
        } else {
            (now.left_out, now.name) = (0, 0);
            let earlier = self.seen.insert(whole, now);
            if let Some(earlier) = earlier.filter(|earlier| is_close(earlier, &now))
                && earlier.name == 0
            {
                self.alike[pattern].add(earlier.content != now.content);
            }
        }
    }

    /// The number of a pattern.
    fn pattern(&mut self, pattern: &str) -> usize {
        let number = match self.patterns.get(pattern) {
            Some(number) => *number,
            None if self.patterns.len() >= MAX_PATTERNS => REST,
            None => {
                let number = self.patterns.len() + 1;
                self.patterns.insert(pattern.to_owned(), number);
                number
            }
        };
        if self.alike.len() <= number {
            self.alike.resize(number + 1, QueryPairs::default());
        }
        number
    }

    /// The number of a name; `None` if it is not studied.
    fn name(&mut self, name: &str) -> Option<usize> {
        if let Some(number) = self.names.get(name) {
            return Some(*number);
        }
        let number = self.names.len();
        (number < MAX_NAMES && is_studied(name)).then(|| {
            self.names.insert(name.to_owned(), number);
            number
        })
    }

    fn compare(&mut self, key: u64, name: &str, place: (usize, &str), now: SeenRest) {
        let Some(number) = self.name(name) else {
            return;
        };
        let count = self.path(number, place);
        if let Some(earlier) = self.seen.insert(key, now)
            && (earlier.name == now.name || earlier.name == 0)
            && earlier.left_out != now.left_out
            && is_close(&earlier, &now)
            && let Some(count) = self.paths.get_mut(&count)
        {
            count.apart.add(earlier.content != now.content);
        }
    }

    /// The key in `paths` of a name and a path.
    fn path(&mut self, name: usize, (pattern, path): (usize, &str)) -> u64 {
        let key = hashed(&(name, path));
        let is_known = self.paths.contains_key(&key);
        let is_own = pattern != REST && (is_known || self.paths.len() < MAX_PATHS);
        let (key, pattern) = match is_own {
            true => (key, pattern),
            false => (hashed(&name), REST),
        };
        self.paths.entry(key).or_insert(PathCount {
            name,
            pattern,
            apart: QueryPairs::default(),
        });
        key
    }

    /// By number of a name: what is known of it.
    fn counts(&self) -> Vec<NameCount> {
        let mut counts: Vec<NameCount> = Vec::new();
        counts.resize_with(self.names.len(), NameCount::default);
        for path in self.paths.values() {
            let count = &mut counts[path.name];
            count.apart.join(path.apart);
            count.patterns.entry(path.pattern).or_default().add(path);
        }
        counts
    }

    /// Proposes to leave out what doesn't count.
    pub(super) fn proposal(&self) -> Option<Proposal> {
        let mut usual = QueryPairs::default();
        for alike in &self.alike {
            usual.join(*alike);
        }
        let usually = usual.allowed();
        let allowed = |pattern: usize| match self.alike.get(pattern) {
            Some(alike) if pattern != REST && alike.pairs >= MIN_COMPARISONS => alike.allowed(),
            _ => usually,
        };
        let counts = self.counts();
        let idle: Vec<(&String, &NameCount)> = self
            .names
            .iter()
            .map(|(name, number)| (name, &counts[*number]))
            .filter(|(_, count)| count.is_idle(allowed, usually))
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
