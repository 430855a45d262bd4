//! The holidays of a policy: calendar files, and the calendars that come with tero.
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
//! With `extends = "builtin:argentina"` at the top, the days are added to those of that calendar,
//! or replace them; `kind = "working"` makes one of them a working day.

mod file;
mod shipped;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::Datelike;

use self::shipped::BUILTIN_TEXTS;
use tero_semantics::timestamp::Timestamp;
use tero_time::calendar::Calendar;
use tero_time::moment::moment;

pub use self::file::CalendarMistake;
pub use self::shipped::{BUILTIN_CALENDARS, builtin_names};

/// The largest calendar file, in bytes.
pub const MAX_CALENDAR_BYTES: u64 = 1024 * 1024;

/// How long before a year begins its holidays should be known. That leaves time to find the decree
/// and to write it down.
const YEAR_AHEAD: Duration = Duration::from_secs(61 * 86_400);

/// Where a policy's calendar comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CalendarSource {
    /// `builtin:NAME`
    Builtin(String),
    /// A file.
    File(PathBuf),
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
    /// The file has mistakes.
    #[error("{}: {}", path.display(), join(mistakes))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Its content, for showing the lines.
        text: String,
        /// Every mistake, by line.
        mistakes: Vec<CalendarMistake>,
    },
}

/// Loads a calendar. A relative path starts from the working folder: the reader of the
/// configuration resolves it first.
///
/// # Errors
/// [`CalendarError`] if the calendar does not exist, can't be read, or has mistakes.
pub fn load(source: &CalendarSource) -> Result<Arc<Calendar>, CalendarError> {
    match source {
        CalendarSource::Builtin(name) => {
            builtin(name).ok_or_else(|| CalendarError::UnknownBuiltin(name.clone()))
        }
        CalendarSource::File(path) => load_file(path),
    }
}

/// Reads a calendar file.
///
/// # Errors
/// Every mistake in it, by line.
pub fn parse(text: &str) -> Result<Calendar, Vec<CalendarMistake>> {
    file::parse(text, builtin)
}

/// The years without data among the current one and one that begins within 61 days. Their holidays
/// would be taken for working days.
pub fn missing_years(calendar: &Calendar, now: Timestamp) -> Vec<i32> {
    let current = year_at(now);
    let coming = year_at(now.saturating_add(YEAR_AHEAD));
    (current..=coming)
        .filter(|year| !calendar.covers(*year))
        .collect()
}

fn year_at(time: Timestamp) -> i32 {
    moment(time, chrono_tz::UTC, &Calendar::default())
        .date()
        .year()
}

/// The calendar behind `builtin:`. Each is parsed once.
fn builtin(name: &str) -> Option<Arc<Calendar>> {
    static PARSED: [OnceLock<Arc<Calendar>>; 4] = [const { OnceLock::new() }; 4];
    let index = BUILTIN_CALENDARS.iter().position(|known| *known == name)?;
    let calendar = PARSED[index].get_or_init(|| {
        let calendar = file::parse(BUILTIN_TEXTS[index], |_| None);
        Arc::new(calendar.expect("the tests read the shipped calendars"))
    });
    Some(Arc::clone(calendar))
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

fn join(mistakes: &[CalendarMistake]) -> String {
    mistakes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests;
