//! Purging: resolves the target of a purge to scopes of the store, and applies it. Every purge
//! enters here, whatever its source.

#[doc(hidden)] // Public for the fuzz targets and the replay of their corpus.
pub mod target;

use std::sync::Arc;

use tero_admin_api::PurgeRequest;
use tero_edge::request::site::Sites;
use tero_edge::request::{self, Edge};
use tero_edge::store::{PurgeMode, PurgeScope};
use tero_semantics::authority::Scheme;
use tero_semantics::path::PathPattern;

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
    let scopes = scopes(edge, &edge.sites.load(), target::parse(&request.target)?)?;
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

/// Drops what is stored of paths that were added to `[[site.never]]` since `before`. Requests no
/// longer look it up; so nothing of it returns when the paths are taken out again.
pub(crate) fn drop_never_stored(edge: &Edge, before: &Sites) {
    for site in edge.sites.load().iter() {
        let Some(floor) = &site.floor else { continue };
        let old = before.named(&site.settings.name);
        let old = old.and_then(|site| site.floor.as_deref());
        let is_new = |pattern: &&PathPattern| !old.is_some_and(|old| old.never.contains(pattern));
        let patterns: Arc<[PathPattern]> = floor.never.iter().filter(is_new).cloned().collect();
        if patterns.is_empty() {
            continue;
        }
        let purge = StorePurge {
            scopes: vec![PurgeScope::Paths {
                site: site.index,
                patterns,
            }],
            mode: PurgeMode::Hard,
        };
        let purged = apply(edge, &purge);
        tracing::info!(site = %site.settings.name, purged, "dropped what is never stored now");
    }
}

fn scopes(edge: &Edge, sites: &Sites, target: TargetParts) -> Result<Vec<PurgeScope>, PurgeError> {
    // Which port a URL names doesn't matter, and a TLS terminator in front may or may not tell the
    // scheme: every port and both schemes are purged.
    let of_host = |host: &str| match sites.of_host(host) {
        found if !found.is_empty() => Ok(found),
        _ => Err(PurgeError::UnknownHost {
            host: host.to_owned(),
            sites: names(sites),
        }),
    };
    match target {
        TargetParts::Url(HostPath { host, path }) => {
            let url = format!("http://{host}{path}");
            let sites = of_host(&host)?.into_iter();
            let keys = sites.flat_map(|site| request::keys_of_url(edge, site, &url, None));
            Ok(vec![PurgeScope::Keys(keys.collect())])
        }
        TargetParts::Prefix(HostPath { host, path }) => {
            let (sites, mut prefixes) = (of_host(&host)?, Vec::new());
            for (site, scheme) in sites.iter().flat_map(|site| Scheme::ALL.map(|s| (site, s))) {
                let authorities = site.authorities_of(&host, scheme, &edge.ports).into_iter();
                prefixes.extend(authorities.map(|authority| {
                    PurgeScope::Prefix(format!("{}://{authority}{path}", scheme.as_str()))
                }));
            }
            Ok(prefixes)
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
