//! Answers of our own: refusals and errors to statuses, with what the client reads kept apart from what the log reads.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use super::Edge;
use super::admit::Refused;
use super::body::EdgeBody;
use crate::origin::OriginError;
use crate::telemetry::cache_status::{CacheStatus, Forward};

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
    /// An error of the next hop: 504 where time ran out, 503 where we hold back, else 502 (RFC 9110 §15.6).
    pub(super) fn of(error: &OriginError) -> Failure {
        let status = match error {
            _ if error.is_timeout() => StatusCode::GATEWAY_TIMEOUT,
            OriginError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            OriginError::RequestBody { .. } => StatusCode::BAD_REQUEST,
            _ => StatusCode::BAD_GATEWAY,
        };
        Failure { status, origin_status: None, reason: error.as_str(), retry_after: None }
    }

    /// The edge is going down.
    pub(super) fn shutting_down() -> Failure {
        let (status, reason) = (StatusCode::SERVICE_UNAVAILABLE, "the edge is shutting down");
        Failure { status, origin_status: None, reason, retry_after: None }
    }

    /// An answer of the next hop that is itself an error (RFC 5861 §4).
    pub(super) fn status(status: StatusCode, retry_after: Option<Duration>) -> Failure {
        Failure { status, origin_status: Some(status), reason: "origin answered with an error", retry_after }
    }
}

/// The answer where a fetch failed and nothing stale may be served.
pub(super) fn failed(edge: &Edge, failure: Failure, forward: Forward) -> Response<EdgeBody> {
    let status = CacheStatus { forward: Some(forward), details: [Some(failure.reason), None], ..CacheStatus::default() };
    plain(edge, failure.status, failure.reason, &status)
}

/// The answer to a request that was not let in. Nothing of it has been forwarded.
pub(super) fn refused(edge: &Edge, refused: Refused) -> Response<EdgeBody> {
    let reason = refused.to_string();
    let code = match refused {
        Refused::BadHost | Refused::BadTarget => StatusCode::BAD_REQUEST,
        Refused::TooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Refused::Method => StatusCode::METHOD_NOT_ALLOWED,
        Refused::Loop => StatusCode::LOOP_DETECTED,
        Refused::UnknownHost => StatusCode::MISDIRECTED_REQUEST,
    };
    let status = CacheStatus { details: [Some(&reason), None], ..CacheStatus::default() };
    let mut response = plain(edge, code, &reason, &status);
    if code == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    }
    if matches!(code, StatusCode::BAD_REQUEST | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The answer to `only-if-cached` where nothing stored will do (RFC 9111 §5.2.1.7).
pub(super) fn only_if_cached(edge: &Edge) -> Response<EdgeBody> {
    let reason = "only-if-cached, and nothing stored will do";
    let status = CacheStatus { details: [Some(reason), None], ..CacheStatus::default() };
    plain(edge, StatusCode::GATEWAY_TIMEOUT, reason, &status)
}

fn plain(edge: &Edge, code: StatusCode, reason: &str, status: &CacheStatus<'_>) -> Response<EdgeBody> {
    let mut response = Response::new(EdgeBody::owned(vec![Bytes::from(format!("{code}: {reason}\n"))]));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    status.append_to(headers, &edge.name);
    response
}
