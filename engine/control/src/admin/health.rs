//! `GET /health` and `GET /ready`: for the probes of a supervisor or load balancer.

use super::call::Call;
use super::context::AdminContext;
use super::reply::AdminRefusal;
use super::warm;
use tero_admin_api::endpoints::{Health, Ready};
use tero_admin_api::{ProbeResponse, ProbeStatus};
use tero_edge::server::ShutdownStage;

/// The process works.
pub(super) fn health(_: &AdminContext, _: Call<'_, Health>) -> Result<ProbeResponse, AdminRefusal> {
    Ok(ProbeResponse {
        status: ProbeStatus::Ok,
    })
}

/// The edge takes requests, and the plans of `ready_after` have run, or `ready_within` has passed.
/// With `?plan=NAME`, a run of that warming plan has ended, too: so a new node stays out of the
/// rotation until its cache is warm. With `?cluster`, the node hears of the purge log of its fleet, and
/// has applied what stood in it.
pub(super) fn ready(
    context: &AdminContext,
    call: Call<'_, Ready>,
) -> Result<ProbeResponse, AdminRefusal> {
    if *context.stage.borrow() != ShutdownStage::Running {
        return Err(AdminRefusal::not_ready(
            "the edge is stopping",
            "ask another one",
        ));
    }
    let waits = context.edge.clock.now() < context.ready.at_last;
    if let Some(plan) = context
        .ready
        .after
        .iter()
        .find(|plan| waits && context.warmer.has_run(plan) == Some(false))
    {
        return Err(AdminRefusal::not_ready(
            format!("`{plan}` has not run yet"),
            "wait: ready_within bounds it",
        ));
    }
    let asked = call.read()?;
    if asked.cluster {
        hears_of_fleet(context)?;
    }
    if let Some(plan) = asked.plan
        && !warm::has_run(context, &plan)?
    {
        return Err(AdminRefusal::not_ready(
            format!("`{plan}` has not run yet"),
            format!("wait, or `tero warm {plan}` (POST /warm/{plan})"),
        ));
    }
    Ok(ProbeResponse {
        status: ProbeStatus::Ready,
    })
}

/// Refuses while the node may miss purges.
fn hears_of_fleet(context: &AdminContext) -> Result<(), AdminRefusal> {
    let Some(cluster) = &context.cluster else {
        return Err(AdminRefusal::bad(
            "this node is alone",
            "write [cluster] into its configuration, or ask for /ready",
        ));
    };
    let progress = cluster.node.progress();
    if let Some(failure) = progress.failure {
        return Err(AdminRefusal::not_ready(
            failure.to_string(),
            "see the log of the node",
        ));
    }
    if !progress.is_caught_up {
        return Err(AdminRefusal::not_ready(
            "the purge log has not been applied yet",
            "wait: it takes seconds",
        ));
    }
    match context.edge.fleet.is_blind() {
        true => Err(AdminRefusal::not_ready(
            "the purge log has not been heard of for longer than `cluster.max_blind`",
            "look at the servers of NATS, and the network to them",
        )),
        false => Ok(()),
    }
}
