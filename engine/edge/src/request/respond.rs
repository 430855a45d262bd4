//! Answers of our own: refusals and errors to statuses, with what the client reads kept apart from
//! what the log reads.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::body::EdgeBody;
use super::deliver::edit;
use super::edge::Edge;
use super::failure::Failure;
use super::provenance::{Answer, Provenance, StatusFacts};
use super::rate_limits::ExceededLimit;
use super::refusal::AdmissionRefusal;
use super::request_id::RequestId;
use super::verdict::RuleAnswer;
use super::visit::Visit;
use crate::telemetry::rule_counters::RuleKind;
use tero_semantics::cache_status::{CacheStatus, Forward};
use tero_semantics::decision::PolicyAnswer;
use tero_semantics::http_date::date_value;
use tero_wire::Fault;

const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The methods that go to origins, for `Allow`.
pub(super) const ALLOWED_METHODS: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// The answer where nothing can be served.
pub(super) fn failed(visit: Visit<'_>, forward: Option<Forward>, failure: Failure) -> Answer {
    let provenance = Provenance::failed(forward, failure);
    let status = provenance.cache_status(StatusFacts::default());
    let id = visit.exchange.request_id();
    let mut response = plain(visit.edge, (failure.status, failure.reason), id, &status);
    if failure.status == StatusCode::REQUEST_TIMEOUT {
        // The rest of the content would follow (RFC 9110 §15.5.9).
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    edit(visit, response.headers_mut());
    Answer {
        response,
        provenance,
    }
}

/// The answer to a request that is over a limit (RFC 6585 §4). Nothing stores it.
#[cold]
pub(super) fn limited(visit: Visit<'_>, exceeded: &ExceededLimit) -> Answer {
    let failure = Failure::over_a_limit();
    let reason = format!("{}: {}", failure.reason, exceeded.limit.settings.name);
    let status = CacheStatus {
        details: [Some(&reason), None],
        ..CacheStatus::default()
    };
    let id = visit.exchange.request_id();
    let mut response = plain(visit.edge, (failure.status, &reason), id, &status);
    exceeded.add_fields(response.headers_mut());
    edit(visit, response.headers_mut());
    Answer {
        response,
        provenance: Provenance::failed(None, failure),
    }
}

/// The answer of a rule of the site.
pub(super) fn by_rule(visit: Visit<'_>, rule: RuleAnswer) -> Answer {
    let Visit { edge, exchange } = visit;
    exchange.site.counters.rules.record(rule.rule);
    let failure = Failure::by_rule(rule.status, rule.rule.reason());
    let provenance = Provenance::by_rule(failure);
    let status = provenance.cache_status(StatusFacts::default());
    let mut response = plain(
        edge,
        (rule.status, failure.reason),
        exchange.request_id(),
        &status,
    );
    if let Some((content, content_type)) = rule.content {
        *response.body_mut() = match content.is_empty() {
            true => EdgeBody::Empty,
            false => EdgeBody::owned(vec![content]),
        };
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    let headers = response.headers_mut();
    if let Some(secs) = rule.max_age_secs
        && let Ok(value) = HeaderValue::try_from(format!("max-age={secs}"))
    {
        headers.insert(CACHE_CONTROL, value);
    }
    headers.extend(rule.headers);
    edit(visit, headers);
    Answer {
        response: for_method(&exchange.parts.method, response),
        provenance,
    }
}

/// The same answer, without content where the request was a HEAD (RFC 9110 §9.3.2) or the status
/// has none (§15.3.5).
fn for_method(method: &Method, mut response: Response<EdgeBody>) -> Response<EdgeBody> {
    let has_none = matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT
    );
    if has_none {
        *response.body_mut() = EdgeBody::Empty;
        response.headers_mut().remove(CONTENT_TYPE);
    } else if *method == Method::HEAD {
        let length = response.body().length().unwrap_or(0);
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
        *response.body_mut() = EdgeBody::Empty;
    }
    response
}

/// The answer that a policy gives by itself. It has its own fields, and those that rules of the site
/// and policies give all responses, unless it names them itself.
#[cold]
pub(super) fn by_policy(visit: Visit<'_>, answer: &PolicyAnswer) -> Answer {
    let Visit { edge, exchange } = visit;
    exchange.site.counters.rules.record(RuleKind::Policy);
    let failure = Failure::by_rule(answer.status, RuleKind::Policy.reason());
    let provenance = Provenance::by_rule(failure);
    let reason = exchange.decision.reason.as_deref();
    let mut response = Response::new(EdgeBody::Empty);
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let facts = StatusFacts {
        reason,
        ..StatusFacts::default()
    };
    provenance
        .cache_status(facts)
        .append_to(headers, &edge.name);
    edit(visit, headers);
    let mut own = HeaderMap::new();
    for (name, value) in &answer.fields {
        own.append(name.clone(), value.clone());
    }
    if !answer.body.is_empty() {
        own.entry(CONTENT_TYPE).or_insert(PLAIN_TEXT);
    }
    headers.extend(own);
    if !answer.body.is_empty() {
        let content = Bytes::from_owner(Arc::clone(&answer.body));
        *response.body_mut() = EdgeBody::owned(vec![content]);
    }
    Answer {
        response: for_method(&exchange.parts.method, response),
        provenance,
    }
}

/// The answer to a request that was not let in. Nothing of it has been forwarded.
pub(super) fn refused(
    edge: &Edge,
    refused: AdmissionRefusal,
    id: &RequestId,
) -> Response<EdgeBody> {
    let reason = refused.to_string();
    let code = match refused {
        AdmissionRefusal::BadHost
        | AdmissionRefusal::BadTarget
        | AdmissionRefusal::BadTierFields => StatusCode::BAD_REQUEST,
        AdmissionRefusal::TooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        AdmissionRefusal::Expectation => StatusCode::EXPECTATION_FAILED,
        AdmissionRefusal::Method => StatusCode::METHOD_NOT_ALLOWED,
        AdmissionRefusal::Loop => StatusCode::LOOP_DETECTED,
        AdmissionRefusal::UnknownHost
        | AdmissionRefusal::OtherScheme
        | AdmissionRefusal::OtherName => StatusCode::MISDIRECTED_REQUEST,
    };
    let status = CacheStatus {
        details: [Some(&reason), None],
        ..CacheStatus::default()
    };
    let mut response = plain(edge, (code, &reason), id, &status);
    if code == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, ALLOWED_METHODS);
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

/// The answer to a request by which so many stored responses were purged.
pub(super) fn purged(edge: &Edge, count: u64) -> Response<EdgeBody> {
    let told = format!("purged {count}");
    let mut response = Response::new(EdgeBody::owned(vec![Bytes::from(format!("{told}\n"))]));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, PLAIN_TEXT);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    CacheStatus {
        details: [Some(&told), None],
        ..CacheStatus::default()
    }
    .append_to(headers, &edge.name);
    response
}

/// The answer to bytes that are not a request; the connection ends with it.
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
        StatusCode::REQUEST_TIMEOUT => "the header did not arrive in time",
        _ => "the request is malformed",
    };
    ended(edge, code, reason)
}

/// The answer, with its content, to a request in the clear that came to a port with TLS; the
/// connection ends with it.
pub fn refuse_in_the_clear(edge: &Edge) -> (Response<EdgeBody>, String) {
    let reason = "this port speaks HTTPS, not plain HTTP";
    let mut response = ended(edge, StatusCode::BAD_REQUEST, reason);
    let content = format!("{}: {reason}\n", StatusCode::BAD_REQUEST);
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(content.len()));
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    (response, content)
}

/// A refusal without content: the request may have been a HEAD.
fn ended(edge: &Edge, code: StatusCode, reason: &str) -> Response<EdgeBody> {
    let mut response = Response::new(EdgeBody::Empty);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    headers.insert(DATE, date_value(edge.clock.wall()));
    CacheStatus {
        details: [Some(reason), None],
        ..CacheStatus::default()
    }
    .append_to(headers, &edge.name);
    response
}

/// An answer that tells what is wrong, and the id by which the log knows the request.
fn plain(
    edge: &Edge,
    (code, reason): (StatusCode, &str),
    id: &RequestId,
    status: &CacheStatus<'_>,
) -> Response<EdgeBody> {
    let text = format!("{code}: {reason}\nrequest {id}\n");
    let mut response = Response::new(EdgeBody::owned(vec![Bytes::from(text)]));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, PLAIN_TEXT);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    status.append_to(headers, &edge.name);
    response
}
