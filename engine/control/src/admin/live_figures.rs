//! The figures of a moment, as `GET /live` tells them. They are made once a second for all listeners.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::context::AdminContext;
use super::process;
use super::stats::{counts, store_stats};
use tero_admin_api::{Answer as _, LiveEvent, LiveFigures, LiveSite, TrafficReport};
use tero_edge::request::site::Site;
use tero_edge::telemetry::counters::BUCKETS;
use tero_semantics::timestamp::Timestamp;
use tero_time::zones;

/// Sites that are told by themselves, at most.
const MAX_SITES: usize = 64;
/// The line of this second.
pub(super) fn line(context: &AdminContext) -> Bytes {
    let now = context.edge.clock.now();
    context.live_line.at(now, || {
        LiveEvent::Figures(figures(context)).to_text().into()
    })
}

/// The figures now.
fn figures(context: &AdminContext) -> LiveFigures {
    let edge = &context.edge;
    let (sites, now) = (edge.sites.load(), edge.clock.wall());
    let mut all: Vec<(u64, LiveSite)> = sites
        .iter()
        .map(|site| {
            (
                site.counters.outcomes_in_all().total(),
                live_site(site, now),
            )
        })
        .collect();
    let total = all.iter().fold(TrafficReport::default(), |sum, (_, site)| {
        together(sum, &site.traffic)
    });
    let told = busiest(&all);
    all.retain(|(requests, _)| *requests >= told);
    all.truncate(MAX_SITES);
    let process = process::sample();
    // Those of routes with origins of their own, too.
    let origins = sites.iter().flat_map(|site| site.origins());
    let waiting: usize = origins.map(|(_, origin)| origin.waiting()).sum();
    LiveFigures {
        at_unix_ms: now.unix_millis(),
        started_unix_secs: context.started.unix_secs(),
        latency_bounds: BUCKETS.to_vec(),
        total,
        sites: all.into_iter().map(|(_, site)| site).collect(),
        cache: store_stats(context),
        cache_limit_bytes: edge.store.memory(),
        resident_bytes: process.resident_bytes,
        cpu_seconds: process.cpu_seconds,
        workers: context.workers.count() as u64,
        connections: edge.counters.open_connections(),
        max_connections: context.max_connections.load(Ordering::Relaxed) as u64,
        waiting: waiting as u64,
    }
}

/// How many requests a site must have had to be among the [`MAX_SITES`] that are told.
fn busiest(sites: &[(u64, LiveSite)]) -> u64 {
    let mut requests: Vec<u64> = sites.iter().map(|(requests, _)| *requests).collect();
    requests.sort_unstable_by(|one, other| other.cmp(one));
    requests.get(MAX_SITES - 1).copied().unwrap_or(0)
}

fn live_site(site: &Site, now: Timestamp) -> LiveSite {
    let zone = site.counters.zone();
    LiveSite {
        site: site.settings.name.to_string(),
        zone: zone.name().to_owned(),
        local: zones::local(now, zone).to_rfc3339(),
        maintenance: site.maintenance.current(now).is_some(),
        traffic: traffic(site),
    }
}

fn traffic(site: &Site) -> TrafficReport {
    let counters = &site.counters;
    let traffic = counters.traffic_in_all();
    let origin = counters.origin_requests();
    let failed = origin
        .iter()
        .filter(|(status, _)| matches!(*status, "5xx" | "failed"));
    TrafficReport {
        requests: counts(&traffic.requests),
        bytes: counts(&traffic.bytes),
        latency: counters.request_seconds().buckets.to_vec(),
        origin_requests: origin.iter().map(|(_, count)| count).sum(),
        origin_failed: failed.map(|(_, count)| count).sum(),
        origin_seconds: counters.origin_seconds().sum_secs,
    }
}

fn together(mut sum: TrafficReport, other: &TrafficReport) -> TrafficReport {
    sum.requests.add(&other.requests);
    sum.bytes.add(&other.bytes);
    sum.latency.resize(other.latency.len(), 0);
    for (sum, count) in sum.latency.iter_mut().zip(&other.latency) {
        *sum += count;
    }
    sum.origin_requests += other.origin_requests;
    sum.origin_failed += other.origin_failed;
    sum.origin_seconds += other.origin_seconds;
    sum
}
