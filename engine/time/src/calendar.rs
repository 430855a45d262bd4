//! Which local dates are holidays.
//!
//! A calendar says for which years it is complete, so that a year without data is never taken for a
//! year without holidays. Reading the file format belongs to `config`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{Days, NaiveDate};

/// How many days ahead policies are told of holidays.
pub const DAYS_AHEAD: u64 = 31;

/// A day that is not an ordinary working day.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holiday {
    /// Its name in the calendar: 1 to 200 bytes without control characters.
    pub name: String,
    /// Closed, or open for part of the day.
    pub kind: HolidayKind,
}

/// What a holiday means for opening hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HolidayKind {
    /// Closed all day.
    Closed,
    /// Open between two local times.
    HalfDay {
        /// When it opens, in minutes since local midnight; less than `until_mins`.
        from_mins: u16,
        /// When it closes, in minutes since local midnight; at most 1440.
        until_mins: u16,
    },
}

/// Holidays by local date.
///
/// ```
/// use chrono::NaiveDate;
/// use tero_time::calendar::{Calendar, Holiday, HolidayKind};
///
/// let christmas = NaiveDate::from_ymd_opt(2026, 12, 25).unwrap();
/// let mut calendar = Calendar::covering([2026]);
/// let holiday = Holiday {
///     name: "Navidad".to_owned(),
///     kind: HolidayKind::Closed,
/// };
/// calendar.set(christmas, Some(holiday));
/// assert_eq!(calendar.on(christmas).unwrap().name, "Navidad");
/// // In 2027 a date without entry may still be a holiday.
/// assert!(calendar.covers(2026) && !calendar.covers(2027));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    years: BTreeSet<i32>,
    days: BTreeMap<NaiveDate, Arc<Holiday>>,
}

impl Calendar {
    /// A calendar without holidays that covers no year.
    pub fn empty() -> Arc<Calendar> {
        Arc::new(Calendar::default())
    }

    /// A calendar that is complete for these years, without holidays so far.
    pub fn covering(years: impl IntoIterator<Item = i32>) -> Calendar {
        Calendar {
            years: years.into_iter().collect(),
            days: BTreeMap::new(),
        }
    }

    /// Sets the entry of a date, or removes it.
    pub fn set(&mut self, date: NaiveDate, holiday: Option<Holiday>) {
        match holiday {
            Some(holiday) => self.days.insert(date, Arc::new(holiday)),
            None => self.days.remove(&date),
        };
    }

    /// Declares the calendar complete for these years too.
    pub fn cover(&mut self, years: impl IntoIterator<Item = i32>) {
        self.years.extend(years);
    }

    /// The entry of a local date; `None` if it has none.
    pub fn on(&self, date: NaiveDate) -> Option<&Arc<Holiday>> {
        self.days.get(&date)
    }

    /// The entries from the day before `date` to [`DAYS_AHEAD`] days after it, without its own, in
    /// order of date. The numbers are their distances from `date` in days.
    pub fn near(&self, date: NaiveDate) -> Vec<(i8, Arc<Holiday>)> {
        let first = date.checked_sub_days(Days::new(1)).unwrap_or(date);
        let last = date.checked_add_days(Days::new(DAYS_AHEAD)).unwrap_or(date);
        let near = self
            .days
            .range(first..=last)
            .filter(|(day, _)| **day != date);
        near.map(|(day, holiday)| {
            let distance = (*day - date).num_days();
            (
                i8::try_from(distance).unwrap_or_default(),
                Arc::clone(holiday),
            )
        })
        .collect()
    }

    /// Whether the calendar is complete for a year. Only then is a date without entry a working day.
    pub fn covers(&self, year: i32) -> bool {
        self.years.contains(&year)
    }

    /// The years for which the calendar is complete.
    pub fn years(&self) -> impl Iterator<Item = i32> + '_ {
        self.years.iter().copied()
    }

    /// Every date with its entry, in order.
    pub fn days(&self) -> impl Iterator<Item = (NaiveDate, &Holiday)> {
        self.days.iter().map(|(date, holiday)| (*date, &**holiday))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn closed(name: &str) -> Option<Holiday> {
        Some(Holiday {
            name: name.to_owned(),
            kind: HolidayKind::Closed,
        })
    }

    #[test]
    fn entries_from_yesterday_to_31_days_ahead_are_near() {
        let mut calendar = Calendar::covering([2026, 2027]);
        for day in [
            "2026-12-22",
            "2026-12-23",
            "2026-12-24",
            "2026-12-25",
            "2027-01-24",
            "2027-01-25",
        ] {
            calendar.set(date(day), closed(day));
        }
        let near: Vec<(i8, String)> = calendar
            .near(date("2026-12-24"))
            .iter()
            .map(|(day, it)| (*day, it.name.clone()))
            .collect();
        assert_eq!(
            near,
            [
                (-1, "2026-12-23".to_owned()),
                (1, "2026-12-25".to_owned()),
                (31, "2027-01-24".to_owned())
            ]
        );
        assert!(
            Calendar::default().near(NaiveDate::MAX).is_empty()
                && Calendar::default().near(NaiveDate::MIN).is_empty()
        );
    }

    #[test]
    fn the_last_entry_that_is_set_counts() {
        let mut calendar = Calendar::covering([2026]);
        calendar.set(date("2026-12-25"), closed("Navidad"));
        assert_eq!(calendar.on(date("2026-12-25")).unwrap().name, "Navidad");
        calendar.set(date("2026-12-25"), closed("Otra"));
        assert_eq!(calendar.on(date("2026-12-25")).unwrap().name, "Otra");
        calendar.set(date("2026-12-25"), None);
        assert_eq!(calendar.on(date("2026-12-25")), None);
    }

    #[test]
    fn a_year_without_data_is_not_covered() {
        let calendar = Calendar::covering([2026]);
        assert!(calendar.covers(2026));
        assert!(!calendar.covers(2027));
    }
}
