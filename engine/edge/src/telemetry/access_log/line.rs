//! A line of the access log.

mod json;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chrono::DateTime;
use http::header::{HeaderName, REFERER, USER_AGENT};
use http::{HeaderMap, Method, StatusCode, Version};

use super::LineFormat;
use crate::telemetry::Outcome;
use json::ClosingFields;
use tero_config::{AccessLogFormat, ClientAddressForm};
use tero_semantics::cache_status::CACHE_STATUS;
use tero_semantics::timestamp::Timestamp;

/// A request and the head of its response, as the log shows them.
#[derive(Debug)]
pub struct AccessLogLine<'a> {
    /// When the request was received.
    pub at: Timestamp,
    /// The id of the request; `None` if the line doesn't have it.
    pub request_id: Option<&'a str>,
    /// The address of the client; `None` if it is unknown.
    pub client: Option<IpAddr>,
    /// The address that opened the connection; `None` if it has none.
    pub peer: Option<IpAddr>,
    /// The trusted proxies on the way, the nearest last.
    pub proxies: &'a [IpAddr],
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
    /// What became of the request.
    pub outcome: LineOutcome,
    /// Microseconds until the head of the response was made.
    pub took_micros: u64,
    /// The client's TLS; `None` without.
    pub tls: Option<LoggedTls<'a>>,
    /// What is known of a request that was let in.
    pub facts: AnswerFacts<'a>,
}

/// The TLS that a client speaks. Each is `None` if it is not known.
#[derive(Clone, Copy, Debug)]
pub struct LoggedTls<'a> {
    /// The version.
    pub version: Option<&'a str>,
    /// The cipher suite.
    pub cipher: Option<&'a str>,
    /// The name that the client asked for (SNI).
    pub server_name: Option<&'a str>,
}

/// What is known of a request that was let in, and of its answer. All of it is `None` or false for
/// others.
#[derive(Clone, Debug, Default)]
pub struct AnswerFacts<'a> {
    /// The scheme by which the client asked.
    pub scheme: Option<&'a str>,
    /// The authority that it asked for.
    pub authority: Option<&'a str>,
    /// The site.
    pub site: Option<&'a str>,
    /// The name of the route.
    pub route: Option<&'a str>,
    /// The class of its device; `None` where no policy asks for it.
    pub device: Option<&'a str>,
    /// The variant that the policies chose.
    pub variant: Option<&'a str>,
    /// The word that the policies gave for the log.
    pub log_tag: Option<&'a str>,
    /// What the policies gave as a reason.
    pub policy_reason: Option<&'a str>,
    /// Why the request went forward.
    pub forward: Option<&'a str>,
    /// Another request's fetch brought the answer.
    pub collapsed: bool,
    /// The answer was stored, or is on its way there.
    pub stored: bool,
    /// Why the answer was not stored.
    pub not_stored: Option<&'a str>,
    /// The limit that it was over.
    pub limit: Option<&'a str>,
    /// What went wrong.
    pub failure: Option<&'a str>,
    /// The age of the stored response, in seconds.
    pub age_secs: Option<u64>,
    /// The rest of its freshness lifetime, in seconds.
    pub ttl_secs: Option<i64>,
    /// The origin that answered this request.
    pub origin: Option<&'a str>,
    /// Its status.
    pub origin_status: Option<StatusCode>,
    /// Microseconds to the head of its response.
    pub origin_micros: Option<u64>,
}

/// What became of a request, as the log says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineOutcome {
    /// It was answered.
    Answered(Outcome),
    /// It was refused.
    Refused,
    /// Its connection ended before there was an answer.
    Abandoned,
}

impl LineOutcome {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            LineOutcome::Answered(outcome) => outcome.as_str(),
            LineOutcome::Refused => "refused",
            LineOutcome::Abandoned => "abandoned",
        }
    }
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
    /// What of [`SentResponse`] a line of JSON tells.
    closing: ClosingFields,
    /// The text before the facts of [`SentResponse`], and after them.
    before: String,
    after: String,
}

impl AccessLogLine<'_> {
    /// Begins a line in this format.
    pub fn begin(&self, format: &LineFormat) -> OpenLine {
        let (before, after) = match format.format {
            AccessLogFormat::Combined => self.combined(format.client_address),
            AccessLogFormat::Json => (json::begin(self, format), String::new()),
        };
        OpenLine {
            format: format.format,
            closing: ClosingFields::of(format),
            before,
            after,
        }
    }

    /// The field `Cache-Status` of the response.
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
    fn combined(&self, addresses: ClientAddressForm) -> (String, String) {
        let at = DateTime::from_timestamp(self.at.unix_secs(), 0).unwrap_or_default();
        let request = match self.method {
            Some(method) => format!("{method} {} {:?}", escaped(self.target), self.version),
            None => "-".to_owned(),
        };
        let client = match self.client {
            Some(client) => shown(client, addresses).to_string(),
            None => "-".to_owned(),
        };
        let before = format!(
            "{client} - - [{}] \"{request}\" {} ",
            at.format("%d/%b/%Y:%H:%M:%S +0000"),
            self.status.as_u16(),
        );
        let after = format!(
            " \"{}\" \"{}\" \"{}\"",
            escaped_or_dash(header(self.request, &REFERER)),
            escaped_or_dash(header(self.request, &USER_AGENT)),
            escaped(&self.cache_status()),
        );
        (before, after)
    }
}

impl OpenLine {
    /// The whole line.
    pub fn close(self, sent: SentResponse) -> String {
        let mut line = self.before;
        match self.format {
            AccessLogFormat::Combined => {
                // A string takes all that is written to it.
                let _ = write!(line, "{}", sent.bytes);
                line.push_str(&self.after);
                line
            }
            AccessLogFormat::Json => json::end(line, self.closing, sent),
        }
    }
}

/// The first line of a field, as text.
fn header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Cow<'h, str>> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()))
}

/// A time with milliseconds (RFC 3339).
fn rfc3339(at: Timestamp) -> String {
    let at = DateTime::from_timestamp_millis(at.unix_millis()).unwrap_or_default();
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// An address as the log tells it.
fn shown(address: IpAddr, form: ClientAddressForm) -> IpAddr {
    match (form, address.to_canonical()) {
        (ClientAddressForm::Full, _) => address,
        (ClientAddressForm::Shortened, IpAddr::V4(address)) => {
            Ipv4Addr::from_bits(address.to_bits() & !0 << 8).into()
        }
        (ClientAddressForm::Shortened, IpAddr::V6(address)) => {
            Ipv6Addr::from_bits(address.to_bits() & !0 << 80).into()
        }
    }
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
    use tero_config::AccessLogField;

    use super::*;

    const SENT: SentResponse = SentResponse {
        bytes: 12,
        took_micros: 2_000_000,
    };

    fn line(format: &LineFormat, method: Option<&Method>) -> String {
        let mut request = HeaderMap::new();
        request.insert(USER_AGENT, HeaderValue::from_static("curl \"8\""));
        let mut response = HeaderMap::new();
        response.insert(CACHE_STATUS, HeaderValue::from_static("tero; hit; ttl=3"));
        let line = AccessLogLine {
            at: Timestamp::from_unix_secs(1_795_608_000),
            request_id: Some("7f"),
            client: Some(IpAddr::from([10, 0, 0, 1])),
            peer: Some(IpAddr::from([10, 0, 9, 9])),
            proxies: &["2001:db8:1:2::3".parse().unwrap()],
            method,
            target: if method.is_some() { "/a?b=c" } else { "" },
            version: Version::HTTP_11,
            host: "a.example",
            request: &request,
            status: StatusCode::OK,
            response: &response,
            outcome: match method {
                Some(_) => LineOutcome::Answered(Outcome::Hit),
                None => LineOutcome::Refused,
            },
            took_micros: 1_500,
            tls: None,
            facts: AnswerFacts {
                site: Some("shop"),
                age_secs: Some(2),
                ttl_secs: Some(-1),
                ..AnswerFacts::default()
            },
        };
        line.begin(format).close(SENT)
    }

    #[test]
    fn a_combined_line_has_the_format_that_log_readers_expect() {
        let expected = r#"10.0.0.1 - - [25/Nov/2026:12:00:00 +0000] "GET /a?b=c HTTP/1.1" 200 12 "-" "curl \"8\"" "tero; hit; ttl=3""#;
        let mut combined = LineFormat::whole(AccessLogFormat::Combined);
        assert_eq!(line(&combined, Some(&Method::GET)), expected);
        assert_eq!(
            line(&combined, None),
            expected.replace("GET /a?b=c HTTP/1.1", "-")
        );
        combined.client_address = ClientAddressForm::Shortened;
        assert_eq!(
            line(&combined, Some(&Method::GET)),
            expected.replace("10.0.0.1", "10.0.0.0")
        );
    }

    #[test]
    fn addresses_are_shortened_to_their_network() {
        for (address, network) in [
            ("192.0.2.255", "192.0.2.0"),
            ("::ffff:192.0.2.255", "192.0.2.0"),
            ("2001:db8:1:2:3::4", "2001:db8:1::"),
            ("::1", "::"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(shown(address, ClientAddressForm::Full), address);
            let shortened = shown(address, ClientAddressForm::Shortened);
            assert_eq!(shortened.to_string(), network, "{address}");
        }
    }

    #[test]
    fn a_json_line_has_the_chosen_fields_in_their_order() {
        let fields = |fields: &[AccessLogField]| LineFormat {
            fields: fields.to_vec(),
            client_address: ClientAddressForm::Shortened,
            ..LineFormat::whole(AccessLogFormat::Json)
        };
        for (chosen, expected) in [
            (
                &[AccessLogField::Status, AccessLogField::At][..],
                r#"{"status":200,"at":"2026-11-25T12:00:00.000Z"}"#,
            ),
            (&[AccessLogField::Bytes], r#"{"bytes":12}"#),
            (
                &[
                    AccessLogField::TotalSeconds,
                    AccessLogField::Peer,
                    AccessLogField::Proxies,
                ],
                r#"{"peer":"10.0.9.0","proxies":["2001:db8:1::"],"total_seconds":2.0}"#,
            ),
            (
                &[
                    AccessLogField::Age,
                    AccessLogField::Ttl,
                    AccessLogField::Origin,
                ],
                r#"{"age":2,"ttl":-1,"origin":null}"#,
            ),
        ] {
            assert_eq!(line(&fields(chosen), Some(&Method::GET)), expected);
        }
        let whole = line(&LineFormat::whole(AccessLogFormat::Json), None);
        let read: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&whole).unwrap();
        assert_eq!(read.len(), AccessLogField::ALL.len(), "{whole}");
    }

    #[test]
    fn a_json_line_parses() {
        let of = |method| {
            let text = line(&LineFormat::whole(AccessLogFormat::Json), method);
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
