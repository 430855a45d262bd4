//! `tero calendar`: the calendars that come with tero, and files made from iCalendar files.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::{Datelike, NaiveDate};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{fail, print, print_json};
use tero_config::calendars::{self, builtin_calendars, builtin_holidays};
use tero_config::{CalendarSource, did_you_mean};
use tero_time::calendar::{Calendar, HolidayKind, YearCoverage};
use tero_time::clock::Clock;
use tero_time::zones;
use tero_tools::calendar_import::{MAX_ICALENDAR_BYTES, import};

const EXAMPLE: &str = "\
Examples:
  tero calendar list                       all calendars that come with tero
  tero calendar list builtin:argentina/salta --year 2027
  tero calendar import feriados.ics > feriados.toml";

const LIST_EXAMPLE: &str = "\
Examples:
  tero calendar list
  tero calendar list builtin:spain/madrid
  tero calendar list holidays.toml --year 2027 --json | jq .days

A calendar is listed with the years of which all holidays are known, and those
of which the holidays that laws fix are.

Exit code: 0 for success, 1 if the calendar can't be used, 2 if the command is
used wrongly.";

const IMPORT_EXAMPLE: &str = "\
Examples:
  tero calendar import feriados.ics > feriados.toml
  tero calendar import feriados.ics --year 2027 > feriados.toml
  tero calendar import cierres.ics --extends builtin:argentina > cierres.toml

Events of whole days become closed days, those that repeat every year are
repeated. Other events are left out, and told on standard error.

Exit code: 0 if a calendar was made, 1 if the file can't be used, 2 if the
command is used wrongly.";

/// Lists holidays, and makes calendar files
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct CalendarCommand {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    List(CalendarListCommand),
    Import(CalendarImportCommand),
}

/// Lists the calendars that come with tero, or the days of one calendar
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLE)]
struct CalendarListCommand {
    /// builtin:NAME, or a calendar file [default: lists the calendars]
    calendar: Option<String>,
    /// The year [default: the current one]
    #[arg(long, requires = "calendar", value_parser = clap::value_parser!(i32).range(1970..=9999))]
    year: Option<i32>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// Makes a calendar file from an iCalendar file (.ics), and prints it
#[derive(Debug, Args)]
#[command(after_help = IMPORT_EXAMPLE)]
struct CalendarImportCommand {
    /// The iCalendar file; - for standard input
    file: PathBuf,
    /// A year to import; may be repeated [default: all]
    #[arg(long, value_parser = clap::value_parser!(i32).range(1970..=9999))]
    year: Vec<i32>,
    /// A calendar that the new one extends: builtin:NAME, or a calendar file
    #[arg(long, value_name = "CALENDAR")]
    extends: Option<String>,
}

/// A calendar that comes with tero.
#[derive(Serialize)]
struct CalendarRow {
    name: String,
    /// The years of which all holidays are known, by spans: `2024-2026`.
    complete: String,
    /// The years of which those that laws fix are known.
    by_law: String,
}

/// The days of a calendar in a year.
#[derive(Serialize)]
struct CalendarYear {
    calendar: String,
    year: i32,
    /// `complete`, `by-law`, or `missing`.
    coverage: &'static str,
    days: Vec<CalendarDay>,
}

#[derive(Serialize)]
struct CalendarDay {
    date: String,
    weekday: String,
    name: String,
    /// The opening hours of a half-day; `None` on a day that is closed.
    open: Option<String>,
    /// The decree; `None` for the days of laws and of files.
    decree: Option<&'static str>,
}

impl CalendarCommand {
    pub(super) fn run(self) -> ExitCode {
        match self.command {
            Subcommands::List(list) => list.run(),
            Subcommands::Import(import) => import.run(),
        }
    }
}

impl CalendarListCommand {
    fn run(self) -> ExitCode {
        let Some(name) = &self.calendar else {
            return self.all();
        };
        let now = zones::local(Clock::real().now(), chrono_tz::UTC);
        let year = self.year.unwrap_or_else(|| now.year());
        let source = calendars::source(name);
        let calendar = match calendars::load(&source) {
            Ok(calendar) => calendar,
            Err(error) => {
                let error = super::serve::with_causes(&error);
                return fail(&format!("{error}{}", hint(name)));
            }
        };
        let year = CalendarYear {
            calendar: name.clone(),
            year,
            coverage: coverage(&calendar, year),
            days: days(&calendar, &source, year),
        };
        if self.json {
            return print_json(&year);
        }
        match year.coverage {
            "missing" => eprintln!("warning: {name} has no data for {}", year.year),
            "by-law" => eprintln!(
                "notice: {name} has the holidays of {0} by law; decrees for {0} are not known",
                year.year
            ),
            _ => {}
        }
        print(&show(&year.days))
    }

    fn all(&self) -> ExitCode {
        let rows: Vec<CalendarRow> = builtin_calendars().into_iter().map(row).collect();
        if self.json {
            return print_json(&rows);
        }
        let mut text = String::new();
        for CalendarRow {
            name,
            complete,
            by_law,
        } in &rows
        {
            let by_law = match by_law.as_str() {
                "" => String::new(),
                years => format!("; by law {years}"),
            };
            let _ = writeln!(text, "{name:40} {complete}{by_law}");
        }
        print(&text)
    }
}

/// What a name may mean that is not the path of a file.
fn hint(name: &str) -> String {
    let known = builtin_calendars();
    let bare = name.strip_prefix("builtin:").unwrap_or(name);
    match did_you_mean(bare, known.iter().map(String::as_str)) {
        Some(meant) => format!("; did you mean builtin:{meant}?"),
        None => "; `tero calendar list` lists the calendars that come with tero".to_owned(),
    }
}

fn row(name: String) -> CalendarRow {
    let calendar = calendars::load(&CalendarSource::Builtin(name.clone()));
    let calendar = calendar.unwrap_or_default();
    let spans =
        |coverage| spans((1970..=9999).filter(|year| calendar.coverage(*year) == Some(coverage)));
    CalendarRow {
        name: format!("builtin:{name}"),
        complete: spans(YearCoverage::Complete),
        by_law: spans(YearCoverage::ByLaw),
    }
}

/// `2022-2023, 2027-2100`
fn spans(years: impl Iterator<Item = i32>) -> String {
    let mut spans: Vec<(i32, i32)> = Vec::new();
    for year in years {
        match spans.last_mut() {
            Some((_, last)) if *last + 1 == year => *last = year,
            _ => spans.push((year, year)),
        }
    }
    let shown = |(first, last): &(i32, i32)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    spans.iter().map(shown).collect::<Vec<_>>().join(", ")
}

fn coverage(calendar: &Calendar, year: i32) -> &'static str {
    match calendar.coverage(year) {
        Some(YearCoverage::Complete) => "complete",
        Some(YearCoverage::ByLaw) => "by-law",
        Some(YearCoverage::Empty) | None => "missing",
    }
}

fn days(calendar: &Calendar, source: &CalendarSource, year: i32) -> Vec<CalendarDay> {
    let decrees = match source {
        CalendarSource::Builtin(name) => builtin_holidays(name, year).unwrap_or_default(),
        CalendarSource::File(_) => Vec::new(),
    };
    let of_year = calendar.days().filter(|(date, _)| date.year() == year);
    let day = |(date, holiday): (NaiveDate, &tero_time::calendar::Holiday)| CalendarDay {
        date: date.to_string(),
        weekday: date.format("%a").to_string(),
        name: holiday.name.clone(),
        open: match holiday.kind {
            HolidayKind::Closed => None,
            HolidayKind::HalfDay {
                from_mins,
                until_mins,
            } => Some(format!("{} to {}", clock(from_mins), clock(until_mins))),
        },
        decree: decrees
            .iter()
            .find(|it| it.date == date)
            .and_then(|it| it.decree),
    };
    of_year.map(day).collect()
}

fn clock(mins: u16) -> String {
    format!("{:02}:{:02}", mins / 60, mins % 60)
}

fn show(days: &[CalendarDay]) -> String {
    let mut text = String::new();
    for day in days {
        let open = day.open.as_ref().map(|open| format!(", open {open}"));
        let decree = day.decree.map(|decree| format!(" ({decree})"));
        let _ = writeln!(
            text,
            "{} {}  {}{}{}",
            day.date,
            day.weekday,
            day.name,
            open.unwrap_or_default(),
            decree.unwrap_or_default()
        );
    }
    text
}

impl CalendarImportCommand {
    fn run(self) -> ExitCode {
        let text = match read(&self.file) {
            Ok(text) => text,
            Err(error) => {
                return fail(&format!("can't read {}: {error}", self.file.display()));
            }
        };
        if let Some(extends) = &self.extends
            && let Err(error) = calendars::load(&calendars::source(extends))
        {
            return fail(&super::serve::with_causes(&error));
        }
        let years: BTreeSet<i32> = self.year.into_iter().collect();
        match import(&text, &years, self.extends.as_deref()) {
            Ok(imported) => {
                for event in &imported.left_out {
                    eprintln!("warning: left out: {event}");
                }
                print(&imported.toml)
            }
            Err(error) => fail(&format!("{}: {error}", self.file.display())),
        }
    }
}

/// The text of a file, or of standard input; of more than the limit, a byte more than it.
fn read(path: &Path) -> std::io::Result<String> {
    let limit = MAX_ICALENDAR_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(limit)
            .read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(path)?
            .take(limit)
            .read_to_end(&mut bytes)?;
    }
    // A byte order mark isn't part of the text.
    let text = String::from_utf8(bytes)
        .map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not UTF-8"))?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}
