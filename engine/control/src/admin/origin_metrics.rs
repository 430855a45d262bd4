//! The metrics of origins: of all of a site together, and of each.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::DescriptorEncoder;

use super::samples::{counters, gauges, histograms, per_site, seconds, site_label};
use tero_edge::origin::HopCondition;
use tero_edge::request::site::{OriginUse, Site};

/// What the origins of the sites answered, and how they do.
pub(super) fn origins(encoder: &mut DescriptorEncoder, sites: &[Arc<Site>]) -> fmt::Result {
    let mut samples = Vec::new();
    for site in sites {
        for (status, count) in site.counters.origin_requests() {
            samples.push((vec![site_label(site), ("status", status.to_owned())], count));
        }
    }
    counters(
        encoder,
        "tero_origin_requests",
        "Requests to origins, by class of the status",
        samples,
    )?;
    let seconds = per_site(sites, |site| site.counters.origin_seconds());
    histograms(
        encoder,
        "tero_origin_seconds",
        "From a request to an origin to the head of its response",
        seconds,
    )?;
    hops(encoder, sites)?;
    breakers(encoder, sites)
}

/// The circuit breakers of the sites, the origins that are left, and the requests that wait.
fn breakers(encoder: &mut DescriptorEncoder, sites: &[Arc<Site>]) -> fmt::Result {
    let (mut opened, mut open) = (Vec::new(), Vec::new());
    let (mut waiting, mut well) = (Vec::new(), Vec::new());
    for site in sites {
        for ((asked_for, origin), conditions) in site.origins().zip(site.hop_conditions()) {
            let share = match asked_for {
                OriginUse::Site => None,
                OriginUse::Route(route) => Some(("route", route.to_owned())),
                OriginUse::ByName => Some(("by_name", "true".to_owned())),
            };
            let labels: Vec<_> = [site_label(site)].into_iter().chain(share).collect();
            waiting.push((labels.clone(), origin.waiting() as u64));
            let conditions = conditions.iter();
            let are_well = conditions.filter(|condition| **condition == HopCondition::Healthy);
            well.push((labels.clone(), are_well.count() as u64));
            let (count, is_open) = origin.breaker_figures();
            opened.push((labels.clone(), count));
            open.push((labels, u64::from(is_open)));
        }
    }
    let help =
        "How often the origins failed for so many pages that stale ones were served without asking";
    counters(encoder, "tero_origin_breaker_opened", help, opened)?;
    let help = "Whether stale pages are served without asking, since the origins fail";
    gauges(encoder, "tero_origin_breaker_open", help, open)?;
    let help = "Origins that are well: those that are not tried after all others";
    gauges(encoder, "tero_origins_well", help, well)?;
    let help = "Requests that wait for a place among max_fetches";
    gauges(encoder, "tero_origin_waiting", help, waiting)
}

/// The figures of each next hop.
fn hops(encoder: &mut DescriptorEncoder, sites: &[Arc<Site>]) -> fmt::Result {
    let (mut results, mut spent, mut opened) = (Vec::new(), Vec::new(), Vec::new());
    let (mut resting, mut ends, mut lifetimes) = (Vec::new(), Vec::new(), Vec::new());
    for site in sites {
        for hop in site.hops.figures() {
            let labels = vec![site_label(site), ("origin", hop.name)];
            for (result, count) in hop.results {
                let result = vec![("result", result.to_owned())];
                results.push(([labels.clone(), result].concat(), count));
            }
            spent.push((labels.clone(), hop.seconds));
            opened.push((labels.clone(), hop.connections));
            if let Some(validity) = hop.certificate {
                ends.push((labels.clone(), validity.not_after.unix_secs()));
                lifetimes.push((labels.clone(), validity.lifetime().as_secs()));
            }
            resting.push((
                labels,
                u64::from(hop.state.condition != HopCondition::Healthy),
            ));
        }
    }
    let help = "Requests to each origin, by class of the status or the failure";
    counters(encoder, "tero_origin_attempts", help, results)?;
    let help = "Time from requests to each origin to the heads of their responses";
    seconds(encoder, "tero_origin_attempt_seconds", help, spent)?;
    let help = "Connections opened to each origin";
    counters(encoder, "tero_origin_connections", help, opened)?;
    let help = "Whether an origin is tried after all others, since a connection failed";
    gauges(encoder, "tero_origin_resting", help, resting)?;
    let help = "When the certificate of each origin ends, as of the latest connection";
    gauges(
        encoder,
        "tero_origin_certificate_ends_timestamp_seconds",
        help,
        ends,
    )?;
    let help = "For how long the certificate of each origin holds from its beginning to its end";
    gauges(
        encoder,
        "tero_origin_certificate_lifetime_seconds",
        help,
        lifetimes,
    )
}
