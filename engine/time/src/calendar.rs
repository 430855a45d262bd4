//! Which local dates are holidays.
//!
//! A calendar says what it knows of each year, so that a year without data is never taken for a year
//! without holidays. Reading the file format and computing laws belong to `config`.

use std::collections::BTreeMap;
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

/// What a calendar knows of a year. The greater, the more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum YearCoverage {
    /// A list names the year, and has no day of it. That is taken for a gap.
    Empty,
    /// The days that laws fix. Decrees may add and move days, and are not known.
    ByLaw,
    /// All holidays.
    Complete,
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
    years: BTreeMap<i32, YearCoverage>,
    days: BTreeMap<NaiveDate, Arc<Holiday>>,
}

impl Calendar {
    /// A calendar without holidays that covers no year.
    pub fn empty() -> Arc<Calendar> {
        Arc::new(Calendar::default())
    }

    /// A calendar that is complete for these years, without holidays so far.
    pub fn covering(years: impl IntoIterator<Item = i32>) -> Calendar {
        let mut calendar = Calendar::default();
        calendar.cover(years);
        calendar
    }

    /// Sets the entry of a date, or removes it.
    pub fn set(&mut self, date: NaiveDate, holiday: Option<Holiday>) {
        match holiday {
            Some(holiday) => self.set_shared(date, Arc::new(holiday)),
            None => drop(self.days.remove(&date)),
        }
    }

    /// Sets the entry of a date to one that other dates may have too.
    pub fn set_shared(&mut self, date: NaiveDate, holiday: Arc<Holiday>) {
        self.days.insert(date, holiday);
    }

    /// Declares the calendar complete for these years too.
    pub fn cover(&mut self, years: impl IntoIterator<Item = i32>) {
        self.know(years, YearCoverage::Complete);
    }

    /// Declares that the calendar has what laws fix for these years.
    pub fn cover_by_law(&mut self, years: impl IntoIterator<Item = i32>) {
        self.know(years, YearCoverage::ByLaw);
    }

    /// Notes that these years are named without a day in them, unless more is known of them.
    pub fn name_without_days(&mut self, years: impl IntoIterator<Item = i32>) {
        self.know(years, YearCoverage::Empty);
    }

    fn know(&mut self, years: impl IntoIterator<Item = i32>, coverage: YearCoverage) {
        for year in years {
            let known = self.years.entry(year).or_insert(coverage);
            *known = coverage.max(*known);
        }
    }

    /// Adds the days of another calendar, which replace those of the same date. Of each year is
    /// known what both know.
    pub fn add(&mut self, other: &Calendar) {
        let days = other.days.iter();
        self.days
            .extend(days.map(|(date, holiday)| (*date, Arc::clone(holiday))));
        self.years
            .retain(|year, known| match other.coverage(*year) {
                Some(coverage) => {
                    *known = coverage.min(*known);
                    true
                }
                None => false,
            });
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
        self.coverage(year) == Some(YearCoverage::Complete)
    }

    /// What the calendar knows of a year; `None` if nothing.
    pub fn coverage(&self, year: i32) -> Option<YearCoverage> {
        self.years.get(&year).copied()
    }

    /// Whether the calendar names a year at all. Without a calendar, a policy has one that doesn't.
    pub fn has_years(&self) -> bool {
        !self.years.is_empty()
    }

    /// The years for which the calendar is complete.
    pub fn years(&self) -> impl Iterator<Item = i32> + '_ {
        let years = self.years.keys().copied();
        years.filter(|year| self.covers(*year))
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
    fn of_two_calendars_is_known_what_both_know() {
        let mut calendar = Calendar::covering([2025, 2026, 2027]);
        calendar.set(date("2026-12-25"), closed("Navidad"));
        calendar.set(date("2026-12-26"), closed("San Esteban"));
        let mut other = Calendar::covering([2026]);
        other.cover_by_law([2026, 2027]);
        other.name_without_days([2028]);
        other.set(date("2026-12-25"), closed("Otra"));
        calendar.add(&other);
        let known: Vec<_> = (2025..2029).map(|year| calendar.coverage(year)).collect();
        let (law, complete) = (YearCoverage::ByLaw, YearCoverage::Complete);
        assert_eq!(known, [None, Some(complete), Some(law), None]);
        let names: Vec<_> = calendar.days().map(|(_, day)| &*day.name).collect();
        assert_eq!(names, ["Otra", "San Esteban"]);
    }

    #[test]
    fn a_year_without_data_is_not_covered() {
        let calendar = Calendar::covering([2026]);
        assert!(calendar.covers(2026));
        assert!(!calendar.covers(2027));
    }
}
