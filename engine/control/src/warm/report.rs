//! The report of a run, which the admin interface shows as JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::path::{WarmLookup, WarmOutcome};
use super::task::WarmTask;
use tero_semantics::timestamp::Timestamp;

/// How many failures, refusals and notes a report keeps of each; the rest is only counted.
pub const MAX_REASONS: usize = 50;

/// The longest reason or note in a report, in bytes; the rest is cut off.
const MAX_REASON_BYTES: usize = 200;

/// How many pages the report of a dry run lists; the rest is only counted.
pub const MAX_LISTED: usize = 1_000;

/// The longest URL in that list, in bytes.
const MAX_LISTED_BYTES: usize = 4_096;

/// What started a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunTrigger {
    /// The plan's schedule.
    Schedule,
    /// The plan's schedule, which came due while the edge was down.
    Missed,
    /// The start of the edge, which is not ready before the plan has run.
    Start,
    /// A request to the admin interface.
    #[default]
    Request,
}

/// The state of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunState {
    /// It gathers what to fetch.
    #[default]
    Planning,
    /// It fetches.
    Fetching,
    /// Everything planned has been fetched, or has failed.
    Done,
    /// The plan's deadline passed before everything was fetched.
    DeadlinePassed,
    /// An operator cancelled it, or the edge stopped.
    Cancelled,
    /// It could not run, or a sitemap could not be read; `notes` say why.
    Failed,
}

impl RunState {
    /// The states of runs that have ended.
    pub const OVER: [RunState; 4] = [
        RunState::Done,
        RunState::DeadlinePassed,
        RunState::Cancelled,
        RunState::Failed,
    ];

    /// Whether the run has ended.
    pub fn is_over(self) -> bool {
        !matches!(self, RunState::Planning | RunState::Fetching)
    }

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Planning => "planning",
            RunState::Fetching => "fetching",
            RunState::Done => "done",
            RunState::DeadlinePassed => "deadline-passed",
            RunState::Cancelled => "cancelled",
            RunState::Failed => "failed",
        }
    }
}

/// A page that failed, or was not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageFailure {
    /// Host, path and query.
    pub url: String,
    /// The variant, if it has one.
    pub variant: Option<String>,
    /// Why, for people.
    pub reason: String,
}

/// A page that a dry run would fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRunPage {
    /// Host, path and query.
    pub url: String,
    /// The variant, if it has one.
    pub variant: Option<String>,
    /// Higher priorities go first.
    pub priority: u8,
    /// Why: nothing is stored, or the stored response is stale, goes stale within the window, or is
    /// older than the page's last change. See [`WarmLookup::as_str`].
    pub because: &'static str,
}

/// The value of a run, known when its window has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct RunValue {
    /// The site's hits from the start of the run to the end of its window.
    pub window_hits: u64,
    /// How many of these hits used responses of the run.
    pub hits_given: u64,
    /// `hits_given` as a share of `window_hits`; `None` if there were no hits.
    pub share_of_hits: Option<f64>,
    /// Fetched responses that no visitor used.
    pub unused: u64,
    /// The bytes of their content.
    pub wasted_bytes: u64,
}

/// The report of a run. Each number counts pages once per variant. `planned` is the sum of
/// `fetched`, `fresh`, `not_stored`, `failed`, and the pages that are not done yet or were left
/// when the run ended early.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunReport {
    /// The number of the run; the first after the edge starts is 1.
    pub id: u64,
    /// The plan's name.
    pub plan: String,
    /// The site's name.
    pub site: String,
    /// What started it.
    pub trigger: RunTrigger,
    /// Whether it is a dry run, which only lists what a run would fetch.
    pub dry_run: bool,
    /// Its state.
    pub state: RunState,
    /// When it started, in RFC 3339 with the local time of the plan's zone.
    pub started: String,
    /// When it started, in seconds since the Unix epoch.
    pub started_unix_secs: i64,
    /// The end of its window, like `started`.
    pub window_ends: String,
    /// How long it took, or has taken so far, in whole seconds, rounded down.
    pub seconds: u64,
    /// To be fetched.
    pub planned: u64,
    /// Fetched and stored.
    pub fetched: u64,
    /// Left alone, since the stored response stays fresh until the window ends.
    pub fresh: u64,
    /// Fetched and not stored.
    pub not_stored: u64,
    /// Failed in the last attempt: no response, or an error response.
    pub failed: u64,
    /// Further attempts after the origin was overloaded.
    pub retried: u64,
    /// Left out, since the plan's `max_urls` was reached.
    pub left_out: u64,
    /// Sitemaps that could not be read.
    pub sitemaps_failed: u64,
    /// Those of `fetched` that found `warm_memory` full, and may be evicted before they are used.
    pub not_kept: u64,
    /// Fetched bytes of content.
    pub bytes: u64,
    /// Fetched responses that visitors have used since.
    pub used_later: u64,
    /// The bytes of their content.
    pub used_bytes: u64,
    /// What it was worth; `None` before its window ends.
    pub worth: Option<RunValue>,
    /// The first pages that failed.
    pub failures: Vec<PageFailure>,
    /// The first pages that were not stored.
    pub refusals: Vec<PageFailure>,
    /// Problems while planning, such as broken sitemaps and pages on other hosts.
    pub notes: Vec<String>,
    /// The first pages that a dry run would fetch, in their order.
    pub would_fetch: Vec<DryRunPage>,
    /// The report of all nodes, if they share the run.
    pub fleet: Option<FleetRun>,
}

/// The progress of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunProgress {
    /// Its state.
    pub state: RunState,
    /// Pages to be fetched, once per variant.
    pub planned: u64,
    /// How many of them are done.
    pub finished: u64,
}

impl RunReport {
    /// The progress of the run.
    pub fn progress(&self) -> RunProgress {
        let finished = self.fetched + self.fresh + self.not_stored + self.failed;
        RunProgress {
            state: self.state,
            planned: self.planned,
            finished,
        }
    }

    /// Counts the outcome of a fetch.
    pub(super) fn count(&mut self, url: &str, variant: Option<&str>, outcome: &WarmOutcome) {
        match outcome {
            WarmOutcome::Fetched { bytes, kept } => {
                self.fetched += 1;
                self.bytes += bytes;
                self.not_kept += u64::from(!kept);
            }
            WarmOutcome::Fresh => self.fresh += 1,
            WarmOutcome::NotStored { reason, bytes } => {
                self.not_stored += 1;
                self.bytes += bytes;
                keep(&mut self.refusals, url, variant, reason);
            }
            WarmOutcome::Failed { reason, .. } => {
                self.failed += 1;
                keep(&mut self.failures, url, variant, reason);
            }
        }
    }

    /// Lists a page that a run would fetch.
    pub(super) fn list(&mut self, task: &WarmTask, found: WarmLookup) {
        if self.would_fetch.len() < MAX_LISTED {
            self.would_fetch.push(DryRunPage {
                url: cut(&task.url(), MAX_LISTED_BYTES),
                variant: task.variant.as_deref().map(str::to_owned),
                priority: task.priority,
                because: found.as_str(),
            });
        }
    }

    /// Adds a note.
    pub(super) fn note(&mut self, note: &str) {
        if self.notes.len() < MAX_REASONS {
            self.notes.push(cut(note, MAX_REASON_BYTES));
        }
    }
}

/// Counts of pages, once per variant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageCounts {
    /// Fetched and stored.
    pub fetched: u64,
    /// Left alone, since they stay fresh until the window ends.
    pub fresh: u64,
    /// Fetched and not stored.
    pub not_stored: u64,
    /// Failed in the last attempt.
    pub failed: u64,
    /// Further attempts after the origin was overloaded.
    pub retried: u64,
    /// Fetched bytes of content.
    pub bytes: u64,
}

impl PageCounts {
    /// All pages.
    pub fn pages(&self) -> u64 {
        self.fetched + self.fresh + self.not_stored + self.failed
    }

    fn add(&mut self, other: &PageCounts) {
        self.fetched += other.fetched;
        self.fresh += other.fresh;
        self.not_stored += other.not_stored;
        self.failed += other.failed;
        self.retried += other.retried;
        self.bytes += other.bytes;
    }
}

/// What came of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchResult {
    /// Its pages.
    pub counts: PageCounts,
    /// The first that failed.
    pub failures: Vec<PageFailure>,
    /// The first that were not stored.
    pub refusals: Vec<PageFailure>,
}

impl BatchResult {
    /// Counts pages that failed.
    pub fn add_failures(&mut self, failures: &[PageFailure]) {
        self.counts.failed += failures.len() as u64;
        for PageFailure {
            url,
            variant,
            reason,
        } in failures
        {
            keep(&mut self.failures, url, variant.as_deref(), reason);
        }
    }
}

impl From<RunReport> for BatchResult {
    fn from(report: RunReport) -> BatchResult {
        BatchResult {
            counts: PageCounts {
                fetched: report.fetched,
                fresh: report.fresh,
                not_stored: report.not_stored,
                failed: report.failed,
                retried: report.retried,
                bytes: report.bytes,
            },
            failures: report.failures,
            refusals: report.refusals,
        }
    }
}

/// The report of a run that nodes share: a document that all of them read. Each page of the plan counts
/// once, at the node that had it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetRun {
    /// Drawn by the node that planned. Pages of another attempt are not of this run.
    pub attempt: String,
    /// The node that planned.
    pub planned_by: String,
    /// Pages of the plan.
    pub planned: u64,
    /// Batches that they are in.
    pub batches: u32,
    /// Batches that may be under way at once.
    pub at_once: usize,
    /// When it is over at the latest, in seconds since the Unix epoch. What is left then is not fetched.
    pub ends_unix_secs: i64,
    /// The node at which an operator cancelled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_by: Option<String>,
    /// Batches that are done.
    pub done: BTreeSet<u32>,
    /// What each node has done.
    pub nodes: BTreeMap<String, PageCounts>,
    /// The first that failed.
    pub failures: Vec<PageFailure>,
    /// The first that were not stored.
    pub refusals: Vec<PageFailure>,
}

impl FleetRun {
    /// Whether all pages are done.
    pub fn is_done(&self) -> bool {
        self.done.len() >= self.batches as usize
    }

    /// Whether no more pages of it are to be fetched: all are done, its time has passed, or it was
    /// cancelled.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.is_done() || self.cancelled_by.is_some() || now.unix_secs() >= self.ends_unix_secs
    }

    /// The sum over the nodes.
    pub fn total(&self) -> PageCounts {
        let mut total = PageCounts::default();
        self.nodes.values().for_each(|counts| total.add(counts));
        total
    }

    /// Adds what came of a batch. Returns false if it was done already: another node had it as well.
    pub fn add(&mut self, node: &str, batch: u32, result: &BatchResult) -> bool {
        if !self.done.insert(batch) {
            return false;
        }
        self.nodes
            .entry(node.to_owned())
            .or_default()
            .add(&result.counts);
        for (all, new) in [
            (&mut self.failures, &result.failures),
            (&mut self.refusals, &result.refusals),
        ] {
            let room = MAX_REASONS.saturating_sub(all.len());
            all.extend(new.iter().take(room).cloned());
        }
        true
    }
}

fn keep(reasons: &mut Vec<PageFailure>, url: &str, variant: Option<&str>, reason: &str) {
    if reasons.len() < MAX_REASONS {
        let (url, reason) = (cut(url, MAX_REASON_BYTES), cut(reason, MAX_REASON_BYTES));
        reasons.push(PageFailure {
            url,
            variant: variant.map(str::to_owned),
            reason,
        });
    }
}

fn cut(text: &str, max_bytes: usize) -> String {
    let end = (0..=text.len().min(max_bytes))
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    text[..end].to_owned()
}
