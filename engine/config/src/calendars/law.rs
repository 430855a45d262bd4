//! Holidays that a law fixes, for any year: the kinds of rules, and what they give for a year.
//!
//! The laws themselves are tables, a file for each country. What governments decide year by year is
//! data, see `decrees`.

mod argentina;
mod chile;
mod mexico;
mod solstice;
mod spain;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::{Datelike, Days, NaiveDate, Weekday};

use tero_time::calendar::{Holiday, HolidayKind};

/// The years that the rules hold for. Before, other laws were in force.
pub(super) const LAW_YEARS: RangeInclusive<i32> = 2022..=2100;

/// The holidays of a country by its laws.
#[derive(Debug)]
pub(super) struct CountryLaw {
    /// The name behind `builtin:`.
    pub(super) name: &'static str,
    /// Whether decrees decide on some days of each year.
    pub(super) has_decrees: bool,
    days: &'static [LawDay],
    pub(super) regions: &'static [RegionLaw],
}

/// The days that a region keeps beside those of its country.
#[derive(Debug)]
pub(super) struct RegionLaw {
    /// The name behind that of the country: `builtin:argentina/salta`.
    pub(super) name: &'static str,
    days: &'static [LawDay],
}

/// The countries, by name.
pub(super) const COUNTRIES: [&CountryLaw; 4] = [
    &argentina::ARGENTINA,
    &chile::CHILE,
    &mexico::MEXICO,
    &spain::SPAIN,
];

/// A holiday that a law fixes.
#[derive(Clone, Copy, Debug)]
struct LawDay {
    name: &'static str,
    date: LawDate,
    shift: Shift,
    years: Years,
}

/// The date that a law names.
#[derive(Clone, Copy, Debug)]
enum LawDate {
    /// A day of a month.
    Fixed(u32, u32),
    /// Days after Easter Sunday.
    Easter(i64),
    /// The first, second, … Monday of a month.
    Monday(u32, u32),
    /// The day of the solstice of June in Chile.
    JuneSolstice,
}

/// Where the day goes if it falls on an inconvenient weekday.
#[derive(Clone, Copy, Debug)]
enum Shift {
    /// Nowhere.
    Stays,
    /// To the Monday before from Tuesday and Wednesday, to the Monday after from Thursday and
    /// Friday, unless that is a holiday already (Argentina, Ley 27.399, article 6).
    NearMonday,
    /// To the Monday before from Tuesday to Thursday, to the Monday after from Friday (Chile,
    /// Ley 19.668).
    WeekMonday,
    /// To the Friday before from Tuesday, to the Friday after from Wednesday (Chile, Ley 20.299).
    NearFriday,
    /// It is a holiday only on these weekdays.
    Only(&'static [Weekday]),
    /// On a Sunday it isn't a holiday.
    NoSunday,
    /// From Sunday to Monday.
    SundayToMonday,
}

/// The years in which it is a holiday.
#[derive(Clone, Copy, Debug)]
enum Years {
    All,
    /// Every so many years from a first one.
    Every {
        first: i32,
        step: i32,
    },
    /// Those from a first one.
    From(i32),
    /// Those in which one of these days of a month is a Sunday.
    IfSunday(&'static [(u32, u32)]),
}

const fn fixed(name: &'static str, month: u32, day: u32) -> LawDay {
    on(name, LawDate::Fixed(month, day))
}

const fn easter(name: &'static str, days: i64) -> LawDay {
    on(name, LawDate::Easter(days))
}

const fn on(name: &'static str, date: LawDate) -> LawDay {
    LawDay {
        name,
        date,
        shift: Shift::Stays,
        years: Years::All,
    }
}

impl LawDay {
    const fn shifted(self, shift: Shift) -> LawDay {
        LawDay { shift, ..self }
    }

    const fn in_years(self, years: Years) -> LawDay {
        LawDay { years, ..self }
    }

    /// Its date in a year; `None` if it isn't a holiday then.
    fn date_in(&self, year: i32, is_holiday: impl Fn(NaiveDate) -> bool) -> Option<NaiveDate> {
        if !self.years.contain(year) {
            return None;
        }
        let date = self.date.in_year(year)?;
        let weekday = date.weekday();
        let days_from_monday = i64::from(weekday.num_days_from_monday());
        let days = match (self.shift, weekday) {
            (Shift::NearMonday, Weekday::Tue | Weekday::Wed)
            | (Shift::WeekMonday, Weekday::Tue | Weekday::Wed | Weekday::Thu) => -days_from_monday,
            (Shift::NearMonday, Weekday::Thu | Weekday::Fri)
            | (Shift::WeekMonday, Weekday::Fri)
            | (Shift::SundayToMonday, Weekday::Sun) => 7 - days_from_monday,
            (Shift::NearFriday, Weekday::Tue) => -4,
            (Shift::NearFriday, Weekday::Wed) => 2,
            (Shift::Only(weekdays), _) if !weekdays.contains(&weekday) => return None,
            (Shift::NoSunday, Weekday::Sun) => return None,
            _ => 0,
        };
        let moved = plus(date, days)?;
        let blocked = matches!(self.shift, Shift::NearMonday) && is_holiday(moved);
        Some(if blocked { date } else { moved })
    }
}

impl LawDate {
    fn in_year(self, year: i32) -> Option<NaiveDate> {
        match self {
            LawDate::Fixed(month, day) => NaiveDate::from_ymd_opt(year, month, day),
            LawDate::Easter(days) => plus(easter_sunday(year)?, days),
            LawDate::Monday(month, number) => {
                let first = NaiveDate::from_ymd_opt(year, month, 1)?;
                let to_monday = (7 - first.weekday().num_days_from_monday()) % 7;
                plus(first, i64::from(to_monday + 7 * (number - 1)))
            }
            LawDate::JuneSolstice => solstice::june_in_chile(year),
        }
    }
}

impl Years {
    fn contain(self, year: i32) -> bool {
        match self {
            Years::All => true,
            Years::Every { first, step } => year >= first && (year - first) % step == 0,
            Years::From(first) => year >= first,
            Years::IfSunday(days) => days.iter().any(|(month, day)| {
                NaiveDate::from_ymd_opt(year, *month, *day)
                    .is_some_and(|date| date.weekday() == Weekday::Sun)
            }),
        }
    }
}

fn plus(date: NaiveDate, days: i64) -> Option<NaiveDate> {
    let distance = Days::new(days.unsigned_abs());
    if days < 0 {
        date.checked_sub_days(distance)
    } else {
        date.checked_add_days(distance)
    }
}

/// Easter Sunday of the Gregorian calendar: the Sunday after the full moon of the church's tables
/// on or after 21 March. Days are counted from 1 March.
fn easter_sunday(year: i32) -> Option<NaiveDate> {
    let century = year / 100;
    // The moon's age by the cycle of 19 years, corrected for leap days that centuries leave out
    // and for the drift of the cycle.
    let golden = year % 19;
    let correction = century - century / 4 - (8 * century + 13) / 25;
    let epact_days = (19 * golden + correction + 15).rem_euclid(30);
    // Two dates that would repeat within a cycle come a day earlier.
    let early = i32::from(epact_days == 29 || (epact_days == 28 && golden > 10));
    let full_moon = NaiveDate::from_ymd_opt(year, 3, 21)?
        .checked_add_days(Days::new(u64::try_from(epact_days - early).ok()?))?;
    let to_sunday = 7 - full_moon.weekday().num_days_from_sunday();
    plus(full_moon, i64::from(to_sunday))
}

impl CountryLaw {
    /// The country of that name.
    pub(super) fn named(name: &str) -> Option<&'static CountryLaw> {
        COUNTRIES.into_iter().find(|law| law.name == name)
    }

    /// The holidays by law in all [`LAW_YEARS`]: those of the country, and of a region too.
    pub(super) fn holidays(&self, region: Option<&RegionLaw>) -> BTreeMap<NaiveDate, Arc<Holiday>> {
        let own = region.map_or(&[][..], |region| region.days);
        let days: Vec<(&LawDay, Arc<Holiday>)> = self
            .days
            .iter()
            .chain(own)
            .map(|day| (day, Arc::new(closed(day.name))))
            .collect();
        let mut holidays = BTreeMap::new();
        for year in LAW_YEARS {
            for (day, holiday) in &days {
                // Of two holidays on one date, the first of the table names it.
                if let Some(date) = day.date_in(year, |date| holidays.contains_key(&date)) {
                    holidays.entry(date).or_insert_with(|| Arc::clone(holiday));
                }
            }
        }
        holidays
    }
}

/// A holiday on which everything is closed.
pub(super) fn closed(name: &str) -> Holiday {
    Holiday {
        name: name.to_owned(),
        kind: HolidayKind::Closed,
    }
}

#[cfg(test)]
mod tests;
