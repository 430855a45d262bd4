//! The nodes of a fleet, as far as this one hears of them: each tells every two seconds how it does, and
//! nothing of that is kept anywhere. A node that is silent stays in the list for a while, so that
//! operators see that it is.

use std::collections::BTreeMap;
use std::time::Duration;

use tero_admin_api::{NodeReport, NodeStatus};
use tero_semantics::timestamp::Timestamp;

/// How often a node tells how it does.
pub const TELL_EVERY: Duration = Duration::from_secs(2);
/// A node that was not heard of for so long is silent.
pub const SILENT_AFTER: Duration = Duration::from_secs(10);
/// A node that was not heard of for so long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10 * 60);
/// Nodes that are remembered, at most.
const MAX_NODES: usize = 1_024;

/// The nodes.
#[derive(Debug, Default)]
pub struct Members {
    heard: BTreeMap<String, HeardReport>,
    /// The shields that were news last.
    known_shields: BTreeMap<String, String>,
}

#[derive(Debug)]
struct HeardReport {
    at: Timestamp,
    clock_ahead_ms: i64,
    report: NodeReport,
    /// The process that had the name before, and when it was heard last.
    before: Option<(String, Timestamp)>,
}

/// What of a report is news to this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberNews {
    /// Whether other nodes are shields now, or the same ones at other URLs.
    pub shields: bool,
    /// Whether another process has the name of this node.
    pub is_double: bool,
}

impl Members {
    /// Takes a report that came at `now`, where this node's clock was at `wall`.
    pub fn hear(
        &mut self,
        own: &str,
        report: NodeReport,
        (now, wall): (Timestamp, Timestamp),
    ) -> MemberNews {
        let known = self.heard.get(&report.node);
        let replaced = known.filter(|known| known.report.process != report.process);
        // A restart brings a new process once. Two that live take turns.
        let is_double = replaced.is_some_and(|known| {
            let was_there = known.before.as_ref();
            was_there.is_some_and(|(process, at)| {
                *process == report.process && now.since(*at) < SILENT_AFTER
            })
        });
        let before = match (replaced, known) {
            (Some(replaced), _) => Some((replaced.report.process.clone(), replaced.at)),
            (None, known) => known.and_then(|known| known.before.clone()),
        };
        let is_double = is_double && report.node == own;
        self.heard
            .retain(|_, heard| now.since(heard.at) < FORGOTTEN_AFTER);
        if self.heard.len() < MAX_NODES || self.heard.contains_key(&report.node) {
            let clock_ahead_ms = report.at_unix_ms.saturating_sub(wall.unix_millis());
            let heard = HeardReport {
                at: now,
                clock_ahead_ms,
                report,
                before,
            };
            self.heard.insert(heard.report.node.clone(), heard);
        }
        // Also those that are forgotten since.
        let shields = self.shields(now);
        let is_news = shields != self.known_shields;
        self.known_shields = shields;
        MemberNews {
            shields: is_news,
            is_double,
        }
    }

    /// The nodes, by their names.
    pub fn list(&self, now: Timestamp) -> Vec<NodeStatus> {
        let heard = self.heard.values();
        let heard = heard.filter(|heard| now.since(heard.at) < FORGOTTEN_AFTER);
        heard
            .map(|heard| {
                let ago = now.since(heard.at);
                NodeStatus {
                    heard_ms_ago: u64::try_from(ago.as_millis()).unwrap_or(u64::MAX),
                    silent: ago >= SILENT_AFTER,
                    clock_ahead_ms: heard.clock_ahead_ms,
                    report: heard.report.clone(),
                }
            })
            .collect()
    }

    /// The names of the nodes that are not silent.
    pub fn names(&self, now: Timestamp) -> Vec<String> {
        let heard = self.heard.iter();
        let up = heard.filter(|(_, heard)| now.since(heard.at) < SILENT_AFTER);
        up.map(|(name, _)| name.clone()).collect()
    }

    /// The nodes that are shields, with their URLs. One that is silent stays a shield: the health of
    /// its site's hops says whether it can be reached.
    pub fn shields(&self, now: Timestamp) -> BTreeMap<String, String> {
        let heard = self.heard.iter();
        let known = heard.filter(|(_, heard)| now.since(heard.at) < FORGOTTEN_AFTER);
        known
            .filter_map(|(name, heard)| Some((name.clone(), heard.report.shield.clone()?)))
            .collect()
    }
}

/// The nodes that a canary is started on for a share of the fleet: this one, and those whose names
/// come first in an order that the version draws. `share` is above 0 and at most 1.
pub fn canary_nodes(own: &str, names: &[String], version: &str, share: f64) -> Vec<String> {
    let mut others: Vec<&String> = names.iter().filter(|name| *name != own).collect();
    others.sort_by_key(|name| tero_policy_host::digest(format!("{version} {name}").as_bytes()));
    // At most as many as there are.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    let wanted = ((others.len() + 1) as f64 * share).ceil() as usize;
    let others = others.into_iter().take(wanted.saturating_sub(1)).cloned();
    let mut nodes: Vec<String> = std::iter::once(own.to_owned()).chain(others).collect();
    nodes.sort();
    nodes
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The report of a node that has nothing.
    pub(in crate::cluster) fn report(node: &str, shield: Option<&str>) -> NodeReport {
        NodeReport {
            node: node.to_owned(),
            process: "1".to_owned(),
            version: "0".to_owned(),
            started_unix_secs: 0,
            at_unix_ms: 1_000_500,
            shield: shield.map(str::to_owned),
            purges: None,
            revision: 0,
            apart: false,
            policies: Vec::new(),
            tables: Vec::new(),
            troubles: Vec::new(),
        }
    }

    fn at(secs: i64) -> (Timestamp, Timestamp) {
        (
            Timestamp::from_unix_secs(secs),
            Timestamp::from_unix_secs(1_000),
        )
    }

    #[test]
    fn a_node_is_silent_after_ten_seconds_and_forgotten_after_ten_minutes() {
        let mut members = Members::default();
        members.hear("b", report("a", None), at(100));
        let seen = |secs| {
            let list = members.list(Timestamp::from_unix_secs(secs));
            list.first().map(|node| (node.heard_ms_ago, node.silent))
        };
        assert_eq!(seen(109), Some((9_000, false)));
        assert_eq!(seen(110), Some((10_000, true)));
        assert_eq!(seen(699), Some((599_000, true)));
        assert_eq!(seen(700), None);
        assert_eq!(members.list(at(100).0)[0].clock_ahead_ms, 500);
        assert_eq!(members.names(at(109).0), ["a"]);
        assert!(members.names(at(110).0).is_empty());
    }

    #[test]
    fn shields_that_come_move_or_go_are_news() {
        let mut members = Members::default();
        let news = |members: &mut Members, shield, secs| {
            members.hear("b", report("a", shield), at(secs)).shields
        };
        assert!(!news(&mut members, None, 100));
        assert!(news(&mut members, Some("http://a"), 101));
        assert!(!news(&mut members, Some("http://a"), 102));
        assert!(news(&mut members, Some("http://b"), 103));
        assert!(news(&mut members, None, 104));
        news(&mut members, Some("http://a"), 105);
        // It says nothing any more: its health is the sites' business.
        assert_eq!(members.shields(at(200).0).len(), 1);
        assert!(members.shields(at(800).0).is_empty());
        let news = members.hear("b", report("c", None), at(800));
        assert!(news.shields, "it is forgotten");
    }

    #[test]
    fn two_processes_of_one_name_are_noticed_and_a_restart_is_not_one() {
        let mut members = Members::default();
        let process = |process: &str| {
            let mut report = report("a", None);
            report.process = process.to_owned();
            report
        };
        let mut is_double = |process_name, secs| {
            let news = members.hear("a", process(process_name), at(secs));
            news.is_double
        };
        assert!(!is_double("1", 100));
        assert!(!is_double("2", 102), "it was restarted");
        assert!(!is_double("2", 104));
        assert!(is_double("1", 105), "both live");
        assert!(is_double("2", 106));
        assert!(!is_double("1", 126), "that one was gone for long");
    }

    #[test]
    fn the_list_is_bounded() {
        let mut members = Members::default();
        for number in 0..2 * MAX_NODES {
            members.hear("a", report(&number.to_string(), None), at(100));
        }
        assert_eq!(members.list(at(100).0).len(), MAX_NODES);
        // Those that are gone make room.
        members.hear("a", report("new", None), at(800));
        assert_eq!(members.names(at(800).0), ["new"]);
    }

    #[test]
    fn a_share_of_the_nodes_has_the_one_where_the_canary_was_started() {
        let names: Vec<String> = (0..10).map(|number| format!("node-{number}")).collect();
        for (share, count) in [(0.01, 1), (0.1, 1), (0.11, 2), (0.5, 5), (1.0, 10)] {
            let nodes = canary_nodes("node-7", &names, "a", share);
            assert_eq!(nodes.len(), count, "{share}");
            assert!(nodes.contains(&"node-7".to_owned()));
        }
        let of = |version| canary_nodes("node-7", &names, version, 0.5);
        assert_ne!(
            of("a"),
            of("b"),
            "it is not always the same nodes that bear the risk"
        );
        assert_eq!(of("a"), of("a"));
        // A node that has heard of none yet.
        assert_eq!(canary_nodes("x", &[], "a", 0.5), ["x"]);
    }
}
