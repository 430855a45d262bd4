//! Pages to fetch ahead of demand: what policies name, and what they are told that visitors want.

use std::sync::Arc;

/// A page to fetch ahead of demand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WarmUrl {
    /// Path and query.
    pub url: String,
    /// Names of variants or device classes; empty means those of the plan.
    pub variants: Vec<String>,
    /// The higher goes first.
    pub priority: u8,
}

/// A page that visitors wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PopularPage {
    /// Path and query.
    pub url: String,
    /// How often it was asked for.
    pub requests: u64,
    /// Under which variant.
    pub variant: Option<Arc<str>>,
}
