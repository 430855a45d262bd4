//! Purging: resolves the target of a purge to scopes of the store, and applies it. Every purge
//! enters here, whatever its source.

#[doc(hidden)] // Public for the fuzz targets and the replay of their corpus.
pub mod target;

use tero_admin_api::PurgeRequest;
use tero_edge::request::site::Sites;
use tero_edge::request::{self, Edge};
use tero_edge::store::{PurgeMode, PurgeScope};

use target::{HostPath, TargetError, TargetParts};

/// A purge of this edge's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePurge {
    /// Which stored responses.
    pub scopes: Vec<PurgeScope>,
    /// Whether they are dropped or marked stale.
    pub mode: PurgeMode,
}

/// Why nothing was purged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PurgeError {
    /// The target is malformed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// No site answers for the host.
    #[error("no site answers for `{}`", .host.escape_debug())]
    UnknownHost {
        /// The host.
        host: String,
        /// The names of the sites.
        sites: Vec<String>,
    },
    /// There is no such site.
    #[error("there is no site `{}`", .name.escape_debug())]
    UnknownSite {
        /// The unknown name.
        name: String,
        /// The names that exist.
        sites: Vec<String>,
    },
}

/// Resolves a purge for this edge.
///
/// # Errors
/// [`PurgeError`]
pub fn resolve(edge: &Edge, request: &PurgeRequest) -> Result<StorePurge, PurgeError> {
    let scopes = scopes(&edge.sites.load(), target::parse(&request.target)?)?;
    let mode = if request.soft {
        PurgeMode::Soft
    } else {
        PurgeMode::Hard
    };
    Ok(StorePurge { scopes, mode })
}

/// Purges, and returns the number of stored responses that were dropped or marked stale.
pub fn apply(edge: &Edge, purge: &StorePurge) -> u64 {
    let now = edge.clock.now();
    let scopes = purge.scopes.iter();
    scopes
        .map(|scope| edge.store.purge(scope, purge.mode, now))
        .sum()
}

fn scopes(sites: &Sites, target: TargetParts) -> Result<Vec<PurgeScope>, PurgeError> {
    let of_host = |host: String| match sites.of_host(&host) {
        Some(site) => Ok((site, host)),
        None => Err(PurgeError::UnknownHost {
            host,
            sites: names(sites),
        }),
    };
    match target {
        TargetParts::Url(HostPath { host, path }) => {
            let (site, host) = of_host(host)?;
            // A TLS terminator in front may or may not tell the scheme, so both are purged.
            let keys = ["http", "https"].map(|scheme| {
                request::keys_of_url(site, &format!("{scheme}://{host}{path}"), None)
            });
            Ok(vec![PurgeScope::Keys(keys.concat())])
        }
        TargetParts::Prefix(HostPath { host, path }) => {
            let (_, host) = of_host(host)?;
            Ok(["http", "https"]
                .map(|scheme| PurgeScope::Prefix(format!("{scheme}://{host}{path}")))
                .into())
        }
        TargetParts::Tag(tag) => Ok(vec![PurgeScope::Tag { site: None, tag }]),
        TargetParts::Site(name) => match sites.named(&name) {
            Some(site) => Ok(vec![PurgeScope::Site(site.index)]),
            None => Err(PurgeError::UnknownSite {
                name,
                sites: names(sites),
            }),
        },
    }
}

fn names(sites: &Sites) -> Vec<String> {
    sites
        .iter()
        .map(|site| site.settings.name.to_string())
        .collect()
}
