//! The thread that writes the lines.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use crate::telemetry::repeats::RepeatLimit;
use tero_time::clock::Clock;

/// Lines that are written at once, at most.
const MAX_BATCH_LINES: usize = 1_000;

/// What the writer and the log share.
#[derive(Debug)]
pub(super) struct LogState {
    path: Mutex<PathBuf>,
    /// The file is to be opened again.
    pub(super) reopen: AtomicBool,
    pub(super) written: AtomicU64,
    pub(super) failed: AtomicU64,
}

impl LogState {
    /// Of a log in this file.
    pub(super) fn new(path: &Path) -> LogState {
        LogState {
            path: Mutex::new(path.to_owned()),
            reopen: AtomicBool::default(),
            written: AtomicU64::default(),
            failed: AtomicU64::default(),
        }
    }

    /// Sets the file that is opened next time.
    pub(super) fn set_path(&self, path: &Path) {
        *self.path.lock().unwrap_or_else(PoisonError::into_inner) = path.to_owned();
    }

    fn path(&self) -> PathBuf {
        let path = self.path.lock();
        path.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The state of the writer's thread.
pub(super) struct LogWriter {
    path: PathBuf,
    state: Arc<LogState>,
    clock: Clock,
    output: Output,
    /// Whole lines that are not written yet.
    batch: Vec<u8>,
    /// The last write ended within a line.
    is_torn: bool,
    failures: RepeatLimit,
}

enum Output {
    Standard,
    File(File),
}

impl LogWriter {
    /// Opens the file.
    ///
    /// # Errors
    /// If it can't be opened for appending.
    pub(super) fn open(path: &Path, state: Arc<LogState>, clock: Clock) -> io::Result<LogWriter> {
        Ok(LogWriter {
            path: path.to_owned(),
            state,
            clock,
            output: open(path)?,
            batch: Vec::new(),
            is_torn: false,
            failures: RepeatLimit::default(),
        })
    }

    /// Writes the lines of the queue until its sender is dropped.
    pub(super) fn run(mut self, queue: &Receiver<String>) {
        while let Ok(first) = queue.recv() {
            let waiting = queue.try_iter().take(MAX_BATCH_LINES);
            for line in std::iter::once(first).chain(waiting) {
                if self.state.reopen.swap(false, Ordering::Acquire) {
                    self.write_batch();
                    self.reopen();
                }
                if !line.is_empty() {
                    self.batch.extend_from_slice(line.as_bytes());
                    self.batch.push(b'\n');
                }
            }
            self.write_batch();
        }
    }

    /// If the file can't be opened again, the old one stays.
    fn reopen(&mut self) {
        self.path = self.state.path();
        match open(&self.path) {
            Ok(output) => {
                self.output = output;
                self.is_torn = false;
            }
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "the access log can't be reopened");
            }
        }
    }

    /// Writes the lines of the batch. What can't be written is lost: a full disk must not fill the
    /// memory.
    fn write_batch(&mut self) {
        let count = |lines: &[u8]| lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        let lines = count(&self.batch);
        if lines == 0 {
            return;
        }
        if self.is_torn {
            self.batch.insert(0, b'\n');
        }
        let (written, result) = write_all(&mut self.output, &self.batch);
        let lost = count(&self.batch[written..]).min(lines);
        if written > 0 {
            self.is_torn = self.batch[written - 1] != b'\n';
        }
        self.batch.clear();
        self.state
            .written
            .fetch_add(lines - lost, Ordering::Relaxed);
        self.state.failed.fetch_add(lost, Ordering::Relaxed);
        if let Err(error) = result
            && let Some(left_out) = self.failures.due(self.clock.now())
        {
            tracing::error!(path = %self.path.display(), %error, lost, left_out, "the access log can't be written");
        }
    }
}

/// Whether a file can be opened.
///
/// # Errors
/// Why not.
pub(super) fn try_open(path: &Path) -> io::Result<()> {
    open(path).map(drop)
}

fn open(path: &Path) -> io::Result<Output> {
    if path == Path::new("-") {
        return Ok(Output::Standard);
    }
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    Ok(Output::File(file))
}

/// Writes `bytes`; returns how many of them were written, and the error that ended it.
fn write_all(output: &mut Output, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut standard = io::stdout().lock();
    let output: &mut dyn Write = match output {
        Output::Standard => &mut standard,
        Output::File(file) => file,
    };
    let mut written = 0;
    while written < bytes.len() {
        match output.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, output.flush())
}
