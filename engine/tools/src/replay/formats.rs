//! From a line of an access log to a record, in each format that is known.
//!
//! | format | lines of |
//! |---|---|
//! | combined | Apache, nginx, Varnish (varnishncsa), tero: common or combined, with or without a host before the client |
//! | W3C extended | CloudFront, IIS: `#Fields:` names what stands between tabs or spaces |
//! | JSON | tero, Cloudflare, Fastly, and what else a [`FieldMap`] names |

mod combined;
mod draft;
pub mod fields;
mod json;
mod time;
mod values;
mod w3c;

pub use fields::{FieldMap, FieldMapError};

use super::record::{LineFault, LogRecord};
use w3c::W3cColumns;

/// The format of an access log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogFormat {
    /// Apache's common or combined format, and what stands after it.
    Combined,
    /// W3C extended.
    W3c,
    /// An object of JSON in each line.
    Json,
}

impl LogFormat {
    /// All formats.
    pub const ALL: [LogFormat; 3] = [LogFormat::Combined, LogFormat::W3c, LogFormat::Json];

    /// The name on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            LogFormat::Combined => "combined",
            LogFormat::W3c => "w3c",
            LogFormat::Json => "json",
        }
    }

    /// The format of this name; `None` if there is none.
    pub fn from_name(name: &str) -> Option<LogFormat> {
        LogFormat::ALL
            .into_iter()
            .find(|format| format.as_str() == name)
    }
}

/// How the lines of a log are read.
#[derive(Clone, Debug, Default)]
pub struct LogSyntax {
    /// The format; `None`: each line tells its own.
    pub format: Option<LogFormat>,
    /// What the keys of JSON mean.
    pub fields: FieldMap,
}

/// What a line turned out to be.
#[derive(Debug)]
pub enum ParsedLine {
    /// A request. The record's place is not set yet.
    Request(LogFormat, Box<LogRecord>),
    /// An empty line, or a directive of W3C extended.
    Nothing,
    /// A line that can't be used.
    Fault(LineFault),
}

/// Reads the lines of one file, in order: W3C extended says in some lines what the others mean.
#[derive(Clone, Debug)]
pub struct LineParser {
    syntax: LogSyntax,
    columns: Option<W3cColumns>,
}

impl LineParser {
    /// A reader for a file's first line.
    pub fn new(syntax: &LogSyntax) -> LineParser {
        LineParser {
            syntax: syntax.clone(),
            columns: None,
        }
    }

    /// Reads a line, which has no line break.
    pub fn parse(&mut self, line: &str) -> ParsedLine {
        let line = line
            .trim_start_matches('\u{feff}')
            .trim_end_matches(['\r', '\n']);
        if line.trim().is_empty() {
            return ParsedLine::Nothing;
        }
        let format = self.syntax.format.unwrap_or_else(|| self.format_of(line));
        let record = match format {
            LogFormat::Json => json::record(line, &self.syntax.fields),
            LogFormat::Combined => combined::record(line),
            LogFormat::W3c => {
                if let Some(directive) = line.strip_prefix('#') {
                    if let Some(names) = W3cColumns::names(directive) {
                        self.columns = Some(W3cColumns::of(names));
                    }
                    return ParsedLine::Nothing;
                }
                match &mut self.columns {
                    Some(columns) => columns.record(line),
                    None => Err(LineFault::Format),
                }
            }
        };
        match record {
            Ok(record) => ParsedLine::Request(format, Box::new(record)),
            Err(fault) => ParsedLine::Fault(fault),
        }
    }

    fn format_of(&self, line: &str) -> LogFormat {
        if line.starts_with('{') {
            LogFormat::Json
        } else if line.starts_with('#') || (self.columns.is_some() && !combined::looks_so(line)) {
            LogFormat::W3c
        } else {
            LogFormat::Combined
        }
    }
}

#[cfg(test)]
mod tests;
