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
/// rotation until its cache is warm.
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
    if let Some(plan) = call.read()?.plan
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
