//! Times as people write them: an instant, or what the clock of some zone shows.

use chrono::{DateTime, NaiveDateTime};
use chrono_tz::Tz;

use crate::moment::instant_of;
use tero_semantics::timestamp::Timestamp;

/// A time as it was written.
///
/// ```
/// use tero_time::local_time::LocalDateTime;
///
/// let zone = chrono_tz::America::Argentina::Buenos_Aires;
/// let local = LocalDateTime::parse("2026-11-24T08:59").unwrap();
/// let instant = LocalDateTime::parse("2026-11-24T08:59:00-03:00").unwrap();
/// assert_eq!(local.in_zone(zone), instant.in_zone(zone));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalDateTime {
    /// When a clock shows this: `2026-11-24T08:59` or `2026-11-24T08:59:00`.
    Local(NaiveDateTime),
    /// This instant: `2026-11-24T08:59:00-03:00`.
    Instant(Timestamp),
}

impl LocalDateTime {
    /// Reads a time; `None` if `text` isn't one. As in RFC 3339 and TOML, a space may stand for the
    /// T.
    pub fn parse(text: &str) -> Option<LocalDateTime> {
        let text = text.replacen(' ', "T", 1);
        if let Ok(instant) = DateTime::parse_from_rfc3339(&text) {
            return Some(LocalDateTime::Instant(Timestamp::from_unix_millis(
                instant.timestamp_millis(),
            )));
        }
        let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
        forms
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(&text, form).ok())
            .map(LocalDateTime::Local)
    }

    /// The instant that is meant in `zone`. A local time in a gap or an overlap is resolved as
    /// [`instant_of`] does.
    pub fn in_zone(self, zone: Tz) -> Timestamp {
        match self {
            LocalDateTime::Local(local) => instant_of(local, zone),
            LocalDateTime::Instant(instant) => instant,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_time_depends_on_the_zone_and_an_instant_does_not() {
        for (text, millis) in [
            ("2026-11-24T08:59", Some(1_795_521_540_000)),
            ("2026-11-24 08:59:00", Some(1_795_521_540_000)),
            ("2026-11-24T08:59:00.250", Some(1_795_521_540_000)),
            ("2026-11-24T08:59:00-03:00", Some(1_795_521_540_000)),
            ("2026-11-24T08:59:00Z", Some(1_795_510_740_000)),
            ("2026-11-24", None),
            ("08:59", None),
            ("2026-13-24T08:59", None),
            ("2026-11-24T08:59:00 America/Argentina/Buenos_Aires", None),
            ("", None),
        ] {
            let time = LocalDateTime::parse(text).map(|time| {
                time.in_zone(Tz::America__Argentina__Buenos_Aires)
                    .unix_millis()
            });
            assert_eq!(time, millis, "{text}");
        }
    }
}
