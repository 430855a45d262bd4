//! `GET /cluster`: the nodes of the fleet, as this one hears of them.

use super::call::Call;
use super::context::AdminContext;
use super::reply::AdminRefusal;
use crate::cluster::fleet::Fleet;
use tero_admin_api::endpoints::Cluster;
use tero_admin_api::{ClusterResponse, FleetNote};

/// The nodes.
pub(super) fn cluster(
    context: &AdminContext,
    _: Call<'_, Cluster>,
) -> Result<ClusterResponse, AdminRefusal> {
    fleet(context).map(Fleet::status)
}

/// The fleet that this node is of.
pub(super) fn fleet(context: &AdminContext) -> Result<&Fleet, AdminRefusal> {
    let fleet = context.fleet.as_deref();
    fleet.ok_or_else(|| {
        AdminRefusal::unknown(
            "this node belongs to no fleet",
            "add [cluster] to the configuration, and start tero again",
        )
    })
}

/// Tells the fleet what an operator has just changed here; `None` without a fleet.
pub(super) fn tell_change(context: &AdminContext) -> Option<FleetNote> {
    context.fleet.as_ref().map(|fleet| fleet.tell_change())
}
