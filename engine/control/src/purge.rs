//! Purges by the operator: resolves the target of one to scopes of the store. It is carried out as
//! one by an application is (edge's `store_purge`).

#[doc(hidden)] // Public for the fuzz targets and the replay of their corpus.
pub mod target;

use std::sync::Arc;

use crate::cluster::purge_log::OrderTarget;
use tero_admin_api::PurgeTarget;
use tero_edge::request::Edge;
use tero_edge::request::site::Sites;
use tero_edge::request::store_purge::{StorePurge, scope_of_url, scopes_of_prefix};
use tero_edge::store::{PurgeMode, PurgeScope};
use tero_semantics::path::PathPattern;

use target::{HostPath, TargetError, TargetParts};

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
pub fn resolve(edge: &Edge, target: &PurgeTarget, soft: bool) -> Result<StorePurge, PurgeError> {
    let scopes = scopes(edge, &edge.sites.load(), target::parse(target)?)?;
    let mode = if soft {
        PurgeMode::Soft
    } else {
        PurgeMode::Hard
    };
    Ok(StorePurge { scopes, mode })
}

/// Resolves a purge of the fleet for this edge. What is not here, on another node may be.
///
/// # Errors
/// [`PurgeError`]
pub fn resolve_order(
    edge: &Edge,
    target: &OrderTarget,
    soft: bool,
) -> Result<StorePurge, PurgeError> {
    let target = match target {
        OrderTarget::Url(url) => PurgeTarget::Url(url.clone()),
        OrderTarget::Prefix(prefix) => PurgeTarget::Prefix(prefix.clone()),
        OrderTarget::Tag(tag) => PurgeTarget::Tag(tag.clone()),
        OrderTarget::Site(site) => PurgeTarget::Site(site.clone()),
        OrderTarget::SiteTag { site, tag } => {
            let target = PurgeTarget::Tag(tag.clone());
            let mut purge = resolve(edge, &target, soft)?;
            let sites = edge.sites.load();
            let index = sites.named(site).map(|site| site.index);
            let index = index.ok_or_else(|| PurgeError::UnknownSite {
                name: site.clone(),
                sites: names(&sites),
            })?;
            for scope in &mut purge.scopes {
                if let PurgeScope::Tag { site, .. } = scope {
                    *site = Some(index);
                }
            }
            return Ok(purge);
        }
    };
    resolve(edge, &target, soft)
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
        let Ok(purged) = purge.apply(edge) else {
            return;
        };
        tracing::info!(site = %site.settings.name, purged, "dropped what is never stored now");
    }
}

fn scopes(edge: &Edge, sites: &Sites, target: TargetParts) -> Result<Vec<PurgeScope>, PurgeError> {
    let of_host = |host: &str| match sites.of_host(host) {
        found if !found.is_empty() => Ok(found),
        _ => Err(PurgeError::UnknownHost {
            host: host.to_owned(),
            sites: names(sites),
        }),
    };
    match target {
        TargetParts::Url(HostPath { host, path }) => {
            let sites = of_host(&host)?.into_iter();
            let scopes = sites.map(|site| scope_of_url(edge, site, &host, &path));
            Ok(scopes.collect())
        }
        TargetParts::Prefix(HostPath { host, path }) => {
            let sites = of_host(&host)?.into_iter();
            let scopes = sites.flat_map(|site| scopes_of_prefix(edge, site, &host, &path));
            Ok(scopes.collect())
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
