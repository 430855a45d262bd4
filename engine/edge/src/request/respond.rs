//! Answers of our own: refusals and errors to statuses, with what the client reads kept apart from
//! what the log reads.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::Edge;
use super::admit::AdmissionRefusal;
use super::body::EdgeBody;
use crate::origin::OriginError;
use tero_semantics::cache_status::{CacheStatus, Forward};
use tero_semantics::http_date::date_value;
use tero_wire::Fault;

/// A fetch that brought nothing to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// What the client is told.
    pub status: StatusCode,
    /// What the next hop said, where it said something.
    pub origin_status: Option<StatusCode>,
    /// The reason, for people.
    pub reason: &'static str,
    /// How long the next hop wants to be left alone.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// An error of the next hop: 504 where time ran out, 503 where we hold back, else 502 (RFC 9110
    /// §15.6).
    pub(super) fn of(error: &OriginError) -> Failure {
        let status = match error {
            _ if error.is_timeout() => StatusCode::GATEWAY_TIMEOUT,
            OriginError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            OriginError::RequestBody { .. } => StatusCode::BAD_REQUEST,
            _ => StatusCode::BAD_GATEWAY,
        };
        Failure {
            status,
            origin_status: None,
            reason: error.as_str(),
            retry_after: None,
        }
    }

    /// The edge is going down.
    pub(super) fn shutting_down() -> Failure {
        let (status, reason) = (StatusCode::SERVICE_UNAVAILABLE, "the edge is shutting down");
        Failure {
            status,
            origin_status: None,
            reason,
            retry_after: None,
        }
    }

    /// As many tunnels as `max_tunnels` allows are open.
    pub(super) fn too_many_tunnels() -> Failure {
        let (status, reason) = (StatusCode::SERVICE_UNAVAILABLE, "too many tunnels");
        Failure {
            status,
            origin_status: None,
            reason,
            retry_after: None,
        }
    }

    /// The next hop has taken up another protocol than the one that was asked for.
    pub(super) fn of_upgrade() -> Failure {
        let origin_status = Some(StatusCode::SWITCHING_PROTOCOLS);
        let (status, reason) = (
            StatusCode::BAD_GATEWAY,
            "origin switched to another protocol",
        );
        Failure {
            status,
            origin_status,
            reason,
            retry_after: None,
        }
    }

    /// An answer of the next hop that is itself an error (RFC 5861 §4).
    pub(super) fn status(status: StatusCode, retry_after: Option<Duration>) -> Failure {
        Failure {
            status,
            origin_status: Some(status),
            reason: "origin answered with an error",
            retry_after,
        }
    }
}

/// The answer where a fetch failed and nothing stale may be served.
pub(super) fn failed(edge: &Edge, failure: Failure, forward: Forward) -> Response<EdgeBody> {
    let status = CacheStatus {
        forward: Some(forward),
        details: [Some(failure.reason), None],
        ..CacheStatus::default()
    };
    plain(edge, failure.status, failure.reason, &status)
}

/// The answer to a request that was not let in. Nothing of it has been forwarded.
pub(super) fn refused(edge: &Edge, refused: AdmissionRefusal) -> Response<EdgeBody> {
    let reason = refused.to_string();
    let code = match refused {
        AdmissionRefusal::BadHost | AdmissionRefusal::BadTarget => StatusCode::BAD_REQUEST,
        AdmissionRefusal::TooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        AdmissionRefusal::Expectation => StatusCode::EXPECTATION_FAILED,
        AdmissionRefusal::Method => StatusCode::METHOD_NOT_ALLOWED,
        AdmissionRefusal::Loop => StatusCode::LOOP_DETECTED,
        AdmissionRefusal::UnknownHost => StatusCode::MISDIRECTED_REQUEST,
    };
    let status = CacheStatus {
        details: [Some(&reason), None],
        ..CacheStatus::default()
    };
    let mut response = plain(edge, code, &reason, &status);
    if code == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(
            ALLOW,
            HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        );
    }
    if matches!(
        code,
        StatusCode::BAD_REQUEST | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    ) {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The answer to bytes that are no request; the connection ends with it.
pub fn refuse(edge: &Edge, fault: Fault) -> Response<EdgeBody> {
    match fault {
        Fault::UnknownCoding => ended(edge, StatusCode::NOT_IMPLEMENTED, &fault.to_string()),
        _ => ended(edge, StatusCode::BAD_REQUEST, &fault.to_string()),
    }
}

/// The answer to bytes that the parser refuses with this status; the connection ends with it.
pub fn refuse_as(edge: &Edge, code: StatusCode) -> Response<EdgeBody> {
    let reason = match code {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "the header is too long",
        StatusCode::URI_TOO_LONG => "the request target is too long",
        _ => "the request is malformed",
    };
    ended(edge, code, reason)
}

/// A refusal without content, since nobody can tell whether a HEAD was meant.
fn ended(edge: &Edge, code: StatusCode, reason: &str) -> Response<EdgeBody> {
    let mut response = Response::new(EdgeBody::Empty);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    headers.insert(DATE, date_value(edge.clock.now()));
    CacheStatus {
        details: [Some(reason), None],
        ..CacheStatus::default()
    }
    .append_to(headers, &edge.name);
    response
}

/// The head of a response, as it goes over the wire.
pub fn head_as_bytes(code: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {} {}\r\n",
        code.as_str(),
        code.canonical_reason().unwrap_or_default()
    )
    .into_bytes();
    for (name, value) in headers {
        write_field(&mut bytes, name, value);
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Writes the line of a field.
pub(super) fn write_field(bytes: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
        bytes.extend_from_slice(part);
    }
}

/// The answer to `only-if-cached` where nothing stored will do (RFC 9111 §5.2.1.7).
pub(super) fn only_if_cached(edge: &Edge) -> Response<EdgeBody> {
    let reason = "only-if-cached, and nothing stored will do";
    let status = CacheStatus {
        details: [Some(reason), None],
        ..CacheStatus::default()
    };
    plain(edge, StatusCode::GATEWAY_TIMEOUT, reason, &status)
}

fn plain(
    edge: &Edge,
    code: StatusCode,
    reason: &str,
    status: &CacheStatus<'_>,
) -> Response<EdgeBody> {
    let mut response = Response::new(EdgeBody::owned(vec![Bytes::from(format!(
        "{code}: {reason}\n"
    ))]));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    status.append_to(headers, &edge.name);
    response
}

/// An error with its causes, for the log.
pub(super) struct ErrorChain<'e>(pub &'e dyn std::error::Error);

impl std::fmt::Display for ErrorChain<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
