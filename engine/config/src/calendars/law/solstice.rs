//! The day of the solstice of June in Chile, where it is a holiday (Ley 21.357).
//!
//! The time of the solstice is computed as in Meeus, Astronomical Algorithms, chapter 27: a mean
//! time, and the periodic terms. It is right to a minute or so.

use chrono::{DateTime, NaiveDate};

/// Chile's offset in winter.
const OFFSET_SECS: f64 = -4.0 * 3_600.0;

/// The Julian day of the Unix epoch.
const UNIX_EPOCH_JULIAN: f64 = 2_440_587.5;

/// Terrestrial time is ahead of universal time by about this much in this century.
const DELTA_SECS: f64 = 75.0;

/// Amplitude, phase and speed of the periodic terms, in degrees and degrees per century.
const TERMS: [(f64, f64, f64); 24] = [
    (485.0, 324.96, 1934.136),
    (203.0, 337.23, 32964.467),
    (199.0, 342.08, 20.186),
    (182.0, 27.85, 445267.112),
    (156.0, 73.14, 45036.886),
    (136.0, 171.52, 22518.443),
    (77.0, 222.54, 65928.934),
    (74.0, 296.72, 3034.906),
    (70.0, 243.58, 9037.513),
    (58.0, 119.81, 33718.147),
    (52.0, 297.17, 150.678),
    (50.0, 21.02, 2281.226),
    (45.0, 247.54, 29929.562),
    (44.0, 325.15, 31555.956),
    (29.0, 60.93, 4443.417),
    (18.0, 155.12, 67555.328),
    (17.0, 288.79, 4562.452),
    (16.0, 198.04, 62894.029),
    (14.0, 199.76, 31436.921),
    (12.0, 95.39, 14577.848),
    (12.0, 287.11, 31931.756),
    (12.0, 320.81, 34777.259),
    (9.0, 227.73, 1222.114),
    (8.0, 15.45, 16859.074),
];

/// The local date of the solstice of June.
pub(super) fn june_in_chile(year: i32) -> Option<NaiveDate> {
    let local_secs = june_unix_secs(year) + OFFSET_SECS;
    #[allow(
        clippy::cast_possible_truncation,
        reason = "seconds of this millennium fit"
    )]
    let local = DateTime::from_timestamp(local_secs.floor() as i64, 0)?;
    Some(local.date_naive())
}

fn june_unix_secs(year: i32) -> f64 {
    let y = (f64::from(year) - 2000.0) / 1000.0;
    let mean =
        2_451_716.567_67 + y * (365_241.626_03 + y * (0.003_25 + y * (0.008_88 - y * 0.000_30)));
    let centuries = (mean - 2_451_545.0) / 36_525.0;
    let sun = (35_999.373 * centuries - 2.47).to_radians();
    let speed = 1.0 + 0.0334 * sun.cos() + 0.0007 * (2.0 * sun).cos();
    let periodic: f64 = TERMS
        .iter()
        .map(|(amplitude, phase, by_century)| {
            amplitude * (phase + by_century * centuries).to_radians().cos()
        })
        .sum();
    let julian = mean + 0.000_01 * periodic / speed;
    (julian - UNIX_EPOCH_JULIAN) * 86_400.0 - DELTA_SECS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times are those that almanacs give, to the minute.
    #[test]
    fn the_solstice_is_where_almanacs_have_it() {
        for (time, date) in [
            ("2024-06-20T20:51:00Z", "2024-06-20"),
            ("2025-06-21T02:42:00Z", "2025-06-20"),
            ("2026-06-21T08:25:00Z", "2026-06-21"),
            ("2027-06-21T14:11:00Z", "2027-06-21"),
            ("2028-06-20T20:02:00Z", "2028-06-20"),
        ] {
            let expected: DateTime<chrono::Utc> = time.parse().unwrap();
            let year = time[..4].parse().unwrap();
            let off = june_unix_secs(year) - expected.timestamp() as f64;
            assert!(off.abs() < 120.0, "{time}: {off}");
            assert_eq!(june_in_chile(year), Some(date.parse().unwrap()));
        }
    }
}
