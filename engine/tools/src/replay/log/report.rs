//! What was read of a log, and what it can't tell.

use std::collections::BTreeMap;

use super::super::formats::LogFormat;
use super::super::record::{BadLine, LogRecord};
use tero_semantics::timestamp::Timestamp;

/// How many bad lines are kept as samples.
pub const MAX_BAD_LINE_SAMPLES: usize = 20;

/// How many of them are told of a log that has nothing else.
const TOLD_BAD_LINES: usize = 5;

/// The share of bad lines from which a forecast is not to be trusted without a look at them.
const MAX_BAD_SHARE: f64 = 0.01;

const DAY_SECS: u64 = 86_400;

/// What was read of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogReport {
    /// Files that were named.
    pub files: usize,
    /// Lines that were read, empty ones and directives among them.
    pub lines: u64,
    /// Requests that were handed over.
    pub requests: u64,
    /// Files with lines of more than one format.
    pub mixed_files: u64,
    /// Lines that could not be used, by what is wrong with them.
    pub faults: BTreeMap<&'static str, u64>,
    /// The first of them, at most [`MAX_BAD_LINE_SAMPLES`].
    pub samples: Vec<BadLine>,
    /// Files that could not be read to their end.
    pub broken_files: u64,
    /// The time of the first request.
    pub first: Option<Timestamp>,
    /// The time of the last request.
    pub last: Option<Timestamp>,
    /// Requests whose line has no host.
    pub without_host: u64,
    /// Requests whose line has no length.
    pub without_bytes: u64,
    /// Requests whose line has no `User-Agent`.
    pub without_user_agent: u64,
    /// The formats of each file's lines, as bits.
    formats_of_files: BTreeMap<u32, u8>,
}

impl LogReport {
    pub(super) fn of(files: usize) -> LogReport {
        LogReport {
            files,
            ..LogReport::default()
        }
    }

    pub(super) fn add_bad(&mut self, bad: &BadLine) {
        *self.faults.entry(bad.fault.as_str()).or_default() += 1;
        self.broken_files += u64::from(bad.place.line == 0);
        if self.samples.len() < MAX_BAD_LINE_SAMPLES {
            self.samples.push(bad.clone());
        }
    }

    pub(super) fn add_format(&mut self, format: LogFormat, file: u32) {
        let bit = 1_u8 << format as u8;
        let seen = self.formats_of_files.entry(file).or_default();
        if *seen & bit == 0 {
            self.mixed_files += u64::from(seen.count_ones() == 1);
            *seen |= bit;
        }
    }

    pub(super) fn add_record(&mut self, record: &LogRecord) {
        self.requests += 1;
        self.first.get_or_insert(record.at);
        self.last = Some(record.at);
        self.without_host += u64::from(record.host.is_none());
        self.without_bytes += u64::from(record.bytes.is_none());
        self.without_user_agent += u64::from(record.user_agent().is_none());
    }

    /// How many lines could not be used.
    pub fn bad_lines(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Why a log has no request that can be used: what is wrong with its lines, and with which.
    pub fn emptiness(&self) -> String {
        let faults = self.faults_told();
        if faults.is_empty() {
            return "the log has no request: it is empty".to_owned();
        }
        let mut told = format!("the log has no request that can be used ({faults})");
        for bad in self.samples.iter().take(TOLD_BAD_LINES) {
            told.push_str(&format!("\n  {bad}"));
        }
        told + "\n`--format` and `--fields` say what lines don't tell by themselves"
    }

    fn faults_told(&self) -> String {
        let faults = self.faults.iter();
        let faults: Vec<String> = faults
            .map(|(fault, count)| format!("{fault}: {count}"))
            .collect();
        faults.join(", ")
    }

    /// What makes a result that is drawn from this log doubtful, in sentences: how it was read, and what
    /// it covers. They begin in lower case, without a full stop.
    pub fn warnings(&self) -> Vec<String> {
        if self.requests == 0 {
            return vec!["the log has no request".to_owned()];
        }
        let mut warnings = self.doubts();
        let bad = self.bad_lines() - self.broken_files;
        if bad > 0 && bad as f64 > MAX_BAD_SHARE * (self.requests + bad) as f64 {
            warnings.push(format!(
                "{bad} of {} lines could not be used ({})",
                self.lines,
                self.faults_told()
            ));
        }
        if let (Some(first), Some(last)) = (self.first, self.last)
            && last.since(first).as_secs() < 2 * DAY_SECS
        {
            warnings.push(
                "the log covers less than two days: it can't tell how days differ, and the cache begins it empty"
                    .to_owned(),
            );
        }
        if self.without_bytes == self.requests {
            warnings.push("the log has no lengths: bytes can't be told".to_owned());
        }
        warnings
    }

    /// What may be missing or mixed up in what was handed over: files that broke off, lines out of order,
    /// several formats, no devices. Part of [`LogReport::warnings`].
    pub fn doubts(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.broken_files > 0 {
            warnings.push(format!(
                "{} of {} files could not be read to the end: their other requests are missing",
                self.broken_files, self.files
            ));
        }
        if self.faults.contains_key("out of order") {
            warnings.push(
                "some lines are far out of order and were left out: if the log joins those of several servers, name \
                 their files one by one"
                    .to_owned(),
            );
        }
        if self.mixed_files > 0 {
            warnings.push(format!(
                "{} of {} files have lines of several formats",
                self.mixed_files, self.files
            ));
        }
        if self.without_user_agent == self.requests {
            warnings.push("the log has no `User-Agent`: all devices count as unknown".to_owned());
        }
        warnings
    }
}
