//! The tasks of a run: one fetch for each page and variant.

use std::sync::Arc;

use super::path::Page;
use tero_policy_host::device::Device;
use tero_semantics::timestamp::Timestamp;

/// After so many pages, other tasks of the thread have their turn.
pub(super) const PAGES_PER_TURN: usize = 64;

/// A fetch that a run has to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmTask {
    /// The page.
    pub page: Page,
    /// The device that the fetch stands for.
    pub device: Device,
    /// The variant that this device gets.
    pub variant: Option<Arc<str>>,
    /// When the page changed last, if a sitemap says so.
    pub changed: Option<Timestamp>,
    /// Higher priorities go first.
    pub priority: u8,
}

impl WarmTask {
    /// Host, path and query.
    pub(super) fn url(&self) -> String {
        format!("{}{}", self.page.host, self.page.target)
    }
}
