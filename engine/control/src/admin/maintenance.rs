//! `/maintenance`: which sites are being worked on.

use super::call::Call;
use super::context::AdminContext;
use super::reply::AdminRefusal;
use tero_admin_api::endpoints::{EndMaintenance, Maintenance, StartMaintenance};
use tero_admin_api::{
    EndMaintenanceResponse, MaintenanceReport, MaintenanceResponse, StartMaintenanceRequest,
    StartMaintenanceResponse,
};
use tero_config::{Mistake, forms};
use tero_edge::request::maintenance::MaintenanceOrder;
use tero_edge::request::site::Site;
use tero_semantics::timestamp::Timestamp;
use tero_state::file::FileError;
use tero_time::local_time::LocalDateTime;
use tero_time::zones;

/// The longest line for visitors, in bytes.
const MAX_MESSAGE: usize = 1_000;
/// Networks that may be exempt.
const MAX_EXEMPT: usize = 64;

/// The sites that are being worked on.
pub(super) fn list(
    context: &AdminContext,
    _: Call<'_, Maintenance>,
) -> Result<MaintenanceResponse, AdminRefusal> {
    let (sites, now) = (context.edge.sites.load(), context.edge.clock.wall());
    let reports = sites.iter().filter_map(|site| {
        let order = site.maintenance.current(now)?;
        Some(report(site, &order))
    });
    Ok(MaintenanceResponse {
        sites: reports.collect(),
    })
}

/// Begins the maintenance of a site.
pub(super) fn begin(
    context: &AdminContext,
    call: Call<'_, StartMaintenance>,
) -> Result<StartMaintenanceResponse, AdminRefusal> {
    let (name, request) = (call.parameter(), call.read()?);
    let sites = context.edge.sites.load();
    let site = sites.named(name).ok_or_else(|| unknown(context, name))?;
    let order = order(site, &request, context.edge.clock.wall())?;
    let begun = context
        .maintenance
        .begin(&context.edge, name, order.clone());
    begun.map_err(not_saved)?;
    tracing::warn!(site = name, until = ?order.until, "maintenance has begun");
    Ok(StartMaintenanceResponse {
        report: report(site, &order),
        survives_restart: context.maintenance.survives_restart(),
    })
}

/// Ends the maintenance of a site.
pub(super) fn end(
    context: &AdminContext,
    call: Call<'_, EndMaintenance>,
) -> Result<EndMaintenanceResponse, AdminRefusal> {
    let name = call.parameter();
    if context.edge.sites.load().named(name).is_none() {
        return Err(unknown(context, name));
    }
    let was_on = context
        .maintenance
        .end(&context.edge, name)
        .map_err(not_saved)?;
    tracing::info!(site = name, was_on, "maintenance has ended");
    Ok(EndMaintenanceResponse {
        site: name.to_owned(),
        was_on,
    })
}

fn order(
    site: &Site,
    request: &StartMaintenanceRequest,
    now: Timestamp,
) -> Result<MaintenanceOrder, AdminRefusal> {
    let StartMaintenanceRequest {
        message,
        until,
        serve_stored,
        exempt,
    } = request;
    if message.len() > MAX_MESSAGE || message.chars().any(char::is_control) {
        let cure = "write at most 1000 bytes in one line";
        return Err(AdminRefusal::bad(
            "the message is too long, or has control characters",
            cure,
        ));
    }
    if exempt.len() > MAX_EXEMPT {
        let problem = format!("these are more than {MAX_EXEMPT} networks");
        return Err(AdminRefusal::bad(problem, "name larger networks"));
    }
    let refused = |Mistake { problem, cure }: Mistake| AdminRefusal::bad(problem, cure);
    let networks = exempt.iter().map(|network| forms::network(network));
    let exempt = networks.collect::<Result<_, _>>().map_err(refused)?;
    let until = until.as_deref().map(|text| time(site, text)).transpose()?;
    if until.is_some_and(|until| until <= now) {
        return Err(AdminRefusal::bad(
            "`until` has passed",
            "write a later time",
        ));
    }
    Ok(MaintenanceOrder {
        message: message.clone(),
        until,
        serves_stored: *serve_stored,
        exempt,
    })
}

fn time(site: &Site, text: &str) -> Result<Timestamp, AdminRefusal> {
    let time = LocalDateTime::parse(text).ok_or_else(|| {
        let problem = format!("`{}` is not a time", text.escape_debug());
        AdminRefusal::bad(
            problem,
            "write 2026-11-24T18:00, or 2026-11-24T18:00:00-03:00",
        )
    })?;
    Ok(time.in_zone(site.counters.zone()))
}

fn report(site: &Site, order: &MaintenanceOrder) -> MaintenanceReport {
    MaintenanceReport {
        site: site.settings.name.to_string(),
        message: order.message.clone(),
        until_unix_secs: order.until.map(Timestamp::unix_secs),
        until: order
            .until
            .map(|until| zones::local(until, site.counters.zone()).to_rfc3339()),
        serve_stored: order.serves_stored,
        exempt: order.exempt.iter().map(ToString::to_string).collect(),
    }
}

fn unknown(context: &AdminContext, name: &str) -> AdminRefusal {
    let sites = context.edge.sites.load();
    let names: Vec<&str> = sites.iter().map(|site| &*site.settings.name).collect();
    AdminRefusal::unknown(
        format!("there is no site `{}`", name.escape_debug()),
        format!("the sites are {}", names.join(", ")),
    )
}

fn not_saved(error: FileError) -> AdminRefusal {
    tracing::error!(%error, "the maintenance of a site can't be saved");
    AdminRefusal::failed()
}
