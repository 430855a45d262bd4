//! `POST /purge`: drops the stored responses of a URL, tag, prefix or site, or marks them stale, here
//! and on all nodes of the fleet. `POST /cluster/purges`: how nodes tell each other.

use std::sync::Arc;

use super::call::Call;
use super::context::AdminContext;
use super::reply::AdminRefusal;
use crate::cluster::delivery::{MOST_WAITING, PeerDelivery, TakeError};
use crate::cluster::exchange::MOST_EXCHANGED;
use crate::cluster::node::ClusterNode;
use crate::purge::{self, PurgeError};
use tero_admin_api::endpoints::{ExchangePurges, Purge};
use tero_admin_api::{ExchangeResponse, FleetPurge, PeerPurge, PurgeRequest, PurgeResponse};

/// Purges the target of the question, and answers with the number of responses.
pub(super) fn purge(
    context: &AdminContext,
    call: Call<'_, Purge>,
) -> Result<PurgeResponse, AdminRefusal> {
    let request = call.read()?;
    if let Some(cluster) = &context.cluster {
        return purge_in_fleet(&cluster.node, request);
    }
    let purge = purge::resolve(&context.edge, &request.target, request.soft).map_err(refusal)?;
    let purged = purge.apply(&context.edge);
    let purged = purged.map_err(|_| AdminRefusal::handed_over())?;
    tracing::info!(target = ?request.target, soft = request.soft, purged, "purged");
    Ok(PurgeResponse {
        purged,
        fleet: None,
    })
}

fn purge_in_fleet(
    node: &Arc<ClusterNode>,
    request: PurgeRequest,
) -> Result<PurgeResponse, AdminRefusal> {
    let target = request.target.clone();
    let taken = node.take(request.target.into(), request.soft, request.id.as_deref());
    let taken = taken.map_err(refusal_of_fleet)?;
    let known = node.wait(&taken, request.wait);
    let (id, purged, number) = (taken.id.as_str(), taken.purged, known.number);
    tracing::info!(?target, soft = request.soft, purged, id, number, "purged");
    let position = node.progress().position;
    Ok(PurgeResponse {
        purged,
        fleet: Some(FleetPurge {
            id: id.to_owned(),
            number,
            log: position
                .filter(|_| number.is_some())
                .map(|position| position.identity.as_str().to_owned()),
            log_error: known.log_error.filter(|_| number.is_none()),
            peers: known.peers.into_iter().map(peer).collect(),
        }),
    })
}

fn peer(known: PeerDelivery) -> PeerPurge {
    let (applied, number, error) = match known.outcome {
        None => (None, None, None),
        Some(Ok(number)) => (Some(true), number, None),
        Some(Err(error)) => (Some(false), None, Some(error)),
    };
    PeerPurge {
        peer: known.peer.to_string(),
        applied,
        number,
        error,
    }
}

/// Takes purges of a peer, and compares what both know.
pub(super) fn exchange(
    context: &AdminContext,
    call: Call<'_, ExchangePurges>,
) -> Result<ExchangeResponse, AdminRefusal> {
    let request = call.read()?;
    let Some(cluster) = &context.cluster else {
        return Err(AdminRefusal::conflict(
            "this node is alone",
            "write [cluster] into its configuration, or take it out of the peers",
        ));
    };
    if request.purges.len().max(request.wanted.len()) > MOST_EXCHANGED {
        return Err(AdminRefusal::bad(
            format!("these are more than {MOST_EXCHANGED} purges"),
            "send them in several messages",
        ));
    }
    Ok(cluster.node.answer_peer(request))
}

fn refusal_of_fleet(error: TakeError) -> AdminRefusal {
    match error {
        TakeError::Purge(error) => refusal(error),
        TakeError::HandedOver => AdminRefusal::handed_over(),
        TakeError::BadId(_) => {
            let cure = "write 1 to 64 letters, digits, - and _, or leave it out";
            AdminRefusal::bad(error.to_string(), cure)
        }
        TakeError::TooLarge => {
            let cure = "write a shorter URL, without its fragment, or purge a prefix of it";
            AdminRefusal::bad(error.to_string(), cure)
        }
        TakeError::Full => AdminRefusal::not_ready(
            error.to_string(),
            format!("see why the log can't be reached; fewer than {MOST_WAITING} may wait"),
        ),
        TakeError::NoChance(_) => AdminRefusal::internal(error.to_string(), "try again"),
    }
}

fn refusal(error: PurgeError) -> AdminRefusal {
    let text = error.to_string();
    match error {
        PurgeError::Target(error) => AdminRefusal::bad(text, error.cure()),
        PurgeError::UnknownHost { sites, .. } | PurgeError::UnknownSite { sites, .. } => {
            AdminRefusal::unknown(text, format!("the sites are {}", sites.join(", ")))
        }
    }
}
