//! `GET /warm`, `POST` and `DELETE /warm/{plan}`, `POST /warm/{plan}/cancel`, `GET /warm/runs` and
//! `GET /warm/runs/{id}`: starts and cancels warming plans and tells how they do.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;
use serde_json::json;

use super::AdminContext;
use super::metrics::{Sample, counters, gauges};
use super::reply::{AdminRefusal, AdminResponse};
use crate::warm::report::RunReport;
use crate::warm::{CancelError, PlanTotals, StartError};

/// The plans, and when they come due.
pub(super) fn plans(state: &AdminContext) -> AdminResponse {
    AdminResponse::json(&json!({ "plans": state.warmer.plans() }))
}

/// Starts a plan, or with `?dry_run=true` finds out what it would fetch; it goes on after the
/// answer.
pub(super) fn start(
    state: &AdminContext,
    plan: &str,
    query: Option<&str>,
) -> Result<AdminResponse, AdminRefusal> {
    let started = match query {
        None | Some("dry_run=false") => state.warmer.start(plan),
        Some("dry_run=true") => state.warmer.start_dry(plan),
        Some(_) => {
            return Err(AdminRefusal::bad(
                "this query means nothing",
                "leave it out, or ask with ?dry_run=true",
            ));
        }
    };
    match started {
        Ok(run) => Ok(AdminResponse::accepted(&json!({ "run": run }))),
        Err(StartError::Unknown) => Err(no_plan(state, plan)),
        Err(StartError::Running(run)) => {
            let error = format!("`{plan}` is running already, as run {run}");
            Err(AdminRefusal::conflict(
                error,
                format!(
                    "GET /warm/runs/{run} tells how far it is, POST /warm/{plan}/cancel ends it"
                ),
            ))
        }
        Err(StartError::Stopping) => Err(AdminRefusal::not_ready(
            "the edge is stopping",
            "ask another one",
        )),
    }
}

/// Ends the run of a plan early.
pub(super) fn cancel(state: &AdminContext, plan: &str) -> Result<AdminResponse, AdminRefusal> {
    match state.warmer.cancel_plan(plan) {
        Ok(run) => Ok(AdminResponse::json(
            &json!({ "run": run, "cancelled": true }),
        )),
        Err(CancelError::Unknown) => Err(no_plan(state, plan)),
        Err(CancelError::Idle) => Err(AdminRefusal::conflict(
            format!("`{plan}` is not running"),
            "GET /warm/runs tells how its runs ended",
        )),
    }
}

/// The runs that are remembered, the latest first. What a dry run would fetch is told of one run
/// only.
pub(super) fn runs(state: &AdminContext) -> AdminResponse {
    let without_list = |report| RunReport {
        would_fetch: Vec::new(),
        ..report
    };
    let runs: Vec<RunReport> = state.warmer.runs().into_iter().map(without_list).collect();
    AdminResponse::json(&json!({ "runs": runs }))
}

/// One run.
pub(super) fn run(state: &AdminContext, id: u64) -> Result<AdminResponse, AdminRefusal> {
    let report = state.warmer.run(id);
    report
        .map(|report| AdminResponse::json(&json!(report)))
        .ok_or_else(|| {
            AdminRefusal::unknown(
                format!("there is no run {id}"),
                "GET /warm/runs tells the runs",
            )
        })
}

/// Whether a run of the plan has come to its end.
///
/// # Errors
/// 404 where there is no such plan.
pub(super) fn has_run(state: &AdminContext, plan: &str) -> Result<bool, AdminRefusal> {
    state
        .warmer
        .has_run(plan)
        .ok_or_else(|| no_plan(state, plan))
}

fn no_plan(state: &AdminContext, plan: &str) -> AdminRefusal {
    let names: Vec<String> = state
        .warmer
        .plans()
        .into_iter()
        .map(|summary| summary.name)
        .collect();
    let cure = if names.is_empty() {
        "write one as [[warm]]".to_owned()
    } else {
        format!("the plans are {}", names.join(", "))
    };
    AdminRefusal::unknown(format!("there is no plan `{}`", plan.escape_debug()), cure)
}

/// What the plans came to.
pub(super) fn metrics(state: &AdminContext, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let totals = state.warmer.totals();
    let results = |totals: &PlanTotals| {
        [
            ("fetched", totals.fetched),
            ("fresh", totals.fresh),
            ("not_stored", totals.not_stored),
            ("failed", totals.failed),
        ]
    };
    let mut urls: Vec<Sample<u64>> = Vec::new();
    for (plan, totals) in &totals {
        for (result, count) in results(totals) {
            urls.push((
                vec![("plan", plan.to_string()), ("result", result.to_owned())],
                count,
            ));
        }
    }
    counters(
        encoder,
        "tero_warm_urls",
        "Pages of warming plans, once per variant, by what came of them",
        urls,
    )?;
    let of_each = |value: fn(&PlanTotals) -> u64| -> Vec<Sample<u64>> {
        totals
            .iter()
            .map(|(plan, totals)| (vec![("plan", plan.to_string())], value(totals)))
            .collect()
    };
    counters(
        encoder,
        "tero_warm_used",
        "Warmed responses that visitors have used",
        of_each(|totals| totals.used),
    )?;
    counters(
        encoder,
        "tero_warm_bytes",
        "Bytes of content fetched by warming plans",
        of_each(|totals| totals.bytes),
    )?;
    let wasted = "Bytes of them that nobody had used when the run's window was over";
    counters(
        encoder,
        "tero_warm_wasted_bytes",
        wasted,
        of_each(|totals| totals.wasted_bytes),
    )?;
    let window_hits = "Hits of the plan's site in windows of its runs that are over";
    counters(
        encoder,
        "tero_warm_window_hits",
        window_hits,
        of_each(|totals| totals.window_hits),
    )?;
    let given = "Hits of those that were answered from warmed responses";
    counters(
        encoder,
        "tero_warm_hits_given",
        given,
        of_each(|totals| totals.hits_given),
    )?;
    let mut ended: Vec<Sample<u64>> = Vec::new();
    for (plan, totals) in &totals {
        let of_state = |(state, count): (&&str, &u64)| {
            (
                vec![("plan", plan.to_string()), ("state", (*state).to_owned())],
                *count,
            )
        };
        ended.extend(totals.ended.iter().map(of_state));
    }
    counters(
        encoder,
        "tero_warm_runs",
        "Runs of warming plans that are over, by how they ended",
        ended,
    )?;
    let last: Vec<Sample<i64>> = totals
        .iter()
        .map(|(plan, totals)| (vec![("plan", plan.to_string())], totals.last_done_unix_secs))
        .collect();
    gauges(
        encoder,
        "tero_warm_last_done_timestamp_seconds",
        "When a run of the plan reached its end last; 0: never",
        last,
    )?;
    ahead(state, encoder)
}

/// What became of revalidations ahead.
fn ahead(state: &AdminContext, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let mut samples: Vec<Sample<u64>> = Vec::new();
    for site in state
        .edge
        .sites
        .load()
        .iter()
        .filter(|site| site.settings.refresh_ahead.is_some())
    {
        let counts = state.edge.watchlist.counts(site.index);
        for (result, count) in [
            ("refreshed", counts.refreshed),
            ("failed", counts.failed),
            ("held_back", counts.held_back),
            ("unwatched", counts.unwatched),
        ] {
            samples.push((
                vec![
                    ("site", site.settings.name.to_string()),
                    ("result", result.to_owned()),
                ],
                count,
            ));
        }
    }
    counters(
        encoder,
        "tero_refresh_ahead",
        "Stored responses to be revalidated before they expire, by what came of it",
        samples,
    )
}
