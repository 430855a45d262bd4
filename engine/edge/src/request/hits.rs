//! Uses of stored responses: counted for popularity, and for the plans that warmed them; and those
//! that come in time for a revalidation ahead.
//!
//! A hit pays for one addition. The rest is done once in [`HITS_PER_COUNT`] hits, or when somebody
//! wants the numbers.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::admit::Exchange;
use super::{Answer, Edge, refresh_ahead, trial};
use crate::store::Key;
use crate::store::stored::StoredResponse;
use crate::telemetry::Outcome;
use crate::telemetry::access_log::AccessLogLine;

/// Hits of a stored response that are counted in one go.
const HITS_PER_COUNT: u32 = 64;

/// Stands in the count of a response that is to be revalidated ahead, so that its next hit finds
/// its way here: a bit beyond all counts.
const DUE: u32 = 1 << 31;

/// Counts a use of a stored response by a visitor.
pub(super) fn count(edge: &Arc<Edge>, exchange: &Arc<Exchange>, stored: &Arc<StoredResponse>) {
    if exchange.warm_run != 0 {
        return;
    }
    if stored.uncounted_hits.fetch_add(1, Relaxed) + 1 >= HITS_PER_COUNT {
        count_many(edge, exchange, stored);
    }
    if stored.head.warm_run != 0 && !stored.used.load(Relaxed) && !stored.used.swap(true, Relaxed) {
        edge.warm_use
            .record(stored.head.warm_run, stored.body.len());
    }
}

#[cold]
fn count_many(edge: &Arc<Edge>, exchange: &Arc<Exchange>, stored: &Arc<StoredResponse>) {
    let (hits, due) = take_uncounted(stored);
    if hits > 0 {
        let target = exchange.counting_target();
        record_hits(
            edge,
            &target,
            exchange.decision.variant.as_deref(),
            &exchange.host,
            stored,
            hits,
        );
    }
    if due {
        refresh_ahead::revalidate(edge, exchange, stored);
    }
}

/// Counts the hits that have been kept back on a stored response: before another takes its place,
/// which would not know of them.
pub(super) fn flush_hits(edge: &Edge, key: &Key, stored: &StoredResponse) {
    let (hits, _) = take_uncounted(stored);
    if hits > 0 {
        let url = key.url();
        record_hits(
            edge,
            target_of(url),
            key.variant(),
            host_of(url),
            stored,
            hits,
        );
    }
}

/// Counts the hits that have been kept back on all stored responses: before somebody reads the
/// numbers.
pub(super) fn flush_all_hits(edge: &Edge) {
    edge.store.for_each(|key, stored| {
        // One that is due stays so.
        if stored.uncounted_hits.load(Relaxed) & !DUE > 0 {
            let (hits, due) = take_uncounted(stored);
            if due {
                mark_due(stored);
            }
            let url = key.url();
            record_hits(
                edge,
                target_of(url),
                key.variant(),
                host_of(url),
                stored,
                hits,
            );
        }
    });
}

/// The hits of a stored response since it came.
pub(super) fn hits_so_far(stored: &StoredResponse) -> u32 {
    stored
        .counted_hits
        .load(Relaxed)
        .saturating_add(stored.uncounted_hits.load(Relaxed) & !DUE)
}

/// Sends the next hit of a stored response to revalidate it.
pub(super) fn mark_due(stored: &StoredResponse) {
    stored.uncounted_hits.fetch_or(DUE, Relaxed);
}

fn take_uncounted(stored: &StoredResponse) -> (u32, bool) {
    let taken = stored.uncounted_hits.swap(0, Relaxed);
    (taken & !DUE, taken & DUE != 0)
}

fn record_hits(
    edge: &Edge,
    target: &str,
    variant: Option<&str>,
    host: &str,
    stored: &StoredResponse,
    hits: u32,
) {
    let _ = stored
        .counted_hits
        .fetch_update(Relaxed, Relaxed, |counted| {
            Some(counted.saturating_add(hits))
        });
    if stored.head.warm_run != 0 {
        edge.warm_use.record_hits(stored.head.warm_run, hits.into());
    }
    // An error that is stored is nothing to be fetched ahead of demand.
    if stored.head.status.is_success() {
        edge.popularity.record(
            stored.head.site as usize,
            target,
            variant,
            hits,
            edge.clock.now(),
        );
        edge.popularity
            .record_host(stored.head.site as usize, host, hits);
    }
}

/// The host of an absolute URL.
fn host_of(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(url, |at| &url[at + 3..]);
    after_scheme.split('/').next().unwrap_or(after_scheme)
}

/// Path and query of an absolute URL.
fn target_of(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    url[after_scheme..]
        .find('/')
        .map_or("/", |slash| &url[after_scheme + slash..])
}

/// Records what became of a visitor's request.
pub(super) fn record(edge: &Edge, exchange: &Arc<Exchange>, answer: &Answer) {
    let now = edge.clock.now();
    let took = now.since(exchange.at);
    let length = answer.response.body().length();
    let bytes = if answer.response.body().is_at_hand() {
        length.unwrap_or(0)
    } else {
        0
    };
    let variant = exchange.decision.variant.as_deref();
    exchange
        .site
        .counters
        .record(answer.outcome, variant, bytes, took, exchange.at);
    if exchange.site.is_on_trial() {
        trial::record(exchange, answer.outcome);
    }
    let was_fetched = matches!(
        answer.outcome,
        Outcome::Miss | Outcome::Collapsed | Outcome::Revalidated
    );
    // What is not stored is of no use to others, and what somebody is told privately is nobody's
    // business.
    if was_fetched
        && answer.stored
        && !answer.response.status().is_client_error()
        && !answer.response.status().is_server_error()
    {
        edge.popularity.record(
            exchange.site.index,
            &exchange.counting_target(),
            variant,
            1,
            exchange.at,
        );
        edge.popularity
            .record_host(exchange.site.index, &exchange.host, 1);
    }
    if let Some(log) = &edge.access_log {
        log.write(&AccessLogLine {
            at: exchange.at,
            client: exchange.client.unwrap_or(IpAddr::from([0, 0, 0, 0])),
            method: &exchange.parts.method,
            target: exchange
                .parts
                .uri
                .path_and_query()
                .map_or("/", |target| target.as_str()),
            version: exchange.parts.version,
            host: &exchange.host,
            request: &exchange.parts.headers,
            status: answer.response.status(),
            response: answer.response.headers(),
            bytes: length,
            outcome: answer.outcome,
            took_micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        });
    }
}
