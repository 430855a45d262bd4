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
//! With `extends = "builtin:argentina/salta"` at the top, the days are added to those of that
//! calendar, or replace them; `kind = "working"` makes one of them a working day. Files and several
//! calendars can be extended too: `extends = ["builtin:spain/madrid", "company.toml"]`.

mod decrees;
mod file;
mod law;
mod shipped;

use std::cell::Cell;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::Datelike;

use crate::mistakes::Mistake;
use tero_semantics::timestamp::Timestamp;
use tero_time::calendar::{Calendar, YearCoverage};
use tero_time::moment::moment;

pub use self::file::CalendarMistake;
pub use self::shipped::{
    BUILTIN_CALENDARS, BuiltinHoliday, builtin_calendars, builtin_holidays, builtin_names,
};

/// The largest calendar file, in bytes.
pub const MAX_CALENDAR_BYTES: u64 = 1024 * 1024;

/// How many files may extend each other in a row.
const MAX_DEPTH: usize = 4;

/// How many files one calendar may be made of.
const MAX_FILES: usize = 32;

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
    #[error("there is no calendar `builtin:{0}`; {cure}", cure = shipped::cure_for(.0))]
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
            shipped::builtin(name).ok_or_else(|| CalendarError::UnknownBuiltin(name.clone()))
        }
        CalendarSource::File(path) => load_file(path, MAX_DEPTH, &Cell::new(MAX_FILES)),
    }
}

/// Reads what `builtin:` is followed by, else the path of a file.
pub fn source(text: &str) -> CalendarSource {
    match text.strip_prefix("builtin:") {
        Some(name) => CalendarSource::Builtin(name.to_owned()),
        None => CalendarSource::File(text.into()),
    }
}

/// Reads the text of a calendar file, which extends no other file.
///
/// # Errors
/// Every mistake in it, by line.
pub fn parse(text: &str) -> Result<Calendar, Vec<CalendarMistake>> {
    file::parse(text, &|name| {
        base(name, |_| {
            let cure = "extend a calendar that comes with tero";
            Err(Mistake::new("names a file", cure))
        })
    })
}

/// The years without data among the current one and one that begins within 61 days. Their holidays
/// would be taken for working days.
pub fn missing_years(calendar: &Calendar, now: Timestamp) -> Vec<i32> {
    let is_missing = |year: &i32| calendar.coverage(*year) <= Some(YearCoverage::Empty);
    years_ahead(now).filter(is_missing).collect()
}

/// The years for which laws are known and decrees are not, among the current one and one that begins
/// within 61 days. A holiday by decree would be taken for a working day.
pub fn years_by_law(calendar: &Calendar, now: Timestamp) -> Vec<i32> {
    let is_by_law = |year: &i32| calendar.coverage(*year) == Some(YearCoverage::ByLaw);
    years_ahead(now).filter(is_by_law).collect()
}

fn years_ahead(now: Timestamp) -> impl Iterator<Item = i32> {
    year_at(now)..=year_at(now.saturating_add(YEAR_AHEAD))
}

fn year_at(time: Timestamp) -> i32 {
    moment(time, chrono_tz::UTC, &Calendar::default())
        .date()
        .year()
}

/// The calendar that a file extends by this name; `file` finds it if it isn't shipped.
fn base(
    name: &str,
    file: impl FnOnce(&str) -> Result<Arc<Calendar>, Mistake>,
) -> Result<Arc<Calendar>, Mistake> {
    let Some(builtin) = name.strip_prefix("builtin:") else {
        return file(name);
    };
    shipped::builtin(builtin).ok_or_else(|| {
        let problem = format!("`{name}` is not a calendar that comes with tero");
        Mistake::new(problem, shipped::cure_for(builtin))
    })
}

/// Loads a file that may extend others: `depth` of them in a row, `left` in all.
fn load_file(
    path: &Path,
    depth: usize,
    left: &Cell<usize>,
) -> Result<Arc<Calendar>, CalendarError> {
    let text = read(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let find = |name: &str| base(name, |file| load_base(&folder.join(file), depth, left));
    match file::parse(&text, &find) {
        Ok(calendar) => Ok(Arc::new(calendar)),
        Err(mistakes) => Err(CalendarError::Wrong {
            path: path.to_owned(),
            text,
            mistakes,
        }),
    }
}

fn load_base(path: &Path, depth: usize, left: &Cell<usize>) -> Result<Arc<Calendar>, Mistake> {
    let shown = path.display();
    if depth == 0 || left.get() == 0 {
        let problem = format!("{shown} is one file too many");
        let cure = format!(
            "let at most {MAX_DEPTH} files extend each other in a row, and {MAX_FILES} in all; none may extend itself"
        );
        return Err(Mistake::new(problem, cure));
    }
    left.set(left.get() - 1);
    load_file(path, depth - 1, left).map_err(|error| {
        let reason = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        let problem = format!("{error}{}", reason.unwrap_or_default());
        let cure = "correct that file, or extend another one: a path starts from the folder of the file that names it";
        Mistake::new(problem, cure)
    })
}

fn read(path: &Path) -> Result<String, CalendarError> {
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
    Ok(text)
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
