//! A line of the access log.

use std::borrow::Cow;
use std::net::IpAddr;

use chrono::DateTime;
use http::header::{REFERER, USER_AGENT};
use http::{HeaderMap, Method, StatusCode, Version};

use crate::telemetry::Outcome;
use tero_semantics::cache_status::CACHE_STATUS;
use tero_semantics::timestamp::Timestamp;

/// A request and its response, as the log shows them.
#[derive(Debug)]
pub struct AccessLogLine<'a> {
    /// When the request was received.
    pub at: Timestamp,
    /// The address of the client.
    pub client: IpAddr,
    /// The method.
    pub method: &'a Method,
    /// Path and query as received.
    pub target: &'a str,
    /// The protocol version of the request.
    pub version: Version,
    /// The requested host.
    pub host: &'a str,
    /// The fields of the request.
    pub request: &'a HeaderMap,
    /// The status of the response.
    pub status: StatusCode,
    /// The fields of the response.
    pub response: &'a HeaderMap,
    /// The length of the content in bytes, if it is known beforehand.
    pub bytes: Option<u64>,
    /// How the request was answered.
    pub outcome: Outcome,
    /// Microseconds until the head of the response was made.
    pub took_micros: u64,
}

impl AccessLogLine<'_> {
    fn field(headers: &HeaderMap, name: impl http::header::AsHeaderName) -> Option<String> {
        headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
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

    /// The line in Apache's combined format, followed by `Cache-Status`. In quoted text, a
    /// backslash stands before quotes and backslashes.
    pub fn combined(&self) -> String {
        let at = DateTime::from_timestamp(self.at.unix_secs(), 0).unwrap_or_default();
        let bytes = self
            .bytes
            .map_or_else(|| "-".into(), |bytes| bytes.to_string());
        format!(
            "{} - - [{}] \"{} {} {:?}\" {} {} \"{}\" \"{}\" \"{}\"",
            self.client,
            at.format("%d/%b/%Y:%H:%M:%S +0000"),
            self.method,
            escaped(self.target),
            self.version,
            self.status.as_u16(),
            bytes,
            escaped_or_dash(AccessLogLine::field(self.request, REFERER)),
            escaped_or_dash(AccessLogLine::field(self.request, USER_AGENT)),
            escaped(&self.cache_status()),
        )
    }

    /// The line as a JSON object.
    pub fn json(&self) -> String {
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
            "referer": AccessLogLine::field(self.request, REFERER),
            "user_agent": AccessLogLine::field(self.request, USER_AGENT),
            "cache_status": self.cache_status(),
        })
        .to_string()
    }
}

fn escaped_or_dash(text: Option<String>) -> String {
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

    fn with_line<T>(target: &str, check: impl FnOnce(&AccessLogLine<'_>) -> T) -> T {
        let mut request = HeaderMap::new();
        request.insert(USER_AGENT, HeaderValue::from_static("curl \"8\""));
        let mut response = HeaderMap::new();
        response.insert(CACHE_STATUS, HeaderValue::from_static("tero; hit; ttl=3"));
        check(&AccessLogLine {
            at: Timestamp::from_unix_secs(1_795_608_000),
            client: IpAddr::from([10, 0, 0, 1]),
            method: &Method::GET,
            target,
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
    fn a_combined_line_has_the_format_that_log_readers_expect() {
        let expected = r#"10.0.0.1 - - [25/Nov/2026:12:00:00 +0000] "GET /a?b=c HTTP/1.1" 200 12 "-" "curl \"8\"" "tero; hit; ttl=3""#;
        assert_eq!(with_line("/a?b=c", |line| line.combined()), expected);
    }

    #[test]
    fn a_json_line_parses() {
        let line: serde_json::Value =
            serde_json::from_str(&with_line("/a?b=c", |line| line.json())).unwrap();
        assert_eq!(line["outcome"], "hit");
        assert_eq!(line["seconds"], 0.0015);
        assert_eq!(line["user_agent"], "curl \"8\"");
    }
}
