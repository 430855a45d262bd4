//! The metrics of a node of a fleet.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::encoding::DescriptorEncoder;

use super::context::AdminContext;
use super::samples::{Sample, counters, gauges, seconds};
use crate::cluster::counters::{ClusterCounters, PurgeWay, RelayRefusal};
use crate::cluster::follower::LogDoubt;

/// A counter without labels: its name, its help, where it is.
type PlainCounter = (
    &'static str,
    &'static str,
    fn(&ClusterCounters) -> &AtomicU64,
);

/// Counters without labels.
const PLAIN: [PlainCounter; 8] = [
    (
        "tero_cluster_doubted_responses",
        "Responses that became stale since purges may have been missed",
        |counters| &counters.doubted_responses,
    ),
    (
        "tero_cluster_log_entries",
        "Entries of the purge log that came, beats among them",
        |counters| &counters.entries,
    ),
    (
        "tero_cluster_log_appended",
        "Entries that this node has appended to the purge log",
        |counters| &counters.appended,
    ),
    (
        "tero_cluster_log_append_failures",
        "Attempts to append to the purge log that failed",
        |counters| &counters.append_failures,
    ),
    (
        "tero_cluster_log_lost",
        "Purges that the log took and lost, and that were appended again",
        |counters| &counters.lost_again,
    ),
    (
        "tero_cluster_blind_times",
        "Times when the node became blind",
        |counters| &counters.blind_times,
    ),
    (
        "tero_cluster_position_failures",
        "Times when the position in the purge log could not be written",
        |counters| &counters.position_failures,
    ),
    (
        "tero_cluster_comparisons",
        "Comparisons of known purges with a peer",
        |counters| &counters.comparisons,
    ),
];

/// The metrics of the fleet, as this node sees it; none for a node that is alone.
pub(super) fn metrics(context: &AdminContext, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let Some(cluster) = &context.cluster else {
        return Ok(());
    };
    let node = &cluster.node;
    let figures = &node.counters;
    let progress = node.progress();
    let alone = |value: u64| -> Vec<Sample<u64>> { vec![(Vec::new(), value)] };
    let flag = |is_so: bool| alone(u64::from(is_so));
    let ways = PurgeWay::ALL.into_iter();
    let by_way = ways.map(|way| (vec![("way", way.as_str().to_owned())], figures.purges(way)));
    counters(
        encoder,
        "tero_cluster_purges",
        "Purges by the way on which they came first",
        by_way.collect(),
    )?;
    let doubts = LogDoubt::ALL.into_iter();
    let by_reason = doubts.map(|doubt| {
        let reason = vec![("reason", doubt.as_str().to_owned())];
        (reason, figures.doubts(doubt))
    });
    counters(
        encoder,
        "tero_cluster_doubts",
        "Times when purges may have been missed, and all that was stored became stale",
        by_reason.collect(),
    )?;
    let causes = RelayRefusal::ALL.into_iter();
    let by_cause = causes.map(|cause| {
        let label = vec![("cause", cause.as_str().to_owned())];
        (label, figures.refusals(cause))
    });
    counters(
        encoder,
        "tero_cluster_purges_refused",
        "Purges of applications that were carried out here and not told to the fleet",
        by_cause.collect(),
    )?;
    for (name, help, value) in PLAIN {
        counters(encoder, name, help, alone(value(figures).load(Relaxed)))?;
    }
    let blind = figures.blind_millis.load(Relaxed) as f64 / 1_000.0;
    let help = "Seconds in which the node was blind";
    let samples = vec![(Vec::new(), blind)];
    seconds(encoder, "tero_cluster_blind_seconds", help, samples)?;
    let help = "1 while the node may miss purges and `when_blind` holds";
    let is_blind = context.edge.fleet.is_blind();
    gauges(encoder, "tero_cluster_blind", help, flag(is_blind))?;
    let help = "1 while the purge log is followed";
    let follows = progress.failure.is_none() && progress.heard.is_some();
    gauges(encoder, "tero_cluster_log_followed", help, flag(follows))?;
    let help = "The last number of the purge log that this node has applied and written down";
    let number = progress.position.map_or(0, |position| position.number);
    gauges(encoder, "tero_cluster_log_number", help, alone(number))?;
    let help = "Purges that were taken here and are not in the log for certain yet";
    let waiting = node.waiting() as u64;
    gauges(encoder, "tero_cluster_purges_waiting", help, alone(waiting))?;
    let help = "For how long no entry of the purge log has come";
    let silent = node.silent_for().into_iter();
    let samples = silent.map(|silent| (Vec::new(), silent.as_secs_f64()));
    gauges(
        encoder,
        "tero_cluster_log_silent_seconds",
        help,
        samples.collect(),
    )?;
    let peers = node.peers().into_iter();
    let up = peers.map(|(name, state)| {
        let is_up = state.node.is_some() && state.failure.is_none();
        (vec![("peer", name.to_string())], u64::from(is_up))
    });
    let help = "Messages to peers that failed";
    let failures = alone(node.peer_failures());
    counters(encoder, "tero_cluster_peer_failures", help, failures)?;
    let help = "1 for a peer that has answered last, 0 for one that could not be reached";
    gauges(encoder, "tero_cluster_peer_up", help, up.collect())?;
    connection(cluster, encoder)
}

/// The connection to NATS.
#[cfg(feature = "cluster")]
fn connection(cluster: &crate::cluster::Cluster, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let report = cluster.connection.report();
    let alone = |value: u64| -> Vec<Sample<u64>> { vec![(Vec::new(), value)] };
    let help = "1 while there is a connection to NATS";
    let is_up = u64::from(report.server.is_some());
    gauges(encoder, "tero_cluster_nats_connected", help, alone(is_up))?;
    let help = "Connections to NATS that were made";
    counters(
        encoder,
        "tero_cluster_nats_connects",
        help,
        alone(report.connects),
    )?;
    let help = "Attempts to connect to NATS that failed";
    counters(
        encoder,
        "tero_cluster_nats_failures",
        help,
        alone(report.failures),
    )
}

#[cfg(not(feature = "cluster"))]
fn connection(_: &crate::cluster::Cluster, _: &mut DescriptorEncoder) -> fmt::Result {
    Ok(())
}
