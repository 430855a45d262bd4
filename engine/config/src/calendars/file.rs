//! Reads a calendar file, or finds every mistake in it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use chrono::{Datelike, NaiveDate};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::mistakes::Mistake;
use tero_time::calendar::{Calendar, Holiday, HolidayKind};

/// A mistake in a calendar file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {key}: {problem}; {cure}")]
pub struct CalendarMistake {
    /// Line, from 1.
    pub line: usize,
    /// The bytes of the file that are wrong.
    pub span: Range<usize>,
    /// The key with its tables, `day[3].date`.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub cure: String,
}

/// How many calendars a file may extend.
const MAX_BASES: usize = 8;

/// Finds a calendar that a file extends.
pub(super) type FindBase<'f> = &'f dyn Fn(&str) -> Result<Arc<Calendar>, Mistake>;

/// Reads a calendar file; `base` finds those that it extends.
pub(super) fn parse(text: &str, base: FindBase<'_>) -> Result<Calendar, Vec<CalendarMistake>> {
    let mut reader = CalendarReader {
        text,
        base,
        mistakes: Vec::new(),
    };
    let calendar = match DeTable::parse(text) {
        Ok(table) => reader.calendar(&table),
        Err(error) => {
            let problem = error.message().lines().collect::<Vec<_>>().join(" ");
            reader.mistake(error.span().unwrap_or(0..0), "file", problem, "write TOML")
        }
    };
    match calendar {
        Some(calendar) if reader.mistakes.is_empty() => Ok(calendar),
        _ => Err(reader.mistakes),
    }
}

/// Reads one file. Its methods give `None` for what they refused.
struct CalendarReader<'t> {
    text: &'t str,
    base: FindBase<'t>,
    mistakes: Vec<CalendarMistake>,
}

/// A day of the file: its date with the bytes that it takes, and the holiday; `None` for a working
/// day.
type WrittenDay = (NaiveDate, Range<usize>, Option<Holiday>);

impl CalendarReader<'_> {
    /// Records a mistake at these bytes of the file.
    fn mistake<T>(
        &mut self,
        span: Range<usize>,
        key: &str,
        problem: impl Into<String>,
        cure: &str,
    ) -> Option<T> {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        self.mistakes.push(CalendarMistake {
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
            span,
            key: key.to_owned(),
            problem: problem.into(),
            cure: cure.to_owned(),
        });
        None
    }

    fn refuse_unknown(&mut self, table: &DeTable<'_>, key: &str, known: &[&str], cure: &str) {
        let dot = if key.is_empty() { "" } else { "." };
        for name in table.keys() {
            if !known.contains(&&**name.get_ref()) {
                let key = format!("{key}{dot}{}", name.get_ref());
                self.mistake::<()>(name.span(), &key, "is not known", cure);
            }
        }
    }

    fn calendar(&mut self, table: &Spanned<DeTable<'_>>) -> Option<Calendar> {
        let table = table.get_ref();
        let cure = "a calendar has `extends`, `years` and `[[day]]`";
        self.refuse_unknown(table, "", &["extends", "years", "day"], cure);
        let extends = table.get("extends");
        let mut calendar = extends
            .and_then(|extends| self.extends(extends))
            .unwrap_or_default();
        let years = match table.get("years") {
            Some(years) => self.years(years),
            None if extends.is_some() => None,
            None => {
                let cure = "write the years for which the list is complete: years = [2026]";
                self.mistake(0..0, "years", "is missing", cure)
            }
        };
        let with_days = match table.get("day") {
            Some(days) => self.days(days, &mut calendar)?,
            None => BTreeSet::new(),
        };
        // A year without a day of its own was named, not filled in.
        let (complete, empty): (Vec<i32>, Vec<i32>) = years
            .unwrap_or_default()
            .into_iter()
            .partition(|year| with_days.contains(year));
        calendar.cover(complete);
        calendar.name_without_days(empty);
        Some(calendar)
    }

    /// The calendars that the file extends, as one.
    fn extends(&mut self, extends: &Spanned<DeValue<'_>>) -> Option<Calendar> {
        let cure = "write one calendar, or a list of them: extends = [\"builtin:spain/madrid\", \"company.toml\"]";
        let names: Vec<(Range<usize>, &str)> = match extends.get_ref() {
            DeValue::String(name) => vec![(extends.span(), &**name)],
            DeValue::Array(list) => {
                let name = |item: &'_ Spanned<DeValue<'_>>| item.get_ref().as_str().is_some();
                if let Some(other) = list.iter().find(|item| !name(item)) {
                    return self.mistake(other.span(), "extends", "is not a text", cure);
                }
                let names = list.iter();
                names
                    .filter_map(|item| Some((item.span(), item.get_ref().as_str()?)))
                    .collect()
            }
            _ => return self.mistake(extends.span(), "extends", "is not a text", cure),
        };
        if names.is_empty() {
            return self.mistake(extends.span(), "extends", "is empty", cure);
        }
        if names.len() > MAX_BASES {
            let problem = format!("names {} calendars", names.len());
            let cure = format!("write at most {MAX_BASES}");
            return self.mistake(extends.span(), "extends", problem, &cure);
        }
        let mut whole: Option<Calendar> = None;
        for (at, name) in names {
            match (self.base)(name) {
                Err(Mistake { problem, cure }) => {
                    self.mistake::<()>(at, "extends", problem, &cure);
                }
                Ok(base) => match &mut whole {
                    Some(whole) => whole.add(&base),
                    None => whole = Some(base.as_ref().clone()),
                },
            }
        }
        whole
    }

    fn years(&mut self, years: &Spanned<DeValue<'_>>) -> Option<Vec<i32>> {
        let cure = "write years between 1970 and 9999: years = [2025, 2026]";
        let DeValue::Array(list) = years.get_ref() else {
            return self.mistake(years.span(), "years", "is not a list", cure);
        };
        if list.is_empty() {
            return self.mistake(years.span(), "years", "is empty", cure);
        }
        let mut found = Vec::new();
        for item in list.iter() {
            match year(item.get_ref()) {
                Some(year) if found.contains(&year) => {
                    let problem = format!("{year} is listed twice");
                    self.mistake::<()>(item.span(), "years", problem, "keep one of the two");
                }
                Some(year) => found.push(year),
                None => {
                    let problem = "has an item that is not a year";
                    self.mistake::<()>(item.span(), "years", problem, cure);
                }
            }
        }
        Some(found)
    }

    /// Puts the days of the file into `calendar`, and gives their years.
    fn days(
        &mut self,
        days: &Spanned<DeValue<'_>>,
        calendar: &mut Calendar,
    ) -> Option<BTreeSet<i32>> {
        let DeValue::Array(list) = days.get_ref() else {
            let cure = "write each day under its own [[day]]";
            return self.mistake(days.span(), "day", "is not a list of days", cure);
        };
        let mut dates = BTreeSet::new();
        for (index, day) in list.iter().enumerate() {
            let key = format!("day[{}]", index + 1);
            let Some((date, at, holiday)) = self.day(&key, day) else {
                continue;
            };
            let key = format!("{key}.date");
            if !dates.insert(date) {
                let problem = format!("{date} is listed twice");
                self.mistake::<()>(at, &key, problem, "keep one of the two");
            } else if holiday.is_none() && calendar.on(date).is_none() {
                let problem = format!("{date} is a working day already");
                self.mistake::<()>(at, &key, problem, "remove it, or correct the date");
            } else {
                calendar.set(date, holiday);
            }
        }
        Some(dates.iter().map(NaiveDate::year).collect())
    }

    fn day(&mut self, key: &str, day: &Spanned<DeValue<'_>>) -> Option<WrittenDay> {
        let DeValue::Table(table) = day.get_ref() else {
            let cure = "write each day under its own [[day]]";
            return self.mistake(day.span(), key, "is not a table", cure);
        };
        let cure = "a day has `date`, `name`, `kind`, `from` and `until`";
        self.refuse_unknown(table, key, &["date", "name", "kind", "from", "until"], cure);
        // All three are read before one that is missing ends the day.
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
        day: Range<usize>,
        table: &DeTable<'_>,
    ) -> Option<(NaiveDate, Range<usize>)> {
        let key = format!("{key}.date");
        let cure = "write a date that exists: date = \"2026-12-25\"";
        let Some(value) = table.get("date") else {
            return self.mistake(day, &key, "is missing", cure);
        };
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(date) => date.to_string(),
            _ => return self.mistake(value.span(), &key, "is not a date", cure),
        };
        match date(&text) {
            Some(date) => Some((date, value.span())),
            None => self.mistake(value.span(), &key, format!("{text:?} is not a date"), cure),
        }
    }

    fn name(&mut self, key: &str, day: Range<usize>, table: &DeTable<'_>) -> Option<String> {
        let key = format!("{key}.name");
        let cure = "write the holiday's name in 1 to 200 bytes: name = \"Navidad\"";
        let Some(value) = table.get("name") else {
            return self.mistake(day, &key, "is missing", cure);
        };
        match value.get_ref() {
            DeValue::String(name)
                if (1..=200).contains(&name.len()) && !name.contains(char::is_control) =>
            {
                Some(name.to_string())
            }
            _ => self.mistake(value.span(), &key, "is not a name", cure),
        }
    }

    /// The kind of holiday; `None` inside for a working day.
    fn kind(
        &mut self,
        key: &str,
        day: Range<usize>,
        table: &DeTable<'_>,
    ) -> Option<Option<HolidayKind>> {
        let cure = "write kind = \"closed\", or kind = \"half-day\" with from and until";
        let kind_key = format!("{key}.kind");
        let Some(value) = table.get("kind") else {
            return self.mistake(day, &kind_key, "is missing", cure);
        };
        let kind = match value.get_ref() {
            DeValue::String(kind) if kind == "half-day" => {
                return self.half_day(key, day, table).map(Some);
            }
            DeValue::String(kind) if kind == "closed" => Some(HolidayKind::Closed),
            DeValue::String(kind) if kind == "working" => None,
            _ => {
                let problem = "is neither \"closed\", \"half-day\" nor \"working\"";
                return self.mistake(value.span(), &kind_key, problem, cure);
            }
        };
        self.refuse_hours(key, table);
        Some(kind)
    }

    /// Only a half-day has hours.
    fn refuse_hours(&mut self, key: &str, table: &DeTable<'_>) {
        for hours in ["from", "until"] {
            if let Some(value) = table.get(hours) {
                let problem = "sets hours for a day that is not a half-day";
                let cure = "remove it, or write kind = \"half-day\"";
                self.mistake::<()>(value.span(), &format!("{key}.{hours}"), problem, cure);
            }
        }
    }

    fn half_day(
        &mut self,
        key: &str,
        day: Range<usize>,
        table: &DeTable<'_>,
    ) -> Option<HolidayKind> {
        let from = self.time_of_day(&format!("{key}.from"), day.clone(), table.get("from"));
        let until = self.time_of_day(&format!("{key}.until"), day.clone(), table.get("until"));
        let (from_mins, until_mins) = (from?, until?);
        if from_mins >= until_mins {
            let span = table.get("until").map_or(day, Spanned::span);
            let cure = "a half-day opens before it closes, on the same day";
            return self.mistake(span, &format!("{key}.until"), "is not after `from`", cure);
        }
        Some(HolidayKind::HalfDay {
            from_mins,
            until_mins,
        })
    }

    fn time_of_day(
        &mut self,
        key: &str,
        day: Range<usize>,
        value: Option<&Spanned<DeValue<'_>>>,
    ) -> Option<u16> {
        let cure = "write hours and minutes, 00:00 to 24:00, in quotes: \"13:00\"";
        let Some(value) = value else {
            return self.mistake(day, key, "is missing", cure);
        };
        let mins = match value.get_ref() {
            DeValue::String(text) => minutes(text),
            _ => None,
        };
        mins.or_else(|| self.mistake(value.span(), key, "is not a time of day", cure))
    }
}

/// A year from 1970 to 9999.
fn year(value: &DeValue<'_>) -> Option<i32> {
    let DeValue::Integer(number) = value else {
        return None;
    };
    let year = number.as_str().parse().ok()?;
    (1970..=9999).contains(&year).then_some(year)
}

/// `YYYY-MM-DD`, of a year from 1970 to 9999.
fn date(text: &str) -> Option<NaiveDate> {
    let has_form = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let date: NaiveDate = text.parse().ok()?;
    (has_form && (1970..=9999).contains(&date.year())).then_some(date)
}

/// `HH:MM` as minutes since midnight, 0 to 1440.
fn minutes(text: &str) -> Option<u16> {
    let (hours, mins) = text.split_once(':')?;
    let (hours, mins) = (two_digits(hours)?, two_digits(mins)?);
    let total = hours * 60 + mins;
    (mins < 60 && total <= 24 * 60).then_some(total)
}

fn two_digits(text: &str) -> Option<u16> {
    let has_form = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    has_form.then(|| text.parse().ok())?
}
