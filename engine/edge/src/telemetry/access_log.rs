//! The access log: one line per request, written by a thread of its own.
//!
//! Requests never wait for the disk. If the writer falls behind by [`QUEUE_LINES`], lines are
//! dropped and counted.

mod line;

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tero_config::AccessLogFormat;

pub use line::AccessLogLine;

/// Lines that may wait for the writer.
pub const QUEUE_LINES: usize = 16_384;

/// A running log.
#[derive(Debug)]
pub struct AccessLog {
    format: AccessLogFormat,
    lines: SyncSender<String>,
    dropped: AtomicU64,
    reopen: Arc<AtomicBool>,
}

impl AccessLog {
    /// Opens the log at `path`, where `-` is standard output, and starts its writer.
    ///
    /// # Errors
    /// If the file can't be opened for appending, or the thread can't be started.
    pub fn start(path: &Path, format: AccessLogFormat) -> io::Result<AccessLog> {
        let (lines, queue) = sync_channel(QUEUE_LINES);
        let reopen = Arc::new(AtomicBool::new(false));
        let writer = LogWriter {
            path: path.to_owned(),
            reopen: Arc::clone(&reopen),
        };
        let output = writer.open()?;
        std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || writer.run(output, &queue))?;
        Ok(AccessLog {
            format,
            lines,
            dropped: AtomicU64::new(0),
            reopen,
        })
    }

    /// Writes a line; drops it if the queue is full.
    pub fn write(&self, line: &AccessLogLine<'_>) {
        let text = match self.format {
            AccessLogFormat::Combined => line.combined(),
            AccessLogFormat::Json => line.json(),
        };
        if self.lines.try_send(text).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The number of dropped lines since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Opens the file again before the next line: for rotation, after it was moved away.
    pub fn reopen(&self) {
        self.reopen.store(true, Ordering::Relaxed);
    }
}

/// Lines that are written before the output is flushed, at most.
const MAX_BATCH_LINES: usize = 1_000;

/// The state of the writer's thread.
struct LogWriter {
    path: PathBuf,
    reopen: Arc<AtomicBool>,
}

impl LogWriter {
    fn open(&self) -> io::Result<Box<dyn Write + Send>> {
        if self.path == Path::new("-") {
            return Ok(Box::new(io::stdout()));
        }
        let file: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        Ok(Box::new(BufWriter::with_capacity(64 * 1024, file)))
    }

    fn reopened(&self) -> Option<Box<dyn Write + Send>> {
        match self.open() {
            Ok(output) => Some(output),
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "the access log can't be reopened");
                None
            }
        }
    }

    /// Writes the lines of the queue until its sender is dropped.
    fn run(self, mut output: Box<dyn Write + Send>, queue: &Receiver<String>) {
        while let Ok(first) = queue.recv() {
            if self.reopen.swap(false, Ordering::Relaxed)
                && let Some(reopened) = self.reopened()
            {
                output = reopened;
            }
            let mut waiting = std::iter::once(first).chain(queue.try_iter().take(MAX_BATCH_LINES));
            let written = waiting.try_for_each(|line| writeln!(output, "{line}"));
            if let Err(error) = written.and_then(|()| output.flush()) {
                tracing::error!(path = %self.path.display(), %error, "the access log can't be written");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method, StatusCode, Version};

    use super::*;
    use crate::telemetry::Outcome;
    use tero_semantics::timestamp::Timestamp;

    #[test]
    fn lines_are_written_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let log = AccessLog::start(&path, AccessLogFormat::Combined).unwrap();
        let none = HeaderMap::new();
        log.write(&AccessLogLine {
            at: Timestamp::from_unix_secs(1_795_608_000),
            client: [10, 0, 0, 1].into(),
            method: &Method::GET,
            target: "/",
            version: Version::HTTP_11,
            host: "a.example",
            request: &none,
            status: StatusCode::OK,
            response: &none,
            bytes: None,
            outcome: Outcome::Hit,
            took_micros: 1,
        });
        drop(log);
        // The writer ends when the log is dropped. Read the file until it has the line.
        while std::fs::read_to_string(&path).unwrap().lines().count() < 1 {
            std::thread::yield_now();
        }
    }
}
