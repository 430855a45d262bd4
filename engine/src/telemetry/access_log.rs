//! The access log: a line per request, written by a thread of its own.
//!
//! Requests never wait for the disk: when the writer falls behind by [`QUEUE_LINES`], lines are dropped and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use chrono::DateTime;
use http::header::{REFERER, USER_AGENT};
use http::{HeaderMap, Method, StatusCode, Version};

use super::Outcome;
use super::cache_status::CACHE_STATUS;
use crate::config::AccessLogFormat;
use crate::semantics::timestamp::Timestamp;

/// Lines that may wait for the writer.
pub const QUEUE_LINES: usize = 16_384;

/// A request and its answer, as the log tells them.
#[derive(Debug)]
pub struct Line<'a> {
    /// When it was received.
    pub at: Timestamp,
    /// Who asked.
    pub client: IpAddr,
    /// The request line.
    pub method: &'a Method,
    /// Path and query as they came.
    pub target: &'a str,
    /// The protocol.
    pub version: Version,
    /// The host.
    pub host: &'a str,
    /// Fields of the request.
    pub request: &'a HeaderMap,
    /// Status of the answer.
    pub status: StatusCode,
    /// Fields of the answer.
    pub response: &'a HeaderMap,
    /// Length of the content, where it is known beforehand.
    pub bytes: Option<u64>,
    /// What became of it.
    pub outcome: Outcome,
    /// To the head of the answer, in microseconds.
    pub took_micros: u64,
}

/// A running log.
#[derive(Debug)]
pub struct AccessLog {
    format: AccessLogFormat,
    lines: SyncSender<String>,
    dropped: AtomicU64,
    reopen: Arc<AtomicBool>,
}

impl AccessLog {
    /// Opens the log, `-` being standard output, and starts its writer.
    ///
    /// # Errors
    /// When the file can't be opened for appending.
    pub fn start(path: &Path, format: AccessLogFormat) -> io::Result<AccessLog> {
        let (lines, queue) = sync_channel(QUEUE_LINES);
        let reopen = Arc::new(AtomicBool::new(false));
        let writer = Writer { path: path.to_owned(), reopen: Arc::clone(&reopen) };
        let output = writer.open()?;
        std::thread::Builder::new().name("access-log".into()).spawn(move || writer.run(output, &queue))?;
        Ok(AccessLog { format, lines, dropped: AtomicU64::new(0), reopen })
    }

    /// Writes a line, unless the writer has fallen behind.
    pub fn write(&self, line: &Line<'_>) {
        let text = match self.format {
            AccessLogFormat::Combined => line.combined(),
            AccessLogFormat::Json => line.json(),
        };
        if self.lines.try_send(text).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that were not written.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Opens the file anew before the next line, after it was moved away.
    pub fn reopen(&self) {
        self.reopen.store(true, Ordering::Relaxed);
    }
}

struct Writer {
    path: PathBuf,
    reopen: Arc<AtomicBool>,
}

impl Writer {
    fn open(&self) -> io::Result<Box<dyn Write + Send>> {
        if self.path == Path::new("-") {
            return Ok(Box::new(io::stdout()));
        }
        let file: File = OpenOptions::new().create(true).append(true).open(&self.path)?;
        Ok(Box::new(BufWriter::with_capacity(64 * 1024, file)))
    }

    fn run(self, mut output: Box<dyn Write + Send>, queue: &Receiver<String>) {
        while let Ok(first) = queue.recv() {
            if self.reopen.swap(false, Ordering::Relaxed) {
                match self.open() {
                    Ok(anew) => output = anew,
                    Err(error) => tracing::error!(path = %self.path.display(), %error, "the access log can't be opened anew"),
                }
            }
            let mut waiting = std::iter::once(first).chain(queue.try_iter().take(1_000));
            let written = waiting.try_for_each(|line| writeln!(output, "{line}"));
            if let Err(error) = written.and_then(|()| output.flush()) {
                tracing::error!(path = %self.path.display(), %error, "the access log can't be written");
            }
        }
    }
}

impl Line<'_> {
    fn field(headers: &HeaderMap, name: impl http::header::AsHeaderName) -> Option<String> {
        headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    fn cache_status(&self) -> String {
        let lines: Vec<_> =
            self.response.get_all(CACHE_STATUS).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
        lines.join(", ")
    }

    fn combined(&self) -> String {
        let at = DateTime::from_timestamp(self.at.unix_secs(), 0).unwrap_or_default();
        let bytes = self.bytes.map_or_else(|| "-".into(), |bytes| bytes.to_string());
        let quoted =
            |text: Option<String>| text.map_or_else(|| "-".into(), |text| text.replace('\\', "\\\\").replace('"', "\\\""));
        format!(
            "{} - - [{}] \"{} {} {:?}\" {} {} \"{}\" \"{}\" \"{}\"",
            self.client,
            at.format("%d/%b/%Y:%H:%M:%S +0000"),
            self.method,
            self.target,
            self.version,
            self.status.as_u16(),
            bytes,
            quoted(Line::field(self.request, REFERER)),
            quoted(Line::field(self.request, USER_AGENT)),
            quoted(Some(self.cache_status())),
        )
    }

    fn json(&self) -> String {
        let at = DateTime::from_timestamp_millis(self.at.unix_millis()).unwrap_or_default();
        serde_json::json!({
            "at": at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            "client": self.client.to_string(),
            "method": self.method.as_str(),
            "host": self.host,
            "target": self.target,
            "protocol": format!("{:?}", self.version),
            "status": self.status.as_u16(),
            "bytes": self.bytes,
            "outcome": self.outcome.as_str(),
            "seconds": self.took_micros as f64 / 1e6,
            "referer": Line::field(self.request, REFERER),
            "user_agent": Line::field(self.request, USER_AGENT),
            "cache_status": self.cache_status(),
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn with_line<T>(check: impl FnOnce(&Line<'_>) -> T) -> T {
        let mut request = HeaderMap::new();
        request.insert(USER_AGENT, HeaderValue::from_static("curl \"8\""));
        let mut response = HeaderMap::new();
        response.insert(CACHE_STATUS, HeaderValue::from_static("tero; hit; ttl=3"));
        check(&Line {
            at: Timestamp::from_unix_secs(1_795_608_000),
            client: IpAddr::from([10, 0, 0, 1]),
            method: &Method::GET,
            target: "/a?b=c",
            version: Version::HTTP_11,
            host: "a.example",
            request: &request,
            status: StatusCode::OK,
            response: &response,
            bytes: Some(12),
            outcome: Outcome::Hit,
            took_micros: 1_500,
        })
    }

    #[test]
    fn a_combined_line_is_what_log_readers_expect() {
        let expected =
            r#"10.0.0.1 - - [25/Nov/2026:12:00:00 +0000] "GET /a?b=c HTTP/1.1" 200 12 "-" "curl \"8\"" "tero; hit; ttl=3""#;
        assert_eq!(with_line(|line| line.combined()), expected);
    }

    #[test]
    fn a_json_line_is_json() {
        let line: serde_json::Value = serde_json::from_str(&with_line(|line| line.json())).unwrap();
        assert_eq!(line["outcome"], "hit");
        assert_eq!(line["seconds"], 0.0015);
        assert_eq!(line["user_agent"], "curl \"8\"");
    }

    #[test]
    fn lines_reach_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let log = AccessLog::start(&path, AccessLogFormat::Combined).unwrap();
        with_line(|line| log.write(line));
        drop(log);
        // The writer ends when the log is dropped; the file is read until the line is there.
        while std::fs::read_to_string(&path).unwrap().lines().count() < 1 {
            std::thread::yield_now();
        }
    }
}
