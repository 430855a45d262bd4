//! Where two releases of the time zone data show different times.

use std::time::Duration;

use chrono_tz::Tz;
use serde::Serialize;

use super::event::rfc3339;
use tero_semantics::timestamp::Timestamp;
use tero_time::zones::{self, ZoneData};

/// How far ahead releases are compared. Releases differ by rules for seasons to come.
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// A span of time in which other data show another time than those in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ZoneDataDifference {
    /// The IANA name of the zone.
    pub zone: String,
    /// The beginning, in UTC (RFC 3339).
    pub from: String,
    /// The end, in UTC (RFC 3339); a year after the beginning of the preview if it goes on there.
    pub until: String,
    /// Minutes east of UTC by the data in force.
    pub offset_mins: i64,
    /// The data in force: release and source.
    pub in_force: String,
    /// Minutes east of UTC by the other data.
    pub other_offset_mins: i64,
    /// The other data: release and source.
    pub other: String,
}

/// The differences in `zone`, an IANA name.
pub(super) fn differences(
    zone: &str,
    other: &ZoneData,
    from: Timestamp,
) -> Vec<ZoneDataDifference> {
    let tz: Tz = zone.parse().unwrap_or(Tz::UTC);
    let in_force = zones::in_force();
    let differences = in_force.differences(other, tz, from, from.saturating_add(YEAR));
    differences
        .into_iter()
        .map(|difference| ZoneDataDifference {
            zone: zone.to_owned(),
            from: rfc3339(difference.from, Tz::UTC),
            until: rfc3339(difference.until, Tz::UTC),
            offset_mins: difference.offset_secs.div_euclid(60),
            in_force: in_force.describe(),
            other_offset_mins: difference.other_offset_secs.div_euclid(60),
            other: other.describe(),
        })
        .collect()
}
