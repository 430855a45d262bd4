//! Pages of the operator's in place of errors: of those that the edge makes itself, and of the
//! origin's where the configuration says so.

use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, Method, Response, StatusCode};

use super::body::EdgeBody;
use super::provenance::{Answer, Provenance};
use super::visit::Visit;
use crate::telemetry::Outcome;
use crate::telemetry::rule_counters::RuleKind;
use tero_config::{ErrorPage, ErrorStatus};

/// Fields that are about the content of an answer (RFC 9110 §8), which another one takes the place
/// of. `Content-Digest` and its like are of RFC 9530.
const OF_CONTENT: [HeaderName; 8] = [
    CONTENT_TYPE,
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_RANGE,
    ACCEPT_RANGES,
    ETAG,
    LAST_MODIFIED,
];

/// Rules whose answers have content of their own.
const HAVE_CONTENT: [RuleKind; 2] = [RuleKind::Respond, RuleKind::Policy];

/// Whether an error of the origin gets a page of the site.
#[inline]
pub(super) fn intercepts(visit: Visit<'_>, status: StatusCode) -> bool {
    is_error(status) && page_of(visit, status).is_some_and(|page| page.intercept)
}

/// The same answer, with the page that the site has for such an error.
#[inline]
pub(super) fn with_page(visit: Visit<'_>, answer: Answer) -> Answer {
    let status = answer.response.status();
    if !is_error(status) || visit.settings().error_pages.is_empty() {
        return answer;
    }
    replaced(visit, answer)
}

fn is_error(status: StatusCode) -> bool {
    status.as_u16() >= 400
}

#[cold]
fn replaced(visit: Visit<'_>, answer: Answer) -> Answer {
    let Answer {
        response,
        provenance,
    } = answer;
    let page = page_of(visit, response.status());
    let page = page.filter(|page| page.intercept || is_own(&provenance));
    let response = match page {
        Some(page) => in_place(visit, page, response),
        None => response,
    };
    Answer {
        response,
        provenance,
    }
}

/// Whether the edge made an error itself. What a route or a policy answers by itself has its content
/// already.
fn is_own(provenance: &Provenance) -> bool {
    match provenance.outcome {
        Outcome::Error => true,
        Outcome::Rule => provenance
            .failure
            .is_none_or(|rule| !HAVE_CONTENT.map(RuleKind::reason).contains(&rule.reason)),
        _ => false,
    }
}

/// The page of a site for a status: one that names it goes before one that names its class.
fn page_of(visit: Visit<'_>, status: StatusCode) -> Option<&ErrorPage> {
    let pages = &visit.settings().error_pages;
    let exact = ErrorStatus::Status(status);
    let mut named = pages.iter().filter(|page| page.statuses.contains(&exact));
    named.next().or_else(|| {
        let mut means = pages.iter();
        means.find(|page| page.statuses.iter().any(|own| own.means(status)))
    })
}

/// The page in place of the content of a response. Its other fields stay.
fn in_place(
    visit: Visit<'_>,
    page: &ErrorPage,
    response: Response<EdgeBody>,
) -> Response<EdgeBody> {
    let (mut parts, _) = response.into_parts();
    remove_of_content(&mut parts.headers);
    let headers = &mut parts.headers;
    headers.insert(CONTENT_TYPE, page.content_type.clone());
    headers.insert(CONTENT_LENGTH, page.content.len().into());
    let is_head = visit.exchange.parts.method == Method::HEAD;
    let body = match is_head || page.content.is_empty() {
        true => EdgeBody::Empty,
        false => EdgeBody::owned(vec![page.content.clone()]),
    };
    Response::from_parts(parts, body)
}

fn remove_of_content(headers: &mut HeaderMap) {
    for name in OF_CONTENT {
        headers.remove(name);
    }
    for name in [
        "content-digest",
        "repr-digest",
        "digest",
        "content-md5",
        "content-location",
    ] {
        headers.remove(name);
    }
}
