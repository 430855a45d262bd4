//! `GET /health` and `GET /ready`: for the probes of whatever looks after the process.

use serde_json::json;

use super::State;
use super::reply::{Refusal, Reply};
use crate::server::Stage;

/// The process lives.
pub(super) fn health() -> Reply {
    Reply::json(&json!({ "status": "ok" }))
}

/// The edge takes requests.
pub(super) fn ready(state: &State) -> Result<Reply, Refusal> {
    match *state.stage.borrow() {
        Stage::Running => Ok(Reply::json(&json!({ "status": "ready" }))),
        Stage::Draining | Stage::Stopped => Err(Refusal::not_ready("the edge is stopping", "ask another one")),
    }
}
