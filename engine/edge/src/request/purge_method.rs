//! `PURGE` and its kin on the public listener: the site's own application says what has changed
//! (decision record 0017).

use std::sync::Arc;

use http::StatusCode;
use http::header::{ALLOW, HeaderValue, RETRY_AFTER};

use super::failure::Failure;
use super::fleet::{RelayedPurge, RelayedTarget};
use super::provenance::{Answer, Provenance};
use super::respond;
use super::store_purge::{StorePurge, scope_of_url, scopes_of_prefix};
use super::visit::Visit;
use crate::store::{PurgeMode, PurgeScope};
use crate::telemetry::Outcome;
use tero_semantics::purge_request::{PurgeWish, PurgeWishError, PurgedPages, purge_wish};

/// Why a purge is refused.
#[derive(Clone, Copy, Debug)]
enum PurgeRefusal {
    /// The site has no `[site.purge]`.
    Off,
    /// The client may not.
    Forbidden,
    /// What it asks for is not understood.
    Unclear(PurgeWishError),
    /// More than the rate allows.
    TooOften,
    /// Too many wait.
    Busy,
    /// The edge is going down.
    Stopping,
}

/// Answers a request for a purge.
pub(super) async fn answer(visit: Visit<'_>) -> Answer {
    match purge(visit).await {
        Ok(count) => purged(visit, count),
        Err(refusal) => refused(visit, refusal),
    }
}

/// The answer in a rehearsal, where nothing is purged: a log doesn't tell what a client may purge.
pub(super) fn rehearsed(visit: Visit<'_>) -> Answer {
    match &visit.exchange.site.purge {
        Some(_) => purged(visit, 0),
        None => refused(visit, PurgeRefusal::Off),
    }
}

async fn purge(visit: Visit<'_>) -> Result<u64, PurgeRefusal> {
    let Visit { edge, exchange } = visit;
    let access = exchange.site.purge.as_ref().ok_or(PurgeRefusal::Off)?;
    let parts = &exchange.parts;
    if !access.admits(exchange.client, &parts.headers) {
        return Err(PurgeRefusal::Forbidden);
    }
    let wish = purge_wish(&parts.method, parts.uri.path(), &parts.headers)
        .map_err(PurgeRefusal::Unclear)?;
    if !access.take(exchange.at) {
        return Err(PurgeRefusal::TooOften);
    }
    let _place = edge
        .purge_places
        .try_acquire()
        .map_err(|_| PurgeRefusal::Busy)?;
    let what = describe(visit, &wish);
    let told = wish.clone();
    let order = order(visit, wish);
    let shared = Arc::clone(edge);
    // In a task, since it has to be done even if the client leaves; on a thread of its own, since it
    // may read through the whole store. One goes on at a time.
    let work = tokio::spawn(async move {
        let _turn = shared.purging_groups.lock().await;
        let edge = Arc::clone(&shared);
        tokio::task::spawn_blocking(move || order.apply(&edge)).await
    });
    let Ok(Ok(Ok(count))) = work.await else {
        return Err(PurgeRefusal::Stopping);
    };
    let client = exchange.client.map(tracing::field::display);
    tracing::info!(site = %visit.settings().name, client, what, purged = count, "purged by request");
    edge.fleet.relay(|| in_words(visit, told));
    Ok(count)
}

/// What of the store a request means.
fn order(visit: Visit<'_>, wish: PurgeWish) -> StorePurge {
    let Visit { edge, exchange } = visit;
    let (site, host) = (&exchange.site, exchange.authority.host());
    let scopes = match wish.pages {
        PurgedPages::Url => vec![scope_of_url(edge, site, host, target(visit))],
        PurgedPages::Prefix(prefix) => scopes_of_prefix(edge, site, host, &prefix),
        PurgedPages::Keys(keys) => {
            let keys = keys.into_iter();
            let of_site = |tag| PurgeScope::Tag {
                site: Some(site.index),
                tag,
            };
            keys.map(of_site).collect()
        }
        PurgedPages::Site => vec![PurgeScope::Site(site.index)],
    };
    let mode = match wish.soft {
        true => PurgeMode::Soft,
        false => PurgeMode::Hard,
    };
    StorePurge { scopes, mode }
}

/// What a request means, as other nodes understand it.
fn in_words(visit: Visit<'_>, wish: PurgeWish) -> Vec<RelayedPurge> {
    let host = visit.exchange.authority.host();
    let site = visit.settings().name.to_string();
    let targets = match wish.pages {
        PurgedPages::Url => vec![RelayedTarget::Url(format!(
            "http://{host}{}",
            target(visit)
        ))],
        PurgedPages::Prefix(prefix) => {
            vec![RelayedTarget::Prefix(format!("http://{host}{prefix}"))]
        }
        PurgedPages::Keys(keys) => {
            let of_site = |tag| RelayedTarget::SiteTag {
                site: site.clone(),
                tag,
            };
            keys.into_iter().map(of_site).collect()
        }
        PurgedPages::Site => vec![RelayedTarget::Site(site)],
    };
    let relayed = |target| RelayedPurge {
        target,
        soft: wish.soft,
    };
    targets.into_iter().map(relayed).collect()
}

fn target(visit: Visit<'_>) -> &str {
    let target = visit.exchange.parts.uri.path_and_query();
    target.map_or("/", |target| target.as_str())
}

/// What is purged, for the log.
fn describe(visit: Visit<'_>, wish: &PurgeWish) -> String {
    let soft = if wish.soft { ", soft" } else { "" };
    let what = match &wish.pages {
        PurgedPages::Url => target(visit).to_owned(),
        PurgedPages::Prefix(prefix) => format!("{prefix}*"),
        PurgedPages::Keys(keys) => match keys.as_slice() {
            [key] => format!("key {key}"),
            keys => format!("{} keys", keys.len()),
        },
        PurgedPages::Site => "the site".to_owned(),
    };
    format!("{what}{soft}")
}

fn purged(visit: Visit<'_>, count: u64) -> Answer {
    Answer {
        response: respond::purged(visit.edge, count),
        provenance: Provenance::stored(Outcome::Pass),
    }
}

fn refused(visit: Visit<'_>, refusal: PurgeRefusal) -> Answer {
    let (status, reason) = match refusal {
        PurgeRefusal::Off => (
            StatusCode::METHOD_NOT_ALLOWED,
            "purges are not offered here",
        ),
        PurgeRefusal::Forbidden => (StatusCode::FORBIDDEN, "this client may not purge"),
        PurgeRefusal::Unclear(error) => (StatusCode::BAD_REQUEST, error.as_str()),
        PurgeRefusal::TooOften => (StatusCode::TOO_MANY_REQUESTS, "too many purges"),
        PurgeRefusal::Busy => (StatusCode::SERVICE_UNAVAILABLE, "too many purges wait"),
        PurgeRefusal::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "the edge is shutting down"),
    };
    let exchange = visit.exchange;
    if !matches!(refusal, PurgeRefusal::Off) {
        let limits = &exchange.site.counters.repeats;
        if let Some(left_out) = limits.due("purge refused", reason, visit.edge.clock.now()) {
            let client = exchange.client.map(tracing::field::display);
            tracing::warn!(site = %visit.settings().name, client, reason, left_out, "purge refused");
        }
    }
    let mut answer = respond::failed(visit, None, Failure::own(status, reason));
    let headers = answer.response.headers_mut();
    match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(ALLOW, respond::ALLOWED_METHODS);
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    answer
}
