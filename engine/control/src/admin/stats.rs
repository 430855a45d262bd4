//! `GET /stats`: hit rates by site, variant and local hour.

use super::context::AdminContext;
use super::reports::{hit_rate, rounded};
use tero_admin_api::{
    DecisionCacheStats, HitFigures, HourStats, OutcomeCounts, SiteStats, StatsResponse, StoreStats,
    VariantStats,
};
use tero_edge::request::site::Site;
use tero_edge::telemetry::Outcome;
use tero_edge::telemetry::counters::{HOURS, Outcomes};
use tero_semantics::timestamp::Timestamp;

/// The counters of this node.
pub(super) fn of_this_node(context: &AdminContext) -> StatsResponse {
    let decisions = context.host.decisions();
    let (sites, now) = (context.edge.sites.load(), context.edge.clock.wall());
    StatsResponse {
        sites: sites.iter().map(|site| site_stats(site, now)).collect(),
        cache: store_stats(context),
        decision_cache: DecisionCacheStats {
            hits: decisions.hits,
            misses: decisions.misses,
            hit_rate: share(decisions.hits, decisions.hits + decisions.misses),
            entries: decisions.entries,
            bytes: decisions.bytes,
        },
        fleet: None,
    }
}

fn site_stats(site: &Site, now: Timestamp) -> SiteStats {
    let counters = &site.counters;
    let origin_requests = counters.origin_requests().into_iter();
    let variants = counters.variants().iter().enumerate();
    SiteStats {
        site: site.settings.name.to_string(),
        zone: counters.zone().name().to_owned(),
        figures: figures(&counters.outcomes_in_all()),
        maintenance: site.maintenance.current(now).is_some(),
        response_bytes: counters.response_bytes(),
        origin_requests: origin_requests
            .map(|(status, count)| (status.to_owned(), count))
            .collect(),
        variants: variants
            .map(|(variant, name)| VariantStats {
                variant: Some(name.to_string()).filter(|name| !name.is_empty()),
                figures: figures(&counters.outcomes_of_variant(variant)),
                hours: hours(|hour| counters.outcomes(variant, hour)),
            })
            .collect(),
        hours: hours(|hour| counters.outcomes_of_hour(hour)),
    }
}

/// The hours of the local day with requests.
fn hours(outcomes: impl Fn(usize) -> Outcomes) -> Vec<HourStats> {
    let hours = (0_u8..).take(HOURS);
    hours
        .map(|hour| HourStats {
            hour,
            figures: figures(&outcomes(hour.into())),
        })
        .filter(|hour| hour.figures.requests > 0)
        .collect()
}

/// Requests, and how many of them were hits.
pub(super) fn figures(outcomes: &Outcomes) -> HitFigures {
    HitFigures {
        requests: outcomes.total(),
        hit_rate: hit_rate(outcomes),
        outcomes: counts(outcomes),
    }
}

/// Requests, or bytes, by outcome.
pub(super) fn counts(outcomes: &Outcomes) -> OutcomeCounts {
    OutcomeCounts {
        hit: outcomes.count(Outcome::Hit),
        stale: outcomes.count(Outcome::Stale),
        revalidated: outcomes.count(Outcome::Revalidated),
        collapsed: outcomes.count(Outcome::Collapsed),
        miss: outcomes.count(Outcome::Miss),
        pass: outcomes.count(Outcome::Pass),
        error: outcomes.count(Outcome::Error),
        rule: outcomes.count(Outcome::Rule),
    }
}

/// The counters of the store.
pub(super) fn store_stats(context: &AdminContext) -> StoreStats {
    let usage = context.edge.store.usage();
    StoreStats {
        entries: usage.entries,
        bytes: usage.bytes,
        fill_bytes: usage.fill_bytes,
        newcomer_bytes: usage.newcomer_bytes,
        evictions: usage.evictions,
        admitted: usage.admitted,
        refused: usage.refused,
    }
}

#[allow(clippy::cast_precision_loss)] // A share needs four digits.
pub(super) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| rounded(part as f64 / whole as f64))
}
