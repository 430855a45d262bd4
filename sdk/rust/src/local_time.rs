//! Times of day and days of the week, and their forms in settings.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A local time of day, to the minute: `"09:00"`. It lies between 00:00 and 24:00, which is the end
/// of the day.
///
/// ```
/// use tero_policy::LocalTime;
///
/// let opening: LocalTime = "09:00".parse().unwrap();
/// assert_eq!(opening, LocalTime::at(9, 0));
/// assert!(opening < LocalTime::END_OF_DAY);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalTime(u16);

impl LocalTime {
    /// 00:00
    pub const MIDNIGHT: LocalTime = LocalTime(0);
    /// 24:00, the end of the day
    pub const END_OF_DAY: LocalTime = LocalTime(1_440);

    /// This hour and minute.
    ///
    /// # Panics
    /// The time is past 24:00, or the minute is past 59.
    ///
    /// ```
    /// # use tero_policy::LocalTime;
    /// assert_eq!(LocalTime::at(18, 30).to_string(), "18:30");
    /// ```
    pub const fn at(hour: u16, minute: u16) -> LocalTime {
        assert!(
            minute < 60 && (hour < 24 || (hour == 24 && minute == 0)),
            "a time of day lies between 00:00 and 24:00"
        );
        LocalTime(hour * 60 + minute)
    }

    /// This many minutes after midnight; `None` if more than 1440.
    ///
    /// ```
    /// # use tero_policy::LocalTime;
    /// assert_eq!(LocalTime::from_mins(540), Some(LocalTime::at(9, 0)));
    /// assert_eq!(LocalTime::from_mins(1_441), None);
    /// ```
    pub const fn from_mins(mins: u16) -> Option<LocalTime> {
        if mins <= 1_440 {
            Some(LocalTime(mins))
        } else {
            None
        }
    }

    /// Minutes after midnight, 0 to 1440.
    ///
    /// ```
    /// # use tero_policy::LocalTime;
    /// assert_eq!(LocalTime::at(9, 0).as_mins(), 540);
    /// ```
    pub const fn as_mins(self) -> u16 {
        self.0
    }

    /// Seconds after midnight, 0 to 86,400.
    ///
    /// ```
    /// # use tero_policy::LocalTime;
    /// assert_eq!(LocalTime::END_OF_DAY.as_secs(), 86_400);
    /// ```
    pub const fn as_secs(self) -> u32 {
        self.0 as u32 * 60
    }
}

impl FromStr for LocalTime {
    type Err = String;

    fn from_str(text: &str) -> Result<LocalTime, String> {
        text.split_once(':')
            .and_then(|(hour, minute)| two_digits(hour).zip(two_digits(minute)))
            .filter(|&(hour, minute)| minute < 60 && hour * 60 + minute <= 1_440)
            .map(|(hour, minute)| LocalTime(hour * 60 + minute))
            .ok_or_else(|| {
                format!(
                    "{text:?} is not a time of day: write \"09:00\", from \"00:00\" to \"24:00\""
                )
            })
    }
}

fn two_digits(text: &str) -> Option<u16> {
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl<'de> Deserialize<'de> for LocalTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LocalTime, D::Error> {
        crate::names::from_text(deserializer, "a time of day in quotes, such as \"09:00\"")
    }
}

/// A day of the week. In settings it is `"mon"` or `"monday"`, in any case.
///
/// ```
/// use tero_policy::Weekday;
///
/// assert_eq!("Mon".parse(), Ok(Weekday::Monday));
/// assert_eq!(Weekday::Monday.to_string(), "monday");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weekday {
    /// Monday
    Monday,
    /// Tuesday
    Tuesday,
    /// Wednesday
    Wednesday,
    /// Thursday
    Thursday,
    /// Friday
    Friday,
    /// Saturday
    Saturday,
    /// Sunday
    Sunday,
}

impl Weekday {
    /// Monday to Sunday.
    pub const ALL: [Weekday; 7] = [
        Weekday::Monday,
        Weekday::Tuesday,
        Weekday::Wednesday,
        Weekday::Thursday,
        Weekday::Friday,
        Weekday::Saturday,
        Weekday::Sunday,
    ];

    /// The name in lower case: `"monday"`.
    ///
    /// ```
    /// # use tero_policy::Weekday;
    /// assert_eq!(Weekday::Sunday.as_str(), "sunday");
    /// ```
    pub const fn as_str(self) -> &'static str {
        [
            "monday",
            "tuesday",
            "wednesday",
            "thursday",
            "friday",
            "saturday",
            "sunday",
        ][self as usize]
    }

    /// The weekday this many days later.
    ///
    /// ```
    /// # use tero_policy::Weekday;
    /// assert_eq!(Weekday::Saturday.plus(2), Weekday::Monday);
    /// ```
    pub const fn plus(self, days: usize) -> Weekday {
        Weekday::ALL[(self as usize + days % 7) % 7]
    }

    /// The day before.
    ///
    /// ```
    /// # use tero_policy::Weekday;
    /// assert_eq!(Weekday::Monday.yesterday(), Weekday::Sunday);
    /// ```
    pub const fn yesterday(self) -> Weekday {
        self.plus(6)
    }
}

impl FromStr for Weekday {
    type Err = String;

    fn from_str(text: &str) -> Result<Weekday, String> {
        Weekday::ALL
            .into_iter()
            .find(|day| {
                text.eq_ignore_ascii_case(day.as_str())
                    || text.eq_ignore_ascii_case(&day.as_str()[..3])
            })
            .ok_or_else(|| {
                format!(
                    "{text:?} is not a day of the week: write mon, tue, wed, thu, fri, sat or sun"
                )
            })
    }
}

impl fmt::Display for Weekday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Weekday {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Weekday, D::Error> {
        crate::names::from_text(deserializer, "a day of the week, such as \"mon\"")
    }
}

/// A set of days of the week. In settings it is a list of days and ranges, `["mon-thu", "sat"]`, or
/// a single one, `"mon-sat"`.
///
/// ```
/// use tero_policy::{Weekday, Weekdays};
///
/// let days: Weekdays = [Weekday::Monday, Weekday::Tuesday].into_iter().collect();
/// assert!(days.contains(Weekday::Monday) && !days.contains(Weekday::Sunday));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Weekdays(u8);

impl Weekdays {
    /// Every day.
    pub const ALL: Weekdays = Weekdays(0b111_1111);

    /// Whether the set contains this day.
    ///
    /// ```
    /// # use tero_policy::{Weekday, Weekdays};
    /// assert!(Weekdays::ALL.contains(Weekday::Sunday));
    /// ```
    pub const fn contains(self, day: Weekday) -> bool {
        self.0 & (1 << day as u8) != 0
    }

    fn with(self, text: &str) -> Result<Weekdays, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last): (Weekday, Weekday) = (first.trim().parse()?, last.trim().parse()?);
        let mut set = self.0;
        let mut day = first;
        loop {
            set |= 1 << day as u8;
            if day == last {
                return Ok(Weekdays(set));
            }
            day = day.plus(1);
        }
    }
}

impl FromIterator<Weekday> for Weekdays {
    fn from_iter<I: IntoIterator<Item = Weekday>>(days: I) -> Weekdays {
        Weekdays(days.into_iter().fold(0, |set, day| set | 1 << day as u8))
    }
}

impl Default for Weekdays {
    /// Every day.
    fn default() -> Weekdays {
        Weekdays::ALL
    }
}

impl<'de> Deserialize<'de> for Weekdays {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Weekdays, D::Error> {
        struct Days;
        impl<'de> Visitor<'de> for Days {
            type Value = Weekdays;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of days, such as [\"mon\", \"tue\"] or [\"mon-sat\"]")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Weekdays, E> {
                Weekdays(0).with(text).map_err(E::custom)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Weekdays, A::Error> {
                let mut days = Weekdays(0);
                while let Some(text) = list.next_element::<String>()? {
                    days = days.with(&text).map_err(A::Error::custom)?;
                }
                if days.0 == 0 {
                    Err(A::Error::custom(
                        "no day is named: name at least one, such as [\"mon\"], or leave `days` out for every day",
                    ))
                } else {
                    Ok(days)
                }
            }
        }
        deserializer.deserialize_any(Days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_are_read_and_written() {
        for text in ["00:00", "09:05", "23:59", "24:00"] {
            assert_eq!(text.parse::<LocalTime>().unwrap().to_string(), text);
        }
        for text in [
            "", "9:00", "09:60", "24:01", "25:00", "0900", "09:00:00", "+9:00", "09-00",
        ] {
            assert!(
                text.parse::<LocalTime>()
                    .unwrap_err()
                    .contains("write \"09:00\""),
                "{text}"
            );
        }
        assert_eq!(LocalTime::at(24, 0), LocalTime::END_OF_DAY);
    }

    #[test]
    fn days_are_read_by_name_by_range_and_around_the_weekend() {
        let days = |json: &str| serde_json::from_str::<Weekdays>(json).unwrap();
        let names = |set: Weekdays| {
            Weekday::ALL
                .into_iter()
                .filter(|day| set.contains(*day))
                .map(|day| &day.as_str()[..3])
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(names(days(r#"["mon", "Wednesday"]"#)), "mon wed");
        assert_eq!(names(days(r#"["mon-wed", "sat"]"#)), "mon tue wed sat");
        assert_eq!(names(days(r#""fri-mon""#)), "mon fri sat sun");
        assert_eq!(names(Weekdays::ALL), "mon tue wed thu fri sat sun");
        for json in ["[]", r#"["lun"]"#, "1", r#"["mon-"]"#] {
            assert!(serde_json::from_str::<Weekdays>(json).is_err(), "{json}");
        }
    }
}
