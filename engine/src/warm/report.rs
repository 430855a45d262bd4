//! What became of a run: for operators, in JSON.

use serde::Serialize;

use super::path::WarmOutcome;

/// Failures, and notes, that a report keeps; the rest is only counted.
pub const MAX_REASONS: usize = 50;

/// Bytes of a reason that a report keeps.
const MAX_REASON_BYTES: usize = 200;

/// What started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// The plan's schedule.
    Schedule,
    /// Somebody asked for it.
    Request,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// It finds out what to fetch.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Host, path and query.
    pub url: String,
    /// The variant, where there is one.
    pub variant: Option<String>,
    /// Why.
    pub reason: String,
}

/// A run of a plan. The numbers count pages times variants; `planned` is the sum of `fetched`, `fresh`, `not_stored`, `failed`
/// and what is still to come, or was left when the run ended early.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunReport {
    /// Counts from 1 when the edge starts.
    pub id: u64,
    /// The plan's name.
    pub plan: String,
    /// The site's name.
    pub site: String,
    /// What started it.
    pub trigger: Trigger,
    /// How far it is.
    pub state: RunState,
    /// When it started, RFC 3339, by the clock of the plan's zone.
    pub started: String,
    /// When it started, in seconds since the Unix epoch.
    pub started_unix_secs: i64,
    /// How long it took, or has taken so far, in whole seconds, rounded down.
    pub seconds: u64,
    /// To be fetched.
    pub planned: u64,
    /// Stored now.
    pub fetched: u64,
    /// Stored and fresh before, left alone.
    pub fresh: u64,
    /// Answered, but not storable.
    pub not_stored: u64,
    /// Not answered, or with an error.
    pub failed: u64,
    /// Left out since the plan's `max_urls` was reached.
    pub left_out: u64,
    /// Of content, fetched.
    pub bytes: u64,
    /// Fetched responses that visitors have used since.
    pub used_later: u64,
    /// The first of those that failed.
    pub failures: Vec<Reason>,
    /// The first of those that could not be stored.
    pub refusals: Vec<Reason>,
    /// What was odd while planning: a sitemap that is none, pages on other hosts.
    pub notes: Vec<String>,
}

/// How far a run is, for those who wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How far it is.
    pub state: RunState,
    /// To be fetched.
    pub planned: u64,
    /// Of those, dealt with.
    pub finished: u64,
}

impl RunReport {
    /// How far it is.
    pub fn progress(&self) -> Progress {
        let finished = self.fetched + self.fresh + self.not_stored + self.failed;
        Progress { state: self.state, planned: self.planned, finished }
    }

    /// Counts what came of a page.
    pub(super) fn count(&mut self, url: &str, variant: Option<&str>, outcome: &WarmOutcome) {
        match outcome {
            WarmOutcome::Fetched { bytes } => {
                self.fetched += 1;
                self.bytes += bytes;
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

    /// Adds a note.
    pub(super) fn note(&mut self, note: &str) {
        if self.notes.len() < MAX_REASONS {
            self.notes.push(cut(note));
        }
    }
}

fn keep(reasons: &mut Vec<Reason>, url: &str, variant: Option<&str>, reason: &str) {
    if reasons.len() < MAX_REASONS {
        reasons.push(Reason { url: cut(url), variant: variant.map(str::to_owned), reason: cut(reason) });
    }
}

fn cut(text: &str) -> String {
    let end = (0..=text.len().min(MAX_REASON_BYTES)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_owned()
}
