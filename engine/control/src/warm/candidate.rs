//! Pages that a plan wants, and in which variants.

use std::sync::Arc;

use super::path::Page;
use tero_policy_host::device::Device;
use tero_semantics::timestamp::Timestamp;

/// A variant that a plan wants of a page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WantedVariant {
    /// Each that some device gets.
    Every,
    /// What such a device gets.
    Of(Device),
    /// The one of that name; none stands for that without a name.
    Named(Option<Arc<str>>),
}

/// A page that a plan wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub page: Page,
    /// In which variants.
    pub wanted: Vec<WantedVariant>,
    /// The higher goes first.
    pub priority: u8,
    /// When it changed, as far as its sitemap knows.
    pub changed: Option<Timestamp>,
}

/// Names of variants or device classes. A name that is both is that of the device: it gets the
/// variant of that name where there is one.
pub(super) fn wanted_of(names: &[String]) -> Vec<WantedVariant> {
    names
        .iter()
        .map(|name| match Device::from_name(name) {
            Some(device) => WantedVariant::Of(device),
            None => WantedVariant::Named(Some(name.as_str().into())),
        })
        .collect()
}
