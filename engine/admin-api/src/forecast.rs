//! The forecast that comes with a version of a policy.

use serde::{Deserialize, Serialize};

/// Hours of a day.
const HOURS: usize = 24;

/// What `tero simulate` foresaw of a site with a version: figures of a log that was rehearsed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct VersionForecast {
    /// Requests of the log.
    pub requests: u64,
    /// Local days with requests.
    pub days: u64,
    /// Hits of all kinds over looked-up requests, 0 to 1; null if there were none.
    pub hit_rate: Option<f64>,
    /// The share of requests that did not wait for the origin, 0 to 1; null if there were none.
    pub unwaited: Option<f64>,
    /// Requests to the origin a day.
    pub origin_requests_a_day: f64,
    /// The hit rate by local hour, from 0 to 23; null for those without looked-up requests.
    #[cfg_attr(feature = "schema", schemars(length(equal = 24)))]
    pub hours: Vec<Option<f64>>,
}

impl VersionForecast {
    /// Whether each figure is in its range.
    pub fn is_valid(&self) -> bool {
        let shares = [self.hit_rate, self.unwaited];
        let mut shares = shares.iter().chain(&self.hours).flatten();
        self.hours.len() == HOURS
            && self.origin_requests_a_day.is_finite()
            && self.origin_requests_a_day >= 0.0
            && shares.all(|share| (0.0..=1.0).contains(share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_out_of_range_are_not_valid() {
        let good = VersionForecast {
            requests: 10,
            days: 1,
            hit_rate: Some(0.5),
            unwaited: None,
            origin_requests_a_day: 5.0,
            hours: vec![None; HOURS],
        };
        assert!(good.is_valid());
        let bad = |change: fn(&mut VersionForecast)| {
            let mut forecast = good.clone();
            change(&mut forecast);
            !forecast.is_valid()
        };
        assert!(bad(|it| it.hit_rate = Some(1.1)));
        assert!(bad(|it| it.unwaited = Some(f64::NAN)));
        assert!(bad(|it| it.hours[3] = Some(-0.1)));
        assert!(bad(|it| it.hours.truncate(23)));
        assert!(bad(|it| it.origin_requests_a_day = -1.0));
    }
}
