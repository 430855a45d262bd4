//! `POST /purge`: drops or marks stale what is stored under a URL, a tag, a prefix or a site.

use serde_json::json;

use super::State;
use super::asked::purge::{self as asked, Asked, Named, Place};
use super::reply::{Refusal, Reply};
use tero_edge::request;
use tero_edge::request::site::Sites;
use tero_edge::store::{Purge, Target};

/// Purges what the content names and answers how many stored responses that were.
pub(super) fn purge(state: &State, content: &[u8]) -> Result<Reply, Refusal> {
    let Asked { target, soft } = asked::read(content)?;
    let targets = targets(state, &target)?;
    let how = if soft { Purge::Soft } else { Purge::Hard };
    let now = state.edge.clock.now();
    let purged: u64 = targets
        .iter()
        .map(|target| state.edge.store.purge(target, how, now))
        .sum();
    tracing::info!(?target, soft, purged, "purged");
    Ok(Reply::json(&json!({ "purged": purged })))
}

fn targets(state: &State, named: &Named) -> Result<Vec<Target>, Refusal> {
    let sites = state.edge.sites.load();
    match named {
        Named::Url(Place { host, path }) => {
            let site = sites.of_host(host).ok_or_else(|| no_site(host, &sites))?;
            // Whoever ends TLS in front may or may not say so, so both schemes are meant.
            let keys = ["http", "https"].map(|scheme| {
                request::keys_of_url(site, &format!("{scheme}://{host}{path}"), None)
            });
            Ok(vec![Target::Keys(keys.concat())])
        }
        Named::Prefix(Place { host, path }) => {
            sites.of_host(host).ok_or_else(|| no_site(host, &sites))?;
            Ok(["http", "https"]
                .map(|scheme| Target::Prefix(format!("{scheme}://{host}{path}")))
                .into())
        }
        Named::Tag(tag) => Ok(vec![Target::Tag {
            site: None,
            tag: tag.clone(),
        }]),
        Named::Site(name) => {
            let site = sites.named(name).ok_or_else(|| {
                let error = format!("there is no site `{}`", name.escape_debug());
                Refusal::unknown(error, format!("the sites are {}", names(&sites)))
            })?;
            Ok(vec![Target::Site(site.index)])
        }
    }
}

fn no_site(host: &str, sites: &Sites) -> Refusal {
    Refusal::unknown(
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
