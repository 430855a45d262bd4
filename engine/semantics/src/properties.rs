//! What must hold for any bytes and any times, over the modules of this crate together.

use std::time::Duration;

use http::header::{CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue, VARY};
use http::{Method, StatusCode, Uri};
use proptest::prelude::*;

use super::cache_control::{RequestDirectives, ResponseDirectives};
use super::content_coding::{AcceptedCodings, ContentCoding, accepts_all};
use super::decision::{
    ExtendedDecision, KeyPart, OriginEdits, QueryParameters, QueryRule, ResponseDecision,
    StoringDecision,
};
use super::default_ttl::DefaultTtl;
use super::field_edits::FieldEdits;
use super::freshness::{Freshness, FreshnessInput, SiteDefaults, header_lifetime};
use super::http_date::http_date;
use super::key::{
    KeyParts, canonical_query, has_suffix, url_of, variant_of, without_suffix, write_key,
    write_suffix,
};
use super::range::{MAX_RANGES, Multipart, Partial, Selection, SelectionInput, selection};
use super::reuse::{ClientDirectives, Reuse, reuse, stale_if_error};
use super::storability::{
    FloorExceptions, Storability, StorabilityInput, storability, stored_fields,
};
use super::testing::NOON;
use super::timestamp::Timestamp;
use super::vary::{SecondaryKey, Vary, normalised_accept_encoding};
use super::{forwarding, invalidation, precondition, validation};

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
const PIECES: [&str; 50] = [
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
    "zstd",
    "dcb",
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
        4 => (-200_000_i64..200_000)
            .prop_map(|millis| Timestamp::from_unix_millis(NOON.unix_millis() + millis)),
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

/// A request, the head of its response, and what a policy decided.
#[derive(Clone, Debug)]
struct Exchange {
    method: Method,
    request: HeaderMap,
    status: StatusCode,
    response: HeaderMap,
    decision: ResponseDecision,
}

fn exchange() -> impl Strategy<Value = Exchange> {
    (method(), fields(), status(), fields(), decision()).prop_map(
        |(method, request, status, response, decision)| Exchange {
            method,
            request,
            status,
            response,
            decision,
        },
    )
}

impl Exchange {
    fn directives(&self) -> ResponseDirectives {
        ResponseDirectives::governing(&self.response, &targets())
    }

    fn storability(&self, floor: FloorExceptions) -> Storability {
        let input = StorabilityInput {
            method: &self.method,
            target: &Uri::from_static("http://h/a/b?c"),
            request_headers: &self.request,
            request: &RequestDirectives::of(&self.request),
            status: self.status,
            response_headers: &self.response,
            directives: &self.directives(),
            decision: &self.decision,
            default_ttl: DefaultTtl::Given(std::time::Duration::from_secs(60)),
        };
        storability(&input, floor)
    }
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
        defaults: SiteDefaults::default(),
        request_time: asked,
        response_time: came,
    })
}

/// What a GET for a 200 of that length selects.
fn selected(request: &HeaderMap, response: &HeaderMap, length: u64) -> Selection {
    selection(&SelectionInput {
        method: &Method::GET,
        request,
        status: StatusCode::OK,
        response,
        length,
        max_ranges: MAX_RANGES,
    })
}

/// Path, query and variant of a key.
fn key_parts() -> impl Strategy<Value = (String, Option<String>, Option<String>)> {
    (
        "/[a-zA-Z/%.]{0,8}",
        prop::option::of("[a-z=&?]{0,8}"),
        prop::option::of("[a-z+]{1,8}"),
    )
}

fn key_of((path, query, variant): &(String, Option<String>, Option<String>)) -> Vec<u8> {
    let mut key = Vec::new();
    let parts = KeyParts {
        scheme: "http",
        authority: "host.example:8080",
        path,
        query: query.as_deref(),
        variant: variant.as_deref(),
    };
    write_key(&mut key, &parts);
    key
}

/// What a decision adds to a key. Few texts, and such as the encoding itself is made of, so that
/// different decisions come close to each other.
fn key_additions() -> impl Strategy<Value = ExtendedDecision> {
    let text = || "[k1:v\\\\\n]{0,3}";
    let name = || prop::sample::select(vec!["k1", "v"]).prop_map(HeaderName::from_static);
    let value = || "[k1:v]{0,3}".prop_map(|text| HeaderValue::try_from(text).unwrap());
    let part = (text(), text()).prop_map(|(name, value)| KeyPart {
        name: name.into(),
        value: value.into(),
    });
    let fields = (
        prop::collection::vec((name(), value()), 0..2),
        prop::collection::vec(name(), 0..2),
    );
    (
        prop::collection::vec(part, 0..3),
        prop::option::of(text()),
        prop::option::of(text()),
        prop::option::of(text()),
        fields,
    )
        .prop_map(|(key_parts, path, query, origin, (set, remove))| {
            let mut decision = ExtendedDecision {
                key_parts,
                origin: OriginEdits {
                    path: path.map(Into::into),
                    query: query.map(Into::into),
                    origin: origin.map(Into::into),
                    fields: FieldEdits { set, remove },
                },
                ..ExtendedDecision::default()
            };
            decision.seal();
            decision
        })
}

proptest! {
    /// Every function is total: no field of a request or a response makes one panic.
    #[test]
    fn no_input_makes_a_function_panic(
        exchange in exchange(), other in fields(),
        asked in time(), came in time(), now in time(), length in any::<u64>(),
    ) {
        let Exchange { method, request, status, response, decision } = &exchange;
        let target = Uri::from_static("http://h/a/b?c");
        let _ = exchange.storability(FloorExceptions::default());
        let _ = header_lifetime(response, &exchange.directives(), came);
        let freshness = freshness(response, decision, asked, came);
        let _ = (freshness.age(now), freshness.remaining_secs(now));
        let _ = (freshness.usable_until(), freshness.made_stale(now));
        let directives = RequestDirectives::of(request);
        for client in [ClientDirectives::Ignore, ClientDirectives::Obey] {
            let _ = reuse(&freshness, &directives, client, now);
            let _ = stale_if_error(&freshness, &directives, client, now);
        }
        let _ = precondition::precondition(method, request, *status, response);
        let _ = precondition::not_modified_headers(response);
        let _ = selected(request, response, length);
        let _ = Partial::of(response);
        let _ = invalidation::invalidated(method, *status, &target, response);
        let _ = invalidation::cache_groups(response);
        let _ = validation::applies_to(response, &other);
        let _ = validation::head_updates(response, length, StatusCode::OK, &other);
        let _ = normalised_accept_encoding(request);
        let mut forwarded = request.clone();
        let _ = validation::add_conditions(response, &mut forwarded);
        forwarding::strip_request_hop_by_hop(&mut forwarded);
        forwarding::append_via(&mut forwarded, http::Version::HTTP_11, "tero");
        let entry = forwarding::LoopEntry::new("tero", "4f");
        forwarding::append_cdn_loop(&mut forwarded, &entry);
        forwarding::ensure_date(&mut forwarded, now);
        prop_assert!(http_date(&forwarded["date"]).is_some());
    }

    /// A request that we forwarded is recognised when it comes back, whatever others did to the
    /// field before. A quote that was left open before us can hide our name only from recipients
    /// that believe it.
    #[test]
    fn a_forwarded_request_is_recognised_when_it_comes_back(request in fields()) {
        let mut request = request;
        let entry = forwarding::LoopEntry::new("tero", "4f");
        forwarding::append_cdn_loop(&mut request, &entry);
        let mut lines = request.get_all(forwarding::CDN_LOOP).iter();
        prop_assert!(lines.any(|line| entry.is_in(line)));
    }

    /// Age grows with the clock, second for second, and lost freshness does not come back.
    #[test]
    fn age_never_falls_without_revalidation(
        response in fields(), decision in decision(),
        asked in time(), came in time(), first in time(), later in 0..100_000_u64,
    ) {
        let freshness = freshness(&response, &decision, asked, came);
        let second = first.saturating_add(Duration::from_millis(later));
        prop_assert!(freshness.age(first) <= freshness.age(second));
        prop_assert!(freshness.remaining_secs(first) >= freshness.remaining_secs(second));
        let holds: [fn(&Freshness, Timestamp) -> bool; 3] = [
            Freshness::is_fresh,
            Freshness::allows_if_error,
            Freshness::allows_while_revalidate,
        ];
        for holds in holds {
            prop_assert!(holds(&freshness, first) || !holds(&freshness, second));
        }
    }

    #[test]
    fn a_soft_purged_response_is_never_fresh(
        response in fields(), decision in decision(),
        came in time(), purged in time(), later in 0..1_000_u64,
    ) {
        let freshness = freshness(&response, &decision, came, came).made_stale(purged);
        prop_assert!(!freshness.is_fresh(purged.saturating_add(Duration::from_secs(later))));
    }

    /// If the response forbids stale use and no policy allows it, stale is never served, whatever
    /// the client says.
    #[test]
    fn stale_is_never_served_against_the_response(
        response in fields(), request in fields(), came in time(), now in time(),
    ) {
        let freshness = freshness(&response, &ResponseDecision::default(), came, came);
        let directives = RequestDirectives::of(&request);
        let forbids_stale = ResponseDirectives::governing(&response, &targets()).forbids_stale();
        if !forbids_stale || freshness.is_fresh(now) {
            return Ok(());
        }
        for client in [ClientDirectives::Ignore, ClientDirectives::Obey] {
            prop_assert!(!stale_if_error(&freshness, &directives, client, now));
            let reuse = reuse(&freshness, &directives, client, now);
            prop_assert!(matches!(reuse, Reuse::Revalidate(_) | Reuse::Unsatisfiable));
        }
    }

    /// A response below the safety floor is stored only if the site and a policy lift it together.
    #[test]
    fn the_safety_floor_holds(exchange in exchange(), lift in any::<[bool; 5]>()) {
        let [set_cookie, authorization, private, no_store, no_cache] = lift;
        let floor =
            FloorExceptions { set_cookie, authorization, private, no_store, no_cache };
        if exchange.storability(floor) != Storability::Yes {
            return Ok(());
        }
        let Exchange { method, request, status, response, decision } = &exchange;
        let (status, directives) = (status.as_u16(), exchange.directives());
        let lifted = |exception: bool| exception && decision.storing == StoringDecision::Always;
        prop_assert!(!response.contains_key("set-cookie") || lifted(set_cookie));
        prop_assert!(!directives.private.is_all() || lifted(private));
        prop_assert!(!directives.no_store || directives.must_understand || lifted(no_store));
        prop_assert!(
            !request.contains_key("authorization")
                || directives.allows_authorized()
                || lifted(authorization)
        );
        prop_assert!(
            !request.contains_key("cookie") || !directives.no_cache.is_all() || lifted(no_cache)
        );
        prop_assert!(!RequestDirectives::of(request).no_store);
        prop_assert!(decision.storing != StoringDecision::Never);
        prop_assert!(status >= 200 && !matches!(status, 206 | 304 | 412 | 416 | 417));
        prop_assert!(*method == Method::GET || *method == Method::POST);
        let never = ["set-cookie", "age", "content-length", "connection", "transfer-encoding"];
        for (name, _) in stored_fields(response, &directives) {
            prop_assert!(!never.contains(&name.as_str()));
        }
    }

    /// No response mixes two variants.
    #[test]
    fn a_request_selects_a_response_if_and_only_if_its_nominated_values_are_equal(
        response in fields(), first in fields(), second in fields(),
    ) {
        let vary = Vary::of(&response);
        let (stored, own) = (vary.nominated(&first), vary.nominated(&second));
        let can_select = vary != Vary::Everything;
        prop_assert_eq!(vary.selects(&stored, &second), can_select && stored == own);
        prop_assert_eq!(vary.selects(&stored, &first), can_select);
        prop_assert!(stored != own || stored.digest() == own.digest());
    }

    #[test]
    fn a_normalised_accept_encoding_selects_the_same_response(request in fields()) {
        if let Some(value) = normalised_accept_encoding(&request) {
            let mut forwarded = request.clone();
            forwarded.insert("accept-encoding", value);
            let mut response = HeaderMap::new();
            response.insert("vary", HeaderValue::from_static("accept-encoding"));
            let vary = Vary::of(&response);
            prop_assert!(vary.selects(&vary.nominated(&request), &forwarded));
        }
    }

    /// A coding that is chosen is one that the request accepts, and none that it wants more was
    /// offered.
    #[test]
    fn the_chosen_coding_is_the_most_wanted_that_is_offered(
        request in fields(), offered in prop::sample::subsequence(ContentCoding::ALL.to_vec(), 0..=3),
    ) {
        let accepted = AcceptedCodings::of(&request);
        match accepted.preferred(offered.iter().copied()) {
            Some(chosen) => {
                prop_assert!(offered.contains(&chosen) && accepted.weight(chosen) > 0);
                prop_assert!(offered.iter().all(|other| accepted.weight(*other) <= accepted.weight(chosen)));
                prop_assert!(accepts_all(&request, chosen.as_str().as_bytes()));
            }
            None => prop_assert!(
                request.contains_key("accept-encoding") || accepted == AcceptedCodings::default()
            ),
        }
    }

    /// The codings of a response without `Vary` never reach a request that refuses them, but for
    /// those that the next hop would answer alike.
    #[test]
    fn a_coded_response_is_for_those_that_accept_it(first in fields(), second in fields()) {
        let response = HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("br"))]);
        let key = SecondaryKey::of(&response, &first);
        prop_assert!(key.selects(&first));
        let is_alike = normalised_accept_encoding(&first) == normalised_accept_encoding(&second);
        prop_assert_eq!(key.selects(&second), accepts_all(&second, b"br") || is_alike);
    }

    /// Nor does it change the fields that describe the stored bytes.
    #[test]
    fn a_304_changes_only_fields_that_it_has(stored in fields(), not_modified in fields()) {
        let updated = validation::updated_fields(&stored, &not_modified);
        for name in stored.keys() {
            let before: Vec<_> = stored.get_all(name).iter().collect();
            let after: Vec<_> = updated.get_all(name).iter().collect();
            let new: Vec<_> = not_modified.get_all(name).iter().collect();
            let joined: Vec<_> = before.iter().chain(&new).copied().collect();
            let is_joined = *name == VARY && after == joined;
            prop_assert!(after == before || (after == new && !new.is_empty()) || is_joined);
        }
        prop_assert!(Vary::of(&updated).covers(&Vary::of(&stored)));
        for name in ["content-length", "content-encoding", "content-range", "set-cookie"] {
            prop_assert_eq!(updated.get(name), stored.get(name));
        }
        if stored.contains_key("etag") {
            prop_assert_eq!(updated.get("etag"), stored.get("etag"));
        }
        prop_assert_eq!(validation::updated_fields(&updated, &not_modified), updated);
    }

    /// A body made of them has its announced length.
    #[test]
    fn selected_ranges_are_disjoint_and_within_the_response(
        range in "(bytes=)?([0-9]{0,4}-[0-9]{0,4},? ?){0,8}", length in 0..3_000_u64,
    ) {
        let mut request = HeaderMap::new();
        request.insert("range", HeaderValue::from_str(range.trim()).unwrap());
        let ranges = match selected(&request, &HeaderMap::new(), length) {
            Selection::Whole | Selection::Unsatisfiable => Vec::new(),
            Selection::Single(range) => vec![range],
            Selection::Multiple(ranges) => {
                prop_assert!((2..=MAX_RANGES).contains(&ranges.len()));
                let frame = Multipart::new(ranges.clone(), length, &HeaderMap::new(), 0);
                let heads: usize = ranges.iter().map(|range| frame.head(range).len()).sum();
                let bytes: u64 = ranges.iter().map(|range| range.end - range.start).sum();
                let framing = u64::try_from(heads + frame.tail().len()).unwrap();
                prop_assert_eq!(frame.content_length(), bytes + framing);
                ranges
            }
        };
        prop_assert!(ranges.iter().all(|range| range.start < range.end && range.end <= length));
        let mut sorted = ranges.clone();
        sorted.sort_by_key(|range| range.start);
        prop_assert!(sorted.windows(2).all(|pair| pair[0].end < pair[1].start));
    }

    /// It also has no parameter that the query doesn't have.
    #[test]
    fn a_canonical_query_is_its_own_canonical_form(
        query in "[ab%=&6]{0,20}", patterns in prop::collection::vec("[ab]{0,2}[*]?", 0..3),
        sort: bool, which in 0..3,
    ) {
        let parameters = match which {
            0 => QueryParameters::All,
            1 => QueryParameters::Ignore(patterns),
            _ => QueryParameters::Only(patterns),
        };
        let rule = QueryRule { parameters, sort };
        if let Some(canonical) = canonical_query(Some(&query), &rule) {
            let again = canonical_query(Some(&canonical), &rule);
            prop_assert_eq!(again.as_deref(), Some(&*canonical));
            let originals: Vec<&str> = query.split('&').collect();
            prop_assert!(canonical.split('&').all(|parameter| originals.contains(&parameter)));
        }
    }

    /// What was written into a key can be read from it.
    #[test]
    fn keys_are_equal_only_if_all_their_parts_are(one in key_parts(), other in key_parts()) {
        let key = key_of(&one);
        prop_assert_eq!(variant_of(&key), one.2.as_deref());
        let uri: Uri = url_of(&key).parse().unwrap();
        prop_assert_eq!((uri.path(), uri.query()), (&*one.0, one.1.as_deref()));
        prop_assert_eq!(key == key_of(&other), one == other);
    }

    /// Two decisions that differ in what the origin is asked, or in a part of the key, never share a
    /// stored response.
    #[test]
    fn keys_of_different_decisions_are_different(
        parts in key_parts(), other_parts in key_parts(),
        one in key_additions(), other in key_additions(),
    ) {
        let key = |parts, decision: &ExtendedDecision| {
            let mut key = key_of(parts);
            write_suffix(&mut key, &decision.key_suffix());
            key
        };
        let written = key(&parts, &one);
        prop_assert_eq!(without_suffix(&written), &*key_of(&parts));
        prop_assert_eq!(has_suffix(&written), !one.key_suffix().is_empty());
        prop_assert_eq!(variant_of(&written), parts.2.as_deref());
        prop_assert_eq!(written == key(&parts, &other), one == other);
        prop_assert_eq!(written == key(&other_parts, &one), parts == other_parts);
        // Nor does one with what is kept beside another.
        for beside in ["\nparts", "\nwith cookies"] {
            prop_assert!([&written, beside.as_bytes()].concat() != key(&parts, &other));
        }
    }

    #[test]
    fn only_urls_of_the_same_origin_are_invalidated(
        response in fields(), method in method(), status in status(),
    ) {
        let target = Uri::from_static("http://h/a/b?c");
        for url in invalidation::invalidated(&method, status, &target, &response) {
            prop_assert!(url.starts_with("http://h/"), "{}", url);
        }
    }
}
