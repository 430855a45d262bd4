//! Figures of nodes as they travel, and their sums.

use std::collections::BTreeMap;

use crate::rollout::guard::{GroupSnapshot, TrialSnapshot};
use crate::rollout::record::Version;
use tero_admin_api::{NodeCanary, NodeReport, NodeTrialFigures, OutcomeCounts};
use tero_edge::telemetry::Outcome;
use tero_edge::telemetry::counters::Outcomes;
use tero_edge::telemetry::trial_counters::GroupCounts;

/// The canary of a node, as it is told.
pub(super) fn canary(version: &Version, figures: &TrialSnapshot) -> NodeCanary {
    NodeCanary {
        version: version.to_string(),
        control: side(&figures.control),
        canary: side(&figures.canary),
    }
}

/// The sums over all other nodes that have this canary.
pub(super) fn of_others(
    reports: &BTreeMap<String, NodeReport>,
    own: &str,
    (policy, version): (&str, &Version),
) -> TrialSnapshot {
    let mut sum = TrialSnapshot::default();
    let others = reports.values().filter(|report| report.node != own);
    let policies = others.flat_map(|report| &report.policies);
    let canaries = policies
        .filter(|it| it.policy == policy)
        .filter_map(|it| it.canary.as_ref());
    for canary in canaries.filter(|canary| canary.version == version.as_str()) {
        sum = sum.plus(&TrialSnapshot {
            control: snapshot(&canary.control),
            canary: snapshot(&canary.canary),
        });
    }
    sum
}

fn side(group: &GroupSnapshot) -> NodeTrialFigures {
    let outcomes = &group.counts.outcomes;
    NodeTrialFigures {
        outcomes: OutcomeCounts {
            hit: outcomes.count(Outcome::Hit),
            stale: outcomes.count(Outcome::Stale),
            revalidated: outcomes.count(Outcome::Revalidated),
            collapsed: outcomes.count(Outcome::Collapsed),
            miss: outcomes.count(Outcome::Miss),
            pass: outcomes.count(Outcome::Pass),
            error: outcomes.count(Outcome::Error),
            rule: outcomes.count(Outcome::Rule),
        },
        origin_requests: group.counts.origin_requests,
        answers: group.answers,
        failures: group.failures,
    }
}

fn snapshot(told: &NodeTrialFigures) -> GroupSnapshot {
    GroupSnapshot {
        counts: GroupCounts {
            outcomes: outcomes_of(&told.outcomes),
            origin_requests: told.origin_requests,
        },
        answers: told.answers,
        failures: told.failures,
    }
}

/// Outcomes, as they are told.
pub(crate) fn outcomes_of(counts: &OutcomeCounts) -> Outcomes {
    Outcomes::of(|outcome| match outcome {
        Outcome::Hit => counts.hit,
        Outcome::Stale => counts.stale,
        Outcome::Revalidated => counts.revalidated,
        Outcome::Collapsed => counts.collapsed,
        Outcome::Miss => counts.miss,
        Outcome::Pass => counts.pass,
        Outcome::Error => counts.error,
        Outcome::Rule => counts.rule,
    })
}

#[cfg(test)]
mod tests {
    use super::super::members::tests::report;
    use super::*;
    use tero_admin_api::NodePolicy;

    #[test]
    fn figures_of_the_same_canary_on_other_nodes_are_summed() {
        let version = Version::Pushed("a".to_owned());
        let told = |version: &str, hits| NodeCanary {
            version: version.to_owned(),
            control: NodeTrialFigures::default(),
            canary: NodeTrialFigures {
                outcomes: OutcomeCounts {
                    hit: hits,
                    ..OutcomeCounts::default()
                },
                origin_requests: 1,
                answers: 2,
                failures: 3,
            },
        };
        let reports = [
            ("own", "a", 1),
            ("x", "a", 10),
            ("y", "b", 100),
            ("z", "a", 1_000),
        ];
        let reports = reports.map(|(node, version, hits)| {
            let mut report = report(node, None);
            report.policies.push(NodePolicy {
                policy: "p".to_owned(),
                version: "configuration".to_owned(),
                canary: Some(told(version, hits)),
            });
            (node.to_owned(), report)
        });
        let reports = BTreeMap::from(reports);
        let sum = of_others(&reports, "own", ("p", &version));
        assert_eq!(sum.canary.counts.outcomes.count(Outcome::Hit), 1_010);
        assert_eq!((sum.canary.answers, sum.canary.failures), (4, 6));
        assert_eq!(canary(&version, &sum).canary.origin_requests, 2);
        let other = of_others(&reports, "own", ("q", &version));
        assert_eq!(other, TrialSnapshot::default());
    }
}
