//! `GET /stats?fleet=true`: the sums over the nodes of a fleet.

use std::collections::BTreeMap;
use std::time::Duration;

use super::call::Call;
use super::cluster;
use super::context::AdminContext;
use super::reply::AdminRefusal;
use super::stats;
use crate::cluster::bus::FleetQuestion;
use crate::cluster::figures::outcomes_of;
use serde::{Deserialize, Serialize};
use tero_admin_api::endpoints::Stats;
use tero_admin_api::{
    DecisionCacheStats, FleetCoverage, HitFigures, HourStats, SiteStats, StatsResponse, StoreStats,
    VariantStats,
};

/// How long the nodes have for their answers.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a node answers to [`FleetQuestion::Stats`].
#[derive(Debug, Serialize, Deserialize)]
struct NodeStats {
    node: String,
    stats: StatsResponse,
}

/// The answer of this node.
pub(crate) fn own(node: &str, context: &AdminContext) -> Option<Vec<u8>> {
    let answer = NodeStats {
        node: node.to_owned(),
        stats: stats::of_this_node(context),
    };
    serde_json::to_vec(&answer).ok()
}

/// The counters since the start.
pub(super) fn stats(
    context: &AdminContext,
    call: Call<'_, Stats>,
) -> Result<StatsResponse, AdminRefusal> {
    match call.read()?.fleet {
        true => of_fleet(context),
        false => Ok(stats::of_this_node(context)),
    }
}

/// The sums over the nodes that answer. Those that don't are named.
fn of_fleet(context: &AdminContext) -> Result<StatsResponse, AdminRefusal> {
    let fleet = cluster::fleet(context)?;
    let answers = fleet
        .ask(&FleetQuestion::Stats, PATIENCE)
        .map_err(|error| {
            AdminRefusal::not_ready(
                format!("the other nodes can't be asked: {error}"),
                "ask for /stats of each node",
            )
        })?;
    let answers = answers.iter();
    let answers: Vec<NodeStats> = answers
        .filter_map(|answer| serde_json::from_slice(answer).ok())
        .collect();
    let counted: Vec<String> = answers.iter().map(|answer| answer.node.clone()).collect();
    let known = fleet.status().nodes.into_iter();
    let missing = known
        .map(|node| node.report.node)
        .filter(|node| !counted.contains(node));
    let coverage = FleetCoverage {
        missing: missing.collect(),
        nodes: counted,
    };
    Ok(StatsResponse {
        fleet: Some(coverage),
        ..sum(answers.into_iter().map(|answer| answer.stats))
    })
}

/// The sums of statistics.
fn sum(all: impl Iterator<Item = StatsResponse>) -> StatsResponse {
    let mut sites: BTreeMap<String, SiteStats> = BTreeMap::new();
    let mut sum = StatsResponse {
        sites: Vec::new(),
        cache: StoreStats {
            entries: 0,
            bytes: 0,
            fill_bytes: 0,
            newcomer_bytes: 0,
            evictions: 0,
            admitted: 0,
            refused: 0,
        },
        decision_cache: DecisionCacheStats {
            hits: 0,
            misses: 0,
            hit_rate: None,
            entries: 0,
            bytes: 0,
        },
        fleet: None,
    };
    for stats in all {
        sum.cache.entries += stats.cache.entries;
        sum.cache.bytes += stats.cache.bytes;
        sum.cache.fill_bytes += stats.cache.fill_bytes;
        sum.cache.newcomer_bytes += stats.cache.newcomer_bytes;
        sum.cache.evictions += stats.cache.evictions;
        sum.cache.admitted += stats.cache.admitted;
        sum.cache.refused += stats.cache.refused;
        sum.decision_cache.hits += stats.decision_cache.hits;
        sum.decision_cache.misses += stats.decision_cache.misses;
        sum.decision_cache.entries += stats.decision_cache.entries;
        sum.decision_cache.bytes += stats.decision_cache.bytes;
        for site in stats.sites {
            match sites.get_mut(&site.site) {
                Some(own) => add_site(own, site),
                None => {
                    sites.insert(site.site.clone(), site);
                }
            }
        }
    }
    let decisions = &mut sum.decision_cache;
    decisions.hit_rate = stats::share(decisions.hits, decisions.hits + decisions.misses);
    sum.sites = sites.into_values().collect();
    sum
}

fn add_site(own: &mut SiteStats, other: SiteStats) {
    own.figures = add(&own.figures, &other.figures);
    own.maintenance |= other.maintenance;
    own.response_bytes += other.response_bytes;
    for (status, count) in other.origin_requests {
        *own.origin_requests.entry(status).or_default() += count;
    }
    add_hours(&mut own.hours, other.hours);
    for variant in other.variants {
        let mut variants = own.variants.iter_mut();
        match variants.find(|known| known.variant == variant.variant) {
            Some(known) => add_variant(known, variant),
            None => own.variants.push(variant),
        }
    }
}

fn add_variant(own: &mut VariantStats, other: VariantStats) {
    own.figures = add(&own.figures, &other.figures);
    add_hours(&mut own.hours, other.hours);
}

fn add_hours(own: &mut Vec<HourStats>, others: Vec<HourStats>) {
    for other in others {
        match own.iter_mut().find(|hour| hour.hour == other.hour) {
            Some(hour) => hour.figures = add(&hour.figures, &other.figures),
            None => own.push(other),
        }
    }
    own.sort_by_key(|hour| hour.hour);
}

fn add(one: &HitFigures, other: &HitFigures) -> HitFigures {
    let mut outcomes = outcomes_of(&one.outcomes);
    outcomes.add(&outcomes_of(&other.outcomes));
    stats::figures(&outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_admin_api::OutcomeCounts;

    fn figures(hit: u64, miss: u64) -> HitFigures {
        stats::figures(&outcomes_of(&OutcomeCounts {
            hit,
            miss,
            ..OutcomeCounts::default()
        }))
    }

    fn stats(sites: Vec<SiteStats>) -> StatsResponse {
        StatsResponse {
            sites,
            ..sum(std::iter::empty())
        }
    }

    fn site(name: &str, figures: HitFigures, hours: &[u8]) -> SiteStats {
        SiteStats {
            site: name.to_owned(),
            zone: "UTC".to_owned(),
            maintenance: false,
            response_bytes: 10,
            origin_requests: [("200".to_owned(), 2)].into(),
            variants: vec![VariantStats {
                variant: Some("mobile".to_owned()),
                figures: figures.clone(),
                hours: Vec::new(),
            }],
            hours: hours
                .iter()
                .map(|&hour| HourStats {
                    hour,
                    figures: figures.clone(),
                })
                .collect(),
            figures,
        }
    }

    #[test]
    fn hit_rates_are_those_of_the_sums() {
        let one = stats(vec![site("a", figures(90, 10), &[9])]);
        let other = stats(vec![
            site("a", figures(0, 100), &[8, 9]),
            site("b", figures(1, 0), &[]),
        ]);
        let sum = sum([one, other].into_iter());
        let [a, b] = &sum.sites[..] else {
            panic!("{:?}", sum.sites)
        };
        assert_eq!((a.figures.requests, a.figures.hit_rate), (200, Some(0.45)));
        assert_eq!(b.figures.requests, 1);
        assert_eq!(a.response_bytes, 20);
        assert_eq!(a.origin_requests["200"], 4);
        assert_eq!(a.variants.len(), 1);
        assert_eq!(a.variants[0].figures.requests, 200);
        let hours: Vec<_> = a
            .hours
            .iter()
            .map(|hour| (hour.hour, hour.figures.requests))
            .collect();
        assert_eq!(hours, [(8, 100), (9, 200)]);
    }
}
