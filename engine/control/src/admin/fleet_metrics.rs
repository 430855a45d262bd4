//! Metrics of a fleet, as this node sees it; none without `[cluster]`.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::context::AdminContext;
use super::samples::{Sample, gauges};

/// Those of the other nodes, and of what the fleet agrees on.
pub(super) fn metrics(context: &AdminContext, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let status = context.fleet.as_ref().map(|fleet| fleet.status());
    let nodes = status.as_ref().map(|status| &status.nodes[..]);
    let own = status.as_ref().and_then(|status| {
        let mut nodes = status.nodes.iter();
        let own = nodes.find(|node| node.report.node == status.node)?;
        Some(&own.report)
    });
    let silent = nodes.map(|nodes| nodes.iter().filter(|node| node.silent).count() as u64);
    let up = nodes
        .zip(silent)
        .map(|(nodes, silent)| nodes.len() as u64 - silent);
    let state = |state: &str| vec![("state", state.to_owned())];
    let counts = [("up", up), ("silent", silent)];
    let counts = counts
        .into_iter()
        .filter_map(|(name, count)| Some((state(name), count?)));
    gauges(
        encoder,
        "tero_fleet_nodes",
        "Nodes of the fleet that this one hears of",
        counts.collect(),
    )?;
    let furthest = nodes.into_iter().flatten();
    let furthest = furthest
        .filter(|node| !node.silent)
        .map(|node| node.clock_ahead_ms.unsigned_abs())
        .max();
    #[allow(clippy::cast_precision_loss)] // Milliseconds between clocks.
    let furthest = furthest.map(|millis| millis as f64 / 1_000.0);
    gauges(
        encoder,
        "tero_fleet_clock_difference_seconds",
        "How far the clock of another node is away at most",
        one(furthest),
    )?;
    gauges(
        encoder,
        "tero_fleet_revision",
        "Revision of what the fleet agrees on, as this node has it",
        one(own.map(|report| report.revision)),
    )?;
    gauges(
        encoder,
        "tero_fleet_apart",
        "Whether something was changed at this node that the fleet was not told",
        one(own.map(|report| u64::from(report.apart))),
    )?;
    gauges(
        encoder,
        "tero_fleet_troubles",
        "Changes of the fleet that this node can't follow",
        one(own.map(|report| report.troubles.len() as u64)),
    )
}

fn one<V>(value: Option<V>) -> Vec<Sample<V>> {
    value.map(|value| (Vec::new(), value)).into_iter().collect()
}
