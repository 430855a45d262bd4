//! `tero cluster status`: the nodes of a fleet, and what each of them has.

use std::process::ExitCode;

use clap::Args;

use crate::cli::admin_client::{AdminArgs, show};
use crate::cli::shown;
use tero_admin_api::endpoints::Cluster;
use tero_admin_api::{ClusterResponse, NodeReport, NodeStatus};

const EXAMPLE: &str = "\
Examples:
  tero cluster status
  tero cluster status --json | jq '.nodes[] | select(.silent).report.node'

Any node knows of all others. A clock is shown if it is a second or more
away from that of the node that is asked.

Exit code: 0 if there was an answer, 1 if not, 2 if the command is used
wrongly.";

/// A clock that is further away than this is shown.
const CLOCK_AWAY_MS: u64 = 1_000;
/// Digits of a digest that are shown.
const DIGITS: usize = 12;

/// Shows the nodes of a fleet, how far each is, and which versions decide
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct StatusCommand {
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl StatusCommand {
    pub(super) fn run(self) -> ExitCode {
        match self.admin.ask::<Cluster>(&[], &()) {
            Ok(answer) => show(&answer, self.json, words),
            Err(code) => code,
        }
    }
}

fn words(answer: &ClusterResponse) -> String {
    let mut out = match (&answer.nats.server, &answer.nats.failure) {
        (Some(server), _) => format!("{} is connected to {server}\n", answer.node),
        (None, Some(why)) => format!("{} has no connection: {why}\n", answer.node),
        (None, None) => format!("{} is not connected yet\n", answer.node),
    };
    let mut table = shown::table();
    table.set_header([
        "node", "state", "heard", "purges", "behind", "versions", "clock",
    ]);
    let latest = answer
        .nodes
        .iter()
        .filter_map(|node| Some(node.report.purges.as_ref()?.applied));
    let latest = latest.max().unwrap_or(0);
    let revision = answer.nodes.iter().map(|node| node.report.revision).max();
    for node in &answer.nodes {
        let report = &node.report;
        let (applied, behind) = purges(report, latest);
        table.add_row([
            report.node.clone(),
            state(node).to_owned(),
            format!("{:.1} s", node.heard_ms_ago as f64 / 1_000.0),
            applied,
            behind,
            match Some(report.revision) == revision && !report.apart {
                true => "the latest".to_owned(),
                false => "behind".to_owned(),
            },
            clock(node),
        ]);
    }
    out.push_str(&format!("{table}\n"));
    out.push_str(&versions(&answer.nodes));
    for node in &answer.nodes {
        let report = &node.report;
        for trouble in &report.troubles {
            out.push_str(&format!("{}: {trouble}\n", report.node));
        }
        if report.apart {
            let text = "was changed, and the others have not been told yet";
            out.push_str(&format!("{}: {text}\n", report.node));
        }
    }
    out
}

fn state(node: &NodeStatus) -> &'static str {
    let blind = node
        .report
        .purges
        .as_ref()
        .is_some_and(|it| it.blind_ms.is_some());
    match (node.silent, blind) {
        (true, _) => "silent",
        (false, true) => "blind",
        (false, false) => "serves",
    }
}

/// The last purge that a node has applied, and how many it lacks.
fn purges(report: &NodeReport, latest: u64) -> (String, String) {
    match &report.purges {
        None => ("-".to_owned(), "-".to_owned()),
        Some(standing) => {
            let behind = latest.saturating_sub(standing.applied);
            (standing.applied.to_string(), behind.to_string())
        }
    }
}

fn clock(node: &NodeStatus) -> String {
    match node.clock_ahead_ms.unsigned_abs() {
        away if away < CLOCK_AWAY_MS => String::new(),
        _ => format!("{:+.1} s", node.clock_ahead_ms as f64 / 1_000.0),
    }
}

/// A table of the policies and data tables with what decides at which nodes; nothing without any.
fn versions(nodes: &[NodeStatus]) -> String {
    let mut deciding: Vec<(&str, &str, String, Vec<&str>)> = Vec::new();
    let mut add = |kind, name, version: String, node| {
        let found = deciding
            .iter_mut()
            .find(|(k, n, v, _)| (*k, *n, v) == (kind, name, &version));
        match found {
            Some((.., nodes)) => nodes.push(node),
            None => deciding.push((kind, name, version, vec![node])),
        }
    };
    for node in nodes.iter().map(|node| &node.report) {
        for policy in &node.policies {
            let canary = policy.canary.as_ref();
            let canary = canary.map(|canary| format!(" + canary {}", short(&canary.version)));
            let version = format!("{}{}", short(&policy.version), canary.unwrap_or_default());
            add("policy", &policy.policy, version, &node.node);
        }
        for table in &node.tables {
            add("table", &table.table, short(&table.version), &node.node);
        }
    }
    if deciding.is_empty() {
        return String::new();
    }
    deciding.sort();
    let mut table = shown::table();
    table.set_header(["", "name", "version", "nodes"]);
    for (kind, name, version, on) in &deciding {
        let on = match on.len() == nodes.len() {
            true => "all".to_owned(),
            false => on.join(", "),
        };
        table.add_row([*kind, *name, version, &on]);
    }
    format!("{table}\n")
}

fn short(version: &str) -> String {
    match version.len() > DIGITS && version.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => version[..DIGITS].to_owned(),
        false => version.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_admin_api::Answer as _;

    #[test]
    fn the_state_of_each_node_and_the_differences_are_shown() {
        let golden = include_str!("../../../../admin-api/golden/cluster.json");
        let answer = ClusterResponse::read(golden.as_bytes()).unwrap();
        let shown = words(&answer);
        for words in [
            "edge-1 is connected to nats-1 2.12.0",
            "serves",
            "silent",
            "14.0 s",
            "1041",
            "configuration",
            "aaaaaaaaaaaa + canary bbbbbbbbbbbb",
            "edge-2: policy seo: the configuration of this node has no policy `seo`",
            "edge-2: was changed, and the others have not been told yet",
        ] {
            assert!(shown.contains(words), "{words:?} is not in\n{shown}");
        }
        assert!(!shown.contains(&"a".repeat(13)), "{shown}");
    }
}
