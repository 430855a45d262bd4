//! The fields of a request and of two responses, given to every reader of fields.
//!
//! ```text
//! GET http://www.example/a?b
//! cache-control: max-age=0
//!
//! 200
//! cache-control: max-age=60
//!
//! 304
//! etag: "a"
//! ```

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use http::header::{
    AGE, CONNECTION, CONTENT_LENGTH, COOKIE, HeaderMap, HeaderName, HeaderValue, UPGRADE,
};
use http::{Method, StatusCode, Version};
use tero_config::AccessLogFormat;
use tero_edge::telemetry::Outcome;
use tero_edge::telemetry::access_log::{
    AccessLogLine, AnswerFacts, LineFormat, LineOutcome, SentResponse,
};
use tero_policy_host::cookies::cookies;
use tero_policy_host::device::{
    DeviceFields, DeviceModels, MAX_PLATFORM_BYTES, MAX_USER_AGENT_BYTES, class_of, classify,
};
use tero_semantics::authority::{Authority, Scheme};
use tero_semantics::browser_lifetime::limit_browser_lifetime;
use tero_semantics::cache_control::{MAX_DELTA_SECS, RequestDirectives, ResponseDirectives};
use tero_semantics::cache_control_rule::{CacheControlRule, RuledResponse};
use tero_semantics::cache_status::CacheStatus;
use tero_semantics::content_coding::{AcceptedCodings, ContentCoding, accepts_all};
use tero_semantics::forwarded::{forwarded_facts, named_authority};
use tero_semantics::freshness::{MAX_HEURISTIC, age_value, field_lifetime, header_lifetime};
use tero_semantics::http_date::{date_value, http_date};
use tero_semantics::partial::{ByteRuns, RunPiece, are_combinable};
use tero_semantics::purge_request::{PurgeWish, PurgedPages, purge_wish};
use tero_semantics::range::{MAX_RANGES, Multipart, Partial, Selection, SelectionInput, selection};
use tero_semantics::request_fields::{RequestFieldKind, has_underscore, kind_of};
use tero_semantics::retry_after::retry_after;
use tero_semantics::storability::FloorExceptions;
use tero_semantics::surrogate_keys::{
    MAX_SURROGATE_KEYS, SURROGATE_KEY, is_surrogate_key, remove_surrogate_keys,
    surrogate_key_value, surrogate_keys,
};
use tero_semantics::timestamp::Timestamp;
use tero_semantics::upgrade::{is_meant, only_protocol};
use tero_semantics::vary::{MAX_VARY_FIELDS, SecondaryKey, Vary, normalised_accept_encoding};
use tero_semantics::{forwarding, invalidation, precondition, validation};
use tero_tools::replay::log;

use super::script::{Block, blocks};

/// The time of reading: `Tue, 24 Nov 2026 13:00:00 GMT`.
const NOW: Timestamp = Timestamp::from_unix_secs(1_795_525_200);

/// Gives the fields to every reader, and asserts properties of the results.
pub fn fields(bytes: &[u8]) {
    let [request, response, other] = blocks(bytes);
    directives(&request.headers, &response.headers);
    dates(&response.headers);
    lifetimes(response.status(), &response.headers);
    variants(&request.headers, &response.headers, &other.headers);
    ranges(&request.headers, &response.headers);
    partial(&response.headers, &other.headers);
    conditions(&request, &response);
    validations(&response.headers, &other.headers, other.status());
    invalidations(&request, &response);
    surrogate_keys_and_purges(&request, &response.headers);
    cache_control_rule(&request, &response);
    forwarded(&request.headers);
    proxies(&request.headers);
    devices(&request.headers);
    asked(&request.headers);
    told(&request.headers, &response.headers);
    logged(&request, &response);
}

pub fn targets() -> [HeaderName; 2] {
    [
        HeaderName::from_static("tero-cache-control"),
        HeaderName::from_static("cdn-cache-control"),
    ]
}

fn directives(request: &HeaderMap, response: &HeaderMap) {
    let asked = RequestDirectives::of(request);
    let said = ResponseDirectives::governing(response, &targets());
    let most = Duration::from_secs(MAX_DELTA_SECS);
    let spans = [asked.max_age, asked.min_fresh, asked.stale_if_error];
    assert!(spans.into_iter().flatten().all(|span| span <= most));
    let spans = [
        said.max_age,
        said.s_maxage,
        said.stale_while_revalidate,
        said.stale_if_error,
    ];
    assert!(spans.into_iter().flatten().all(|span| span <= most));
    // `Cache-Control` and a targeted field are read independently of each other.
    let plain = ResponseDirectives::of(response);
    assert!(said.targeted.is_some() || said == plain);
    let mut without = response.clone();
    without.remove("cache-control");
    assert!(said.targeted.is_none() || said == ResponseDirectives::governing(&without, &targets()));
    // One line means the same as several lines with its members: recipients may combine lines (RFC
    // 9110 §5.3).
    let lines: Vec<&[u8]> = response
        .get_all("cache-control")
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if lines.iter().all(|line| !line.contains(&b'"')) {
        let mut joined = HeaderMap::new();
        joined.insert(
            "cache-control",
            HeaderValue::from_bytes(&lines.join(&b", "[..])).expect("it was made of values"),
        );
        assert_eq!(plain, ResponseDirectives::of(&joined));
    }
}

fn dates(headers: &HeaderMap) {
    for value in headers.values() {
        if let Some(date) = http_date(value) {
            assert!(date.unix_secs() >= 0);
            assert_eq!(http_date(&date_value(date)), Some(date), "{value:?}");
        }
    }
    assert!(age_value(headers) <= Duration::from_secs(MAX_DELTA_SECS));
    let _ = retry_after(headers, NOW);
    let mut dated = headers.clone();
    forwarding::ensure_date(&mut dated, NOW);
    assert!(dated.get("date").and_then(http_date).is_some());
}

fn lifetimes(status: StatusCode, headers: &HeaderMap) {
    let directives = ResponseDirectives::governing(headers, &targets());
    let (lifetime, source) = field_lifetime(status, headers, &directives, NOW);
    assert_eq!(
        header_lifetime(headers, &directives, NOW),
        source.is_explicit().then_some(lifetime)
    );
    assert!(source.is_explicit() || lifetime <= MAX_HEURISTIC);
}

fn variants(first: &HeaderMap, response: &HeaderMap, second: &HeaderMap) {
    let vary = Vary::of(response);
    assert!(vary.fields().len() <= MAX_VARY_FIELDS);
    let (stored, own) = (vary.nominated(first), vary.nominated(second));
    assert_eq!(
        vary.selects(&stored, second),
        vary != Vary::Everything && stored == own
    );
    assert_eq!(vary.selects(&stored, first), vary != Vary::Everything);
    assert!(stored != own || stored.digest() == own.digest());
    let _ = vary.selects(&stored.in_language_of(response), second);
    let _ = own.weight();
    assert!(vary == Vary::Everything || SecondaryKey::of(response, first).selects(first));
    if let Some(chosen) = AcceptedCodings::of(first).preferred(ContentCoding::ALL) {
        assert!(accepts_all(first, chosen.as_str().as_bytes()));
    }
    if let Some(value) = normalised_accept_encoding(first) {
        let mut forwarded = first.clone();
        forwarded.insert("accept-encoding", value.clone());
        assert_eq!(normalised_accept_encoding(&forwarded), Some(value));
        let mut varying = HeaderMap::new();
        varying.insert("vary", HeaderValue::from_static("accept-encoding"));
        let vary = Vary::of(&varying);
        assert!(vary.selects(&vary.nominated(first), &forwarded));
    }
}

fn ranges(request: &HeaderMap, response: &HeaderMap) {
    for length in [0, 1, 100, 5_000, u64::MAX] {
        let input = SelectionInput {
            method: &Method::GET,
            request,
            status: StatusCode::OK,
            response,
            length,
            max_ranges: MAX_RANGES,
        };
        let ranges = match selection(&input) {
            Selection::Whole | Selection::Unsatisfiable => continue,
            Selection::Single(range) => vec![range],
            Selection::Multiple(ranges) => ranges,
        };
        assert!(
            ranges.len() <= MAX_RANGES
                && ranges
                    .iter()
                    .all(|range| range.start < range.end && range.end <= length)
        );
        let mut sorted = ranges.clone();
        sorted.sort_by_key(|range| range.start);
        assert!(
            sorted.windows(2).all(|pair| pair[0].end < pair[1].start),
            "{sorted:?} overlap"
        );
        let frame = Multipart::new(ranges.clone(), length, response, 1);
        let heads: usize = ranges.iter().map(|range| frame.head(range).len()).sum();
        let content: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        assert_eq!(
            frame.content_length(),
            content.saturating_add((heads + frame.tail().len()) as u64)
        );
        assert_eq!(
            selection(&SelectionInput {
                method: &Method::HEAD,
                ..input
            }),
            Selection::Whole
        );
    }
}

fn partial(response: &HeaderMap, other: &HeaderMap) {
    if let Some(partial) = Partial::of(response) {
        assert!(partial.range.start < partial.range.end);
        assert!(
            partial
                .length
                .is_none_or(|length| partial.range.end <= length)
        );
    }
    assert_eq!(
        are_combinable(response, other),
        are_combinable(other, response)
    );
    if let (Some(first), Some(second)) = (Partial::of(response), Partial::of(other))
        && let Some(length) = first.length.filter(|length| second.range.end <= *length)
        && let Some(parts) = ByteRuns::one(first.range, length)
    {
        united(&parts, &second.range);
    }
}

/// Checks that a union has all bytes of both, in order and without repeats.
fn united(parts: &ByteRuns, new: &Range<u64>) {
    let (union, pieces) = parts.with(new, u64::MAX);
    let size = |range: &Range<u64>| range.end - range.start;
    let bytes: u64 = pieces
        .iter()
        .map(|piece| {
            if let RunPiece::Kept(kept) = piece {
                size(kept)
            } else {
                size(new)
            }
        })
        .sum();
    let runs = union.map_or_else(
        || std::iter::once(0..parts.length()).collect(),
        |union| union.runs().to_vec(),
    );
    assert_eq!(bytes, runs.iter().map(size).sum::<u64>());
    assert!(
        runs.windows(2).all(|pair| pair[0].end < pair[1].start),
        "{runs:?}"
    );
    assert!(parts.runs().iter().chain([new]).all(|run| {
        runs.iter()
            .any(|whole| whole.start <= run.start && run.end <= whole.end)
    }));
}

fn conditions(request: &Block<'_>, response: &Block<'_>) {
    use precondition::Precondition::{NotModified, Proceed};
    let judged = |method: &Method, status: StatusCode| {
        precondition::precondition(method, &request.headers, status, &response.headers)
    };
    assert_eq!(judged(&Method::GET, StatusCode::NOT_FOUND), Proceed);
    assert_ne!(judged(&Method::POST, StatusCode::OK), NotModified);
    let _ = judged(&request.method(), response.status());
    let told = precondition::not_modified_headers(&response.headers);
    assert!(told.iter().all(|(name, value)| {
        response
            .headers
            .get_all(name)
            .iter()
            .any(|own| own == value)
    }));
    assert!(!told.contains_key(CONTENT_LENGTH));
}

fn validations(stored: &HeaderMap, other: &HeaderMap, status: StatusCode) {
    let mut request = other.clone();
    let is_conditional = validation::add_conditions(stored, &mut request);
    assert_eq!(is_conditional, validation::has_validator(stored));
    assert_eq!(
        is_conditional,
        request.contains_key("if-none-match") || request.contains_key("if-modified-since")
    );
    let _ = validation::applies_to(stored, other);
    let merged = validation::updated_fields(stored, other);
    for name in [
        "content-length",
        "content-encoding",
        "content-range",
        "set-cookie",
    ] {
        assert_eq!(merged.get(name), stored.get(name));
    }
    assert_eq!(validation::updated_fields(&merged, other), merged);
    let _ = validation::head_updates(stored, 5, status, other);
}

fn invalidations(request: &Block<'_>, response: &Block<'_>) {
    let (method, target) = (request.method(), request.target());
    let urls = invalidation::invalidated(&method, response.status(), &target, &response.headers);
    assert!(!invalidation::is_safe(&method) || urls.is_empty());
    let origin = urls.first().and_then(|own| own.split('/').nth(2));
    for url in &urls {
        assert_eq!(
            url.split('/').nth(2).map(|rest| rest.split('?').next()),
            origin.map(|own| own.split('?').next()),
            "{urls:?}"
        );
        assert!(!url.contains('#'));
    }
    let groups = invalidation::cache_groups(&response.headers);
    assert!(groups.len() <= invalidation::MAX_GROUPS);
    assert!(
        groups
            .iter()
            .all(|group| (1..=invalidation::MAX_GROUP_BYTES).contains(&group.len()))
    );
    let named = invalidation::invalidated_groups(&method, response.status(), &response.headers);
    assert!(
        named.len() <= invalidation::MAX_GROUPS
            && (named.is_empty() || !invalidation::is_safe(&method))
    );
}

/// Surrogate keys are bounded, and what a request purges names such keys.
fn surrogate_keys_and_purges(request: &Block<'_>, response: &HeaderMap) {
    if let Ok(keys) = surrogate_keys(response) {
        assert!(keys.len() <= MAX_SURROGATE_KEYS);
        assert!(keys.is_sorted() && keys.iter().all(|key| is_surrogate_key(key)));
        let told = surrogate_key_value(keys.iter().map(|key| &**key));
        let told = HeaderMap::from_iter(told.map(|told| (SURROGATE_KEY, told)));
        assert_eq!(surrogate_keys(&told).as_ref(), Ok(&keys));
    }
    let mut without = response.clone();
    remove_surrogate_keys(&mut without);
    assert_eq!(surrogate_keys(&without), Ok(Vec::new()));
    for method in ["PURGE", "PURGEKEYS", "BAN"] {
        let method = Method::from_bytes(method.as_bytes()).expect("it is a token");
        let target = request.target();
        match purge_wish(&method, target.path(), &request.headers) {
            Ok(PurgeWish {
                pages: PurgedPages::Keys(keys),
                ..
            }) => {
                assert!((1..=MAX_SURROGATE_KEYS).contains(&keys.len()));
                assert!(keys.iter().all(|key| is_surrogate_key(key)));
            }
            Ok(PurgeWish {
                pages: PurgedPages::Prefix(prefix),
                ..
            }) => {
                assert!(target.path().starts_with(&prefix));
            }
            Ok(_) | Err(_) => {}
        }
    }
}

/// What the operator says in the place of a response never lengthens what is bounded, and doing it
/// twice changes nothing.
fn cache_control_rule(request: &Block<'_>, response: &Block<'_>) {
    let limit = Duration::from_secs(60);
    let rule = CacheControlRule {
        replacement: None,
        at_most: Some(limit),
    };
    let of = RuledResponse {
        method: &request.method(),
        has_cookies: request.headers.contains_key(COOKIE),
        status: StatusCode::OK,
        targets: &targets(),
        lifted: FloorExceptions::default(),
        now: NOW,
    };
    let mut once = response.headers.clone();
    rule.apply(&of, &mut once);
    let mut twice = once.clone();
    rule.apply(&of, &mut twice);
    assert_eq!(once, twice);
    let mut private = response.headers.clone();
    let replacing = CacheControlRule {
        replacement: Some(HeaderValue::from_static("max-age=60")),
        at_most: None,
    };
    replacing.apply(&of, &mut private);
    let said = ResponseDirectives::governing(&response.headers, &targets());
    if said.no_store || said.private.is_all() {
        assert_eq!(private, response.headers);
    }
}

/// What proxies say about a request.
fn proxies(request: &HeaderMap) {
    let peer = IpAddr::from([10, 0, 0, 1]);
    let direct = forwarded_facts(request, Some(peer), |_| false);
    // The peer alone is trusted: what it says of its own peer is the end of the walk.
    assert!(direct.proxies.is_empty() || direct.proxies == [peer]);
    let facts = forwarded_facts(request, Some(peer), |address| address.is_loopback());
    let between = facts
        .proxies
        .split_last()
        .map_or(&[][..], |(nearest, between)| {
            assert_eq!(*nearest, peer);
            between
        });
    assert!(between.iter().all(IpAddr::is_loopback));
    if let Some(named) = named_authority(&facts, None) {
        let authority = Authority::new(named, Scheme::Http);
        assert!(!authority.host().is_empty() && authority.port() != Some(80));
    }
    for name in request.keys() {
        let (kind, spelled) = (kind_of(name.as_str()), name.as_str().replace('-', "_"));
        assert!(kind == RequestFieldKind::Ordinary || kind == kind_of(&spelled));
        assert_eq!(has_underscore(name.as_str()), name.as_str().contains('_'));
    }
}

fn forwarded(request: &HeaderMap) {
    let mut left = request.clone();
    forwarding::strip_request_hop_by_hop(&mut left);
    for name in [
        "connection",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "keep-alive",
        "proxy-authorization",
    ] {
        assert!(!left.contains_key(name));
    }
    assert!(!request.contains_key("cache-control") || left.contains_key("cache-control"));
    let mut again = left.clone();
    forwarding::strip_request_hop_by_hop(&mut again);
    assert_eq!(left, again);
    forwarding::append_via(&mut again, Version::HTTP_11, "tero");
    assert!(
        again
            .get("via")
            .is_some_and(|via| via.as_bytes().ends_with(b"1.1 tero"))
    );
    let entry = forwarding::LoopEntry::new("tero", "4f");
    forwarding::append_cdn_loop(&mut again, &entry);
    assert!(
        again
            .get_all("cdn-loop")
            .iter()
            .any(|line| entry.is_in(line))
    );
}

fn devices(request: &HeaderMap) {
    let fields = DeviceFields::of(request);
    assert!(
        fields.user_agent.len() <= MAX_USER_AGENT_BYTES
            && fields.platform.len() <= MAX_PLATFORM_BYTES
    );
    assert_eq!(classify(request), class_of(fields, DeviceModels::shipped()));
}

/// Checks that cookies are parts of their lines, and that a protocol is well-formed.
fn asked(request: &HeaderMap) {
    let names = ["session".into(), "market*".into()];
    let sent: usize = request.get_all(COOKIE).iter().map(HeaderValue::len).sum();
    let found: Vec<_> = cookies(request, &names).collect();
    let bytes: usize = found
        .iter()
        .map(|cookie| cookie.name.len() + 1 + cookie.value.len())
        .sum();
    assert!(
        bytes <= sent
            && found
                .iter()
                .all(|cookie| !cookie.value.contains(&b';')
                    && cookie.value.trim_ascii() == cookie.value)
    );
    let lines = request.get_all(UPGRADE).iter().count();
    let protocol = only_protocol(request);
    assert!(
        protocol
            .is_none_or(|name| lines == 1 && !name.is_empty() && !name.as_bytes().contains(&b','))
    );
    assert!(!is_meant(request) || request.contains_key(CONNECTION));
}

/// Checks that fields written by the edge can be read, whatever they are made of.
fn told(request: &HeaderMap, response: &HeaderMap) {
    let mut headers = response.clone();
    headers.remove(AGE);
    limit_browser_lifetime(
        &mut headers,
        Duration::from_secs(60),
        Duration::from_secs(5),
        Duration::from_secs(10),
    );
    let detail = request
        .values()
        .next()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let status = CacheStatus {
        hit: true,
        details: [detail.as_deref(), None],
        key: detail.as_deref(),
        ..CacheStatus::default()
    };
    let mut said = HeaderMap::new();
    status.append_to(&mut said, "tero");
    let value = said
        .get("cache-status")
        .expect("the edge always says what happened");
    let list: sfv::List = sfv::Parser::new(value.as_bytes())
        .parse()
        .expect("it is a list");
    assert_eq!(list.len(), 1);
}

/// Checks that every exchange becomes one line of the access log, which describes this request.
fn logged(request: &Block<'_>, response: &Block<'_>) {
    let (method, uri) = (request.method(), request.target());
    let target = uri
        .path_and_query()
        .map(ToString::to_string)
        .unwrap_or_default();
    let line = AccessLogLine {
        at: NOW,
        request_id: None,
        client: Some([192, 0, 2, 1].into()),
        peer: None,
        proxies: &[],
        method: Some(&method),
        target: &target,
        version: Version::HTTP_11,
        host: uri.host().unwrap_or_default(),
        request: &request.headers,
        status: response.status(),
        response: &response.headers,
        outcome: LineOutcome::Answered(Outcome::Pass),
        took_micros: 1,
        tls: None,
        facts: AnswerFacts::default(),
    };
    let sent = SentResponse {
        bytes: 1,
        took_micros: 2,
    };
    for format in [AccessLogFormat::Json, AccessLogFormat::Combined] {
        let line = line.begin(&LineFormat::whole(format)).close(sent);
        assert!(!line.contains(['\n', '\r']), "{line:?}");
        let read = log::parse(&line).expect("it is a line of a log");
        assert_eq!(
            (&read.method, &*read.target, read.status, read.at),
            (&method, &*target, response.status(), NOW),
            "{line}"
        );
    }
}
