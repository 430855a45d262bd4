//! `GET /warm`, `POST` and `DELETE /warm/{plan}`, `POST /warm/{plan}/cancel`, `GET /warm/runs` and
//! `GET /warm/runs/{id}`: starts, cancels and lists warming plans, and reports on their runs.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::call::Call;
use super::context::AdminContext;
use super::reply::AdminRefusal;
use super::samples::{Sample, counters, gauges};
use crate::warm::report::{self, RunReport};
use crate::warm::shared::{FleetRun, PageCounts};
use crate::warm::{CancelError, PlanSummary, PlanTotals, StartError};
use tero_admin_api::endpoints::{CancelWarm, DeleteWarm, StartWarm, WarmPlans, WarmRun, WarmRuns};
use tero_admin_api::{
    CancelWarmResponse, DryRunPage, FleetRunNode, FleetRunReport, PageFailure, RunState,
    RunTrigger, RunValue, StartWarmRequest, StartWarmResponse, WarmPlanReport, WarmPlansResponse,
    WarmRunReport, WarmRunsResponse,
};
use tero_edge::run_id::RunId;

/// The plans, and when they are due.
pub(super) fn plans(
    context: &AdminContext,
    _: Call<'_, WarmPlans>,
) -> Result<WarmPlansResponse, AdminRefusal> {
    let plan = |summary: PlanSummary| WarmPlanReport {
        name: summary.name,
        site: summary.site,
        schedule: summary.schedule,
        zone: summary.zone,
        next: summary.next,
        running: summary.running.map(RunId::number),
    };
    Ok(WarmPlansResponse {
        plans: context.warmer.plans().into_iter().map(plan).collect(),
    })
}

/// Starts a plan, or with `?dry_run=true` finds out what it would fetch. The run goes on after the
/// answer.
pub(super) fn start(
    context: &AdminContext,
    call: Call<'_, StartWarm>,
) -> Result<StartWarmResponse, AdminRefusal> {
    let plan = call.parameter();
    let StartWarmRequest { dry_run } = call.read()?;
    let started = if dry_run {
        context.warmer.start_dry(plan)
    } else {
        context.warmer.start(plan)
    };
    match started {
        Ok(run) => Ok(StartWarmResponse { run: run.number() }),
        Err(StartError::Unknown) => Err(no_plan(context, plan)),
        Err(StartError::Running(run)) => {
            let error = format!("`{plan}` is running already, as run {run}");
            Err(AdminRefusal::conflict(
                error,
                format!(
                    "`tero warm runs` (GET /warm/runs/{run}) shows its progress, `tero warm cancel {plan}` (POST /warm/{plan}/cancel) ends it"
                ),
            ))
        }
        Err(StartError::Stopping) => Err(AdminRefusal::not_ready(
            "the edge is stopping",
            "ask another one",
        )),
    }
}

/// `POST /warm/{plan}/cancel`
pub(super) fn cancel(
    context: &AdminContext,
    call: Call<'_, CancelWarm>,
) -> Result<CancelWarmResponse, AdminRefusal> {
    end(context, call.parameter())
}

/// `DELETE /warm/{plan}`
pub(super) fn delete(
    context: &AdminContext,
    call: Call<'_, DeleteWarm>,
) -> Result<CancelWarmResponse, AdminRefusal> {
    end(context, call.parameter())
}

/// Ends the run of a plan early.
fn end(context: &AdminContext, plan: &str) -> Result<CancelWarmResponse, AdminRefusal> {
    match context.warmer.cancel_plan(plan) {
        Ok(run) => Ok(CancelWarmResponse {
            run: run.number(),
            cancelled: true,
        }),
        Err(CancelError::Unknown) => Err(no_plan(context, plan)),
        Err(CancelError::Idle) => Err(AdminRefusal::conflict(
            format!("`{plan}` is not running"),
            "`tero warm runs` (GET /warm/runs) shows how its runs ended",
        )),
    }
}

/// The remembered runs, the latest first, without what a dry run would fetch.
pub(super) fn runs(
    context: &AdminContext,
    _: Call<'_, WarmRuns>,
) -> Result<WarmRunsResponse, AdminRefusal> {
    let without_list = |report| WarmRunReport {
        would_fetch: Vec::new(),
        ..run_report(report)
    };
    let runs = context.warmer.runs().into_iter();
    Ok(WarmRunsResponse {
        runs: runs.map(without_list).collect(),
    })
}

/// One run.
pub(super) fn run(
    context: &AdminContext,
    call: Call<'_, WarmRun>,
) -> Result<WarmRunReport, AdminRefusal> {
    let cure = "`tero warm runs` (GET /warm/runs) lists the runs";
    let text = call.parameter();
    let id = text
        .parse()
        .map_err(|_| AdminRefusal::unknown(format!("`{text}` is not a run"), cure))?;
    let report = RunId::new(id).and_then(|run| context.warmer.run(run));
    report
        .map(run_report)
        .ok_or_else(|| AdminRefusal::unknown(format!("there is no run {id}"), cure))
}

fn run_report(report: RunReport) -> WarmRunReport {
    let failures = |failures: Vec<report::PageFailure>| failures.into_iter().map(failure).collect();
    WarmRunReport {
        id: report.id,
        plan: report.plan,
        site: report.site,
        trigger: trigger(report.trigger),
        dry_run: report.dry_run,
        state: state(report.state),
        started: report.started,
        started_unix_secs: report.started_unix_secs,
        window_ends: report.window_ends,
        seconds: report.seconds,
        planned: report.planned,
        fetched: report.fetched,
        fresh: report.fresh,
        not_stored: report.not_stored,
        failed: report.failed,
        retried: report.retried,
        left_out: report.left_out,
        sitemaps_failed: report.sitemaps_failed,
        not_kept: report.not_kept,
        bytes: report.bytes,
        used_later: report.used_later,
        used_bytes: report.used_bytes,
        worth: report.worth.map(|worth| RunValue {
            window_hits: worth.window_hits,
            hits_given: worth.hits_given,
            share_of_hits: worth.share_of_hits,
            unused: worth.unused,
            wasted_bytes: worth.wasted_bytes,
        }),
        failures: failures(report.failures),
        refusals: failures(report.refusals),
        notes: report.notes,
        would_fetch: report.would_fetch.into_iter().map(page).collect(),
        fleet: report.fleet.map(fleet_report),
    }
}

fn fleet_report(run: FleetRun) -> FleetRunReport {
    let total = run.total();
    let node = |(node, counts): (String, PageCounts)| FleetRunNode {
        node,
        fetched: counts.fetched,
        fresh: counts.fresh,
        not_stored: counts.not_stored,
        failed: counts.failed,
        bytes: counts.bytes,
    };
    FleetRunReport {
        planned_by: run.planned_by,
        planned: run.planned,
        fetched: total.fetched,
        fresh: total.fresh,
        not_stored: total.not_stored,
        failed: total.failed,
        retried: total.retried,
        bytes: total.bytes,
        nodes: run.nodes.into_iter().map(node).collect(),
        failures: run.failures.into_iter().map(failure).collect(),
        refusals: run.refusals.into_iter().map(failure).collect(),
    }
}

fn trigger(trigger: report::RunTrigger) -> RunTrigger {
    match trigger {
        report::RunTrigger::Schedule => RunTrigger::Schedule,
        report::RunTrigger::Missed => RunTrigger::Missed,
        report::RunTrigger::Start => RunTrigger::Start,
        report::RunTrigger::Request => RunTrigger::Request,
    }
}

fn state(state: report::RunState) -> RunState {
    match state {
        report::RunState::Planning => RunState::Planning,
        report::RunState::Fetching => RunState::Fetching,
        report::RunState::Done => RunState::Done,
        report::RunState::DeadlinePassed => RunState::DeadlinePassed,
        report::RunState::Cancelled => RunState::Cancelled,
        report::RunState::Failed => RunState::Failed,
    }
}

fn failure(failure: report::PageFailure) -> PageFailure {
    PageFailure {
        url: failure.url,
        variant: failure.variant,
        reason: failure.reason,
    }
}

fn page(page: report::DryRunPage) -> DryRunPage {
    DryRunPage {
        url: page.url,
        variant: page.variant,
        priority: page.priority,
        because: page.because.to_owned(),
    }
}

/// Whether a run of the plan has come to its end.
///
/// # Errors
/// 404 if there is no such plan.
pub(super) fn has_run(context: &AdminContext, plan: &str) -> Result<bool, AdminRefusal> {
    context
        .warmer
        .has_run(plan)
        .ok_or_else(|| no_plan(context, plan))
}

fn no_plan(context: &AdminContext, plan: &str) -> AdminRefusal {
    let names: Vec<String> = context
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
pub(super) fn metrics(context: &AdminContext, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let totals = context.warmer.totals();
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
    let wasted = "Bytes of them that visitors had not used when the run's window was over";
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
        let of_state = |state: report::RunState| {
            let labels = vec![
                ("plan", plan.to_string()),
                ("state", state.as_str().to_owned()),
            ];
            (
                labels,
                totals.ended.get(state.as_str()).copied().unwrap_or(0),
            )
        };
        ended.extend(report::RunState::OVER.map(of_state));
    }
    counters(
        encoder,
        "tero_warm_runs",
        "Runs of warming plans that are over, by how they ended",
        ended,
    )?;
    counters(
        encoder,
        "tero_warm_skipped",
        "Runs of warming plans that were due and not started, since the run before still went on",
        of_each(|totals| totals.skipped),
    )?;
    counters(
        encoder,
        "tero_warm_sitemaps_failed",
        "Sitemaps of warming plans that could not be read",
        of_each(|totals| totals.sitemaps_failed),
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
    ahead(context, encoder)
}

/// What became of revalidations ahead.
fn ahead(context: &AdminContext, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let mut samples: Vec<Sample<u64>> = Vec::new();
    for site in context
        .edge
        .sites
        .load()
        .iter()
        .filter(|site| site.settings.refresh_ahead.is_some())
    {
        let counts = context.edge.watchlist.counts(site.index);
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
