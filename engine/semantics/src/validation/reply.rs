//! What an answer of the next hop means: whether a 304 answers the request at all, and what the
//! answer to a revalidation means for the stored response if it is not stored itself (RFC 9111
//! §4.3.3).

use http::header::{HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::{Method, StatusCode};

/// Whether a 304 may answer a request: a GET or HEAD with a condition that asks for one (RFC 9110
/// §15.4.5).
///
/// ```
/// use http::Method;
/// use http::header::{HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH};
/// use tero_semantics::validation::may_be_not_modified;
///
/// let any = |name| HeaderMap::from_iter([(name, HeaderValue::from_static("*"))]);
/// assert!(may_be_not_modified(&Method::GET, &any(IF_NONE_MATCH)));
/// assert!(!may_be_not_modified(&Method::GET, &any(IF_MATCH)));
/// assert!(!may_be_not_modified(&Method::POST, &any(IF_NONE_MATCH)));
/// ```
pub fn may_be_not_modified(method: &Method, request: &HeaderMap) -> bool {
    let is_read = *method == Method::GET || *method == Method::HEAD;
    is_read && (request.contains_key(IF_NONE_MATCH) || request.contains_key(IF_MODIFIED_SINCE))
}

/// Whether a status tells of the moment and not of the resource: a server error, or one of the
/// client errors that ask for another try (RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4).
///
/// ```
/// use http::StatusCode;
/// use tero_semantics::validation::is_transient;
///
/// assert!(is_transient(StatusCode::SERVICE_UNAVAILABLE));
/// assert!(is_transient(StatusCode::TOO_MANY_REQUESTS));
/// assert!(!is_transient(StatusCode::NOT_FOUND));
/// ```
pub fn is_transient(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)
}

/// Whether a status is about the request that was sent, its content, size, pace or connection, so
/// that it says nothing of the resource to another request (RFC 9110 §15.5, RFC 8470 §5.2). Of these,
/// RFC 6585 §3 to §6 forbid storing 428, 429, 431 and 511.
///
/// ```
/// use http::StatusCode;
/// use tero_semantics::validation::is_about_request;
///
/// assert!(is_about_request(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
/// assert!(!is_about_request(StatusCode::NOT_FOUND));
/// ```
pub fn is_about_request(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        400 | 407 | 408 | 411 | 413 | 415 | 417 | 421 | 425 | 428 | 429 | 431 | 511
    )
}

/// Whether a status says nothing of the resource, so that an answer with it takes no stored response's
/// place: it is transient, or about the request.
///
/// ```
/// use http::StatusCode;
/// use tero_semantics::validation::says_nothing_of_resource;
///
/// assert!(says_nothing_of_resource(StatusCode::BAD_GATEWAY));
/// assert!(says_nothing_of_resource(StatusCode::PAYLOAD_TOO_LARGE));
/// assert!(!says_nothing_of_resource(StatusCode::FORBIDDEN));
/// ```
pub fn says_nothing_of_resource(status: StatusCode) -> bool {
    is_transient(status) || is_about_request(status)
}

/// Whether an answer to a revalidation that may not be stored takes the stored response back, so
/// that it must not be used any more.
///
/// A transient answer doesn't: the stored response may bridge it. A part says nothing of the whole,
/// and a status that is about the request nothing of the resource.
/// An answer that `is_personal`, since the request had cookies or credentials or is itself the
/// reason why the answer is not stored, says nothing of the answer to others, unless its status
/// tells that the resource is gone or has moved.
///
/// ```
/// use http::StatusCode;
/// use tero_semantics::validation::withdraws;
///
/// assert!(withdraws(StatusCode::FORBIDDEN, false));
/// assert!(!withdraws(StatusCode::FORBIDDEN, true));
/// assert!(withdraws(StatusCode::GONE, true));
/// assert!(!withdraws(StatusCode::BAD_GATEWAY, false));
/// ```
pub fn withdraws(status: StatusCode, is_personal: bool) -> bool {
    let says_nothing = says_nothing_of_resource(status) || status == StatusCode::PARTIAL_CONTENT;
    let is_of_resource = matches!(status.as_u16(), 301 | 308 | 404 | 410);
    !says_nothing && (!is_personal || is_of_resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_takes_the_stored_response_back_unless_it_is_transient_or_for_one() {
        // The status, and whether it takes the stored response back: for all, and for one visitor.
        let rows = [
            (200, true, false),
            (204, true, false),
            (206, false, false),
            (301, true, true),
            (302, true, false),
            (303, true, false),
            (307, true, false),
            (308, true, true),
            (400, false, false),
            (401, true, false),
            (403, true, false),
            (404, true, true),
            (408, false, false),
            (410, true, true),
            (425, false, false),
            (413, false, false),
            (429, false, false),
            (431, false, false),
            (451, true, false),
            (500, false, false),
            (503, false, false),
            (599, false, false),
        ];
        for (status, for_all, for_one) in rows {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                (withdraws(status, false), withdraws(status, true)),
                (for_all, for_one),
                "{status}"
            );
        }
    }
}
