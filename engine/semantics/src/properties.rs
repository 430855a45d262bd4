//! What must hold for any bytes and any times, over the files of `semantics` together.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Uri};
use proptest::prelude::*;

use super::cache_control::{RequestDirectives, ResponseDirectives};
use super::decision::{QueryParameters, QueryRule, ResponseDecision, StoringDecision};
use super::freshness::{Freshness, FreshnessInput, StaleDefaults, header_lifetime};
use super::http_date::http_date;
use super::range::{MAX_RANGES, Multipart, Partial, Selection, selection};
use super::reuse::{ClientDirectives, Reuse, reuse, stale_if_error};
use super::storability::{
    FloorExceptions, Storability, StorabilityInput, storability, stored_fields,
};
use super::testing::NOON;
use super::timestamp::Timestamp;
use super::vary::{Vary, normalised_accept_encoding};
use super::{forwarding, invalidation, key, precondition, validation};

const NAMES: [&str; 34] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "age",
    "authorization",
    "cache-control",
    "cache-groups",
    "cdn-cache-control",
    "cdn-loop",
    "connection",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "cookie",
    "date",
    "etag",
    "expires",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "pragma",
    "range",
    "set-cookie",
    "transfer-encoding",
    "vary",
    "via",
    "x-one",
    "x-two",
];

/// Pieces that fields are made of, so that values are often nearly right.
const PIECES: [&str; 48] = [
    "max-age",
    "s-maxage",
    "no-store",
    "no-cache",
    "private",
    "public",
    "must-revalidate",
    "must-understand",
    "stale-while-revalidate",
    "stale-if-error",
    "only-if-cached",
    "max-stale",
    "min-fresh",
    "=",
    "=",
    "=",
    ",",
    ", ",
    ";",
    ";q=",
    "0",
    "1",
    "10",
    "0.5",
    "-",
    "99999999999",
    "\"",
    "\"a\"",
    "W/\"a\"",
    "\\",
    "*",
    "x-one",
    "x-two",
    "set-cookie",
    "gzip",
    "br",
    "identity",
    "en",
    "de",
    "bytes=",
    "bytes ",
    "/",
    "..",
    "http://h",
    "?",
    "Tue, 10 Mar 2026 11:59:00 GMT",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    " ",
];

fn value() -> impl Strategy<Value = HeaderValue> {
    let nearly = prop::collection::vec(prop::sample::select(&PIECES[..]), 0..7)
        .prop_map(|pieces| pieces.concat().into_bytes());
    let anything =
        prop::collection::vec(prop_oneof![Just(b'\t'), 32..=126_u8, 128..=255_u8], 0..30);
    prop_oneof![5 => nearly, 1 => anything]
        .prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap())
}

fn fields() -> impl Strategy<Value = HeaderMap> {
    let line = (prop::sample::select(&NAMES[..]), value());
    prop::collection::vec(line, 0..10).prop_map(|lines| {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    })
}

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        4 => (-200_000_i64..200_000).prop_map(|millis| Timestamp::from_unix_millis(NOON.unix_millis() + millis)),
        1 => any::<i64>().prop_map(Timestamp::from_unix_millis),
    ]
}

fn window() -> impl Strategy<Value = Option<Duration>> {
    prop::option::of((0..1_000_u64).prop_map(Duration::from_secs))
}

fn decision() -> impl Strategy<Value = ResponseDecision> {
    let storing = prop::sample::select(
        &[
            StoringDecision::ByHeaders,
            StoringDecision::Never,
            StoringDecision::Always,
        ][..],
    );
    (storing, window(), window(), window()).prop_map(
        |(storing, ttl, stale_while_revalidate, stale_if_error)| ResponseDecision {
            storing,
            ttl,
            stale_while_revalidate,
            stale_if_error,
            ..ResponseDecision::default()
        },
    )
}

fn status() -> impl Strategy<Value = StatusCode> {
    prop_oneof![
        prop::sample::select(&[200, 206, 304, 404, 503][..]),
        100..=999_u16
    ]
    .prop_map(|status| StatusCode::from_u16(status).unwrap())
}

fn method() -> impl Strategy<Value = Method> {
    prop::sample::select(&["GET", "HEAD", "POST", "PUT", "FOO"][..])
        .prop_map(|method| Method::from_bytes(method.as_bytes()).unwrap())
}

fn targets() -> [HeaderName; 2] {
    [
        HeaderName::from_static("tero-cache-control"),
        HeaderName::from_static("cdn-cache-control"),
    ]
}

fn freshness(
    headers: &HeaderMap,
    decision: &ResponseDecision,
    asked: Timestamp,
    came: Timestamp,
) -> Freshness {
    Freshness::of(&FreshnessInput {
        status: StatusCode::OK,
        response_headers: headers,
        directives: &ResponseDirectives::governing(headers, &targets()),
        decision,
        defaults: StaleDefaults::default(),
        request_time: asked,
        response_time: came,
    })
}

proptest! {
    /// No field of a request or a response makes anything panic.
    #[test]
    fn every_answer_is_total(
        request in fields(), response in fields(), other in fields(), status in status(), method in method(), decision in decision(),
        asked in time(), came in time(), now in time(), length in any::<u64>(),
    ) {
        let directives = ResponseDirectives::governing(&response, &targets());
        let said = RequestDirectives::of(&request);
        let target = Uri::from_static("http://h/a/b?c");
        let exchange = StorabilityInput {
            method: &method, target: &target, request_headers: &request, request: &said, status, response_headers: &response,
            directives: &directives, decision: &decision,
        };
        let floor = FloorExceptions::default();
        let _ = storability(&exchange, floor);
        let _ = header_lifetime(&response, &directives, came);
        let freshness = freshness(&response, &decision, asked, came);
        let _ = (freshness.age(now), freshness.remaining_secs(now), freshness.usable_until(), freshness.made_stale(now));
        for client in [ClientDirectives::Ignore, ClientDirectives::Obey] {
            let _ = (reuse(&freshness, &said, client, now), stale_if_error(&freshness, &said, client, now));
        }
        let _ = precondition::precondition(&method, &request, status, &response);
        let _ = precondition::not_modified_headers(&response);
        let _ = selection(&Method::GET, &request, StatusCode::OK, &response, length, MAX_RANGES);
        let _ = Partial::of(&response);
        let _ = invalidation::invalidated(&method, status, &target, &response);
        let _ = invalidation::cache_groups(&response);
        let _ = validation::applies_to(&response, &other);
        let _ = validation::head_updates(&response, length, StatusCode::OK, &other);
        let _ = normalised_accept_encoding(&request);
        let mut forwarded = request.clone();
        let _ = validation::add_conditions(&response, &mut forwarded);
        forwarding::strip_request_hop_by_hop(&mut forwarded);
        forwarding::append_via(&mut forwarded, http::Version::HTTP_11, "tero");
        forwarding::append_cdn_loop(&mut forwarded, "tero");
        forwarding::ensure_date(&mut forwarded, now);
        prop_assert!(http_date(&forwarded["date"]).is_some());
    }

    /// A request that we sent on is recognised when it comes back, whatever others did to the field
    /// before.
    #[test]
    fn loops_are_always_found(request in fields()) {
        let mut request = request;
        forwarding::append_cdn_loop(&mut request, "tero");
        // A quote that somebody left open before us could hide our name only from readers that
        // believe it.
        prop_assert!(request.get_all(forwarding::CDN_LOOP).iter().any(|line| forwarding::names_us(line, "tero")));
    }

    /// Age grows with the clock, second for second, and freshness once lost does not come back.
    #[test]
    fn age_never_falls_without_revalidation(
        response in fields(), decision in decision(), asked in time(), came in time(), first in time(), later in 0..100_000_u64,
    ) {
        let freshness = freshness(&response, &decision, asked, came);
        let second = first.saturating_add(Duration::from_millis(later));
        prop_assert!(freshness.age(first) <= freshness.age(second));
        prop_assert!(freshness.remaining_secs(first) >= freshness.remaining_secs(second));
        prop_assert!(freshness.is_fresh(first) || !freshness.is_fresh(second));
        prop_assert!(freshness.allows_if_error(first) || !freshness.allows_if_error(second));
        prop_assert!(freshness.allows_while_revalidate(first) || !freshness.allows_while_revalidate(second));
    }

    /// A soft purge never lengthens anything but the windows of staleness, and leaves nothing
    /// fresh.
    #[test]
    fn a_soft_purge_leaves_nothing_fresh(response in fields(), decision in decision(), came in time(), purged in time(), later in 0..1_000_u64) {
        let freshness = freshness(&response, &decision, came, came).made_stale(purged);
        prop_assert!(!freshness.is_fresh(purged.saturating_add(Duration::from_secs(later))));
    }

    /// Where the response forbids stale use and no policy allows it, stale is never served,
    /// whatever the client says.
    #[test]
    fn stale_is_never_served_against_the_response(response in fields(), request in fields(), came in time(), now in time()) {
        let freshness = freshness(&response, &ResponseDecision::default(), came, came);
        let said = RequestDirectives::of(&request);
        if ResponseDirectives::governing(&response, &targets()).forbids_stale() && !freshness.is_fresh(now) {
            for client in [ClientDirectives::Ignore, ClientDirectives::Obey] {
                prop_assert!(!stale_if_error(&freshness, &said, client, now));
                prop_assert!(matches!(reuse(&freshness, &said, client, now), Reuse::Revalidate(_) | Reuse::Unsatisfiable));
            }
        }
    }

    /// Nothing under the safety floor is stored unless the site and a policy lift it together.
    #[test]
    fn the_safety_floor_holds(
        request in fields(), response in fields(), status in status(), method in method(), decision in decision(), lift in any::<[bool; 4]>(),
    ) {
        let [set_cookie, authorization, private, no_store] = lift;
        let floor = FloorExceptions { set_cookie, authorization, private, no_store };
        let directives = ResponseDirectives::governing(&response, &targets());
        let said = RequestDirectives::of(&request);
        let target = Uri::from_static("http://h/");
        let exchange = StorabilityInput {
            method: &method, target: &target, request_headers: &request, request: &said, status, response_headers: &response,
            directives: &directives, decision: &decision,
        };
        if storability(&exchange, floor) == Storability::Yes {
            let lifted = |exception: bool| exception && decision.storing == StoringDecision::Always;
            prop_assert!(!response.contains_key("set-cookie") || lifted(set_cookie));
            prop_assert!(!directives.private.is_all() || lifted(private));
            prop_assert!(!directives.no_store || directives.must_understand || lifted(no_store));
            prop_assert!(!request.contains_key("authorization") || directives.allows_authorized() || lifted(authorization));
            prop_assert!(!said.no_store && decision.storing != StoringDecision::Never);
            prop_assert!(status.as_u16() >= 200 && !matches!(status.as_u16(), 206 | 304 | 412 | 416 | 417));
            prop_assert!(method == Method::GET || method == Method::POST);
            for (name, _) in stored_fields(&response, &directives) {
                prop_assert!(!["set-cookie", "age", "content-length", "connection", "transfer-encoding"].contains(&name.as_str()));
            }
        }
    }

    /// No response mixes two variants: a request selects a stored response if and only if their
    /// nominated values are equal.
    #[test]
    fn selecting_is_agreeing(response in fields(), first in fields(), second in fields()) {
        let vary = Vary::of(&response);
        let (stored, own) = (vary.nominated(&first), vary.nominated(&second));
        prop_assert_eq!(vary.selects(&stored, &second), vary != Vary::Everything && stored == own);
        prop_assert_eq!(vary.selects(&stored, &first), vary != Vary::Everything);
        prop_assert!(stored != own || stored.digest() == own.digest());
    }

    /// What is forwarded in place of `Accept-Encoding` selects the same responses.
    #[test]
    fn a_normalised_accept_encoding_selects_the_same(request in fields()) {
        if let Some(value) = normalised_accept_encoding(&request) {
            let mut forwarded = request.clone();
            forwarded.insert("accept-encoding", value);
            let mut response = HeaderMap::new();
            response.insert("vary", HeaderValue::from_static("accept-encoding"));
            let vary = Vary::of(&response);
            prop_assert!(vary.selects(&vary.nominated(&request), &forwarded));
        }
    }

    /// A 304 changes no field that it does not have, and never what describes the stored bytes.
    #[test]
    fn a_304_changes_what_it_says_and_nothing_else(stored in fields(), not_modified in fields()) {
        let merged = validation::updated_fields(&stored, &not_modified);
        for name in stored.keys() {
            let before: Vec<_> = stored.get_all(name).iter().collect();
            let after: Vec<_> = merged.get_all(name).iter().collect();
            let said: Vec<_> = not_modified.get_all(name).iter().collect();
            prop_assert!(after == before || (after == said && !said.is_empty()));
        }
        for name in ["content-length", "content-encoding", "content-range", "set-cookie"] {
            prop_assert_eq!(merged.get(name), stored.get(name));
        }
        prop_assert_eq!(validation::updated_fields(&merged, &not_modified), merged);
    }

    /// Ranges are within the response, do not overlap, and a body made of them has the length that
    /// was told.
    #[test]
    fn selected_ranges_are_sound(range in "(bytes=)?([0-9]{0,4}-[0-9]{0,4},? ?){0,8}", length in 0..3_000_u64) {
        let mut request = HeaderMap::new();
        request.insert("range", HeaderValue::from_str(range.trim()).unwrap());
        match selection(&Method::GET, &request, StatusCode::OK, &HeaderMap::new(), length, MAX_RANGES) {
            Selection::Whole | Selection::Unsatisfiable => {}
            Selection::Single(range) => prop_assert!(range.start < range.end && range.end <= length),
            Selection::Multiple(ranges) => {
                prop_assert!((2..=MAX_RANGES).contains(&ranges.len()));
                let mut sorted = ranges.clone();
                sorted.sort_by_key(|range| range.start);
                prop_assert!(sorted.iter().all(|range| range.start < range.end && range.end <= length));
                prop_assert!(sorted.windows(2).all(|pair| pair[0].end < pair[1].start));
                let frame = Multipart::new(ranges.clone(), length, &HeaderMap::new(), 0);
                let heads: usize = ranges.iter().map(|range| frame.head(range).len()).sum();
                let bytes: u64 = ranges.iter().map(|range| range.end - range.start).sum();
                prop_assert_eq!(frame.content_length(), bytes + u64::try_from(heads + frame.tail().len()).unwrap());
            }
        }
    }

    /// The canonical form of a query is its own canonical form, and holds no parameter that the
    /// query didn't.
    #[test]
    fn canonical_queries_stay_as_they_are(query in "[ab%=&6]{0,20}", patterns in prop::collection::vec("[ab]{0,2}[*]?", 0..3), sort: bool, which in 0..3) {
        let parameters = match which {
            0 => QueryParameters::All,
            1 => QueryParameters::Ignore(patterns),
            _ => QueryParameters::Only(patterns),
        };
        let rule = QueryRule { parameters, sort };
        if let Some(canonical) = key::canonical_query(Some(&query), &rule) {
            let again = key::canonical_query(Some(&canonical), &rule);
            prop_assert_eq!(again.as_deref(), Some(&*canonical));
            prop_assert!(canonical.split('&').all(|parameter| query.split('&').any(|original| original == parameter)));
        }
    }

    /// What was written into a key is read back from it, and keys are equal only if all that they
    /// are made of is.
    #[test]
    fn keys_tell_everything_apart(
        path in "/[a-zA-Z/%.]{0,8}", query in prop::option::of("[a-z=&?]{0,8}"), variant in prop::option::of("[a-z+]{1,8}"),
        other in ("/[a-zA-Z/%.]{0,8}", prop::option::of("[a-z=&?]{0,8}"), prop::option::of("[a-z+]{1,8}")),
    ) {
        let write = |path: &str, query: Option<&str>, variant: Option<&str>| {
            let mut key = Vec::new();
            key::write_key(&mut key, "http", "Host.example:80", path, query, variant);
            key
        };
        let own = write(&path, query.as_deref(), variant.as_deref());
        prop_assert_eq!(key::variant_of(&own), variant.as_deref());
        let uri: Uri = key::url_of(&own).parse().unwrap();
        prop_assert_eq!((uri.path(), uri.query()), (&*path, query.as_deref()));
        let others = write(&other.0, other.1.as_deref(), other.2.as_deref());
        prop_assert_eq!(own == others, (path, query, variant) == other);
    }

    /// URLs that are invalidated are of the target's own origin.
    #[test]
    fn only_the_own_origin_is_invalidated(response in fields(), method in method(), status in status()) {
        for url in invalidation::invalidated(&method, status, &Uri::from_static("http://h/a/b?c"), &response) {
            prop_assert!(url.starts_with("http://h/"), "{}", url);
        }
    }
}
