//! A line of the access log.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use chrono::DateTime;
use http::header::{REFERER, USER_AGENT};
use http::{HeaderMap, Method, StatusCode, Version};
use serde::Serialize;

use crate::telemetry::Outcome;
use tero_config::AccessLogFormat;
use tero_semantics::cache_status::CACHE_STATUS;
use tero_semantics::timestamp::Timestamp;

/// A request and the head of its response, as the log shows them.
#[derive(Debug)]
pub struct AccessLogLine<'a> {
    /// When the request was received.
    pub at: Timestamp,
    /// The address of the client.
    pub client: IpAddr,
    /// The method; `None` for a request that could not be read.
    pub method: Option<&'a Method>,
    /// Path and query as received; empty for a request that could not be read.
    pub target: &'a str,
    /// The protocol version of the request.
    pub version: Version,
    /// The requested host; empty if it is unknown.
    pub host: &'a str,
    /// The fields of the request.
    pub request: &'a HeaderMap,
    /// The status of the response.
    pub status: StatusCode,
    /// The fields of the response.
    pub response: &'a HeaderMap,
    /// How the request was answered; `None` if it was refused.
    pub outcome: Option<Outcome>,
    /// Microseconds until the head of the response was made.
    pub took_micros: u64,
}

/// What is known of a response once it has been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentResponse {
    /// Bytes of its content that were sent.
    pub bytes: u64,
    /// Microseconds from the request to the last byte.
    pub took_micros: u64,
}

/// A line whose response is still being sent.
#[derive(Debug)]
pub struct OpenLine {
    format: AccessLogFormat,
    /// The text before the facts of [`SentResponse`], and after them.
    before: String,
    after: String,
}

/// The part of a JSON line that is known when the head of the response is made.
#[derive(Serialize)]
struct JsonHead<'a> {
    at: String,
    client: IpAddr,
    method: &'a str,
    host: &'a str,
    target: &'a str,
    protocol: String,
    status: u16,
    outcome: &'static str,
    referer: Option<Cow<'a, str>>,
    user_agent: Option<Cow<'a, str>>,
    cache_status: String,
    seconds: f64,
}

impl AccessLogLine<'_> {
    /// Begins a line in this format.
    pub fn begin(&self, format: AccessLogFormat) -> OpenLine {
        let (before, after) = match format {
            AccessLogFormat::Combined => self.combined(),
            AccessLogFormat::Json => (self.json(), String::new()),
        };
        OpenLine {
            format,
            before,
            after,
        }
    }

    fn cache_status(&self) -> String {
        let lines: Vec<_> = self
            .response
            .get_all(CACHE_STATUS)
            .iter()
            .map(|line| String::from_utf8_lossy(line.as_bytes()))
            .collect();
        lines.join(", ")
    }

    /// The line in Apache's combined format, followed by `Cache-Status`, before and after the bytes.
    /// In quoted text, a backslash stands before quotes and backslashes. A request that could not be
    /// read is `-`, as Apache writes it.
    fn combined(&self) -> (String, String) {
        let at = DateTime::from_timestamp(self.at.unix_secs(), 0).unwrap_or_default();
        let request = match self.method {
            Some(method) => format!("{method} {} {:?}", escaped(self.target), self.version),
            None => "-".to_owned(),
        };
        let before = format!(
            "{} - - [{}] \"{request}\" {} ",
            self.client,
            at.format("%d/%b/%Y:%H:%M:%S +0000"),
            self.status.as_u16(),
        );
        let after = format!(
            " \"{}\" \"{}\" \"{}\"",
            escaped_or_dash(field(self.request, REFERER)),
            escaped_or_dash(field(self.request, USER_AGENT)),
            escaped(&self.cache_status()),
        );
        (before, after)
    }

    /// The line as a JSON object, without its end.
    fn json(&self) -> String {
        let at = DateTime::from_timestamp_millis(self.at.unix_millis()).unwrap_or_default();
        let head = JsonHead {
            at: at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            client: self.client,
            method: self.method.map_or("", Method::as_str),
            host: self.host,
            target: self.target,
            protocol: format!("{:?}", self.version),
            status: self.status.as_u16(),
            outcome: self.outcome.map_or("refused", Outcome::as_str),
            referer: field(self.request, REFERER),
            user_agent: field(self.request, USER_AGENT),
            cache_status: self.cache_status(),
            seconds: self.took_micros as f64 / 1e6,
        };
        let mut json = serde_json::to_string(&head).unwrap_or_default();
        json.pop();
        json
    }
}

impl OpenLine {
    /// The whole line.
    pub fn close(self, sent: SentResponse) -> String {
        let mut line = self.before;
        // A string takes all that is written to it.
        let _ = match self.format {
            AccessLogFormat::Combined => write!(line, "{}", sent.bytes),
            AccessLogFormat::Json => write!(
                line,
                ",\"bytes\":{},\"total_seconds\":{}}}",
                sent.bytes,
                sent.took_micros as f64 / 1e6
            ),
        };
        line.push_str(&self.after);
        line
    }
}

fn field(headers: &HeaderMap, name: impl http::header::AsHeaderName) -> Option<Cow<'_, str>> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()))
}

fn escaped_or_dash(text: Option<Cow<'_, str>>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| escaped(&text).into_owned())
}

/// Text for quotes: with a backslash before quotes and backslashes.
fn escaped(text: &str) -> Cow<'_, str> {
    if text.contains(['\\', '"']) {
        text.replace('\\', "\\\\").replace('"', "\\\"").into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const SENT: SentResponse = SentResponse {
        bytes: 12,
        took_micros: 2_000_000,
    };

    fn line(format: AccessLogFormat, method: Option<&Method>) -> String {
        let mut request = HeaderMap::new();
        request.insert(USER_AGENT, HeaderValue::from_static("curl \"8\""));
        let mut response = HeaderMap::new();
        response.insert(CACHE_STATUS, HeaderValue::from_static("tero; hit; ttl=3"));
        let line = AccessLogLine {
            at: Timestamp::from_unix_secs(1_795_608_000),
            client: IpAddr::from([10, 0, 0, 1]),
            method,
            target: if method.is_some() { "/a?b=c" } else { "" },
            version: Version::HTTP_11,
            host: "a.example",
            request: &request,
            status: StatusCode::OK,
            response: &response,
            outcome: method.map(|_| Outcome::Hit),
            took_micros: 1_500,
        };
        line.begin(format).close(SENT)
    }

    #[test]
    fn a_combined_line_has_the_format_that_log_readers_expect() {
        let expected = r#"10.0.0.1 - - [25/Nov/2026:12:00:00 +0000] "GET /a?b=c HTTP/1.1" 200 12 "-" "curl \"8\"" "tero; hit; ttl=3""#;
        let combined = AccessLogFormat::Combined;
        assert_eq!(line(combined, Some(&Method::GET)), expected);
        assert_eq!(
            line(combined, None),
            expected.replace("GET /a?b=c HTTP/1.1", "-")
        );
    }

    #[test]
    fn a_json_line_parses() {
        let of = |method| {
            let text = line(AccessLogFormat::Json, method);
            serde_json::from_str::<serde_json::Value>(&text).unwrap()
        };
        let line = of(Some(&Method::GET));
        assert_eq!(line["outcome"], "hit");
        assert_eq!(line["seconds"], 0.0015);
        assert_eq!(line["total_seconds"], 2.0);
        assert_eq!(line["bytes"], 12);
        assert_eq!(line["user_agent"], "curl \"8\"");
        let refused = of(None);
        assert_eq!(
            (&refused["method"], &refused["target"]),
            (&"".into(), &"".into())
        );
        assert_eq!(refused["outcome"], "refused");
    }
}
