//! Lifetimes in whole seconds, as the contract has them, and their form in settings.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// A lifetime in whole seconds, at most 31,536,000 (365 days), the longest that the edge accepts.
///
/// In settings it is text with a unit: `"90s"`, `"15min"` (or `"15m"`), `"2h"`, `"1d"`.
///
/// ```
/// use tero_policy::Duration;
///
/// let lifetime: Duration = "15min".parse().unwrap();
/// assert_eq!(lifetime, Duration::from_mins(15));
/// assert_eq!(lifetime.to_string(), "15min");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(u32);

impl Duration {
    /// Zero: the response is stored, and revalidated at every use.
    pub const ZERO: Duration = Duration(0);
    /// 365 days.
    pub const MAX: Duration = Duration(31_536_000);

    /// This many seconds, but at most [`Duration::MAX`].
    ///
    /// ```
    /// # use tero_policy::Duration;
    /// assert_eq!(Duration::from_secs(90).as_secs(), 90);
    /// assert_eq!(Duration::from_secs(u64::MAX), Duration::MAX);
    /// ```
    pub const fn from_secs(secs: u64) -> Duration {
        if secs > Duration::MAX.0 as u64 {
            Duration::MAX
        } else {
            Duration(secs as u32)
        }
    }

    /// This many minutes, but at most [`Duration::MAX`].
    ///
    /// ```
    /// # use tero_policy::Duration;
    /// assert_eq!(Duration::from_mins(2).as_secs(), 120);
    /// ```
    pub const fn from_mins(mins: u64) -> Duration {
        Duration::from_secs(mins.saturating_mul(60))
    }

    /// This many hours, but at most [`Duration::MAX`].
    ///
    /// ```
    /// # use tero_policy::Duration;
    /// assert_eq!(Duration::from_hours(1).as_secs(), 3_600);
    /// ```
    pub const fn from_hours(hours: u64) -> Duration {
        Duration::from_secs(hours.saturating_mul(3_600))
    }

    /// This many days of 24 hours, but at most [`Duration::MAX`].
    ///
    /// ```
    /// # use tero_policy::Duration;
    /// assert_eq!(Duration::from_days(1).as_secs(), 86_400);
    /// ```
    pub const fn from_days(days: u64) -> Duration {
        Duration::from_secs(days.saturating_mul(86_400))
    }

    /// The lifetime in seconds.
    ///
    /// ```
    /// # use tero_policy::Duration;
    /// assert_eq!(Duration::from_mins(1).as_secs(), 60);
    /// ```
    pub const fn as_secs(self) -> u32 {
        self.0
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Duration, String> {
        let unit_at = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let unit_secs: u64 = match unit {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => 0,
        };
        if number.is_empty() || unit_secs == 0 {
            return Err(format!(
                "{text:?} is not a duration: write a whole number and its unit, \"90s\", \"15min\", \"2h\" or \"1d\""
            ));
        }
        // A number that does not fit in a u64 is longer than any lifetime.
        let secs = number
            .parse::<u64>()
            .unwrap_or(u64::MAX)
            .saturating_mul(unit_secs);
        if secs > u64::from(Duration::MAX.0) {
            Err(format!("{text:?} is longer than a year: at most \"365d\""))
        } else {
            Ok(Duration::from_secs(secs))
        }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            secs if secs > 0 && secs % 86_400 == 0 => write!(f, "{}d", secs / 86_400),
            secs if secs > 0 && secs % 3_600 == 0 => write!(f, "{}h", secs / 3_600),
            secs if secs > 0 && secs % 60 == 0 => write!(f, "{}min", secs / 60),
            secs => write!(f, "{secs}s"),
        }
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        crate::names::from_text(
            deserializer,
            "a duration in quotes with its unit, such as \"90s\" or \"15min\"",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_every_unit_and_written_back_in_the_largest() {
        for (text, secs, written) in [
            ("90s", 90, "90s"),
            ("15m", 900, "15min"),
            ("15min", 900, "15min"),
            ("2h", 7_200, "2h"),
            ("1d", 86_400, "1d"),
            ("0s", 0, "0s"),
            ("365d", 31_536_000, "365d"),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.as_secs(), secs, "{text}");
            assert_eq!(duration.to_string(), written);
        }
    }

    #[test]
    fn bad_durations_are_refused_with_a_cure() {
        for text in ["", "90", "s", "-1s", "1.5h", "1 h", "1w", "90S"] {
            assert!(
                text.parse::<Duration>()
                    .unwrap_err()
                    .contains("write a whole number and its unit"),
                "{text}"
            );
        }
        for text in ["366d", "31536001s", "99999999999999999999d"] {
            assert!(
                text.parse::<Duration>()
                    .unwrap_err()
                    .contains("at most \"365d\""),
                "{text}"
            );
        }
        assert!(
            serde_json::from_str::<Duration>("90")
                .unwrap_err()
                .to_string()
                .contains("in quotes with its unit")
        );
    }

    #[test]
    fn constructors_stop_at_a_year() {
        assert_eq!(Duration::from_secs(u64::MAX), Duration::MAX);
        assert_eq!(Duration::from_days(366), Duration::MAX);
        assert_eq!(Duration::from_hours(2), Duration::from_mins(120));
    }
}
