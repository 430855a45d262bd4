//! Candidates: the pages that a plan wants, and their variants.

use std::sync::Arc;

use super::path::Page;
use tero_policy_host::device::Device;
use tero_semantics::timestamp::Timestamp;

/// A variant that a plan wants of a page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WantedVariant {
    /// Every variant that some device gets.
    Every,
    /// The variant that this device gets.
    Of(Device),
    /// The variant with this name; `None` is the page without a variant.
    Named(Option<Arc<str>>),
}

/// A page that a plan wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The page.
    pub page: Page,
    /// Its variants that are wanted.
    pub wanted: Vec<WantedVariant>,
    /// Higher priorities go first.
    pub priority: u8,
    /// When the page changed last, if a sitemap says so.
    pub changed: Option<Timestamp>,
}

/// The variants that these names of variants or device classes stand for. A name that is both
/// stands for the device, which gets the variant of that name if there is one.
pub(super) fn wanted_of(names: &[String]) -> Vec<WantedVariant> {
    names
        .iter()
        .map(|name| match Device::from_name(name) {
            Some(device) => WantedVariant::Of(device),
            None => WantedVariant::Named(Some(name.as_str().into())),
        })
        .collect()
}
