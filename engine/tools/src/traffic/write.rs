//! Requests as lines of an access log.

use std::fmt::Write as _;

use chrono::DateTime;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, REFERER, USER_AGENT, VARY};
use http::{HeaderMap, HeaderName};
use serde::Serialize;

use crate::replay::record::LogRecord;
use tero_config::AccessLogFormat;

/// A line of JSON: the keys are those of tero's own lines.
#[derive(Serialize)]
struct LogLine<'r> {
    at: String,
    client: Option<String>,
    method: &'r str,
    scheme: Option<&'r str>,
    host: Option<&'r str>,
    target: &'r str,
    status: u16,
    bytes: Option<u64>,
    referer: Option<&'r str>,
    user_agent: Option<&'r str>,
    content_type: Option<&'r str>,
    cache_control: Option<&'r str>,
    vary: Option<&'r str>,
    etag: Option<&'r str>,
}

/// A request as a line, without a line break. The combined format has no host, no scheme and no
/// response fields, and times to the second.
pub fn line(record: &LogRecord, format: AccessLogFormat) -> String {
    match format {
        AccessLogFormat::Json => json(record),
        AccessLogFormat::Combined => combined(record),
    }
}

fn json(record: &LogRecord) -> String {
    let at = DateTime::from_timestamp_millis(record.at.unix_millis()).unwrap_or_default();
    let line = LogLine {
        at: at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        client: record.client.map(|client| client.to_string()),
        method: record.method.as_str(),
        scheme: record.scheme.map(tero_semantics::authority::Scheme::as_str),
        host: record.host.as_deref(),
        target: &record.target,
        status: record.status.as_u16(),
        bytes: record.content_bytes(),
        referer: text(&record.request, &REFERER),
        user_agent: text(&record.request, &USER_AGENT),
        content_type: text(&record.response, &CONTENT_TYPE),
        cache_control: text(&record.response, &CACHE_CONTROL),
        vary: text(&record.response, &VARY),
        etag: text(&record.response, &ETAG),
    };
    serde_json::to_string(&line).unwrap_or_default()
}

fn combined(record: &LogRecord) -> String {
    let at = DateTime::from_timestamp(record.at.unix_secs(), 0).unwrap_or_default();
    let client = record
        .client
        .map_or_else(|| "-".to_owned(), |client| client.to_string());
    let bytes = record
        .content_bytes()
        .map_or_else(|| "-".to_owned(), |bytes| bytes.to_string());
    let mut line = String::new();
    // A string takes all that is written to it.
    let _ = write!(
        line,
        "{client} - - [{}] \"{} {} HTTP/1.1\" {} {bytes} \"{}\" \"{}\"",
        at.format("%d/%b/%Y:%H:%M:%S +0000"),
        record.method,
        escaped(&record.target),
        record.status.as_u16(),
        escaped(text(&record.request, &REFERER).unwrap_or("-")),
        escaped(text(&record.request, &USER_AGENT).unwrap_or("-")),
    );
    line
}

fn text<'h>(fields: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    fields.get(name)?.to_str().ok()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
