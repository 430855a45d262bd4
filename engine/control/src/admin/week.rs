//! `GET /stats/week`: the last seven days by site, variant and local hour.

use super::call::Call;
use super::context::AdminContext;
use super::reply::AdminRefusal;
use super::reports::rounded;
use super::stats::figures;
use tero_admin_api::endpoints::Week;
use tero_admin_api::{SiteWeek, WeekFigures, WeekHour, WeekResponse, WeekVariant};
use tero_edge::request::site::Site;
use tero_edge::telemetry::counters::{HistogramSnapshot, HourFigures, Traffic};
use tero_semantics::timestamp::Timestamp;
use tero_time::zones;

/// The last seven days.
pub(super) fn week(
    context: &AdminContext,
    _: Call<'_, Week>,
) -> Result<WeekResponse, AdminRefusal> {
    let (sites, now) = (context.edge.sites.load(), context.edge.clock.wall());
    Ok(WeekResponse {
        sites: sites.iter().map(|site| site_week(site, now)).collect(),
    })
}

fn site_week(site: &Site, now: Timestamp) -> SiteWeek {
    let zone = site.counters.zone();
    SiteWeek {
        site: site.settings.name.to_string(),
        zone: zone.name().to_owned(),
        local: zones::local(now, zone).to_rfc3339(),
        hours: site.counters.week(now).iter().map(hour).collect(),
    }
}

fn hour(hour: &HourFigures) -> WeekHour {
    let seconds = &hour.head_seconds;
    let variants = hour.variants.iter();
    WeekHour {
        date: hour.hour.date.to_string(),
        weekday: hour.hour.weekday(),
        hour: hour.hour.hour,
        figures: week_figures(&hour.traffic()),
        errors: hour.errors,
        within_200_ms: seconds.fast_share().map(rounded),
        p50_ms: millis(seconds, 0.5),
        p95_ms: millis(seconds, 0.95),
        p99_ms: millis(seconds, 0.99),
        variants: variants
            .map(|variant| WeekVariant {
                variant: Some(variant.variant.to_string()).filter(|name| !name.is_empty()),
                figures: week_figures(&variant.traffic),
            })
            .collect(),
    }
}

fn week_figures(traffic: &Traffic) -> WeekFigures {
    WeekFigures {
        hits: figures(&traffic.requests),
        bytes: traffic.bytes.total(),
        byte_hit_rate: traffic.bytes.hit_rate().map(rounded),
    }
}

/// In milliseconds, to three digits.
fn millis(seconds: &HistogramSnapshot, share: f64) -> Option<f64> {
    let secs = seconds.quantile(share)?;
    Some((secs * 1_000_000.0).round() / 1_000.0)
}
