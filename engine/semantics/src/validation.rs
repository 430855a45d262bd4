//! Validating a stored response (RFC 9111 §4.3): the conditional request, what a 304 or the
//! response to a HEAD changes, and how validators are compared (RFC 9110 §8.8).

mod reply;

use http::StatusCode;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName,
    HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, SET_COOKIE, VARY,
};

use super::forwarding::{remove_named, strip_hop_by_hop};
use super::http_date::http_date;
use super::timestamp::Timestamp;
use super::vary::Vary;
pub use reply::{
    is_about_request, is_transient, may_be_not_modified, says_nothing_of_resource, withdraws,
};

/// `Last-Modified` tells two versions apart only if it is at least this much older than `Date` (RFC
/// 9110 §8.8.2.2).
const STRONG_DATE_SECS: u64 = 60;

/// Fields that a 304 does not change in the stored response (§3.2). The RFC names `Content-Length`
/// and fields that were not to be stored in the first place. `Content-Encoding` and `Content-Range`
/// are ours: they say how to read the stored bytes, and a next hop whose 304 describes another form
/// of the page would make those unreadable.
const UNCHANGED: [HeaderName; 4] = [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE, SET_COOKIE];

/// Turns `request` into one that validates the stored response (§4.3.1), with each of its
/// validators; the client's own conditions are removed. Returns whether there is a validator;
/// without one the request has no conditions.
///
/// ```
/// use http::header::{ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
/// use tero_semantics::validation::add_conditions;
///
/// let stored = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("\"v1\""))]);
/// let mut request = HeaderMap::new();
/// assert!(add_conditions(&stored, &mut request));
/// assert_eq!(request[IF_NONE_MATCH], "\"v1\"");
/// ```
pub fn add_conditions(stored: &HeaderMap, request: &mut HeaderMap) -> bool {
    strip_conditions(request);
    let etag = stored.get(ETAG).filter(|etag| !etag.is_empty());
    let modified = stored
        .get(LAST_MODIFIED)
        .filter(|modified| http_date(modified).is_some());
    for (name, validator) in [(IF_NONE_MATCH, etag), (IF_MODIFIED_SINCE, modified)] {
        if let Some(validator) = validator {
            request.insert(name, validator.clone());
        }
    }
    etag.is_some() || modified.is_some()
}

/// Whether a stored response can be validated: it has a non-empty `ETag`, or a `Last-Modified` that
/// is a date.
///
/// ```
/// use http::header::{HeaderMap, HeaderValue, LAST_MODIFIED};
/// use tero_semantics::validation::has_validator;
///
/// let stored = |date| HeaderMap::from_iter([(LAST_MODIFIED, HeaderValue::from_static(date))]);
/// assert!(has_validator(&stored("Sun, 06 Nov 1994 08:49:37 GMT")));
/// assert!(!has_validator(&stored("yesterday")));
/// ```
pub fn has_validator(stored: &HeaderMap) -> bool {
    stored.get(ETAG).is_some_and(|etag| !etag.is_empty()) || last_modified(stored).is_some()
}

/// Removes the conditions of RFC 9110 §13.1 from a request.
///
/// ```
/// use http::header::{HeaderMap, HeaderValue, IF_MATCH};
/// use tero_semantics::validation::strip_conditions;
///
/// let mut request = HeaderMap::from_iter([(IF_MATCH, HeaderValue::from_static("*"))]);
/// strip_conditions(&mut request);
/// assert!(request.is_empty());
/// ```
pub fn strip_conditions(request: &mut HeaderMap) {
    remove_named(request, is_condition);
}

fn is_condition(name: &str) -> bool {
    matches!(
        name,
        "if-match" | "if-none-match" | "if-modified-since" | "if-unmodified-since" | "if-range"
    )
}

/// Whether a 304 to a request with the conditions of [`add_conditions`] is about this stored
/// response (§4.3.4).
///
/// The request named one response, so entity tags are compared weakly: a server that compresses on
/// the fly marks the tag of the response as weak, and leaves the mark out of the 304. We also differ
/// from the RFC for a 304 that repeats neither of our validators: the RFC lets it freshen only a
/// response without validators. But many origins leave the `ETag` out.
///
/// ```
/// use http::header::{ETAG, HeaderMap, HeaderValue};
/// use tero_semantics::validation::applies_to;
///
/// let tagged = |etag| HeaderMap::from_iter([(ETAG, HeaderValue::from_static(etag))]);
/// assert!(applies_to(&tagged("\"v1\""), &tagged("\"v1\"")));
/// assert!(applies_to(&tagged("W/\"v1\""), &tagged("\"v1\"")));
/// assert!(!applies_to(&tagged("\"v1\""), &tagged("\"v2\"")));
/// assert!(applies_to(&tagged("\"v1\""), &HeaderMap::new()));
/// ```
pub fn applies_to(stored: &HeaderMap, not_modified: &HeaderMap) -> bool {
    let (stored_etag, etag) = (stored.get(ETAG), not_modified.get(ETAG));
    let (stored_modified, modified) = (last_modified(stored), last_modified(not_modified));
    match (stored_etag, etag) {
        (Some(stored_etag), Some(etag)) => weak_match(stored_etag, etag),
        // The 304 has a tag that the stored response lacks: it is about a newer one.
        (None, Some(_)) => stored_modified.is_some() && stored_modified == modified,
        (_, None) => match (stored_modified, modified) {
            (Some(stored_modified), Some(modified)) => stored_modified == modified,
            (None, Some(_)) => stored_etag.is_some(),
            (_, None) => true,
        },
    }
}

fn last_modified(headers: &HeaderMap) -> Option<Timestamp> {
    headers.get(LAST_MODIFIED).and_then(http_date)
}

/// The stored fields after a 304 (§3.2, §4.3.4): each field of the 304 replaces all lines of its
/// name, except hop-by-hop fields, `Content-Length`, `Content-Encoding`, `Content-Range` and
/// `Set-Cookie`.
///
/// A stored `ETag` stays: it came with the stored bytes, while that of the 304 may match it weakly
/// only. Nor does `Vary` lose a name: the stored bytes were selected by those that it had, and a
/// 304 that leaves one out would give them to more requests than the origin meant them for.
///
/// The result stands for a response that came just now, with the 304's `Age`, and must be judged
/// like one: by [`storability`](crate::storability), [`Freshness::of`](crate::freshness::Freshness)
/// and [`Vary::of`](crate::vary::Vary), and
/// [`stored_fields`](crate::storability::stored_fields) for what is stored of it. A 304 without
/// `Date` must have been given one first, by [`ensure_date`](crate::forwarding::ensure_date): the
/// stored `Date` would make the response old.
///
/// ```
/// use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
/// use tero_semantics::validation::updated_fields;
///
/// let stored = HeaderMap::from_iter([
///     (CACHE_CONTROL, HeaderValue::from_static("max-age=60")),
///     (CONTENT_TYPE, HeaderValue::from_static("text/html")),
/// ]);
/// let longer = HeaderValue::from_static("max-age=600");
/// let not_modified = HeaderMap::from_iter([(CACHE_CONTROL, longer)]);
/// let updated = updated_fields(&stored, &not_modified);
/// assert_eq!(updated[CACHE_CONTROL], "max-age=600");
/// assert_eq!(updated[CONTENT_TYPE], "text/html");
/// ```
pub fn updated_fields(stored: &HeaderMap, not_modified: &HeaderMap) -> HeaderMap {
    let mut update = not_modified.clone();
    strip_hop_by_hop(&mut update);
    for name in &UNCHANGED {
        update.remove(name);
    }
    if stored.contains_key(ETAG) {
        update.remove(ETAG);
    }
    let mut headers = stored.clone();
    let vary = if update.contains_key(VARY) {
        VaryUpdate::of(stored, &update)
    } else {
        VaryUpdate::Stored
    };
    if vary == VaryUpdate::Stored {
        update.remove(VARY);
    }
    for name in update.keys() {
        if *name != VARY || vary == VaryUpdate::Replaced {
            headers.remove(name);
        }
    }
    for (name, value) in &update {
        headers.append(name, value.clone());
    }
    headers
}

/// Which lines of `Vary` an updated response has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum VaryUpdate {
    /// Those that are stored: the update names nothing more.
    Stored,
    /// Those of the update, which names all that is stored, and more.
    Replaced,
    /// Both: each names a field that the other doesn't.
    Both,
}

impl VaryUpdate {
    fn of(stored: &HeaderMap, update: &HeaderMap) -> VaryUpdate {
        let (stored, update) = (Vary::of(stored), Vary::of(update));
        match (update.covers(&stored), stored.covers(&update)) {
            (_, true) => VaryUpdate::Stored,
            (true, false) => VaryUpdate::Replaced,
            (false, false) => VaryUpdate::Both,
        }
    }
}

/// The most that the head of a stored response may hold. A head that came in one piece is bounded
/// when it is read; one that is put together from several is bounded by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// The most bytes of all field lines together, with colon, space and line end.
    pub max_bytes: usize,
    /// The most field lines.
    pub max_fields: usize,
}

impl HeadLimits {
    /// Whether these fields are within the limits.
    ///
    /// ```
    /// use http::header::{AGE, HeaderMap, HeaderValue};
    /// use tero_semantics::validation::HeadLimits;
    ///
    /// let fields = HeaderMap::from_iter([(AGE, HeaderValue::from_static("60"))]);
    /// let limits = |max_bytes, max_fields| HeadLimits { max_bytes, max_fields };
    /// // `age: 60` and the end of its line.
    /// assert!(limits(9, 1).hold(&fields));
    /// assert!(!limits(8, 1).hold(&fields));
    /// assert!(!limits(9, 0).hold(&fields));
    /// ```
    pub fn hold(&self, fields: &HeaderMap) -> bool {
        let lines = fields.iter();
        let bytes: usize = lines
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum();
        fields.len() <= self.max_fields && bytes <= self.max_bytes
    }
}

/// What the response to a HEAD means for a stored response that a GET would have selected (§4.3.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadUpdate {
    /// Nothing: it is not a 200, or it sets a cookie and so is for one visitor.
    Nothing,
    /// It is about the same representation: these are the stored fields now, and they give the
    /// lifetime.
    Freshened(HeaderMap),
    /// It is about another representation: the stored response is stale.
    Stale,
}

/// What the response to a HEAD changes in a stored response whose body is `length` bytes long
/// (§4.3.5).
///
/// ```
/// use http::StatusCode;
/// use http::header::{ETAG, HeaderMap, HeaderValue};
/// use tero_semantics::validation::{HeadUpdate, head_updates};
///
/// let tagged = |etag| HeaderMap::from_iter([(ETAG, HeaderValue::from_static(etag))]);
/// let stored = tagged("\"v1\"");
/// let update = head_updates(&stored, 5, StatusCode::OK, &tagged("\"v1\""));
/// assert_eq!(update, HeadUpdate::Freshened(stored.clone()));
/// let update = head_updates(&stored, 5, StatusCode::OK, &tagged("\"v2\""));
/// assert_eq!(update, HeadUpdate::Stale);
/// ```
pub fn head_updates(
    stored: &HeaderMap,
    length: u64,
    status: StatusCode,
    head: &HeaderMap,
) -> HeadUpdate {
    if status != StatusCode::OK || head.contains_key(SET_COOKIE) {
        return HeadUpdate::Nothing;
    }
    let same_tag = head
        .get(ETAG)
        .is_none_or(|etag| stored.get(ETAG).is_some_and(|stored| stored == etag));
    let same_date = head
        .get(LAST_MODIFIED)
        .is_none_or(|_| last_modified(head) == last_modified(stored));
    let same_length = head
        .get(CONTENT_LENGTH)
        .is_none_or(|announced| announced.as_bytes() == length.to_string().as_bytes());
    let same_coding = head.get(CONTENT_ENCODING) == stored.get(CONTENT_ENCODING);
    if same_tag && same_date && same_length && same_coding {
        HeadUpdate::Freshened(updated_fields(stored, head))
    } else {
        HeadUpdate::Stale
    }
}

/// An entity tag without its mark of weakness (RFC 9110 §8.8.3).
fn opaque(etag: &[u8]) -> &[u8] {
    etag.strip_prefix(b"W/").unwrap_or(etag)
}

/// Whether an entity tag is strong.
///
/// ```
/// use http::HeaderValue;
/// use tero_semantics::validation::is_strong;
///
/// assert!(is_strong(&HeaderValue::from_static("\"v1\"")));
/// assert!(!is_strong(&HeaderValue::from_static("W/\"v1\"")));
/// ```
pub fn is_strong(etag: &HeaderValue) -> bool {
    !etag.as_bytes().starts_with(b"W/")
}

/// Weak comparison of entity tags (RFC 9110 §8.8.3.2).
///
/// ```
/// use http::HeaderValue;
/// use tero_semantics::validation::weak_match;
///
/// let [weak, strong] = ["W/\"v1\"", "\"v1\""].map(HeaderValue::from_static);
/// assert!(weak_match(&weak, &strong));
/// ```
pub fn weak_match(left: &HeaderValue, right: &HeaderValue) -> bool {
    weak_match_bytes(left.as_bytes(), right.as_bytes())
}

pub(crate) fn weak_match_bytes(left: &[u8], right: &[u8]) -> bool {
    opaque(left) == opaque(right)
}

/// Strong comparison of entity tags (RFC 9110 §8.8.3.2).
///
/// ```
/// use http::HeaderValue;
/// use tero_semantics::validation::strong_match;
///
/// let [weak, strong] = ["W/\"v1\"", "\"v1\""].map(HeaderValue::from_static);
/// assert!(strong_match(&strong, &strong));
/// assert!(!strong_match(&weak, &weak));
/// ```
pub fn strong_match(left: &HeaderValue, right: &HeaderValue) -> bool {
    strong_match_bytes(left.as_bytes(), right.as_bytes())
}

pub(crate) fn strong_match_bytes(left: &[u8], right: &[u8]) -> bool {
    !left.starts_with(b"W/") && left == right
}

/// Whether `Last-Modified` is a strong validator (RFC 9110 §8.8.2.2).
pub(super) fn is_strong_date(response: &HeaderMap) -> bool {
    let date = response.get(DATE).and_then(http_date);
    last_modified(response)
        .zip(date)
        .is_some_and(|(modified, date)| date.since(modified).as_secs() >= STRONG_DATE_SECS)
}

/// The value of a field with exactly one line.
pub(super) fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let value = lines.next()?;
    lines.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FieldLines, date, headers};

    #[test]
    fn both_validators_replace_the_conditions_of_the_client() {
        let client = [
            ("if-none-match", "\"client\""),
            ("if-match", "*"),
            ("if-modified-since", "x"),
            ("if-unmodified-since", "x"),
            ("if-range", "x"),
            ("accept", "*/*"),
        ];
        let modified = date(-100);
        // Stored validators, and the conditions that they give.
        let rows: &[(FieldLines<'_>, FieldLines<'_>)] = &[
            (&[], &[]),
            (&[("etag", "\"a\"")], &[("if-none-match", "\"a\"")]),
            (
                &[("etag", "W/\"a\""), ("last-modified", &modified)],
                &[
                    ("if-none-match", "W/\"a\""),
                    ("if-modified-since", &modified),
                ],
            ),
            (
                &[("last-modified", &modified)],
                &[("if-modified-since", &modified)],
            ),
            (&[("last-modified", "yesterday")], &[]),
            (&[("etag", "")], &[]),
            (&[("etag", "unquoted")], &[("if-none-match", "unquoted")]),
        ];
        for (stored, conditions) in rows {
            let mut request = headers(&client);
            let is_conditional = add_conditions(&headers(stored), &mut request);
            let mut expected = headers(conditions);
            expected.insert("accept", HeaderValue::from_static("*/*"));
            assert_eq!(
                (request, is_conditional),
                (expected, !conditions.is_empty()),
                "{stored:?}"
            );
        }
    }

    #[test]
    fn a_304_applies_to_the_response_whose_validator_it_repeats() {
        let (one, two) = (date(-1_000), date(-500));
        let (a, b, weak_a) = (("etag", "\"a\""), ("etag", "\"b\""), ("etag", "W/\"a\""));
        let (first, second) = (("last-modified", &*one), ("last-modified", &*two));
        let rows: &[(FieldLines<'_>, FieldLines<'_>, bool)] = &[
            (&[a], &[a], true),
            (&[a], &[b], false),
            (&[a, first], &[a, second], true),
            (&[a, first], &[b, first], false),
            (&[weak_a], &[a], true),
            (&[weak_a], &[b], false),
            (&[a], &[weak_a], true),
            (&[weak_a], &[weak_a], true),
            (&[first], &[first], true),
            (&[first], &[second], false),
            (&[first], &[a, first], true),
            (&[first], &[a], false),
            (&[], &[a], false),
            (&[], &[], true),
            // An origin that leaves its validators out.
            (&[a], &[], true),
            (&[a, first], &[first], true),
            (&[a], &[first], true),
            (&[first], &[], true),
            (&[], &[first], false),
            (&[a, first], &[second], false),
        ];
        for (stored, not_modified, expected) in rows {
            assert_eq!(
                applies_to(&headers(stored), &headers(not_modified)),
                *expected,
                "{stored:?} {not_modified:?}"
            );
        }
    }

    #[test]
    fn a_304_replaces_fields_except_those_that_describe_the_stored_bytes() {
        let stored = headers(&[
            ("cache-control", "max-age=1"),
            ("etag", "W/\"a\""),
            ("content-encoding", "gzip"),
            ("content-type", "text/plain"),
            ("x-kept", "1"),
            ("x-lines", "1"),
            ("x-lines", "2"),
            ("date", "old"),
        ]);
        let not_modified = headers(&[
            ("cache-control", "max-age=3600"),
            ("etag", "W/\"a\""),
            ("content-length", "0"),
            ("content-encoding", "br"),
            ("content-range", "bytes 0-1/2"),
            ("content-type", "text/html"),
            ("x-lines", "3"),
            ("x-lines", "4"),
            ("x-new", "5"),
            ("date", "new"),
            ("age", "7"),
            ("set-cookie", "a=b"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
        ]);
        let expected = headers(&[
            ("cache-control", "max-age=3600"),
            ("etag", "W/\"a\""),
            ("content-encoding", "gzip"),
            ("content-type", "text/html"),
            ("x-kept", "1"),
            ("x-lines", "3"),
            ("x-lines", "4"),
            ("x-new", "5"),
            ("date", "new"),
            ("age", "7"),
        ]);
        assert_eq!(updated_fields(&stored, &not_modified), expected);
    }

    #[test]
    fn the_stored_tag_stays_and_a_missing_one_is_added() {
        let rows = [
            ("W/\"a\"", "\"a\"", "W/\"a\""),
            ("\"a\"", "W/\"a\"", "\"a\""),
            ("\"a\"", "\"a\"", "\"a\""),
        ];
        for (stored, told, expected) in rows {
            let updated =
                updated_fields(&headers(&[("etag", stored)]), &headers(&[("etag", told)]));
            assert_eq!(updated, headers(&[("etag", expected)]), "{stored} {told}");
        }
        let told = headers(&[("etag", "\"a\"")]);
        assert_eq!(updated_fields(&HeaderMap::new(), &told), told);
    }

    #[test]
    fn vary_never_loses_a_name() {
        // What is stored, what the 304 says, and what is stored then.
        let rows: &[(&[&str], &[&str], &[&str])] = &[
            (&[], &["a"], &["a"]),
            (&["a"], &[], &["a"]),
            (&["a"], &[""], &["a"]),
            (&["a, b"], &["A"], &["a, b"]),
            (&["a"], &["b, a"], &["b, a"]),
            (&["a"], &["b"], &["a", "b"]),
            (&["a", "b"], &["c, b"], &["a", "b", "c, b"]),
            (&["a"], &["*"], &["*"]),
            (&["*"], &["a"], &["*"]),
        ];
        let fields = |lines: &[&str]| {
            let lines: Vec<_> = lines.iter().map(|line| ("vary", *line)).collect();
            headers(&lines)
        };
        for (stored, told, expected) in rows {
            let updated = updated_fields(&fields(stored), &fields(told));
            assert_eq!(updated, fields(expected), "{stored:?} {told:?}");
        }
    }

    #[test]
    fn a_matching_head_freshens_and_a_different_one_makes_stale() {
        let modified = date(-100);
        let stored = headers(&[
            ("etag", "\"a\""),
            ("last-modified", &modified),
            ("x", "1"),
            ("y", "1"),
        ]);
        let update = |status: u16, lines: FieldLines<'_>| {
            head_updates(
                &stored,
                5,
                StatusCode::from_u16(status).unwrap(),
                &headers(lines),
            )
        };
        let fresh = [
            ("etag", "\"a\""),
            ("last-modified", &*modified),
            ("content-length", "5"),
            ("x", "2"),
        ];
        let HeadUpdate::Freshened(fields) = update(200, &fresh) else {
            panic!("it agrees")
        };
        assert_eq!(
            (
                &fields["x"],
                &fields["y"],
                fields.contains_key(CONTENT_LENGTH)
            ),
            (
                &HeaderValue::from_static("2"),
                &HeaderValue::from_static("1"),
                false
            )
        );
        assert!(matches!(update(200, &[]), HeadUpdate::Freshened(_)));
        for other in [
            ("etag", "\"b\""),
            ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("content-length", "6"),
            ("content-encoding", "br"),
        ] {
            assert_eq!(update(200, &[other]), HeadUpdate::Stale, "{other:?}");
        }
        assert_eq!(
            update(200, &[fresh[0], ("set-cookie", "a=b")]),
            HeadUpdate::Nothing
        );
        for status in [204, 304, 404, 410, 500] {
            assert_eq!(update(status, &fresh), HeadUpdate::Nothing);
        }
    }
}
