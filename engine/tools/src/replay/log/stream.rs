//! One file of a log: its requests, sorted within a window.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

use super::lines::{LogLines, ReadLine};
use super::{LogOptions, LogReport};
use crate::replay::formats::{LineParser, ParsedLine};
use crate::replay::record::{BadLine, LineFault, LinePlace, LogRecord};
use tero_semantics::timestamp::Timestamp;

/// How many bad lines wait to be handed over. Further ones are only counted.
const MAX_WAITING_BAD_LINES: usize = 1_000;

/// The requests of one file.
pub struct LogStream<'l> {
    lines: LogLines<'l>,
    parser: LineParser,
    name: Arc<str>,
    /// The place of the line that was read last.
    place: LinePlace,
    options: Arc<LogOptions>,
    /// Requests in order.
    waiting: VecDeque<Box<LogRecord>>,
    bad: VecDeque<BadLine>,
    is_at_end: bool,
}

impl fmt::Debug for LogStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogStream")
            .field("name", &self.name)
            .field("place", &self.place)
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

impl<'l> LogStream<'l> {
    /// Reads a file that is already open. `name` and `file` are for messages.
    pub fn new(
        input: Box<dyn Read + 'l>,
        name: Arc<str>,
        file: u32,
        options: Arc<LogOptions>,
    ) -> LogStream<'l> {
        LogStream {
            lines: LogLines::new(input),
            parser: LineParser::new(&options.syntax),
            name,
            place: LinePlace { file, line: 0 },
            options,
            waiting: VecDeque::new(),
            bad: VecDeque::new(),
            is_at_end: false,
        }
    }

    /// The next request in the order of lines, or the next line that can't be used; `None` at the
    /// end. Nothing is sorted.
    pub fn read(&mut self, report: &mut LogReport) -> Option<Result<Box<LogRecord>, BadLine>> {
        while !self.is_at_end {
            let parsed = match self.lines.next_line() {
                Ok(None) => {
                    self.is_at_end = true;
                    return None;
                }
                Err(error) => {
                    self.is_at_end = true;
                    let bad = broken(&self.name, self.place.file, &error);
                    report.add_bad(&bad);
                    return Some(Err(bad));
                }
                Ok(Some(ReadLine::TooLong)) => ParsedLine::Fault(LineFault::TooLong),
                Ok(Some(ReadLine::Whole(line))) => self.parser.parse(&line),
            };
            self.place.line += 1;
            report.lines += 1;
            let fault = match parsed {
                ParsedLine::Nothing => continue,
                ParsedLine::Fault(fault) => fault,
                ParsedLine::Request(_, record) if self.options.is_future(record.at) => {
                    LineFault::Future
                }
                ParsedLine::Request(format, mut record) => {
                    report.add_format(format, self.place.file);
                    record.place = self.place;
                    return Some(Ok(record));
                }
            };
            let bad = BadLine {
                file: Arc::clone(&self.name),
                place: self.place,
                fault,
            };
            report.add_bad(&bad);
            return Some(Err(bad));
        }
        None
    }

    /// Reads until this many requests wait, or the file ends.
    pub(super) fn fill(&mut self, window: usize, report: &mut LogReport) {
        while self.waiting.len() < window {
            match self.read(report) {
                None => return,
                Some(Ok(record)) => {
                    if self.waiting.back().is_none_or(|last| last.at <= record.at) {
                        self.waiting.push_back(record);
                    } else {
                        let place = self
                            .waiting
                            .partition_point(|earlier| earlier.at <= record.at);
                        self.waiting.insert(place, record);
                    }
                }
                Some(Err(bad)) => {
                    if self.bad.len() < MAX_WAITING_BAD_LINES {
                        self.bad.push_back(bad);
                    }
                }
            }
        }
    }

    /// The time of the earliest request that waits; `None` at the end.
    pub(super) fn next_time(&self) -> Option<Timestamp> {
        self.waiting.front().map(|record| record.at)
    }

    pub(super) fn take_record(&mut self) -> Option<Box<LogRecord>> {
        self.waiting.pop_front()
    }

    pub(super) fn take_bad(&mut self) -> Option<BadLine> {
        self.bad.pop_front()
    }

    /// All requests were handed over.
    pub(super) fn is_over(&self) -> bool {
        self.is_at_end && self.waiting.is_empty() && self.bad.is_empty()
    }
}

/// A file that can't be read on.
pub(super) fn broken(name: &Arc<str>, file: u32, error: &io::Error) -> BadLine {
    BadLine {
        file: Arc::clone(name),
        place: LinePlace { file, line: 0 },
        fault: LineFault::Broken(error.to_string()),
    }
}
