//! The calendars that come with tero: what laws and decrees give together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{Datelike, NaiveDate};

use super::decrees;
use super::law::{COUNTRIES, CountryLaw, LAW_YEARS, RegionLaw, closed};
use crate::mistakes::did_you_mean;
use tero_time::calendar::Calendar;

/// The countries with a calendar: the names behind `builtin:`.
pub const BUILTIN_CALENDARS: [&str; 4] = ["argentina", "chile", "mexico", "spain"];

/// A holiday of a shipped calendar, and what fixes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltinHoliday {
    /// Its date.
    pub date: NaiveDate,
    /// Its name.
    pub name: String,
    /// The decree; `None` if a law fixes the day for any year.
    pub decree: Option<&'static str>,
}

/// The names behind `builtin:`, regions after their countries: `argentina`, `argentina/salta`.
pub fn builtin_calendars() -> Vec<String> {
    let with_regions = |law: &&'static CountryLaw| {
        let regions = law.regions.iter();
        let regions = regions.map(|region| format!("{}/{}", law.name, region.name));
        std::iter::once(law.name.to_owned()).chain(regions)
    };
    COUNTRIES.iter().flat_map(with_regions).collect()
}

/// The countries, as they are written: `"builtin:argentina", …`.
pub fn builtin_names() -> String {
    BUILTIN_CALENDARS
        .map(|name| format!("\"builtin:{name}\""))
        .join(", ")
}

/// What to write instead of an unknown name behind `builtin:`.
pub(super) fn cure_for(name: &str) -> String {
    let names = builtin_calendars();
    let plain = plain(name);
    // A region alone, as `salta`, is meant as well.
    let of_region = names
        .iter()
        .find(|known| known.split_once('/').is_some_and(|(_, it)| it == plain));
    let meant = of_region
        .map(String::as_str)
        .or_else(|| did_you_mean(&plain, names.iter().map(String::as_str)));
    match meant {
        Some(meant) => format!(
            "did you mean \"builtin:{meant}\"? `tero calendar list` lists them all; regions without days of their own have the calendar of their country"
        ),
        None => format!(
            "write {}, one of their regions (`tero calendar list`) or the path of a calendar file",
            builtin_names()
        ),
    }
}

/// In lower case, without accents, with hyphens for spaces.
fn plain(name: &str) -> String {
    let plain = |char: char| match char {
        'á' | 'à' => 'a',
        'é' | 'è' => 'e',
        'í' | 'ï' => 'i',
        'ó' | 'ò' => 'o',
        'ú' | 'ü' => 'u',
        'ñ' => 'n',
        ' ' | '_' => '-',
        other => other,
    };
    name.to_lowercase().chars().map(plain).collect()
}

/// The calendar behind `builtin:`. Each is computed once.
pub(super) fn builtin(name: &str) -> Option<Arc<Calendar>> {
    static COMPUTED: Mutex<BTreeMap<String, Arc<Calendar>>> = Mutex::new(BTreeMap::new());
    let mut computed = COMPUTED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = computed.get(name) {
        return Some(Arc::clone(known));
    }
    let calendar = Arc::new(compute(name)?);
    computed.insert(name.to_owned(), Arc::clone(&calendar));
    Some(calendar)
}

/// The law of a country, and of the region if the name has one.
fn laws(name: &str) -> Option<(&'static CountryLaw, Option<&'static RegionLaw>)> {
    let Some((country, region)) = name.split_once('/') else {
        return Some((CountryLaw::named(name)?, None));
    };
    let country = CountryLaw::named(country)?;
    let region = country.regions.iter().find(|it| it.name == region)?;
    Some((country, Some(region)))
}

fn compute(name: &str) -> Option<Calendar> {
    let (country, region) = laws(name)?;
    let mut calendar = Calendar::default();
    if country.has_decrees {
        calendar.cover_by_law(LAW_YEARS);
        calendar.cover(decrees::known_years(country.name));
    } else {
        calendar.cover(LAW_YEARS);
    }
    for (date, holiday) in country.holidays(region) {
        calendar.set_shared(date, holiday);
    }
    for decree in decrees_of(country, name) {
        calendar.set(decree.date, decree.holiday.map(closed));
    }
    Some(calendar)
}

/// The decrees of the country, then those of the region.
fn decrees_of(country: &CountryLaw, name: &str) -> impl Iterator<Item = &'static decrees::Decree> {
    let own = (name != country.name).then(|| decrees::of(name));
    decrees::of(country.name).chain(own.into_iter().flatten())
}

/// The holidays of a shipped calendar in a year, in order; `None` if there is no such calendar.
pub fn builtin_holidays(name: &str, year: i32) -> Option<Vec<BuiltinHoliday>> {
    let (country, _) = laws(name)?;
    let calendar = builtin(name)?;
    let of_year = calendar.days().filter(|(date, _)| date.year() == year);
    let holidays = of_year.map(|(date, holiday)| BuiltinHoliday {
        date,
        name: holiday.name.clone(),
        decree: decrees_of(country, name)
            .filter(|decree| decree.date == date && decree.holiday.is_some())
            .last()
            .map(|decree| decree.source),
    });
    Some(holidays.collect())
}
