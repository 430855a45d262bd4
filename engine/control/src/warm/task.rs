//! What a run has to do: one fetch per page and variant.

use std::sync::Arc;

use super::path::Page;
use tero_policy_host::device::Device;
use tero_semantics::timestamp::Timestamp;

/// After so many pages, others have their turn.
pub(super) const PAGES_PER_TURN: usize = 64;

/// A fetch to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmTask {
    /// Which page.
    pub page: Page,
    /// As which device.
    pub device: Device,
    /// What it will get.
    pub variant: Option<Arc<str>>,
    /// When the page changed, as far as its sitemap knows.
    pub changed: Option<Timestamp>,
    /// The higher goes first.
    pub priority: u8,
}

impl WarmTask {
    /// Host, path and query.
    pub(super) fn url(&self) -> String {
        format!("{}{}", self.page.host, self.page.target)
    }
}
