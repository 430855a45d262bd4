//! Makes a calendar file from an iCalendar file (RFC 5545), as governments and calendar programs
//! publish holidays.
//!
//! Events of whole days become holidays; those that repeat every year are repeated. What can't be
//! said exactly is left out, and told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::{Datelike, Days, NaiveDate};
use icalendar::parser::{Component, Property, read_calendar, unfold};

use tero_config::raw::quote;

/// The largest iCalendar file, in bytes.
pub const MAX_ICALENDAR_BYTES: usize = 4 << 20;

/// How deeply components may lie in each other. RFC 5545 has three levels.
const MAX_DEPTH: usize = 8;

/// The longest event, in days.
const MAX_EVENT_DAYS: u64 = 31;

/// The most days of a calendar file.
const MAX_DAYS: usize = 10_000;

/// How many years an event is repeated for at most, if no years are asked for.
const REPEATED_YEARS: i32 = 5;

/// The longest name of a holiday, in bytes.
const MAX_NAME_BYTES: usize = 200;

/// Why an iCalendar file was not read.
#[derive(Debug, thiserror::Error)]
pub enum CalendarImportError {
    /// It is larger than [`MAX_ICALENDAR_BYTES`].
    #[error("the file is larger than 4MiB")]
    TooLarge,
    /// It is not an iCalendar file.
    #[error("this is not an iCalendar file (RFC 5545), or a line of it is malformed")]
    Malformed,
    /// Components lie in each other more than 8 levels deep.
    #[error("line {line}: components lie in each other more than {MAX_DEPTH} levels deep")]
    TooDeep {
        /// Line, from 1.
        line: usize,
    },
    /// No event gives a holiday.
    #[error("the file has no event of whole days{}", of_years(.years))]
    Empty {
        /// The years that were asked for; empty for all.
        years: BTreeSet<i32>,
    },
    /// More than 10,000 days.
    #[error("the events take more than 10,000 days: ask for some years only")]
    TooMany,
}

fn of_years(years: &BTreeSet<i32>) -> String {
    if years.is_empty() {
        return String::new();
    }
    let years: Vec<String> = years.iter().map(ToString::to_string).collect();
    format!(" in {}", years.join(", "))
}

/// A calendar file, and what is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedCalendar {
    /// The calendar file.
    pub toml: String,
    /// How many days it has.
    pub days: usize,
    /// Events that were left out, each with the reason.
    pub left_out: Vec<String>,
}

/// Makes a calendar file from the text of an iCalendar file. `years` are those that are wanted;
/// without any, all that the file has, and five for events that are repeated without end. `extends`
/// is written as the calendar that the file extends.
///
/// # Errors
/// [`CalendarImportError`]
pub fn import(
    text: &str,
    years: &BTreeSet<i32>,
    extends: Option<&str>,
) -> Result<ImportedCalendar, CalendarImportError> {
    if text.len() > MAX_ICALENDAR_BYTES {
        return Err(CalendarImportError::TooLarge);
    }
    refuse_depth(text)?;
    let unfolded = unfold(text);
    let calendar = read_calendar(&unfolded).map_err(|_| CalendarImportError::Malformed)?;
    let mut found = FoundDays {
        years,
        days: BTreeMap::new(),
        left_out: Vec::new(),
    };
    for component in calendar.components.iter().flat_map(events) {
        if let Err(reason) = found.event(component) {
            found.leave_out(component, reason);
        }
        if found.days.len() > MAX_DAYS {
            return Err(CalendarImportError::TooMany);
        }
    }
    if found.days.is_empty() {
        return Err(CalendarImportError::Empty {
            years: years.clone(),
        });
    }
    Ok(ImportedCalendar {
        toml: write(&found.days, extends),
        days: found.days.len(),
        left_out: found.left_out,
    })
}

/// The parser follows components into each other, so their depth is bounded before.
fn refuse_depth(text: &str) -> Result<(), CalendarImportError> {
    let mut depth = 0_usize;
    for (index, line) in text.lines().enumerate() {
        let starts = |word: &str| {
            line.get(..word.len())
                .is_some_and(|it| it.eq_ignore_ascii_case(word))
        };
        if starts("BEGIN:") {
            depth += 1;
        } else if starts("END:") {
            depth = depth.saturating_sub(1);
        }
        if depth > MAX_DEPTH {
            return Err(CalendarImportError::TooDeep { line: index + 1 });
        }
    }
    Ok(())
}

/// The events of a component: itself, or those of a calendar in it.
fn events<'c, 't>(component: &'c Component<'t>) -> Vec<&'c Component<'t>> {
    if component.name == "VEVENT" {
        return vec![component];
    }
    let inner = component.components.iter();
    inner.filter(|inner| inner.name == "VEVENT").collect()
}

struct FoundDays<'y> {
    years: &'y BTreeSet<i32>,
    days: BTreeMap<NaiveDate, String>,
    left_out: Vec<String>,
}

impl FoundDays<'_> {
    fn leave_out(&mut self, event: &Component<'_>, reason: &str) {
        let start = value(event, "DTSTART").unwrap_or("without a date");
        let shown = format!("{} ({start}): {reason}", quote(&name_of(event)));
        self.left_out.push(shown);
    }

    /// Adds the days of an event, or says why it is left out.
    fn event(&mut self, event: &Component<'_>) -> Result<(), &'static str> {
        if value(event, "STATUS").is_some_and(|status| status.eq_ignore_ascii_case("CANCELLED")) {
            return Err("it is cancelled");
        }
        let start = event.find_prop("DTSTART").ok_or("it has no DTSTART")?;
        let start =
            whole_day(start).ok_or("it doesn't take a whole day; write it as a half-day")?;
        let days = length(event, start)?;
        let name = name_of(event);
        if name.is_empty() {
            return Err("it has no SUMMARY");
        }
        if event.find_prop("RDATE").is_some() {
            return Err("it has dates of its own (RDATE)");
        }
        let exceptions = exceptions(event)?;
        let years = self.repeated_in(event, start)?;
        for year in years {
            // 29 February is repeated in leap years (RFC 5545, section 3.3.10).
            let Some(first) = start.with_year(year) else {
                continue;
            };
            if exceptions.contains(&first) {
                continue;
            }
            for day in 0..days {
                let Some(date) = first.checked_add_days(Days::new(day)) else {
                    continue;
                };
                if self.years.is_empty() || self.years.contains(&date.year()) {
                    self.days.entry(date).or_insert_with(|| name.clone());
                }
            }
        }
        Ok(())
    }

    /// The years in which an event starts.
    fn repeated_in(
        &self,
        event: &Component<'_>,
        start: NaiveDate,
    ) -> Result<Vec<i32>, &'static str> {
        let Some(rule) = value(event, "RRULE") else {
            return Ok(vec![start.year()]);
        };
        let unsaid = "it is repeated in a way that this command doesn't know (only FREQ=YEARLY with INTERVAL, COUNT and UNTIL)";
        let (mut interval, mut count, mut until, mut yearly) = (1, None, None, false);
        for part in rule.split(';').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("FREQ", "YEARLY")) => yearly = true,
                Some(("INTERVAL", number)) => {
                    interval = number.parse::<i32>().map_err(|_| unsaid)?
                }
                Some(("COUNT", number)) => {
                    count = Some(number.parse::<usize>().map_err(|_| unsaid)?)
                }
                Some(("UNTIL", date)) => until = Some(date_of(date).ok_or(unsaid)?),
                Some(("WKST", _)) => {}
                // These repeat what DTSTART says already.
                Some(("BYMONTH", month)) if month.parse() == Ok(start.month()) => {}
                Some(("BYMONTHDAY", day)) if day.parse() == Ok(start.day()) => {}
                _ => return Err(unsaid),
            }
        }
        if !yearly || interval < 1 {
            return Err(unsaid);
        }
        let last = match (count, until, self.years.last()) {
            (None, None, None) => start.year().saturating_add(REPEATED_YEARS - 1),
            (_, Some(until), _) => until.year(),
            (_, None, Some(year)) => *year,
            (Some(_), None, None) => MAX_YEAR,
        };
        let step = usize::try_from(interval).map_err(|_| unsaid)?;
        let years = (start.year()..=last.min(MAX_YEAR)).step_by(step);
        let in_time = |year: &i32| {
            until.is_none_or(|until| start.with_year(*year).is_none_or(|date| date <= until))
        };
        let years = years.filter(in_time).take(count.unwrap_or(usize::MAX));
        Ok(years.collect())
    }
}

/// The last year of a calendar file.
const MAX_YEAR: i32 = 9_999;

fn value<'c>(event: &'c Component<'_>, name: &str) -> Option<&'c str> {
    event.find_prop(name).map(|property| property.val.as_str())
}

/// The name of the holiday: the summary in one line, as long as a name may be.
fn name_of(event: &Component<'_>) -> String {
    let text = value(event, "SUMMARY").unwrap_or_default();
    let mut name = String::new();
    let mut escaped = false;
    for char in text.chars() {
        let char = match (escaped, char) {
            (false, '\\') => {
                escaped = true;
                continue;
            }
            (true, 'n' | 'N') => ' ',
            (_, char) if char.is_control() => ' ',
            (_, char) => char,
        };
        escaped = false;
        if name.len() + char.len_utf8() > MAX_NAME_BYTES {
            break;
        }
        name.push(char);
    }
    name.trim().to_owned()
}

/// The date of a property that is one, without a time.
fn whole_day(property: &Property<'_>) -> Option<NaiveDate> {
    let text = property.val.as_str().trim();
    (text.len() == 8).then(|| date_of(text))?
}

/// The date at the start of `20261225`, `20261225T000000Z`.
fn date_of(text: &str) -> Option<NaiveDate> {
    let digits = text.get(..8)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let date = NaiveDate::parse_from_str(digits, "%Y%m%d").ok()?;
    (1970..=MAX_YEAR).contains(&date.year()).then_some(date)
}

/// How many days an event takes. Its end is the day after the last one.
fn length(event: &Component<'_>, start: NaiveDate) -> Result<u64, &'static str> {
    let days = match (event.find_prop("DTEND"), value(event, "DURATION")) {
        (Some(end), _) => {
            let end = whole_day(end).ok_or("it ends at a time of day")?;
            u64::try_from((end - start).num_days()).unwrap_or_default()
        }
        (None, Some(duration)) => {
            let number = duration
                .strip_prefix('P')
                .and_then(|rest| rest.strip_suffix('D'));
            let number = number.and_then(|number| number.parse().ok());
            number.ok_or("its DURATION is not a number of days")?
        }
        (None, None) => 1,
    };
    match days {
        // Some programs write the day itself as the end.
        0 => Ok(1),
        1..=MAX_EVENT_DAYS => Ok(days),
        _ => Err("it takes more than 31 days"),
    }
}

fn exceptions(event: &Component<'_>) -> Result<BTreeSet<NaiveDate>, &'static str> {
    let lists = event.properties.iter().filter(|it| it.name == "EXDATE");
    let dates = lists.flat_map(|list| list.val.as_str().split(','));
    dates
        .map(|date| date_of(date.trim()).ok_or("its EXDATE is not a date"))
        .collect()
}

fn write(days: &BTreeMap<NaiveDate, String>, extends: Option<&str>) -> String {
    let mut toml = String::new();
    if let Some(extends) = extends {
        let _ = writeln!(toml, "extends = {}", quote(extends));
    }
    let years: BTreeSet<i32> = days.keys().map(NaiveDate::year).collect();
    let years: Vec<String> = years.iter().map(ToString::to_string).collect();
    let _ = writeln!(
        toml,
        "years = [{}]   # leave only those whose holidays are all here",
        years.join(", ")
    );
    for (date, name) in days {
        let _ = write!(
            toml,
            "\n[[day]]\ndate = \"{date}\"\nname = {}\nkind = \"closed\"\n",
            quote(name)
        );
    }
    toml
}

#[cfg(test)]
mod tests;
