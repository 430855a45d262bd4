//! Reads a line of an access log: tero's JSON, or Apache's common and combined formats with
//! anything after them.

use chrono::DateTime;
use http::{HeaderValue, Method, StatusCode};
use serde::Deserialize;

use tero_semantics::timestamp::Timestamp;

/// What a log says about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedRequest {
    /// The time of the request.
    pub at: Timestamp,
    /// The request method.
    pub method: Method,
    /// The host in lower case, without port; only JSON has it.
    pub host: Option<String>,
    /// The path and query.
    pub target: String,
    /// The status of the response.
    pub status: StatusCode,
    /// The length of the response's content, in bytes.
    pub bytes: Option<u64>,
    /// The field `User-Agent`.
    pub user_agent: Option<HeaderValue>,
    /// The field `Referer`.
    pub referer: Option<HeaderValue>,
}

/// A line as tero writes it.
#[derive(Deserialize)]
struct JsonLine {
    at: String,
    method: String,
    host: String,
    target: String,
    status: u16,
    bytes: Option<u64>,
    referer: Option<String>,
    user_agent: Option<String>,
}

/// Reads a line; `None` if it is in no known format.
pub fn parse(line: &str) -> Option<LoggedRequest> {
    if line.starts_with('{') {
        json(line)
    } else {
        combined(line)
    }
}

fn json(line: &str) -> Option<LoggedRequest> {
    let read: JsonLine = serde_json::from_str(line).ok()?;
    Some(LoggedRequest {
        at: Timestamp::from_unix_millis(
            DateTime::parse_from_rfc3339(&read.at)
                .ok()?
                .timestamp_millis(),
        ),
        method: read.method.parse().ok()?,
        host: Some(read.host).filter(|host| !host.is_empty()),
        target: target(&read.target)?,
        status: StatusCode::from_u16(read.status).ok()?,
        bytes: read.bytes,
        user_agent: value(read.user_agent.as_deref()),
        referer: value(read.referer.as_deref()),
    })
}

/// Reads `CLIENT IDENT USER [TIME] "METHOD TARGET PROTOCOL" STATUS BYTES "REFERER" "USER AGENT"`.
/// The last two may be missing.
fn combined(line: &str) -> Option<LoggedRequest> {
    let (_, rest) = line.split_once('[')?;
    let (time, rest) = rest.split_once(']')?;
    let (request, rest) = quoted(rest)?;
    let mut words = request.split(' ');
    let (method, target_word) = (words.next()?, words.next()?);
    let mut numbers = rest.split_ascii_whitespace();
    let (status, bytes) = (numbers.next()?, numbers.next()?);
    let referer = quoted(rest);
    let user_agent = referer.as_ref().and_then(|(_, rest)| quoted(rest));
    Some(LoggedRequest {
        at: Timestamp::from_unix_secs(
            DateTime::parse_from_str(time, "%d/%b/%Y:%H:%M:%S %z")
                .ok()?
                .timestamp(),
        ),
        method: method.parse().ok()?,
        host: None,
        target: target(target_word)?,
        status: status.parse().ok()?,
        bytes: bytes.parse().ok(),
        user_agent: value(user_agent.as_ref().map(|(text, _)| text.as_str())),
        referer: value(referer.as_ref().map(|(text, _)| text.as_str())),
    })
}

/// The next text in quotes, and the rest of the line. A backslash escapes the character after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let start = text.find('"')? + 1;
    let mut plain = String::new();
    let mut chars = text[start..].char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((plain, &text[start + at + 1..])),
            '\\' => plain.extend(chars.next().map(|(_, char)| char)),
            char => plain.push(char),
        }
    }
    None
}

/// A path with its query, as a visitor could send it. A fragment is left out: servers log it
/// unchecked.
fn target(text: &str) -> Option<String> {
    let uri: http::Uri = text.parse().ok().filter(|_| text.starts_with('/'))?;
    Some(uri.path_and_query()?.as_str().to_owned())
}

fn value(text: Option<&str>) -> Option<HeaderValue> {
    text.filter(|text| !matches!(*text, "" | "-"))
        .and_then(|text| HeaderValue::from_bytes(text.as_bytes()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_config::AccessLogFormat;
    use tero_edge::telemetry::access_log::{
        AccessLogLine, AnswerFacts, LineFormat, LineOutcome, SentResponse,
    };

    const TIME: i64 = 1_795_607_940;

    #[test]
    fn each_format_is_read() {
        let common =
            r#"10.0.0.1 - frank [25/Nov/2026:08:59:00 -0300] "GET /a?b=c HTTP/1.1" 200 12"#;
        let combined = format!(r#"{common} "-" "curl \"8\"" "tero; hit; ttl=3""#);
        let json = r#"{"at":"2026-11-25T11:59:00.000Z","client":"10.0.0.1","method":"GET","host":"a.example","target":"/a?b=c","protocol":"HTTP/1.1","status":200,"bytes":12,"outcome":"hit","seconds":0.1,"referer":null,"user_agent":"curl \"8\"","cache_status":""}"#;
        let plain = LoggedRequest {
            at: Timestamp::from_unix_secs(TIME),
            method: Method::GET,
            host: None,
            target: "/a?b=c".to_owned(),
            status: StatusCode::OK,
            bytes: Some(12),
            user_agent: None,
            referer: None,
        };
        let curl = Some(HeaderValue::from_static("curl \"8\""));
        assert_eq!(parse(common), Some(plain.clone()));
        assert_eq!(
            parse(&combined),
            Some(LoggedRequest {
                user_agent: curl.clone(),
                ..plain.clone()
            })
        );
        assert_eq!(
            parse(json),
            Some(LoggedRequest {
                user_agent: curl,
                host: Some("a.example".to_owned()),
                ..plain.clone()
            })
        );
        assert_eq!(
            parse(&common.replace(" 12", " -")),
            Some(LoggedRequest {
                bytes: None,
                ..plain.clone()
            })
        );
        let spanish = Some(HeaderValue::from_bytes("añejo".as_bytes()).unwrap());
        assert_eq!(
            parse(&combined.replace("curl \\\"8\\\"", "añejo")),
            Some(LoggedRequest {
                user_agent: spanish,
                ..plain.clone()
            })
        );
        assert_eq!(parse(&common.replace("b=c", "b=c#\r\u{1}")), Some(plain));
    }

    #[test]
    fn malformed_lines_are_not_requests() {
        for line in [
            "",
            "{",
            "{}",
            "nonsense",
            "[",
            r#"x [25/Nov/2026:08:59:00 -0300] "GET"#,
            r#"x [25/Nov/2026:08:59:00 -0300] "GET /a HTTP/1.1" abc 1"#,
            r#"x [25/Nov/2026:08:59:00 -0300] "GET http://a/ HTTP/1.1" 200 1"#,
            r#"x [yesterday] "GET / HTTP/1.1" 200 1"#,
            r#"x [25/Nov/2026:08:59:00 -0300] "\x16\x03" 400 1"#,
            "x [25/Nov/2026:08:59:00 -0300] \"G\\",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_target_cannot_forge_the_rest_of_its_line() {
        let forged = r#"/a"_HTTP/1.1"_500_1_"\"#;
        assert!(forged.parse::<http::Uri>().is_ok(), "a client may send it");
        let (request, response) = (http::HeaderMap::new(), http::HeaderMap::new());
        let written = AccessLogLine {
            at: Timestamp::from_unix_secs(1_795_608_000),
            request_id: None,
            client: Some(std::net::IpAddr::from([10, 0, 0, 1])),
            peer: None,
            proxies: &[],
            method: Some(&http::Method::GET),
            target: forged,
            version: http::Version::HTTP_11,
            host: "a.example",
            request: &request,
            status: StatusCode::OK,
            response: &response,
            outcome: LineOutcome::Answered(tero_edge::telemetry::Outcome::Hit),
            took_micros: 1_500,
            tls: None,
            facts: AnswerFacts::default(),
        };
        let sent = SentResponse {
            bytes: 12,
            took_micros: 2_500,
        };
        for format in [AccessLogFormat::Combined, AccessLogFormat::Json] {
            let line = written.begin(&LineFormat::whole(format)).close(sent);
            let read = parse(&line).unwrap();
            assert_eq!(
                (read.target.as_str(), read.status, read.bytes),
                (forged, StatusCode::OK, Some(12)),
                "{line}"
            );
        }
    }
}
