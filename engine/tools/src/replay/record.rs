//! One request as an access log tells it, and a line that tells none.
//!
//! A log knows less than the server did. [`LogRecord`] says `None` where its line says nothing, and
//! has methods for what is assumed instead: [`LogRecord::scheme_or`], [`LogRecord::host_or`],
//! [`LogRecord::representation_bytes`].

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, ETAG, REFERER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use tero_semantics::authority::Scheme;
use tero_semantics::timestamp::Timestamp;

/// The length that a response's head is assumed to have, in bytes, where a log counts head and
/// content as one number (CloudFront, Cloudflare).
pub const ASSUMED_HEAD_BYTES: u64 = 400;

/// What a log says about a request and its response.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// When the request came. Formats differ in precision: a second (combined, W3C) or finer.
    pub at: Timestamp,
    /// The request method.
    pub method: Method,
    /// The scheme.
    pub scheme: Option<Scheme>,
    /// The host in lower case, without port and trailing dot.
    pub host: Option<Box<str>>,
    /// Path and query as the client sent them. It begins with `/` and is a valid target.
    pub target: Box<str>,
    /// The status of the response.
    pub status: StatusCode,
    /// Bytes that were sent to the client, after content coding.
    pub bytes: Option<u64>,
    /// [`LogRecord::bytes`] counts the response's head too.
    pub bytes_have_head: bool,
    /// What the logging server's own cache did.
    pub cache: Option<LoggedCache>,
    /// From the request to the last byte of the response.
    pub took: Option<Duration>,
    /// How long the origin took for its head, if it was asked.
    pub origin_took: Option<Duration>,
    /// The client's address. It may be shortened or made up: logs are often made anonymous.
    pub client: Option<IpAddr>,
    /// The request fields that the line has, such as `User-Agent`, `Referer`, `Accept-Encoding`.
    pub request: HeaderMap,
    /// The response fields that the line has, such as `Content-Type`, `ETag`, `Cache-Control`, `Vary`.
    pub response: HeaderMap,
    /// Where the line stands.
    pub place: LinePlace,
}

/// What the cache of the logging server did about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LoggedCache {
    /// It answered with a fresh stored response.
    Hit,
    /// It answered with a stale one, without waiting for the origin.
    Stale,
    /// It asked the origin whether a stored response is still good.
    Revalidated,
    /// It asked the origin, since it had no stored response, or an expired one.
    Miss,
    /// It did not look: the request or the response is not cached.
    Pass,
    /// It answered by itself: a redirect, a refusal, an error.
    Own,
}

/// The place of a line: the number of its file, in the order in which files were named, from 0, and
/// the number of the line, from 1. Lines of a compressed file count as unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinePlace {
    /// The file.
    pub file: u32,
    /// The line; 0 for the file as a whole.
    pub line: u64,
}

/// A line that is not a request, or can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The name of the file, as it was given.
    pub file: Arc<str>,
    /// Where the line stands.
    pub place: LinePlace,
    /// What is wrong with it.
    pub fault: LineFault,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LineFault {
    /// It is longer than lines may be.
    TooLong,
    /// It has none of the known formats, or not the one that was named.
    Format,
    /// It has another number of fields than its format says: it was cut, or a client forged it.
    Fields,
    /// Its time is missing, or is not a time.
    Time,
    /// It is of no request: bytes that are not HTTP, `-`, or a method or target that is malformed.
    Request,
    /// Its status is missing, or is not a status.
    Status,
    /// Its time lies in the future.
    Future,
    /// Lines of a later time have already been handed over: it is more out of order than the reader
    /// waits for.
    Late,
    /// The file ends here, for this reason: it can't be read on.
    Broken(String),
}

impl LogRecord {
    /// The scheme, or the assumed one.
    pub fn scheme_or(&self, assumed: Scheme) -> Scheme {
        self.scheme.unwrap_or(assumed)
    }

    /// The host, or the assumed one.
    pub fn host_or<'r>(&'r self, assumed: &'r str) -> &'r str {
        self.host.as_deref().unwrap_or(assumed)
    }

    /// The target's path.
    pub fn path(&self) -> &str {
        self.split_target().0
    }

    /// The target's query, without `?`.
    pub fn query(&self) -> Option<&str> {
        self.split_target().1
    }

    fn split_target(&self) -> (&str, Option<&str>) {
        match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&self.target, None),
        }
    }

    /// The request field `User-Agent`.
    pub fn user_agent(&self) -> Option<&HeaderValue> {
        self.request.get(USER_AGENT)
    }

    /// The request field `Referer`.
    pub fn referer(&self) -> Option<&HeaderValue> {
        self.request.get(REFERER)
    }

    /// The response field `ETag`.
    pub fn etag(&self) -> Option<&HeaderValue> {
        self.response.get(ETAG)
    }

    /// The response field `Content-Type`.
    pub fn content_type(&self) -> Option<&HeaderValue> {
        self.response.get(CONTENT_TYPE)
    }

    /// The bytes of content that were sent; where the log counts the head too,
    /// [`ASSUMED_HEAD_BYTES`] fewer than it says.
    pub fn content_bytes(&self) -> Option<u64> {
        let head = if self.bytes_have_head {
            ASSUMED_HEAD_BYTES
        } else {
            0
        };
        self.bytes.map(|bytes| bytes.saturating_sub(head))
    }

    /// The length of the whole representation, in bytes, if the line tells it: answers to `HEAD`,
    /// 304 (Not Modified) and 206 (Partial Content) don't.
    pub fn representation_bytes(&self) -> Option<u64> {
        let tells = self.method != Method::HEAD
            && self.status != StatusCode::NOT_MODIFIED
            && self.status != StatusCode::PARTIAL_CONTENT;
        self.content_bytes().filter(|_| tells)
    }
}

impl LineFault {
    /// The name in reports.
    pub fn as_str(&self) -> &'static str {
        match self {
            LineFault::TooLong => "too long",
            LineFault::Format => "unknown format",
            LineFault::Fields => "wrong number of fields",
            LineFault::Time => "no time",
            LineFault::Request => "not a request",
            LineFault::Status => "no status",
            LineFault::Future => "in the future",
            LineFault::Late => "out of order",
            LineFault::Broken(_) => "unreadable file",
        }
    }
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineFault::Broken(error) => write!(f, "the file can't be read on: {error}"),
            fault => f.write_str(fault.as_str()),
        }
    }
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.line {
            0 => write!(f, "{}: {}", self.file, self.fault),
            line => write!(f, "{}:{line}: {}", self.file, self.fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> LogRecord {
        LogRecord {
            at: Timestamp::from_unix_secs(1),
            method: Method::GET,
            scheme: None,
            host: None,
            target: "/a?b".into(),
            status: StatusCode::OK,
            bytes: Some(1_000),
            bytes_have_head: false,
            cache: None,
            took: None,
            origin_took: None,
            client: None,
            request: HeaderMap::new(),
            response: HeaderMap::new(),
            place: LinePlace::default(),
        }
    }

    #[test]
    fn partial_and_empty_answers_do_not_tell_the_length() {
        let plain = record();
        assert_eq!(plain.representation_bytes(), Some(1_000));
        let with_head = LogRecord {
            bytes_have_head: true,
            ..record()
        };
        assert_eq!(with_head.representation_bytes(), Some(600));
        for (method, status) in [
            (Method::HEAD, StatusCode::OK),
            (Method::GET, StatusCode::NOT_MODIFIED),
            (Method::GET, StatusCode::PARTIAL_CONTENT),
        ] {
            let answer = LogRecord {
                method,
                status,
                ..record()
            };
            assert_eq!(answer.representation_bytes(), None);
            assert_eq!(answer.content_bytes(), Some(1_000));
        }
    }

    #[test]
    fn what_a_log_does_not_say_is_assumed() {
        let record = record();
        assert_eq!(record.host_or("a.example"), "a.example");
        assert_eq!(record.scheme_or(Scheme::Https), Scheme::Https);
        assert_eq!((record.path(), record.query()), ("/a", Some("b")));
    }

    #[test]
    fn a_bad_line_is_named_by_file_and_number() {
        let bad = |line, fault| BadLine {
            file: "a.log".into(),
            place: LinePlace { file: 0, line },
            fault,
        };
        assert_eq!(bad(7, LineFault::Time).to_string(), "a.log:7: no time");
        let broken = bad(0, LineFault::Broken("corrupt gzip".to_owned()));
        assert_eq!(
            broken.to_string(),
            "a.log: the file can't be read on: corrupt gzip"
        );
    }
}
