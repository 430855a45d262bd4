//! Reads a calendar file.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use chrono::{Datelike, NaiveDate};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::shipped::builtin_names;
use tero_time::calendar::{Calendar, Holiday, HolidayKind};

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

/// Finds the calendar behind `builtin:`.
type FindBase = fn(&str) -> Option<Arc<Calendar>>;

/// Reads a calendar file; `base` finds the one that it extends.
pub(super) fn parse(text: &str, base: FindBase) -> Result<Calendar, Vec<CalendarMistake>> {
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
        base,
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
    base: FindBase,
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
            DeValue::String(text) => text.strip_prefix("builtin:").and_then(self.base),
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
