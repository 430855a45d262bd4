//! What a purge means, and what it does.

use std::sync::Arc;

use super::super::Key;
use super::super::stored::StoredHead;
use tero_semantics::key;
use tero_semantics::path::{PathPattern, PathReadings};

/// The stored responses that a purge means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PurgeScope {
    /// The responses of these keys, written as `semantics::key` does; and those of their URLs under
    /// every key with the suffix of a decision.
    Keys(Vec<Vec<u8>>),
    /// The responses that carry a surrogate key.
    Tag {
        /// The index of their site; `None` for every site.
        site: Option<usize>,
        /// The surrogate key.
        tag: String,
    },
    /// The responses whose absolute URL begins with this.
    Prefix(String),
    /// The responses of the site with this index.
    Site(usize),
    /// The responses of a site for paths that one of these patterns protects.
    Paths {
        /// The index of the site.
        site: usize,
        /// The patterns. They hold however a path is written.
        patterns: Arc<[PathPattern]>,
    },
}

/// What a purge does with the responses that it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeMode {
    /// Drops them.
    Hard,
    /// Marks them stale: they are revalidated before reuse, and served while the origin fails.
    Soft,
}

impl PurgeScope {
    /// Whether it may mean a response of this key and site, by what it names of the two. Not for
    /// [`PurgeScope::Keys`] and [`PurgeScope::Tag`].
    pub(super) fn may_mean(&self, key: &Key, site: usize) -> bool {
        match self {
            PurgeScope::Site(own) => *own == site,
            PurgeScope::Paths { site: own, .. } if *own != site => false,
            _ => self.may_have(key.as_bytes()),
        }
    }

    /// Whether it may mean a response of this key. Not for [`PurgeScope::Keys`].
    pub(super) fn may_have(&self, key: &[u8]) -> bool {
        match self {
            PurgeScope::Prefix(prefix) => key::url_of(key).starts_with(prefix.as_str()),
            PurgeScope::Paths { patterns, .. } => {
                PathReadings::of(key::path_of(key)).are_met_by(patterns)
            }
            PurgeScope::Keys(_) | PurgeScope::Tag { .. } | PurgeScope::Site(_) => true,
        }
    }

    /// Whether it means a response with this head, under a key that it may mean.
    pub(super) fn selects(&self, head: &StoredHead) -> bool {
        match self {
            PurgeScope::Keys(_) | PurgeScope::Prefix(_) => true,
            PurgeScope::Site(site) | PurgeScope::Paths { site, .. } => head.site as usize == *site,
            PurgeScope::Tag { site, tag } => {
                site.is_none_or(|site| head.site as usize == site)
                    && head.fields.tags().any(|own| own == &**tag)
            }
        }
    }
}
