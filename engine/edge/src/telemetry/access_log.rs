//! The access log: one line per answer, written by a thread of its own.
//!
//! Requests never wait for the disk. If the writer falls behind by [`QUEUE_LINES`], lines are
//! dropped and counted.

mod line;
mod writer;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use arc_swap::ArcSwap;
use tero_config::{self as config, AccessLogField, AccessLogFormat, ClientAddressForm};
use tero_time::clock::Clock;

use writer::{LogState, LogWriter};

pub use line::{AccessLogLine, AnswerFacts, LineOutcome, LoggedTls, OpenLine, SentResponse};

/// Lines that may wait for the writer.
pub const QUEUE_LINES: usize = 16_384;

/// A running log.
#[derive(Debug)]
pub struct AccessLog {
    format: ArcSwap<LineFormat>,
    lines: SyncSender<String>,
    dropped: AtomicU64,
    state: Arc<LogState>,
}

/// How lines are written.
#[derive(Clone, Debug)]
pub struct LineFormat {
    /// The format.
    pub format: AccessLogFormat,
    /// The keys of a line of JSON.
    pub fields: Vec<AccessLogField>,
    /// How much of addresses is told.
    pub client_address: ClientAddressForm,
}

impl LineFormat {
    /// As the configuration says.
    pub fn of(settings: &config::AccessLog) -> LineFormat {
        LineFormat {
            format: settings.format,
            fields: settings.fields.clone(),
            client_address: settings.client_address,
        }
    }

    /// All that a line of this format can have.
    pub fn whole(format: AccessLogFormat) -> LineFormat {
        LineFormat {
            format,
            fields: AccessLogField::ALL.to_vec(),
            client_address: ClientAddressForm::Full,
        }
    }

    /// Whether lines have this field.
    pub fn has(&self, field: AccessLogField) -> bool {
        self.format == AccessLogFormat::Json && self.fields.contains(&field)
    }
}

/// What became of the lines of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Lines that were written.
    pub written: u64,
    /// Lines that were dropped, because too many waited for the writer.
    pub dropped: u64,
    /// Lines that could not be written, such as to a full disk.
    pub failed: u64,
}

impl AccessLog {
    /// Opens the log, where the path `-` is standard output, and starts its writer.
    ///
    /// # Errors
    /// If the file can't be opened for appending, or the thread can't be started.
    pub fn start(settings: &config::AccessLog, clock: Clock) -> io::Result<AccessLog> {
        let (lines, queue) = sync_channel(QUEUE_LINES);
        let state = Arc::new(LogState::new(&settings.path));
        let writer = LogWriter::open(&settings.path, Arc::clone(&state), clock)?;
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || writer.run(&queue))?;
        Ok(AccessLog {
            format: ArcSwap::from_pointee(LineFormat::of(settings)),
            lines,
            dropped: AtomicU64::new(0),
            state,
        })
    }

    /// Begins the line of an answer whose head was made.
    pub fn begin(&self, line: &AccessLogLine<'_>) -> OpenLine {
        line.begin(&self.format.load())
    }

    /// Whether its lines have this field.
    pub fn has(&self, field: AccessLogField) -> bool {
        self.format.load().has(field)
    }

    /// Takes other settings over: lines that begin from now on have another form, and the next one is
    /// written to the other file.
    pub fn reload(&self, settings: &config::AccessLog) {
        self.format.store(Arc::new(LineFormat::of(settings)));
        self.state.set_path(&settings.path);
        self.reopen();
    }

    /// Whether the file of these settings can be opened.
    ///
    /// # Errors
    /// Why not.
    pub fn check(settings: &config::AccessLog) -> io::Result<()> {
        writer::try_open(&settings.path)
    }

    /// Writes a line whose answer has been sent; drops it if the queue is full.
    pub fn write(&self, line: OpenLine, sent: SentResponse) {
        if self.lines.try_send(line.close(sent)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of the lines since the start.
    pub fn lines(&self) -> LineCounts {
        LineCounts {
            written: self.state.written.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            failed: self.state.failed.load(Ordering::Relaxed),
        }
    }

    /// Opens the file again before the next line is written: for rotation, after it was moved away.
    pub fn reopen(&self) {
        self.state.reopen.store(true, Ordering::Release);
        // An empty text wakes a writer that waits for a line. A writer with a full queue is awake.
        let _ = self.lines.try_send(String::new());
    }
}

#[cfg(test)]
mod tests;
