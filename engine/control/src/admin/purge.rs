//! `POST /purge`: drops or marks stale what is stored under a URL, a tag, a prefix or a site.

use serde_json::json;

use super::AdminContext;
use super::asked::purge::{self as asked, HostPath, PurgeRequest, PurgeTarget};
use super::reply::{AdminRefusal, AdminResponse};
use tero_edge::request;
use tero_edge::request::site::Sites;
use tero_edge::store::{PurgeMode, PurgeScope};

/// Purges what the content names and answers how many stored responses that were.
pub(super) fn purge(state: &AdminContext, content: &[u8]) -> Result<AdminResponse, AdminRefusal> {
    let PurgeRequest { target, soft } = asked::read(content)?;
    let targets = targets(state, &target)?;
    let how = if soft {
        PurgeMode::Soft
    } else {
        PurgeMode::Hard
    };
    let now = state.edge.clock.now();
    let purged: u64 = targets
        .iter()
        .map(|target| state.edge.store.purge(target, how, now))
        .sum();
    tracing::info!(?target, soft, purged, "purged");
    Ok(AdminResponse::json(&json!({ "purged": purged })))
}

fn targets(state: &AdminContext, named: &PurgeTarget) -> Result<Vec<PurgeScope>, AdminRefusal> {
    let sites = state.edge.sites.load();
    match named {
        PurgeTarget::Url(HostPath { host, path }) => {
            let site = sites.of_host(host).ok_or_else(|| no_site(host, &sites))?;
            // Whoever ends TLS in front may or may not say so, so both schemes are meant.
            let keys = ["http", "https"].map(|scheme| {
                request::keys_of_url(site, &format!("{scheme}://{host}{path}"), None)
            });
            Ok(vec![PurgeScope::Keys(keys.concat())])
        }
        PurgeTarget::Prefix(HostPath { host, path }) => {
            sites.of_host(host).ok_or_else(|| no_site(host, &sites))?;
            Ok(["http", "https"]
                .map(|scheme| PurgeScope::Prefix(format!("{scheme}://{host}{path}")))
                .into())
        }
        PurgeTarget::Tag(tag) => Ok(vec![PurgeScope::Tag {
            site: None,
            tag: tag.clone(),
        }]),
        PurgeTarget::Site(name) => {
            let site = sites.named(name).ok_or_else(|| {
                let error = format!("there is no site `{}`", name.escape_debug());
                AdminRefusal::unknown(error, format!("the sites are {}", names(&sites)))
            })?;
            Ok(vec![PurgeScope::Site(site.index)])
        }
    }
}

fn no_site(host: &str, sites: &Sites) -> AdminRefusal {
    AdminRefusal::unknown(
        format!("no site answers for `{}`", host.escape_debug()),
        format!("the sites are {}", names(sites)),
    )
}

fn names(sites: &Sites) -> String {
    sites
        .iter()
        .map(|site| site.settings.name.as_ref())
        .collect::<Vec<_>>()
        .join(", ")
}
