//! `GET /warm`, `POST /warm/{plan}`, `GET /warm/runs` and `GET /warm/runs/{id}`: starts warming plans and tells how they do.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use serde_json::json;

use super::State;
use super::metrics::{Sample, counters};
use super::reply::{Refusal, Reply};
use crate::warm::{PlanTotals, StartError};

/// The plans, and when they come due.
pub(super) fn plans(state: &State) -> Reply {
    Reply::json(&json!({ "plans": state.warmer.plans() }))
}

/// Starts a plan; it goes on after the answer.
pub(super) fn start(state: &State, plan: &str) -> Result<Reply, Refusal> {
    match state.warmer.start(plan) {
        Ok(run) => Ok(Reply::accepted(&json!({ "run": run }))),
        Err(StartError::Unknown) => Err(no_plan(state, plan)),
        Err(StartError::Running(run)) => {
            let error = format!("`{plan}` is running already, as run {run}");
            Err(Refusal::conflict(error, format!("GET /warm/runs/{run} tells how far it is")))
        }
        Err(StartError::Stopping) => Err(Refusal::not_ready("the edge is stopping", "ask another one")),
    }
}

/// The runs that are remembered, the latest first.
pub(super) fn runs(state: &State) -> Reply {
    Reply::json(&json!({ "runs": state.warmer.runs() }))
}

/// One run.
pub(super) fn run(state: &State, id: u64) -> Result<Reply, Refusal> {
    let report = state.warmer.run(id);
    report
        .map(|report| Reply::json(&json!(report)))
        .ok_or_else(|| Refusal::unknown(format!("there is no run {id}"), "GET /warm/runs tells the runs"))
}

/// Whether a run of the plan has come to its end.
///
/// # Errors
/// 404 where there is no such plan.
pub(super) fn has_run(state: &State, plan: &str) -> Result<bool, Refusal> {
    let summary = state.warmer.plans().into_iter().find(|summary| summary.name == plan).ok_or_else(|| no_plan(state, plan))?;
    let started = state.warmer.totals().get(plan).map_or(0, |totals| totals.runs);
    Ok(started > u64::from(summary.running.is_some()))
}

fn no_plan(state: &State, plan: &str) -> Refusal {
    let names: Vec<String> = state.warmer.plans().into_iter().map(|summary| summary.name).collect();
    let cure = if names.is_empty() { "write one as [[warm]]".to_owned() } else { format!("the plans are {}", names.join(", ")) };
    Refusal::unknown(format!("there is no plan `{}`", plan.escape_debug()), cure)
}

/// What the plans came to.
pub(super) fn metrics(state: &State, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let totals = state.warmer.totals();
    let results = |totals: &PlanTotals| {
        [("fetched", totals.fetched), ("fresh", totals.fresh), ("not_stored", totals.not_stored), ("failed", totals.failed)]
    };
    let mut urls: Vec<Sample<u64>> = Vec::new();
    for (plan, totals) in &totals {
        for (result, count) in results(totals) {
            urls.push((vec![("plan", plan.to_string()), ("result", result.to_owned())], count));
        }
    }
    counters(encoder, "tero_warm_urls", "Pages of warming plans, once per variant, by what came of them", urls)?;
    let used = totals.iter().map(|(plan, totals)| (vec![("plan", plan.to_string())], totals.used)).collect();
    counters(encoder, "tero_warm_used", "Warmed responses that visitors have used", used)
}
