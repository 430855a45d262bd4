//! What became of a run: for operators, in JSON.

use super::path::{WarmLookup, WarmOutcome};
use super::task::WarmTask;

/// Failures, and notes, that a report keeps; the rest is only counted.
pub const MAX_REASONS: usize = 50;

/// Bytes of a reason that a report keeps.
const MAX_REASON_BYTES: usize = 200;

/// Pages that a dry run lists; the rest is only counted.
pub const MAX_LISTED: usize = 1_000;

/// Bytes of a URL in that list.
const MAX_LISTED_BYTES: usize = 4_096;

/// What started a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunTrigger {
    /// The plan's schedule.
    Schedule,
    /// The plan's schedule, whose time came while the edge was down.
    Missed,
    /// The edge has started, and is ready only once the plan has run.
    Start,
    /// Somebody asked for it.
    #[default]
    Request,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunState {
    /// It finds out what to fetch.
    #[default]
    Planning,
    /// It fetches.
    Fetching,
    /// Everything planned has been fetched, or has failed.
    Done,
    /// The plan's deadline has passed before.
    DeadlinePassed,
    /// It was stopped, by somebody or because the edge stops.
    Cancelled,
    /// It could not be run at all; `notes` say why.
    Failed,
}

impl RunState {
    /// Whether the run is over.
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

/// A URL that failed, or could not be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageFailure {
    /// Host, path and query.
    pub url: String,
    /// The variant, where there is one.
    pub variant: Option<String>,
    /// Why.
    pub reason: String,
}

/// A page that a dry run would fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRunPage {
    /// Host, path and query.
    pub url: String,
    /// The variant, where there is one.
    pub variant: Option<String>,
    /// The higher goes first.
    pub priority: u8,
    /// Why: nothing is stored, or it is stale, goes stale within the window, or has changed since.
    pub because: &'static str,
}

/// Whether a run was worth it: known when its window is over.
#[derive(Clone, Debug, PartialEq)]
pub struct RunValue {
    /// The site's hits from the start of the run to the end of its window.
    pub window_hits: u64,
    /// Those of them that were answered from what the run fetched.
    pub hits_given: u64,
    /// Their part; none where there was no hit.
    pub share_of_hits: Option<f64>,
    /// Fetched responses that nobody used.
    pub unused: u64,
    /// Bytes of their content.
    pub wasted_bytes: u64,
}

/// A run of a plan. The numbers count pages times variants; `planned` is the sum of `fetched`,
/// `fresh`, `not_stored`, `failed` and what is still to come, or was left when the run ended early.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunReport {
    /// Counts from 1 when the edge starts.
    pub id: u64,
    /// The plan's name.
    pub plan: String,
    /// The site's name.
    pub site: String,
    /// What started it.
    pub trigger: RunTrigger,
    /// Whether it only finds out what it would fetch.
    pub dry_run: bool,
    /// How far it is.
    pub state: RunState,
    /// When it started, RFC 3339, by the clock of the plan's zone.
    pub started: String,
    /// When it started, in seconds since the Unix epoch.
    pub started_unix_secs: i64,
    /// The end of the time that it prepares for, like `started`.
    pub window_ends: String,
    /// How long it took, or has taken so far, in whole seconds, rounded down.
    pub seconds: u64,
    /// To be fetched.
    pub planned: u64,
    /// Stored now.
    pub fetched: u64,
    /// Stored before, and fresh to the end of the window: left alone.
    pub fresh: u64,
    /// Answered, but not storable.
    pub not_stored: u64,
    /// Not answered, or with an error, also when tried again.
    pub failed: u64,
    /// Tried again, since the origin had too much to do.
    pub retried: u64,
    /// Left out since the plan's `max_urls` was reached.
    pub left_out: u64,
    /// Of those fetched, the ones that found `warm_memory` full: they may have to make room before
    /// they are used.
    pub not_kept: u64,
    /// Of content, fetched.
    pub bytes: u64,
    /// Fetched responses that visitors have used since.
    pub used_later: u64,
    /// Bytes of their content.
    pub used_bytes: u64,
    /// Whether it was worth it; none before its window is over.
    pub worth: Option<RunValue>,
    /// The first of those that failed.
    pub failures: Vec<PageFailure>,
    /// The first of those that could not be stored.
    pub refusals: Vec<PageFailure>,
    /// What was odd while planning: a sitemap that is none, pages on other hosts.
    pub notes: Vec<String>,
    /// Of a dry run: the first of the pages that it would fetch, in their order.
    pub would_fetch: Vec<DryRunPage>,
}

/// How far a run is, for those who wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunProgress {
    /// How far it is.
    pub state: RunState,
    /// To be fetched.
    pub planned: u64,
    /// Of those, dealt with.
    pub finished: u64,
}

impl RunReport {
    /// How far it is.
    pub fn progress(&self) -> RunProgress {
        let finished = self.fetched + self.fresh + self.not_stored + self.failed;
        RunProgress {
            state: self.state,
            planned: self.planned,
            finished,
        }
    }

    /// Counts what came of a page.
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

    /// Lists a page of a dry run.
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
