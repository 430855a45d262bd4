//! The forecast that is attached to a version.

use tero_admin_api::VersionForecast;
use tero_policy_host::attached_forecast;

/// A forecast that is malformed or not UTF-8, or has a figure out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadForecast;

/// The forecast of a version; `None` if none is attached.
pub(super) fn of_version(content: &[u8]) -> Result<Option<VersionForecast>, BadForecast> {
    let Some(text) = attached_forecast(content).map_err(|_| BadForecast)? else {
        return Ok(None);
    };
    let forecast = serde_json::from_str(text).ok();
    let forecast = forecast.filter(VersionForecast::is_valid);
    forecast.map(Some).ok_or(BadForecast)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_policy_host::with_forecast;

    const MODULE: &[u8] = b"\0asm\x01\0\0\0";

    #[test]
    fn a_forecast_that_is_not_text_is_refused() {
        assert_eq!(of_version(MODULE), Ok(None));
        assert_eq!(of_version(&with_forecast(MODULE, "{}")), Err(BadForecast));
        let mut cut = with_forecast(MODULE, "é");
        *cut.last_mut().unwrap() = b'x';
        assert_eq!(of_version(&cut), Err(BadForecast));
    }
}
