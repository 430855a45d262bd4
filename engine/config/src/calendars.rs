//! Calendar files: reading and checking them, and the calendars that come with tero.
//!
//! ```toml
//! years = [2026]                 # the years for which the list is complete
//!
//! [[day]]
//! date = "2026-12-25"
//! name = "Navidad"
//! kind = "closed"
//!
//! [[day]]
//! date = "2026-12-24"
//! name = "Nochebuena"
//! kind = "half-day"
//! from = "09:00"
//! until = "13:00"
//! ```
//!
//! With `extends = "builtin:argentina"` at the top, the days are added to those, or stand in their
//! place; `kind = "working"` makes one of those an ordinary day.

use std::collections::HashSet;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{Datelike, NaiveDate};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use tero_semantics::timestamp::Timestamp;
use tero_time::calendar::{Calendar, Holiday, HolidayKind};
use tero_time::moment::moment;

/// Where a policy's calendar comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CalendarSource {
    /// `builtin:NAME`
    Builtin(String),
    /// A file.
    File(PathBuf),
}

/// So long before a year begins, its holidays should be known: time to look for the decree and to
/// write it down, while nothing is wrong yet.
const YEAR_AHEAD: Duration = Duration::from_secs(61 * 86_400);

/// The largest calendar file, in bytes.
pub const MAX_CALENDAR_BYTES: u64 = 1024 * 1024;

/// The names behind `builtin:` that a calendar may have.
pub const BUILTIN_CALENDARS: [&str; 4] = ["argentina", "chile", "mexico", "spain"];

const BUILTIN_TEXTS: [&str; 4] = [
    include_str!("../data/calendars/argentina.toml"),
    include_str!("../data/calendars/chile.toml"),
    include_str!("../data/calendars/mexico.toml"),
    include_str!("../data/calendars/spain.toml"),
];

/// A mistake in a calendar file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {key}: {problem}; {cure}")]
pub struct CalendarMistake {
    /// Counted from 1.
    pub line: usize,
    /// Bytes of the file that it is about.
    pub span: Range<usize>,
    /// Like `day[3].date`.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub cure: String,
}

/// Why a calendar could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CalendarError {
    /// No calendar of that name comes with tero.
    #[error("there is no calendar `builtin:{0}`; write {names} or the path of a calendar file", names = builtin_names())]
    UnknownBuiltin(String),
    /// The file can't be read.
    #[error("can't read the calendar {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is longer than [`MAX_CALENDAR_BYTES`].
    #[error("the calendar {} is larger than 1MiB", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is no calendar.
    #[error("{}: {}", path.display(), join(mistakes))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What it says, for showing the lines.
        text: String,
        /// Every mistake, by line.
        mistakes: Vec<CalendarMistake>,
    },
}

fn join(mistakes: &[CalendarMistake]) -> String {
    mistakes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Loads a calendar. Relative paths start from the working folder: the reader of the configuration
/// resolves them first.
///
/// # Errors
/// [`CalendarError`] where there is none, it can't be read, or it has mistakes.
pub fn load(source: &CalendarSource) -> Result<Arc<Calendar>, CalendarError> {
    match source {
        CalendarSource::Builtin(name) => {
            builtin(name).ok_or_else(|| CalendarError::UnknownBuiltin(name.clone()))
        }
        CalendarSource::File(path) => load_file(path),
    }
}

/// The years that begin soon, or have begun, and that the calendar has no data for: their holidays
/// would be taken for working days.
pub fn missing_years(calendar: &Calendar, now: Timestamp) -> Vec<i32> {
    let year_at = |time: Timestamp| {
        moment(time, chrono_tz::UTC, &Calendar::default())
            .date()
            .year()
    };
    let (this, coming) = (year_at(now), year_at(now.saturating_add(YEAR_AHEAD)));
    (this..=coming)
        .filter(|year| !calendar.covers(*year))
        .collect()
}

/// The calendars that come with tero, as they are written: `"builtin:argentina", …`.
pub fn builtin_names() -> String {
    BUILTIN_CALENDARS
        .map(|name| format!("\"builtin:{name}\""))
        .join(", ")
}

/// The calendar behind `builtin:`.
fn builtin(name: &str) -> Option<Arc<Calendar>> {
    static PARSED: [OnceLock<Arc<Calendar>>; 4] = [const { OnceLock::new() }; 4];
    let index = BUILTIN_CALENDARS.iter().position(|known| *known == name)?;
    let parse = || {
        Arc::new(
            parse(BUILTIN_TEXTS[index]).expect("the shipped calendars have been read by the tests"),
        )
    };
    Some(Arc::clone(PARSED[index].get_or_init(parse)))
}

fn load_file(path: &Path) -> Result<Arc<Calendar>, CalendarError> {
    let unreadable = |source| CalendarError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_CALENDAR_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MAX_CALENDAR_BYTES {
        return Err(CalendarError::TooLarge {
            path: path.to_owned(),
        });
    }
    match parse(&text) {
        Ok(calendar) => Ok(Arc::new(calendar)),
        Err(mistakes) => Err(CalendarError::Wrong {
            path: path.to_owned(),
            text,
            mistakes,
        }),
    }
}

/// Reads a calendar file.
///
/// # Errors
/// Every mistake in it, by line.
pub fn parse(text: &str) -> Result<Calendar, Vec<CalendarMistake>> {
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            let line = line_of(text, span.start);
            let problem = error.message().lines().collect::<Vec<_>>().join(" ");
            return Err(vec![CalendarMistake {
                line,
                span,
                key: "file".to_owned(),
                problem,
                cure: "write TOML".to_owned(),
            }]);
        }
    };
    let mut reader = CalendarReader {
        text,
        mistakes: Vec::new(),
    };
    let calendar = reader.calendar(&table);
    match calendar {
        Some(calendar) if reader.mistakes.is_empty() => Ok(calendar),
        _ => Err(reader.mistakes),
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
}

struct CalendarReader<'t> {
    text: &'t str,
    mistakes: Vec<CalendarMistake>,
}

impl CalendarReader<'_> {
    fn mistake<T>(
        &mut self,
        span: Range<usize>,
        key: &str,
        problem: impl Into<String>,
        cure: &str,
    ) -> Option<T> {
        let line = line_of(self.text, span.start);
        self.mistakes.push(CalendarMistake {
            line,
            span,
            key: key.to_owned(),
            problem: problem.into(),
            cure: cure.to_owned(),
        });
        None
    }

    fn calendar(&mut self, table: &Spanned<DeTable<'_>>) -> Option<Calendar> {
        let table = table.get_ref();
        self.refuse_unknown(
            table,
            "",
            &["extends", "years", "day"],
            "a calendar has `extends`, `years` and `[[day]]`",
        );
        let base = table
            .get("extends")
            .and_then(|extends| self.extends(extends));
        let years = match table.get("years") {
            Some(years) => self.years(years),
            None if table.contains_key("extends") => None,
            None => self.mistake(
                0..0,
                "years",
                "is missing",
                "write the years for which the list is complete: years = [2026]",
            ),
        };
        let mut calendar = base.as_deref().cloned().unwrap_or_default();
        calendar.cover(years.unwrap_or_default());
        let Some(days) = table.get("day") else {
            return Some(calendar);
        };
        let DeValue::Array(list) = days.get_ref() else {
            return self.mistake(
                days.span(),
                "day",
                "is not a list of days",
                "write each day under its own [[day]]",
            );
        };
        let mut written = HashSet::new();
        for (index, day) in list.iter().enumerate() {
            let key = format!("day[{}]", index + 1);
            let Some((date, at, entry)) = self.day(&key, day) else {
                continue;
            };
            let key = format!("{key}.date");
            if !written.insert(date) {
                self.mistake::<()>(
                    at,
                    &key,
                    format!("{date} is here twice"),
                    "keep one of the two",
                );
            } else if entry.is_none() && calendar.on(date).is_none() {
                let cure = "take it out, or correct the date";
                self.mistake::<()>(at, &key, format!("{date} is a working day already"), cure);
            } else {
                calendar.set(date, entry);
            }
        }
        Some(calendar)
    }

    fn extends(&mut self, extends: &Spanned<DeValue<'_>>) -> Option<Arc<Calendar>> {
        let found = match extends.get_ref() {
            DeValue::String(text) => text.strip_prefix("builtin:").and_then(builtin),
            _ => None,
        };
        if found.is_none() {
            let cure = format!("write one of {}", builtin_names());
            self.mistake::<()>(
                extends.span(),
                "extends",
                "is no calendar that comes with tero",
                &cure,
            );
        }
        found
    }

    fn years(&mut self, years: &Spanned<DeValue<'_>>) -> Option<Vec<i32>> {
        let cure = "write years between 1970 and 9999: years = [2025, 2026]";
        let DeValue::Array(list) = years.get_ref() else {
            return self.mistake(years.span(), "years", "is not a list", cure);
        };
        let mut found = Vec::new();
        for year in list.iter() {
            let number = match year.get_ref() {
                DeValue::Integer(number) => number
                    .as_str()
                    .parse()
                    .ok()
                    .filter(|year| (1970..=9999).contains(year)),
                _ => None,
            };
            match number {
                Some(number) if found.contains(&number) => {
                    self.mistake::<()>(
                        year.span(),
                        "years",
                        format!("{number} is here twice"),
                        "keep one of the two",
                    );
                }
                Some(number) => found.push(number),
                None => {
                    self.mistake::<()>(year.span(), "years", "has something that is no year", cure);
                }
            }
        }
        if list.is_empty() {
            return self.mistake(years.span(), "years", "is empty", cure);
        }
        Some(found)
    }

    fn day(
        &mut self,
        key: &str,
        day: &Spanned<DeValue<'_>>,
    ) -> Option<(NaiveDate, Range<usize>, Option<Holiday>)> {
        let DeValue::Table(table) = day.get_ref() else {
            return self.mistake(
                day.span(),
                key,
                "is not a table",
                "write each day under its own [[day]]",
            );
        };
        self.refuse_unknown(
            table,
            key,
            &["date", "name", "kind", "from", "until"],
            "a day has `date`, `name`, `kind`, `from` and `until`",
        );
        let date = self.date(key, day.span(), table);
        let name = self.name(key, day.span(), table);
        let kind = self.kind(key, day.span(), table);
        let (date, at) = date?;
        let name = name?;
        Some((date, at, kind?.map(|kind| Holiday { name, kind })))
    }

    fn date(
        &mut self,
        key: &str,
        whole: Range<usize>,
        table: &DeTable<'_>,
    ) -> Option<(NaiveDate, Range<usize>)> {
        let key = format!("{key}.date");
        let cure = "write a date that exists: date = \"2026-12-25\"";
        let Some(value) = table.get("date") else {
            return self.mistake(whole, &key, "is missing", cure);
        };
        let written = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(date) => date.to_string(),
            _ => return self.mistake(value.span(), &key, "is not a date", cure),
        };
        let shape = written.len() == 10
            && written.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        match written.parse::<NaiveDate>() {
            Ok(date) if shape && (1970..=9999).contains(&date.year()) => Some((date, value.span())),
            _ => self.mistake(
                value.span(),
                &key,
                format!("{written:?} is not a date"),
                cure,
            ),
        }
    }

    fn name(&mut self, key: &str, whole: Range<usize>, table: &DeTable<'_>) -> Option<String> {
        let key = format!("{key}.name");
        let cure = "write the holiday's name in 1 to 200 bytes: name = \"Navidad\"";
        match table.get("name") {
            None => self.mistake(whole, &key, "is missing", cure),
            Some(value) => match value.get_ref() {
                DeValue::String(name)
                    if (1..=200).contains(&name.len()) && !name.contains(char::is_control) =>
                {
                    Some(name.to_string())
                }
                _ => self.mistake(value.span(), &key, "is not a name", cure),
            },
        }
    }

    /// What the day is; none inside for an ordinary one.
    fn kind(
        &mut self,
        key: &str,
        whole: Range<usize>,
        table: &DeTable<'_>,
    ) -> Option<Option<HolidayKind>> {
        let cure = "write kind = \"closed\", or kind = \"half-day\" with from and until";
        let kind_key = format!("{key}.kind");
        let Some(value) = table.get("kind") else {
            return self.mistake(whole, &kind_key, "is missing", cure);
        };
        let kind = match value.get_ref() {
            DeValue::String(kind) if kind == "half-day" => {
                return self.half_day(key, whole, table).map(Some);
            }
            DeValue::String(kind) if kind == "closed" => Some(HolidayKind::Closed),
            DeValue::String(kind) if kind == "working" => None,
            _ => {
                return self.mistake(
                    value.span(),
                    &kind_key,
                    "is neither \"closed\", \"half-day\" nor \"working\"",
                    cure,
                );
            }
        };
        for hours in ["from", "until"] {
            if let Some(value) = table.get(hours) {
                let cure = "take it out, or write kind = \"half-day\"";
                self.mistake::<()>(
                    value.span(),
                    &format!("{key}.{hours}"),
                    "says hours for a day that is no half-day",
                    cure,
                );
            }
        }
        Some(kind)
    }

    fn half_day(
        &mut self,
        key: &str,
        whole: Range<usize>,
        table: &DeTable<'_>,
    ) -> Option<HolidayKind> {
        let from = self.time_of_day(&format!("{key}.from"), whole.clone(), table.get("from"));
        let until = self.time_of_day(&format!("{key}.until"), whole.clone(), table.get("until"));
        let (from_mins, until_mins) = (from?, until?);
        if from_mins >= until_mins {
            let span = table.get("until").map_or(whole, Spanned::span);
            return self.mistake(
                span,
                &format!("{key}.until"),
                "is not after `from`",
                "a half-day opens before it closes, on the same day",
            );
        }
        Some(HolidayKind::HalfDay {
            from_mins,
            until_mins,
        })
    }

    fn time_of_day(
        &mut self,
        key: &str,
        whole: Range<usize>,
        value: Option<&Spanned<DeValue<'_>>>,
    ) -> Option<u16> {
        let cure = "write hours and minutes, 00:00 to 24:00, in quotes: \"13:00\"";
        let Some(value) = value else {
            return self.mistake(whole, key, "is missing", cure);
        };
        let mins = match value.get_ref() {
            DeValue::String(text) => minutes(text),
            _ => None,
        };
        match mins {
            Some(mins) => Some(mins),
            None => self.mistake(value.span(), key, "is not a time of day", cure),
        }
    }

    fn refuse_unknown(&mut self, table: &DeTable<'_>, key: &str, known: &[&str], cure: &str) {
        for name in table.keys() {
            if !known.contains(&&**name.get_ref()) {
                let dot = if key.is_empty() { "" } else { "." };
                self.mistake::<()>(
                    name.span(),
                    &format!("{key}{dot}{}", name.get_ref()),
                    "is not known",
                    cure,
                );
            }
        }
    }
}

/// `HH:MM` as minutes since midnight, 0 to 1440.
fn minutes(text: &str) -> Option<u16> {
    let (hours, mins) = text.split_once(':')?;
    let number = |part: &str| {
        (part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| part.parse::<u16>().ok())?
    };
    let (hours, mins) = (number(hours)?, number(mins)?);
    (mins < 60)
        .then_some(hours * 60 + mins)
        .filter(|mins| *mins <= 24 * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(usize, &str, &str)]) {
        let mistakes = parse(text).err().unwrap_or_default();
        let found: Vec<(usize, &str, &str)> = mistakes
            .iter()
            .map(|it| (it.line, &*it.key, &*it.problem))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_good_file_is_read() {
        let calendar = parse(
            "years = [2026]\n[[day]]\ndate = \"2026-12-25\"\nname = \"Navidad\"\nkind = \"closed\"\n\
             [[day]]\ndate = 2026-12-24\nname = \"Nochebuena\"\nkind = \"half-day\"\nfrom = \"09:00\"\nuntil = \"13:00\"\n",
        )
        .unwrap();
        let on = |text: &str| calendar.on(text.parse().unwrap()).map(|it| it.kind);
        assert_eq!(on("2026-12-25"), Some(HolidayKind::Closed));
        assert_eq!(
            on("2026-12-24"),
            Some(HolidayKind::HalfDay {
                from_mins: 540,
                until_mins: 780
            })
        );
        assert_eq!(on("2026-12-23"), None);
        assert!(calendar.covers(2026) && !calendar.covers(2025));
    }

    #[test]
    fn mistakes_come_all_at_once_with_line_key_and_problem() {
        let day =
            |date: &str, rest: &str| format!("[[day]]\ndate = {date}\nname = \"X\"\n{rest}\n");
        check(
            "yers = [2026]",
            &[(1, "yers", "is not known"), (1, "years", "is missing")],
        );
        check("years = [", &[(1, "file", "unclosed array, expected `]`")]);
        check(
            "years = [2026, 2026]",
            &[(1, "years", "2026 is here twice")],
        );
        check("years = 2026", &[(1, "years", "is not a list")]);
        check("years = []", &[(1, "years", "is empty")]);
        check(
            "years = [2026]\nday = 3",
            &[(2, "day", "is not a list of days")],
        );
        let impossible = format!(
            "years = [2026]\n{}",
            day("\"2026-02-30\"", "kind = \"closed\"")
        );
        check(
            &impossible,
            &[(3, "day[1].date", "\"2026-02-30\" is not a date")],
        );
        let loose = format!(
            "years = [2026]\n{}",
            day("\"2026-2-3\"", "kind = \"closed\"")
        );
        check(&loose, &[(3, "day[1].date", "\"2026-2-3\" is not a date")]);
        let double = format!(
            "years = [2026]\n{0}{0}",
            day("\"2026-05-01\"", "kind = \"closed\"")
        );
        check(&double, &[(7, "day[2].date", "2026-05-01 is here twice")]);
        let hours = format!(
            "years = [2026]\n{}",
            day(
                "\"2026-05-01\"",
                "kind = \"half-day\"\nfrom = \"13:00\"\nuntil = \"9:00\""
            )
        );
        check(&hours, &[(7, "day[1].until", "is not a time of day")]);
        let order = format!(
            "years = [2026]\n{}",
            day(
                "\"2026-05-01\"",
                "kind = \"half-day\"\nfrom = \"13:00\"\nuntil = \"13:00\""
            )
        );
        check(&order, &[(7, "day[1].until", "is not after `from`")]);
        let closed = format!(
            "years = [2026]\n{}",
            day("\"2026-05-01\"", "kind = \"closed\"\nfrom = \"13:00\"")
        );
        check(
            &closed,
            &[(6, "day[1].from", "says hours for a day that is no half-day")],
        );
        let bare = "years = [2026]\n[[day]]\nsize = 3\n";
        check(
            bare,
            &[
                (3, "day[1].size", "is not known"),
                (2, "day[1].date", "is missing"),
                (2, "day[1].name", "is missing"),
                (2, "day[1].kind", "is missing"),
            ],
        );
    }

    #[test]
    fn a_file_may_add_to_a_calendar_that_comes_with_tero() {
        let day = |date: &str, kind: &str| {
            format!("[[day]]\ndate = \"{date}\"\nname = \"X\"\nkind = {kind}\n")
        };
        let half_day = "\"half-day\"\nfrom = \"09:00\"\nuntil = \"13:00\"";
        let days = [
            day("2026-12-24", half_day),
            day("2026-12-07", "\"working\""),
            day("2026-12-08", half_day),
            day("2027-01-01", "\"closed\""),
        ]
        .concat();
        let calendar = parse(&format!("extends = \"builtin:argentina\"\n{days}")).unwrap();
        let on = |text: &str| calendar.on(text.parse().unwrap()).map(|it| it.kind);
        let hours = HolidayKind::HalfDay {
            from_mins: 540,
            until_mins: 780,
        };
        assert_eq!(
            (on("2026-12-25"), on("2026-12-07")),
            (Some(HolidayKind::Closed), None)
        );
        assert_eq!(
            (on("2026-12-24"), on("2026-12-08")),
            (Some(hours), Some(hours))
        );
        assert!(calendar.covers(2026) && !calendar.covers(2027));
        assert!(
            parse(&format!(
                "extends = \"builtin:argentina\"\nyears = [2027]\n{days}"
            ))
            .unwrap()
            .covers(2027)
        );

        check(
            "extends = \"builtin:atlantis\"",
            &[(1, "extends", "is no calendar that comes with tero")],
        );
        let idle = format!(
            "extends = \"builtin:chile\"\n{}",
            day("2026-12-09", "\"working\"")
        );
        check(
            &idle,
            &[(3, "day[1].date", "2026-12-09 is a working day already")],
        );
        let double = format!(
            "extends = \"builtin:chile\"\n{0}{0}",
            day("2026-12-08", "\"working\"")
        );
        check(&double, &[(7, "day[2].date", "2026-12-08 is here twice")]);
    }

    #[test]
    fn every_calendar_that_comes_with_tero_is_good() {
        for name in BUILTIN_CALENDARS {
            let calendar = builtin(name).unwrap();
            let count = |year: i32| {
                calendar
                    .days()
                    .filter(|(date, _)| date.year() == year)
                    .count()
            };
            assert!(
                [2024, 2025, 2026]
                    .into_iter()
                    .all(|year| calendar.covers(year) && count(year) >= 7),
                "{name}"
            );
            assert!(
                calendar
                    .days()
                    .all(|(date, _)| calendar.covers(date.year())),
                "{name}"
            );
        }
    }

    #[test]
    fn argentina_has_its_moved_and_bridge_days() {
        let calendar = load(&CalendarSource::Builtin("argentina".to_owned())).unwrap();
        assert_eq!(calendar.years().collect::<Vec<_>>(), [2024, 2025, 2026]);
        for closed in [
            "2024-11-18",
            "2025-10-10",
            "2025-11-24",
            "2026-03-23",
            "2026-06-15",
            "2026-04-03",
            "2026-12-07",
            "2026-12-25",
        ] {
            assert!(calendar.on(closed.parse().unwrap()).is_some(), "{closed}");
        }
        for working in [
            "2024-11-20",
            "2025-10-13",
            "2025-06-17",
            "2026-11-20",
            "2026-12-24",
            "2026-06-17",
        ] {
            assert!(calendar.on(working.parse().unwrap()).is_none(), "{working}");
        }
        assert_eq!(calendar.days().count(), 60);
    }

    #[test]
    fn a_year_without_data_is_missed_two_months_before_it_begins() {
        let calendar = load(&CalendarSource::Builtin("argentina".to_owned())).unwrap();
        let first_of_2027 = Timestamp::from_unix_secs(1_798_761_600);
        let before = |days: u64| first_of_2027.saturating_sub(Duration::from_secs(days * 86_400));
        assert!(missing_years(&calendar, before(200)).is_empty());
        assert!(missing_years(&calendar, before(62)).is_empty());
        assert_eq!(missing_years(&calendar, before(61)), [2027]);
        assert_eq!(missing_years(&calendar, first_of_2027), [2027]);
        assert_eq!(missing_years(&Calendar::default(), before(1)), [2026, 2027]);
    }

    #[test]
    fn an_unknown_name_and_a_missing_file_are_refused_with_a_cure() {
        let unknown = load(&CalendarSource::Builtin("atlantis".to_owned())).unwrap_err();
        assert!(
            unknown.to_string().contains("builtin:argentina"),
            "{unknown}"
        );
        let missing = load(&CalendarSource::File("/nowhere/calendar.toml".into())).unwrap_err();
        assert!(matches!(missing, CalendarError::Unreadable { .. }));
    }
}
