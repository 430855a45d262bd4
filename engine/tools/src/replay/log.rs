//! Access logs as one stream of requests in the order of time.
//!
//! Several files are read as one log: lines of servers that ran side by side are merged. A file is
//! opened when the merged log reaches its first line, so that a month of daily files costs no more
//! memory than a day. Compressed files (gzip, Zstandard) are told by their first bytes.
//!
//! Servers write a line when the response has been sent, and so somewhat out of order. Each open file
//! has a window of lines that are sorted. A line that comes later still is left out and counted.

mod lines;
mod report;
mod stream;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::formats::{LineParser, LogSyntax, ParsedLine};
use super::record::{BadLine, LineFault, LogRecord};
use tero_semantics::timestamp::Timestamp;

pub use lines::MAX_LINE_BYTES;
pub use report::{LogReport, MAX_BAD_LINE_SAMPLES};
pub use stream::LogStream;

/// How many requests may wait to be sorted, in all open files. About a kilobyte each.
pub const MAX_WAITING_RECORDS: usize = 20_000;

/// How many requests of one file wait to be sorted, if memory allows.
pub const SORT_WINDOW_RECORDS: usize = 5_000;

/// The smallest window, when very many files are open at once.
const LEAST_WINDOW_RECORDS: usize = 100;

/// How much earlier than its first line a file may begin.
const FILE_MARGIN: Duration = Duration::from_secs(600);

/// How far ahead of the clock a line's time may be: clocks of servers differ.
pub const MAX_AHEAD: Duration = Duration::from_secs(600);

/// How many lines of a file are looked at for its first time.
const PEEKED_LINES: usize = 1_000;

/// How a log is read.
#[derive(Clone, Debug, Default)]
pub struct LogOptions {
    /// The format of lines.
    pub syntax: LogSyntax,
    /// The time now: lines of a later time are bad; `None` takes any time.
    pub now: Option<Timestamp>,
}

impl LogOptions {
    /// Whether a line's time lies in the future.
    fn is_future(&self, at: Timestamp) -> bool {
        self.now
            .is_some_and(|now| at > now.saturating_add(MAX_AHEAD))
    }
}

/// Requests of one or more access logs in the order of time.
///
/// The iterator gives a request, or a line that can't be used; the latter are also counted in
/// [`LogReader::report`], so most callers skip them.
pub struct LogReader<'l> {
    sources: Vec<LogSource<'l>>,
    options: Arc<LogOptions>,
    /// Numbers of sources that are not opened yet, the first to open last.
    closed: Vec<usize>,
    open: Vec<LogStream<'l>>,
    latest: Option<Timestamp>,
    report: LogReport,
    read_bytes: Arc<AtomicU64>,
    total_bytes: Option<u64>,
}

/// A part of a log.
struct LogSource<'l> {
    name: Arc<str>,
    first: Option<Timestamp>,
    input: SourceInput<'l>,
}

enum SourceInput<'l> {
    /// A file that is opened when its time comes.
    File(PathBuf),
    /// What can be read once only, such as standard input.
    Stream(Option<Box<dyn Read + 'l>>),
}

/// A log that can't be opened.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}")]
pub struct LogOpenError {
    /// The file.
    pub path: String,
    /// Why not.
    #[source]
    pub error: io::Error,
}

impl std::fmt::Debug for LogReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogReader")
            .field("open", &self.open.len())
            .field("latest", &self.latest)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

impl LogReader<'static> {
    /// Opens files. `-` is standard input.
    ///
    /// # Errors
    /// If one of them can't be opened.
    pub fn open(
        paths: &[PathBuf],
        options: LogOptions,
    ) -> Result<LogReader<'static>, LogOpenError> {
        let mut sources = Vec::with_capacity(paths.len());
        let mut total = Some(0);
        for path in paths {
            let failed = |error| LogOpenError {
                path: path.display().to_string(),
                error,
            };
            let name = path.display().to_string().into();
            if path == Path::new("-") {
                total = None;
                let input = SourceInput::Stream(Some(Box::new(io::stdin())));
                sources.push(LogSource {
                    name,
                    first: None,
                    input,
                });
                continue;
            }
            let file = File::open(path).map_err(failed)?;
            let facts = file.metadata().map_err(failed)?;
            if facts.is_dir() {
                return Err(failed(io::ErrorKind::IsADirectory.into()));
            }
            if !facts.is_file() {
                // A pipe can't be opened twice.
                total = None;
                let input = SourceInput::Stream(Some(Box::new(file)));
                sources.push(LogSource {
                    name,
                    first: None,
                    input,
                });
                continue;
            }
            total = total.map(|total: u64| total.saturating_add(facts.len()));
            let first = first_time(file, &options).map_err(failed)?;
            let input = SourceInput::File(path.clone());
            sources.push(LogSource { name, first, input });
        }
        Ok(LogReader::of(sources, options, total))
    }
}

impl<'l> LogReader<'l> {
    /// Reads logs that are already open, each with a name for messages.
    pub fn over(inputs: Vec<(&str, Box<dyn Read + 'l>)>, options: LogOptions) -> LogReader<'l> {
        let sources = inputs.into_iter().map(|(name, input)| LogSource {
            name: name.into(),
            first: None,
            input: SourceInput::Stream(Some(input)),
        });
        LogReader::of(sources.collect(), options, None)
    }

    fn of(
        sources: Vec<LogSource<'l>>,
        options: LogOptions,
        total_bytes: Option<u64>,
    ) -> LogReader<'l> {
        let mut closed: Vec<usize> = (0..sources.len()).collect();
        // A file without a time is opened first.
        closed.sort_by_key(|source| std::cmp::Reverse((sources[*source].first, *source)));
        LogReader {
            report: LogReport::of(sources.len()),
            sources,
            options: Arc::new(options),
            closed,
            open: Vec::new(),
            latest: None,
            read_bytes: Arc::default(),
            total_bytes,
        }
    }

    /// What was read so far: lines, requests, faults.
    pub fn report(&self) -> &LogReport {
        &self.report
    }

    /// How much of the files has been read, as they lie on the disk, and how long they are; `None`
    /// where one is a pipe.
    pub fn progress(&self) -> Option<(u64, u64)> {
        let read = self.read_bytes.load(Ordering::Relaxed);
        self.total_bytes.map(|total| (read.min(total), total))
    }

    /// Opens the files whose time has come. Returns the line of one that can't be opened.
    fn open_due(&mut self) -> Option<BadLine> {
        while let Some(next) = self.closed.last().copied() {
            let earliest = self.open.iter().filter_map(LogStream::next_time).min();
            let begins = self.sources[next]
                .first
                .map(|first| first.saturating_sub(FILE_MARGIN));
            if let (Some(earliest), Some(begins)) = (earliest, begins)
                && earliest < begins
            {
                return None;
            }
            self.closed.pop();
            let source = &mut self.sources[next];
            let name = Arc::clone(&source.name);
            let file = u32::try_from(next).unwrap_or(u32::MAX);
            let input: Box<dyn Read + 'l> = match &mut source.input {
                SourceInput::Stream(input) => match input.take() {
                    Some(input) => input,
                    None => continue,
                },
                SourceInput::File(path) => match File::open(path) {
                    Ok(file) => Box::new(file),
                    Err(error) => return Some(stream::broken(&name, file, &error)),
                },
            };
            let counted = lines::CountedInput::new(input, Arc::clone(&self.read_bytes));
            let options = Arc::clone(&self.options);
            let mut stream = LogStream::new(Box::new(counted), name, file, options);
            stream.fill(self.window(), &mut self.report);
            self.open.push(stream);
        }
        None
    }

    /// How many requests each open file may have waiting.
    fn window(&self) -> usize {
        (MAX_WAITING_RECORDS / self.open.len().max(1))
            .clamp(LEAST_WINDOW_RECORDS, SORT_WINDOW_RECORDS)
    }
}

impl Iterator for LogReader<'_> {
    type Item = Result<LogRecord, BadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(bad) = self.open_due() {
                self.report.add_bad(&bad);
                return Some(Err(bad));
            }
            if let Some(bad) = self.open.iter_mut().find_map(LogStream::take_bad) {
                return Some(Err(bad));
            }
            let next = (0..self.open.len())
                .filter_map(|index| Some((self.open[index].next_time()?, index)))
                .min();
            let Some((_, index)) = next else {
                self.open.clear();
                if self.closed.is_empty() {
                    return None;
                }
                continue;
            };
            let window = self.window();
            let stream = &mut self.open[index];
            let record = stream.take_record();
            stream.fill(window, &mut self.report);
            if stream.is_over() {
                self.open.swap_remove(index);
            }
            let Some(record) = record else { continue };
            if self.latest.is_some_and(|latest| record.at < latest) {
                let bad = BadLine {
                    file: Arc::clone(&self.sources[record.place.file as usize].name),
                    place: record.place,
                    fault: LineFault::Late,
                };
                self.report.add_bad(&bad);
                return Some(Err(bad));
            }
            self.latest = Some(record.at);
            self.report.add_record(&record);
            return Some(Ok(*record));
        }
    }
}

/// The time of a file's first request that can be used; `None` if its first lines have none.
fn first_time(file: File, options: &LogOptions) -> io::Result<Option<Timestamp>> {
    let mut lines = lines::LogLines::new(Box::new(file));
    let mut parser = LineParser::new(&options.syntax);
    for _ in 0..PEEKED_LINES {
        match lines.next_line() {
            // The fault is told when the file is read.
            Err(_) | Ok(None) => break,
            Ok(Some(lines::ReadLine::TooLong)) => {}
            Ok(Some(lines::ReadLine::Whole(line))) => {
                if let ParsedLine::Request(_, record) = parser.parse(&line)
                    && !options.is_future(record.at)
                {
                    return Ok(Some(record.at));
                }
            }
        }
    }
    Ok(None)
}

/// Reads one line in any format that tells itself; `None` if it is not a request.
pub fn parse(line: &str) -> Option<LogRecord> {
    let syntax = LogSyntax::default();
    match LineParser::new(&syntax).parse(line) {
        ParsedLine::Request(_, record) => Some(*record),
        ParsedLine::Nothing | ParsedLine::Fault(_) => None,
    }
}

#[cfg(test)]
mod tests;
