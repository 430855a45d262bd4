//! Lifetimes in settings: a duration, or until a time of day.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use crate::{Duration, LocalTime, Moment};

/// A lifetime: a duration, or the time until the local clock next shows a time of day.
///
/// In settings it is text: `"15min"` as for [`Duration`], or `"until 18:00"`.
///
/// ```
/// use tero_policy::{Lifetime, Moment};
/// let now: Moment = "2026-11-24T17:59:30-03:00".parse().unwrap();
/// assert_eq!("until 18:00".parse::<Lifetime>().unwrap().from(&now).as_secs(), 30);
/// assert_eq!("2min".parse::<Lifetime>().unwrap().from(&now).as_secs(), 120);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lifetime {
    /// A duration.
    For(Duration),
    /// Until the local clock next shows this time; see [`Moment::until`].
    Until(LocalTime),
}

impl Lifetime {
    /// Its length from this moment on.
    ///
    /// ```
    /// use tero_policy::{Lifetime, LocalTime, Moment};
    ///
    /// let now: Moment = "2026-11-24T17:59:30-03:00".parse().unwrap();
    /// assert_eq!(Lifetime::Until(LocalTime::at(18, 0)).from(&now).as_secs(), 30);
    /// ```
    pub fn from(self, now: &Moment) -> Duration {
        match self {
            Lifetime::For(duration) => duration,
            Lifetime::Until(time) => now.until(time),
        }
    }
}

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Lifetime, String> {
        match text.strip_prefix("until ") {
            Some(time) => time.parse().map(Lifetime::Until),
            None => text
                .parse()
                .map(Lifetime::For)
                .map_err(|error| format!("{error}; or \"until 18:00\"")),
        }
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lifetime::For(duration) => duration.fmt(f),
            Lifetime::Until(time) => write!(f, "until {time}"),
        }
    }
}

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Lifetime, D::Error> {
        crate::names::from_text(
            deserializer,
            "a duration or a time in quotes, such as \"15min\" or \"until 18:00\"",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_read_and_written_back() {
        for text in ["15min", "0s", "until 18:00", "until 24:00"] {
            assert_eq!(text.parse::<Lifetime>().unwrap().to_string(), text);
        }
        assert!(
            "until"
                .parse::<Lifetime>()
                .unwrap_err()
                .contains("\"until 18:00\"")
        );
        assert!(
            "until 25:00"
                .parse::<Lifetime>()
                .unwrap_err()
                .contains("is not a time of day")
        );
        assert!(
            serde_json::from_str::<Lifetime>("9")
                .unwrap_err()
                .to_string()
                .contains("until 18:00")
        );
    }
}
