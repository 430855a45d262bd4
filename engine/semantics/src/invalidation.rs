//! Which stored responses an unsafe request makes invalid (RFC 9111 §4.4), and cache groups (RFC
//! 9875).

mod url;

use http::header::{CONTENT_LOCATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::{Method, StatusCode, Uri};

use url::UrlParts;

/// `Cache-Groups` (RFC 9875 §2)
pub const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
/// `Cache-Group-Invalidation` (RFC 9875 §3)
pub const CACHE_GROUP_INVALIDATION: HeaderName =
    HeaderName::from_static("cache-group-invalidation");
/// How many groups of one field count. RFC 9875 §2 asks for at least 32.
pub const MAX_GROUPS: usize = 64;
/// The longest name of a group, in bytes. RFC 9875 §2 asks for at least 32.
pub const MAX_GROUP_BYTES: usize = 128;

/// Whether a method is known to be safe (RFC 9110 §9.2.1 and the registry of methods). Any other
/// one may change what is stored.
///
/// ```
/// use http::Method;
/// use tero_semantics::invalidation::is_safe;
///
/// assert!(is_safe(&Method::GET));
/// assert!(!is_safe(&Method::PUT));
/// assert!(!is_safe(&Method::from_bytes(b"UNKNOWN").unwrap()));
/// ```
pub fn is_safe(method: &Method) -> bool {
    matches!(
        method.as_str(),
        "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PROPFIND" | "REPORT" | "SEARCH" | "QUERY"
    )
}

/// The URLs whose stored responses are invalid after this response (§4.4): the request's `target`,
/// and those of `Location` and `Content-Location` if they have its origin. Empty if the method is
/// safe, the response is an error, or the target isn't absolute.
///
/// The URLs are absolute, have their host in lower case and no fragment.
///
/// ```
/// use http::header::{HeaderMap, HeaderValue, LOCATION};
/// use http::{Method, StatusCode, Uri};
/// use tero_semantics::invalidation::invalidated;
///
/// let target = Uri::from_static("http://example.com/cart");
/// let response = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static("/orders/7"))]);
/// let urls = invalidated(&Method::POST, StatusCode::SEE_OTHER, &target, &response);
/// assert_eq!(urls, ["http://example.com/cart", "http://example.com/orders/7"]);
/// ```
pub fn invalidated(
    method: &Method,
    status: StatusCode,
    target: &Uri,
    response: &HeaderMap,
) -> Vec<String> {
    if !changes_something(method, status) {
        return Vec::new();
    }
    let Some(target) = UrlParts::of(target) else {
        return Vec::new();
    };
    let mut urls = vec![target.url()];
    for name in [LOCATION, CONTENT_LOCATION] {
        let named = response
            .get(name)
            .and_then(|reference| target.resolve(reference));
        // The responses of another origin are not this one's to invalidate (§4.4).
        let url = named
            .filter(|named| named.has_origin_of(&target))
            .map(|named| named.url());
        if let Some(url) = url.filter(|url| !urls.contains(url)) {
            urls.push(url);
        }
    }
    urls
}

/// §4.4: a non-error response, 2xx or 3xx, to a method that is not known to be safe.
fn changes_something(method: &Method, status: StatusCode) -> bool {
    !is_safe(method) && (status.is_success() || status.is_redirection())
}

/// The groups of a response (RFC 9875 §2): the strings of a list, at most [`MAX_GROUPS`]. Members
/// of another type, and names that are empty or longer than [`MAX_GROUP_BYTES`], are left out; a
/// field that isn't a list is ignored.
///
/// ```
/// use http::header::{HeaderMap, HeaderValue};
/// use tero_semantics::invalidation::{CACHE_GROUPS, cache_groups};
///
/// let groups = HeaderValue::from_static("\"shop\", \"prices\"");
/// let response = HeaderMap::from_iter([(CACHE_GROUPS, groups)]);
/// assert_eq!(cache_groups(&response), ["shop", "prices"]);
/// ```
pub fn cache_groups(response: &HeaderMap) -> Vec<String> {
    groups(response, &CACHE_GROUPS)
}

/// The groups whose stored responses of the same origin are invalid after this response (RFC 9875
/// §3). Empty if the method is safe or the response is an error.
///
/// ```
/// use http::header::{HeaderMap, HeaderValue};
/// use http::{Method, StatusCode};
/// use tero_semantics::invalidation::{CACHE_GROUP_INVALIDATION, invalidated_groups};
///
/// let groups = HeaderValue::from_static("\"prices\"");
/// let response = HeaderMap::from_iter([(CACHE_GROUP_INVALIDATION, groups)]);
/// assert_eq!(invalidated_groups(&Method::PUT, StatusCode::OK, &response), ["prices"]);
/// assert!(invalidated_groups(&Method::GET, StatusCode::OK, &response).is_empty());
/// ```
pub fn invalidated_groups(
    method: &Method,
    status: StatusCode,
    response: &HeaderMap,
) -> Vec<String> {
    if changes_something(method, status) {
        groups(response, &CACHE_GROUP_INVALIDATION)
    } else {
        Vec::new()
    }
}

fn groups(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lines: Vec<&[u8]> = headers
        .get_all(name)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let list: Result<sfv::List, _> = sfv::Parser::new(&lines.join(&b", "[..])).parse();
    list.unwrap_or_default()
        .into_iter()
        .filter_map(group_name)
        .filter(|name| (1..=MAX_GROUP_BYTES).contains(&name.len()))
        .take(MAX_GROUPS)
        .collect()
}

fn group_name(member: sfv::ListEntry) -> Option<String> {
    match member {
        sfv::ListEntry::Item(item) => Some(item.bare_item.as_string()?.as_str().to_owned()),
        sfv::ListEntry::InnerList(_) => None,
    }
}

/// Whether `Content-Location` names the target itself (RFC 9110 §8.7).
pub(crate) fn same_resource(target: &Uri, content_location: Option<&HeaderValue>) -> bool {
    let Some((target, reference)) = UrlParts::of(target).zip(content_location) else {
        return false;
    };
    target
        .resolve(reference)
        .is_some_and(|named| named == target)
}

#[cfg(test)]
mod tests;
