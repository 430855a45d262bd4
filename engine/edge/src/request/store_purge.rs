//! A purge of this edge's store: from what is named to the scopes of the store. Every purge by an
//! operator or an application comes this way, whichever interface it enters by.

use super::edge::Edge;
use super::site::Site;
use super::url_keys::keys_of_url;
use crate::store::{PurgeMode, PurgeScope};
use crate::succession::HandedOverError;
use tero_semantics::authority::Scheme;

/// A purge of this edge's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePurge {
    /// Which stored responses.
    pub scopes: Vec<PurgeScope>,
    /// Whether they are dropped or marked stale.
    pub mode: PurgeMode,
}

impl StorePurge {
    /// Purges, and returns the number of stored responses that were dropped or marked stale. Not for
    /// a thread that serves requests.
    ///
    /// # Errors
    /// If another process serves: its store is another one.
    pub fn apply(&self, edge: &Edge) -> Result<u64, HandedOverError> {
        let purged = self.apply_in_memory(edge)?;
        // Before it is answered, it is on the disks.
        sync_purges(edge);
        Ok(purged)
    }

    /// The same, but for the disks: they have it after [`sync_purges`]. For many purges at once.
    ///
    /// # Errors
    /// As [`StorePurge::apply`].
    pub fn apply_in_memory(&self, edge: &Edge) -> Result<u64, HandedOverError> {
        let _under_way = edge.succession.begin_purge()?;
        let now = edge.clock.now();
        let number = edge.counters.purges.begin(now);
        let scopes = self.scopes.iter();
        let purged = scopes
            .map(|scope| edge.store.purge(scope, self.mode, now))
            .sum();
        edge.counters.purges.end(number, purged, edge.clock.now());
        Ok(purged)
    }
}

/// Has all purges on the disks when it returns.
pub fn sync_purges(edge: &Edge) {
    if let Some(disk) = edge.store.disk() {
        disk.sync_purges();
    }
}

/// The responses of a path with its query on a host of a site, in all variants. Which port a URL
/// names doesn't matter, and a TLS terminator in front may or may not tell the scheme: every port and
/// both schemes are meant.
pub fn scope_of_url(edge: &Edge, site: &Site, host: &str, target: &str) -> PurgeScope {
    let url = format!("http://{host}{target}");
    PurgeScope::Keys(keys_of_url(edge, site, &url, None))
}

/// The responses of all URLs of a host of a site that begin so, by every port and both schemes.
pub fn scopes_of_prefix(edge: &Edge, site: &Site, host: &str, target: &str) -> Vec<PurgeScope> {
    let mut scopes = Vec::new();
    for scheme in Scheme::ALL {
        let authorities = site.authorities_of(host, scheme, &edge.ports()).into_iter();
        scopes.extend(authorities.map(|authority| {
            PurgeScope::Prefix(format!("{}://{authority}{target}", scheme.as_str()))
        }));
    }
    scopes
}
