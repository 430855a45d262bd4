//! The forecast that is attached to a version.

use tero_admin_api::VersionForecast;
use tero_policy_host::attached_forecast;

/// A forecast that is malformed, or has a figure out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadForecast;

/// The forecast of a version; `None` if none is attached.
pub(super) fn of_version(content: &[u8]) -> Result<Option<VersionForecast>, BadForecast> {
    let Some(text) = attached_forecast(content) else {
        return Ok(None);
    };
    let forecast = serde_json::from_str(text).ok();
    let forecast = forecast.filter(VersionForecast::is_valid);
    forecast.map(Some).ok_or(BadForecast)
}
