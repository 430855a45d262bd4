//! `/origins`: how the next hops do, and taking one out.

use super::call::Call;
use super::context::AdminContext;
use super::reply::AdminRefusal;
use tero_admin_api::endpoints::{DrainOrigin, Origins, ResumeOrigin};
use tero_admin_api::{OriginReport, OriginRequest, OriginState, OriginsResponse};
use tero_edge::origin::{HopCondition, HopFigures};
use tero_edge::request::site::{OriginUse, Site};

/// All origins.
pub(super) fn origins(
    context: &AdminContext,
    _: Call<'_, Origins>,
) -> Result<OriginsResponse, AdminRefusal> {
    let sites = context.edge.sites.load();
    let origins = sites.iter().flat_map(|site| reports(site)).collect();
    Ok(OriginsResponse { origins })
}

/// Takes one out.
pub(super) fn drain(
    context: &AdminContext,
    call: Call<'_, DrainOrigin>,
) -> Result<OriginReport, AdminRefusal> {
    set_drained(context, &call.read()?, true)
}

/// Puts one back.
pub(super) fn resume(
    context: &AdminContext,
    call: Call<'_, ResumeOrigin>,
) -> Result<OriginReport, AdminRefusal> {
    set_drained(context, &call.read()?, false)
}

fn set_drained(
    context: &AdminContext,
    request: &OriginRequest,
    is_drained: bool,
) -> Result<OriginReport, AdminRefusal> {
    let OriginRequest { site, origin } = request;
    let sites = context.edge.sites.load();
    let found = sites.named(site).ok_or_else(|| {
        let names: Vec<&str> = sites.iter().map(|site| &*site.settings.name).collect();
        AdminRefusal::unknown(
            format!(
                "there is no site `{site}`; the sites are {}",
                names.join(", ")
            ),
            "write one of those",
        )
    })?;
    found.hops.set_drained(origin, is_drained);
    let all = reports(found);
    let names: Vec<String> = all.iter().map(|report| report.origin.clone()).collect();
    let report = all.into_iter().find(|report| report.origin == *origin);
    let report = report.ok_or_else(|| {
        let names = names.join(", ");
        AdminRefusal::unknown(
            format!("site `{site}` has no origin `{origin}`; its origins are {names}"),
            "write one of those",
        )
    })?;
    tracing::info!(
        site,
        origin,
        is_drained,
        "an origin was taken out or put back"
    );
    Ok(report)
}

fn reports(site: &Site) -> Vec<OriginReport> {
    let figures = site.hops.figures().into_iter();
    figures.map(|hop| report(site, hop)).collect()
}

/// The routes that have origins of their own, this one among them.
fn routes_to(site: &Site, origin: &str) -> Vec<String> {
    let routes = site.origins().filter_map(|(asked_for, origins)| {
        let is_asked = origins.names().any(|name| name == origin);
        match asked_for {
            OriginUse::Route(route) if is_asked => Some(route.to_owned()),
            _ => None,
        }
    });
    routes.collect()
}

#[allow(clippy::cast_precision_loss)] // A mean with three digits is shown.
fn report(site: &Site, hop: HopFigures) -> OriginReport {
    let requests: u64 = hop.results.iter().map(|(_, count)| count).sum();
    let failed = hop.results.iter();
    let failed = failed.filter(|(result, _)| !matches!(*result, "1xx" | "2xx" | "3xx" | "4xx"));
    let mean_ms = hop.seconds * 1_000.0 / requests as f64;
    OriginReport {
        site: site.settings.name.to_string(),
        routes: routes_to(site, &hop.name),
        shield: hop.is_shield,
        only_by_name: !site.origin.names().any(|name| name == hop.name),
        origin: hop.name,
        addresses: hop.addresses,
        state: match hop.state.condition {
            HopCondition::Healthy => OriginState::Healthy,
            HopCondition::OnTrial => OriginState::Trial,
            HopCondition::Resting => OriginState::Resting,
            HopCondition::Down => OriginState::Down,
            HopCondition::Drained => OriginState::Drained,
        },
        reason: hop.state.reason.to_owned(),
        rests_for_ms: u64::try_from(hop.state.rests_for.as_millis()).unwrap_or(u64::MAX),
        in_flight: hop.state.in_flight as u64,
        requests,
        failed: failed.map(|(_, count)| count).sum(),
        mean_ms: (requests > 0).then(|| (mean_ms * 1_000.0).round() / 1_000.0),
        connections: hop.connections,
        certificate_ends: hop
            .certificate
            .map(|validity| validity.not_after.unix_secs()),
    }
}
