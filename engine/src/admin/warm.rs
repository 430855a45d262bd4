//! `POST /warm/{plan}`, `GET /warm/runs` and `GET /warm/runs/{id}`: starts warming plans and tells how they do.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::State;
use super::reply::{Refusal, Reply};

pub(super) fn start(_: &State, _: &str) -> Result<Reply, Refusal> {
    Err(Refusal::unknown("there is no such plan", "see the configuration"))
}
pub(super) fn runs(_: &State) -> Reply {
    Reply::accepted(&serde_json::Value::Null)
}
pub(super) fn run(_: &State, _: u64) -> Result<Reply, Refusal> {
    Err(Refusal::unknown("there is no such plan", "see the configuration"))
}
pub(super) fn metrics(_: &State, _: &mut DescriptorEncoder) -> fmt::Result {
    Ok(())
}
