//! `GET /health` and `GET /ready`: for the probes of whatever looks after the process.

use serde_json::json;

use super::reply::{Refusal, Reply};
use super::{State, warm};
use tero_edge::server::Stage;

/// The process lives.
pub(super) fn health() -> Reply {
    Reply::json(&json!({ "status": "ok" }))
}

/// The edge takes requests, and the plans of `ready_after` have run, or `ready_within` is over.
/// With `?plan=NAME`, a run of that warming plan has ended too: a fresh node can be kept out of the
/// rotation until its cache is warm.
pub(super) fn ready(state: &State, query: Option<&str>) -> Result<Reply, Refusal> {
    if *state.stage.borrow() != Stage::Running {
        return Err(Refusal::not_ready(
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
        return Err(Refusal::not_ready(
            format!("`{plan}` has not run yet"),
            "wait: ready_within bounds it",
        ));
    }
    match query.map(|query| query.split_once('=')) {
        None => {}
        Some(Some(("plan", plan))) if warm::has_run(state, plan)? => {}
        Some(Some(("plan", plan))) => {
            return Err(Refusal::not_ready(
                format!("`{plan}` has not run yet"),
                format!("wait, or POST /warm/{plan}"),
            ));
        }
        Some(_) => {
            return Err(Refusal::bad(
                "this query means nothing",
                "ask for /ready or /ready?plan=NAME",
            ));
        }
    }
    Ok(Reply::json(&json!({ "status": "ready" })))
}
