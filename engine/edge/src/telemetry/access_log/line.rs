//! A line of the access log.

use std::borrow::Cow;
use std::net::IpAddr;

use chrono::DateTime;
use http::header::{REFERER, USER_AGENT};
use http::{HeaderMap, Method, StatusCode, Version};

use crate::telemetry::Outcome;
use tero_semantics::cache_status::CACHE_STATUS;
use tero_semantics::timestamp::Timestamp;

/// A request and its answer, as the log tells them.
#[derive(Debug)]
pub struct AccessLogLine<'a> {
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

    /// Apache's combined format, and what the edge did behind it. Text in quotes has a backslash
    /// before its own quotes and backslashes.
    pub fn combined(&self) -> String {
        let at = DateTime::from_timestamp(self.at.unix_secs(), 0).unwrap_or_default();
        let bytes = self
            .bytes
            .map_or_else(|| "-".into(), |bytes| bytes.to_string());
        let quoted = |text: Option<String>| {
            text.map_or_else(|| "-".to_owned(), |text| escaped(&text).into_owned())
        };
        format!(
            "{} - - [{}] \"{} {} {:?}\" {} {} \"{}\" \"{}\" \"{}\"",
            self.client,
            at.format("%d/%b/%Y:%H:%M:%S +0000"),
            self.method,
            escaped(self.target),
            self.version,
            self.status.as_u16(),
            bytes,
            quoted(AccessLogLine::field(self.request, REFERER)),
            quoted(AccessLogLine::field(self.request, USER_AGENT)),
            quoted(Some(self.cache_status())),
        )
    }

    /// JSON.
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
    fn a_combined_line_is_what_log_readers_expect() {
        let expected = r#"10.0.0.1 - - [25/Nov/2026:12:00:00 +0000] "GET /a?b=c HTTP/1.1" 200 12 "-" "curl \"8\"" "tero; hit; ttl=3""#;
        assert_eq!(with_line("/a?b=c", |line| line.combined()), expected);
    }

    #[test]
    fn a_json_line_is_json() {
        let line: serde_json::Value =
            serde_json::from_str(&with_line("/a?b=c", |line| line.json())).unwrap();
        assert_eq!(line["outcome"], "hit");
        assert_eq!(line["seconds"], 0.0015);
        assert_eq!(line["user_agent"], "curl \"8\"");
    }
}
