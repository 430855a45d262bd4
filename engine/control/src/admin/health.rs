//! `GET /health` and `GET /ready`: for the probes of whatever looks after the process.

use serde_json::json;

use super::reply::{AdminRefusal, AdminResponse};
use super::{AdminContext, warm};
use tero_edge::server::ShutdownStage;

/// The process lives.
pub(super) fn health() -> AdminResponse {
    AdminResponse::json(&json!({ "status": "ok" }))
}

/// The edge takes requests, and the plans of `ready_after` have run, or `ready_within` is over.
/// With `?plan=NAME`, a run of that warming plan has ended too: a fresh node can be kept out of the
/// rotation until its cache is warm.
pub(super) fn ready(
    state: &AdminContext,
    query: Option<&str>,
) -> Result<AdminResponse, AdminRefusal> {
    if *state.stage.borrow() != ShutdownStage::Running {
        return Err(AdminRefusal::not_ready(
            "the edge is stopping",
            "ask another one",
        ));
    }
    let waits = state.edge.clock.now() < state.ready.at_last;
    if let Some(plan) = state
        .ready
        .after
        .iter()
        .find(|plan| waits && state.warmer.has_run(plan) == Some(false))
    {
        return Err(AdminRefusal::not_ready(
            format!("`{plan}` has not run yet"),
            "wait: ready_within bounds it",
        ));
    }
    match query.map(|query| query.split_once('=')) {
        None => {}
        Some(Some(("plan", plan))) if warm::has_run(state, plan)? => {}
        Some(Some(("plan", plan))) => {
            return Err(AdminRefusal::not_ready(
                format!("`{plan}` has not run yet"),
                format!("wait, or POST /warm/{plan}"),
            ));
        }
        Some(_) => {
            return Err(AdminRefusal::bad(
                "this query means nothing",
                "ask for /ready or /ready?plan=NAME",
            ));
        }
    }
    Ok(AdminResponse::json(&json!({ "status": "ready" })))
}
