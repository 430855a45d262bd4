//! Which local dates are holidays.
//!
//! A calendar says for which years it is complete, so that a year without data is never taken for a year without holidays.
//! Reading the file format belongs to `config`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::NaiveDate;

/// A day that is not an ordinary working day.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holiday {
    /// Its name, in the words of the calendar: 1 to 200 bytes without control characters.
    pub name: String,
    /// Closed, or open for part of the day.
    pub kind: HolidayKind,
}

/// What a holiday means for the opening hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HolidayKind {
    /// Closed all day.
    Closed,
    /// Open between two local times.
    HalfDay {
        /// Minutes since local midnight; less than `until_mins`.
        from_mins: u16,
        /// Minutes since local midnight, at most 1440.
        until_mins: u16,
    },
}

/// Local dates with their holidays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    years: BTreeSet<i32>,
    days: BTreeMap<NaiveDate, Arc<Holiday>>,
}

/// The date has an entry already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoubleDate;

impl Calendar {
    /// A calendar without holidays that covers no year.
    pub fn empty() -> Arc<Calendar> {
        Arc::new(Calendar::default())
    }

    /// A calendar that is complete for these years, as yet without days.
    pub fn covering(years: impl IntoIterator<Item = i32>) -> Calendar {
        Calendar { years: years.into_iter().collect(), days: BTreeMap::new() }
    }

    /// Adds a day.
    ///
    /// # Errors
    /// [`DoubleDate`] if that date has an entry; it stays as it was.
    pub fn add(&mut self, date: NaiveDate, holiday: Holiday) -> Result<(), DoubleDate> {
        match self.days.entry(date) {
            std::collections::btree_map::Entry::Occupied(_) => Err(DoubleDate),
            std::collections::btree_map::Entry::Vacant(vacant) => {
                vacant.insert(Arc::new(holiday));
                Ok(())
            }
        }
    }

    /// The entry of a local date.
    pub fn on(&self, date: NaiveDate) -> Option<&Arc<Holiday>> {
        self.days.get(&date)
    }

    /// Whether the calendar is complete for that year: only then does a date without an entry mean a working day.
    pub fn covers(&self, year: i32) -> bool {
        self.years.contains(&year)
    }

    /// The years that the calendar is complete for.
    pub fn years(&self) -> impl Iterator<Item = i32> + '_ {
        self.years.iter().copied()
    }

    /// Every day with its entry, by date.
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

    #[test]
    fn a_date_has_one_entry() {
        let mut calendar = Calendar::covering([2026]);
        let closed = |name: &str| Holiday { name: name.to_owned(), kind: HolidayKind::Closed };
        assert_eq!(calendar.add(date("2026-12-25"), closed("Navidad")), Ok(()));
        assert_eq!(calendar.add(date("2026-12-25"), closed("Otra")), Err(DoubleDate));
        assert_eq!(calendar.on(date("2026-12-25")).unwrap().name, "Navidad");
        assert_eq!(calendar.on(date("2026-12-26")), None);
    }

    #[test]
    fn a_year_without_data_is_not_a_year_without_holidays() {
        let calendar = Calendar::covering([2026]);
        assert!(calendar.covers(2026));
        assert!(!calendar.covers(2027));
    }
}
