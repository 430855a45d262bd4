//! Batches of pages as they travel, each in a message.

use serde::{Deserialize, Serialize};

use crate::warm::path::Page;
use crate::warm::shared::{FleetRun, PageFailure};
use crate::warm::task::WarmTask;
use tero_policy_host::device::Device;
use tero_semantics::authority::Scheme;
use tero_semantics::timestamp::Timestamp;

/// The largest batch, in bytes; the largest message of NATS is 1 MiB.
pub(super) const MOST_BYTES: usize = 256 << 10;

/// A batch as it travels.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct QueuedBatch {
    pub(super) attempt: String,
    pub(super) number: u32,
    pub(super) pages: Vec<QueuedPage>,
}

/// A fetch as it travels.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct QueuedPage {
    scheme: String,
    host: String,
    target: String,
    device: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed_ms: Option<i64>,
    priority: u8,
}

impl QueuedBatch {
    /// The batch in a message; `None` if it is none, or one of another version of tero.
    pub(super) fn read(content: &[u8]) -> Option<QueuedBatch> {
        serde_json::from_slice(content).ok()
    }

    /// The fetches, and the pages that this version of tero can't fetch.
    pub(super) fn tasks(&self) -> (Vec<WarmTask>, Vec<PageFailure>) {
        let (mut tasks, mut unknown) = (Vec::new(), Vec::new());
        for page in &self.pages {
            match page.task() {
                Ok(task) => tasks.push(task),
                Err(failure) => unknown.push(failure),
            }
        }
        (tasks, unknown)
    }

    /// Whether it is part of a run, and not done yet.
    pub(super) fn is_open_in(&self, run: &FleetRun) -> bool {
        self.attempt == run.attempt && self.number < run.batches && !run.done.contains(&self.number)
    }
}

impl QueuedPage {
    pub(super) fn of(task: &WarmTask) -> QueuedPage {
        QueuedPage {
            scheme: task.page.scheme.as_str().to_owned(),
            host: task.page.host.to_string(),
            target: task.page.target.clone(),
            device: task.device.as_str().to_owned(),
            variant: task.variant.as_deref().map(str::to_owned),
            changed_ms: task.changed.map(Timestamp::unix_millis),
            priority: task.priority,
        }
    }

    /// The fetch.
    ///
    /// # Errors
    /// This version of tero can't fetch it: another one has planned it.
    pub(super) fn task(&self) -> Result<WarmTask, PageFailure> {
        let unknown = |what: &str, name: &str| PageFailure {
            url: format!("{}{}", self.host, self.target),
            variant: self.variant.clone(),
            reason: format!("another version of tero has planned it: the {what} {name} is unknown"),
        };
        let scheme = Scheme::from_name(&self.scheme);
        let device = Device::from_name(&self.device);
        Ok(WarmTask {
            page: Page {
                scheme: scheme.ok_or_else(|| unknown("scheme", &self.scheme))?,
                host: self.host.as_str().into(),
                target: self.target.clone(),
            },
            device: device.ok_or_else(|| unknown("device class", &self.device))?,
            variant: self.variant.as_deref().map(Into::into),
            changed: self.changed_ms.map(Timestamp::from_unix_millis),
            priority: self.priority,
        })
    }

    /// Its length as it travels, at most. JSON writes a character as up to six bytes.
    fn most_bytes(task: &WarmTask) -> usize {
        const REST: usize = 256;
        6 * (task.page.host.len() + task.page.target.len()) + REST
    }
}

/// Parts of a batch that fit into a message.
pub(super) fn small(tasks: &[WarmTask]) -> Vec<&[WarmTask]> {
    let mut parts = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (place, task) in tasks.iter().enumerate() {
        let length = QueuedPage::most_bytes(task);
        if bytes + length > MOST_BYTES && place > begin {
            parts.push(&tasks[begin..place]);
            (begin, bytes) = (place, 0);
        }
        bytes += length;
    }
    if begin < tasks.len() {
        parts.push(&tasks[begin..]);
    }
    parts
}
