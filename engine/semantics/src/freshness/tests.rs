use super::*;
use crate::testing::{FieldLines, NOON, date, headers};

const DAY: i64 = 24 * 60 * 60;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn after(secs: i64) -> Timestamp {
    Timestamp::from_unix_secs(NOON.unix_secs() + secs)
}

/// The freshness of a 200 that came at noon, without delay, on a site without defaults.
fn freshness(lines: FieldLines<'_>, decision: &ResponseDecision) -> Freshness {
    let headers = headers(lines);
    let targets = [http::HeaderName::from_static("cdn-cache-control")];
    Freshness::of(&FreshnessInput {
        status: StatusCode::OK,
        response_headers: &headers,
        directives: &ResponseDirectives::governing(&headers, &targets),
        decision,
        defaults: SiteDefaults::default(),
        request_time: NOON,
        response_time: NOON,
    })
}

fn by_fields(lines: FieldLines<'_>) -> Freshness {
    freshness(lines, &ResponseDecision::default())
}

#[test]
fn the_lifetime_comes_from_the_first_field_that_gives_one() {
    use LifetimeSource::{Expires, Heuristic, MaxAge, None, SMaxage, Targeted};
    let (now, soon, later, past) = (date(0), date(10), date(300), date(-10));
    let (yesterday, a_second_less, last_year) = (date(-DAY), date(1 - DAY), date(-365 * DAY));
    let cc = "cache-control";
    let rows: &[(FieldLines<'_>, u64, LifetimeSource)] = &[
        (&[], 0, None),
        (&[(cc, "public")], 0, None),
        (
            &[(cc, "s-maxage=1, max-age=2"), ("expires", &soon)],
            1,
            SMaxage,
        ),
        (&[(cc, "max-age=2, s-maxage=1")], 1, SMaxage),
        (&[(cc, "max-age=2"), ("expires", &soon)], 2, MaxAge),
        (&[(cc, "max-age=2"), ("expires", "0")], 2, MaxAge),
        (&[(cc, "max-age=0"), ("expires", &soon)], 0, MaxAge),
        (
            &[
                (cc, "max-age=x"),
                ("expires", &soon),
                ("last-modified", &yesterday),
            ],
            0,
            MaxAge,
        ),
        (
            &[
                ("cdn-cache-control", "max-age=3"),
                (cc, "max-age=2"),
                ("expires", &past),
            ],
            3,
            Targeted,
        ),
        // If a targeted field governs without a lifetime, `Expires` gives none either (RFC 9213
        // §2.2).
        (
            &[
                ("cdn-cache-control", "foo"),
                (cc, "max-age=2"),
                ("expires", &soon),
            ],
            0,
            None,
        ),
        (&[("expires", &soon)], 10, Expires),
        (&[("expires", &soon), ("date", &now)], 10, Expires),
        (&[("expires", &soon), ("date", &past)], 20, Expires),
        (&[("expires", &now), ("date", &now)], 0, Expires),
        (&[("expires", &past), ("date", &now)], 0, Expires),
        (&[("expires", &soon), ("date", &later)], 0, Expires),
        (&[("expires", &soon), ("date", "foo")], 10, Expires),
        (&[("expires", &soon), ("expires", &later)], 10, Expires),
        (
            &[("expires", "0"), ("last-modified", &yesterday)],
            0,
            Expires,
        ),
        (
            &[("last-modified", &yesterday), ("date", &now)],
            8_640,
            Heuristic,
        ),
        (&[("last-modified", &yesterday)], 8_640, Heuristic),
        (
            &[("last-modified", &a_second_less), ("date", &now)],
            8_639,
            Heuristic,
        ),
        (&[("last-modified", &last_year)], 86_400, Heuristic),
        (&[("last-modified", &now)], 0, None),
        (&[("last-modified", &soon)], 0, None),
        (&[("last-modified", "foo")], 0, None),
        (
            &[("last-modified", &yesterday), ("pragma", "no-cache")],
            8_640,
            Heuristic,
        ),
    ];
    for (lines, lifetime, source) in rows {
        let freshness = by_fields(lines);
        assert_eq!(
            (freshness.lifetime(), freshness.source()),
            (secs(*lifetime), *source),
            "{lines:?}"
        );
        assert_eq!(
            freshness
                .fresh_until()
                .since(NOON.saturating_sub(freshness.age(NOON))),
            secs(*lifetime),
            "{lines:?}"
        );
        let headers = headers(lines);
        let directives = ResponseDirectives::governing(
            &headers,
            &[http::HeaderName::from_static("cdn-cache-control")],
        );
        let explicit = source.is_explicit().then(|| secs(*lifetime));
        assert_eq!(
            header_lifetime(&headers, &directives, NOON),
            explicit,
            "{lines:?}"
        );
    }
}

#[test]
fn a_heuristic_lifetime_needs_a_heuristically_cacheable_status_or_public() {
    let modified = headers(&[("last-modified", &date(-DAY))]);
    let public = ResponseDirectives {
        public: true,
        ..ResponseDirectives::default()
    };
    for status in 200..=599 {
        let status = StatusCode::from_u16(status).unwrap();
        let guess = |directives: &ResponseDirectives| {
            field_lifetime(status, &modified, directives, NOON).0 > Duration::ZERO
        };
        let allowed =
            [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501].contains(&status.as_u16());
        assert_eq!(guess(&ResponseDirectives::default()), allowed, "{status}");
        assert!(guess(&public), "{status}");
    }
}

#[test]
fn the_initial_age_is_the_greater_of_apparent_age_and_corrected_age_value() {
    // Date relative to noon, Age, the delay of the response and the age at noon, both in
    // milliseconds.
    let rows: &[(Option<i64>, &[&str], i64, u64)] = &[
        (None, &[], 0, 0),
        (None, &[], 1_500, 1_500),
        (Some(0), &["15"], 0, 15_000),
        (Some(0), &["15"], 2_000, 17_000),
        (Some(-10), &[], 0, 10_000),
        (Some(-10), &["5"], 0, 10_000),
        (Some(-10), &["9"], 1_500, 10_500),
        (Some(10), &[], 0, 0),
        (Some(10), &["15"], 0, 15_000),
        (None, &["015"], 0, 15_000),
        (None, &["2147483649"], 0, 2_147_483_648_000),
        (None, &["99999999999999999999"], 0, 2_147_483_648_000),
        // The first member of a list counts; a malformed one is ignored (§5.1).
        (None, &["7200,0"], 0, 7_200_000),
        (None, &["7200", "0"], 0, 7_200_000),
        (None, &["0,7200"], 0, 0),
        (None, &["0", "7200"], 0, 0),
        (None, &["7200, 7200"], 0, 7_200_000),
        (None, &["abc"], 0, 0),
        (None, &["-7200"], 0, 0),
        (None, &["7200.0"], 0, 0),
        (None, &["7200;a=b"], 0, 0),
        (None, &["abc, 7200"], 0, 0),
        (None, &[""], 0, 0),
    ];
    for (at, ages, delay, expected) in rows {
        let mut lines: Vec<(&str, String)> =
            ages.iter().map(|age| ("age", (*age).to_owned())).collect();
        lines.extend(at.map(|at| ("date", date(at))));
        let lines: Vec<(&str, &str)> = lines
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let headers = headers(&lines);
        let freshness = Freshness::of(&FreshnessInput {
            status: StatusCode::OK,
            response_headers: &headers,
            directives: &ResponseDirectives::default(),
            decision: &ResponseDecision::default(),
            defaults: SiteDefaults::default(),
            request_time: Timestamp::from_unix_millis(NOON.unix_millis() - delay),
            response_time: NOON,
        });
        assert_eq!(
            freshness.age(NOON),
            Duration::from_millis(*expected),
            "{lines:?} {delay}"
        );
    }
}

#[test]
fn a_date_in_the_second_of_arrival_adds_no_age() {
    let headers = headers(&[("date", &date(0)), ("cache-control", "max-age=1")]);
    let arrival = Timestamp::from_unix_millis(NOON.unix_millis() + 999);
    let freshness = Freshness::of(&FreshnessInput {
        status: StatusCode::OK,
        response_headers: &headers,
        directives: &ResponseDirectives::of(&headers),
        decision: &ResponseDecision::default(),
        defaults: SiteDefaults::default(),
        request_time: arrival,
        response_time: arrival,
    });
    assert_eq!(freshness.age(arrival), Duration::ZERO);
}

#[test]
fn freshness_ends_with_the_last_millisecond_of_the_lifetime() {
    let freshness = by_fields(&[("cache-control", "max-age=10"), ("age", "3")]);
    for (millis, fresh, remaining, age) in [
        (0, true, 7, 3),
        (1, true, 7, 3),
        (6_000, true, 1, 9),
        (6_999, true, 1, 9),
        (7_000, false, 0, 10),
        (7_001, false, -1, 10),
        (8_000, false, -1, 11),
    ] {
        let now = Timestamp::from_unix_millis(NOON.unix_millis() + millis);
        let seen = (
            freshness.is_fresh(now),
            freshness.remaining_secs(now),
            freshness.age(now).as_secs(),
        );
        assert_eq!(seen, (fresh, remaining, age), "{millis}");
    }
}

#[test]
fn a_policys_ttl_replaces_the_fields_and_counts_from_arrival() {
    let decision = ResponseDecision {
        ttl: Some(secs(60)),
        ..ResponseDecision::default()
    };
    for line in ["max-age=5", "s-maxage=0", "no-cache", "max-age=x"] {
        let freshness = freshness(&[("cache-control", line), ("age", "1000")], &decision);
        assert_eq!(
            (freshness.lifetime(), freshness.source()),
            (secs(60), LifetimeSource::Policy)
        );
        assert!(
            freshness.is_fresh(after(59)) && !freshness.is_fresh(after(60)),
            "{line}"
        );
        assert_eq!(freshness.age(after(1)), secs(1_001));
    }
    let none = ResponseDecision {
        ttl: Some(Duration::ZERO),
        ..ResponseDecision::default()
    };
    assert!(!freshness(&[("cache-control", "max-age=5")], &none).is_fresh(NOON));
}

#[test]
fn an_error_has_the_ttl_of_errors_and_no_other_response_has() {
    let decision = ResponseDecision {
        ttl: Some(secs(60)),
        error_ttl: Some(secs(5)),
        ..ResponseDecision::default()
    };
    for (status, lifetime) in [(200, 60), (399, 60), (400, 5), (404, 5), (503, 5)] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(decision.ttl_of(status), Some(secs(lifetime)), "{status}");
    }
    let silent = ResponseDecision::default();
    assert_eq!(silent.ttl_of(StatusCode::NOT_FOUND), None);
    let only_errors = ResponseDecision {
        ttl: None,
        ..decision
    };
    assert_eq!(only_errors.ttl_of(StatusCode::OK), None);
}

#[test]
fn a_policys_instant_ends_freshness_and_a_purge_ends_stale_use_too() {
    let ending = |expiry| ResponseDecision {
        expiry: Some(expiry),
        ..ResponseDecision::default()
    };
    let fields: FieldLines<'_> = &[
        (
            "cache-control",
            "max-age=60, stale-while-revalidate=60, stale-if-error=60",
        ),
        ("age", "10"),
        ("etag", "\"a\""),
    ];
    for (ends, lifetime, source) in [
        (30, 40, LifetimeSource::Expiry),
        (49, 59, LifetimeSource::Expiry),
        (50, 60, LifetimeSource::MaxAge),
        (80, 60, LifetimeSource::MaxAge),
        (0, 10, LifetimeSource::Expiry),
        (-20, 0, LifetimeSource::Expiry),
    ] {
        let fresh = ends.min(50);
        for is_purge in [true, false] {
            let expiry = match is_purge {
                true => Expiry::PurgeAt(after(ends)),
                false => Expiry::StaleAt(after(ends)),
            };
            let given = freshness(fields, &ending(expiry));
            assert_eq!((given.lifetime(), given.source()), (secs(lifetime), source));
            let (last, first) = (after(fresh - 1), after(fresh));
            assert!(given.is_fresh(last) && !given.is_fresh(first), "{ends}");
            let stale = |at| (given.allows_while_revalidate(at), given.allows_if_error(at));
            let until = if is_purge {
                ends.min(fresh + 60)
            } else {
                fresh + 60
            };
            if until > fresh {
                assert_eq!(stale(after(until - 1)), (true, true), "{ends}");
            }
            assert_eq!(stale(after(until)), (false, false), "{ends}");
            assert_eq!(given.usable_until(), after(until));
            let is_over = |at| given.is_over(after(at));
            assert_eq!((is_over(ends - 1), is_over(ends)), (false, is_purge));
            let etag = headers(&[("etag", "\"a\"")]);
            assert_eq!(
                given.is_worth_keeping(&etag, after(ends.max(until))),
                !is_purge
            );
            let by = NOON.saturating_add(secs(1_000));
            let moved = given.moved(NOON, by);
            assert_eq!(moved.is_over(after(ends + 1_000)), is_purge);
            assert!(!moved.is_over(after(ends + 999)));
        }
    }
}

#[test]
fn no_cache_is_never_fresh_unless_it_names_fields() {
    let whole = by_fields(&[("cache-control", "max-age=10000, no-cache")]);
    assert!(!whole.is_fresh(NOON) && whole.must_validate());
    let named = by_fields(&[("cache-control", "max-age=10000, no-cache=\"a\"")]);
    assert!(named.is_fresh(NOON) && !named.must_validate());
}

#[test]
fn stale_windows_come_from_policy_then_response_then_site() {
    let defaults = SiteDefaults {
        ttl: None,
        stale_if_error: secs(7),
        stale_while_revalidate: secs(8),
    };
    let decided = ResponseDecision {
        stale_if_error: Some(secs(3)),
        stale_while_revalidate: Some(secs(4)),
        ..ResponseDecision::default()
    };
    let silent = ResponseDecision::default();
    // A response that has never been fresh gets no default, only its own window or a policy's.
    for (lines, decision, if_error, while_revalidate) in [
        ("max-age=0", &silent, false, false),
        ("max-age=1", &silent, true, true),
        ("foo", &silent, false, false),
        ("max-age=0, stale-if-error=1", &silent, true, false),
        ("max-age=0", &decided, true, true),
    ] {
        let headers = headers(&[("cache-control", lines)]);
        let directives = ResponseDirectives::of(&headers);
        let freshness = Freshness::of(&FreshnessInput {
            status: StatusCode::OK,
            response_headers: &headers,
            directives: &directives,
            decision,
            defaults,
            request_time: NOON,
            response_time: NOON,
        });
        let seen = (
            freshness.allows_if_error(NOON),
            freshness.allows_while_revalidate(NOON),
        );
        assert_eq!(seen, (if_error, while_revalidate), "{lines} {decision:?}");
    }
    // Directives, decision, and the two windows: if error, while revalidate.
    let rows = [
        ("max-age=10", &silent, 7, 8),
        (
            "max-age=10, stale-if-error=1, stale-while-revalidate=2",
            &silent,
            1,
            2,
        ),
        (
            "max-age=10, stale-if-error=0, stale-while-revalidate=0",
            &silent,
            0,
            0,
        ),
        (
            "max-age=10, stale-if-error=1, stale-while-revalidate=2",
            &decided,
            3,
            4,
        ),
        (
            "max-age=10, must-revalidate, stale-if-error=1",
            &silent,
            0,
            0,
        ),
        (
            "max-age=10, proxy-revalidate, stale-if-error=1",
            &silent,
            0,
            0,
        ),
        (
            "s-maxage=10, stale-if-error=1, stale-while-revalidate=1",
            &silent,
            0,
            0,
        ),
        ("s-maxage=10", &decided, 3, 4),
        ("max-age=10, must-revalidate", &decided, 3, 4),
        ("max-age=10, no-cache=\"a\"", &silent, 7, 8),
    ];
    for (line, decision, if_error, while_revalidate) in rows {
        let headers = headers(&[("cache-control", line)]);
        let freshness = Freshness::of(&FreshnessInput {
            status: StatusCode::OK,
            response_headers: &headers,
            directives: &ResponseDirectives::of(&headers),
            decision,
            defaults,
            request_time: NOON,
            response_time: NOON,
        });
        let last = |window: i64, allows: fn(&Freshness, Timestamp) -> bool| {
            // Open in the last second of the window, closed at its end.
            assert_eq!(
                allows(&freshness, after(10 + window - 1)),
                window > 0,
                "{line}"
            );
            assert!(!allows(&freshness, after(10 + window)), "{line}");
        };
        last(if_error, Freshness::allows_if_error);
        last(while_revalidate, Freshness::allows_while_revalidate);
        assert_eq!(
            freshness.usable_until(),
            after(10 + if_error.max(while_revalidate)),
            "{line}"
        );
    }
    let no_cache = by_fields(&[(
        "cache-control",
        "no-cache, max-age=10, stale-if-error=100, stale-while-revalidate=100",
    )]);
    assert!(!no_cache.allows_if_error(NOON) && !no_cache.allows_while_revalidate(NOON));
}

#[test]
fn what_ends_freshness_leaves_the_instant_of_a_purge_where_it_was() {
    let fields: FieldLines<'_> = &[("cache-control", "max-age=100, stale-if-error=1000")];
    let purged_later = ResponseDecision {
        expiry: Some(Expiry::PurgeAt(after(300))),
        ..ResponseDecision::default()
    };
    let given = freshness(fields, &purged_later);
    let bound = LifetimeBound {
        ttl: secs(10),
        stale: secs(1_000),
    };
    for ended in [
        given.made_stale(after(20)),
        given.bounded(bound),
        given.bounded(bound).made_stale(after(5)),
    ] {
        assert!(!ended.is_fresh(after(20)));
        assert!(ended.allows_if_error(after(299)) && !ended.is_over(after(299)));
        assert!(!ended.allows_if_error(after(300)) && ended.is_over(after(300)));
    }
}

#[test]
fn a_soft_purge_ends_freshness_and_opens_the_stale_windows() {
    let whole = by_fields(&[(
        "cache-control",
        "max-age=100, stale-while-revalidate=5, stale-if-error=6",
    )]);
    let purged = whole.made_stale(after(10));
    assert!(whole.is_fresh(after(10)) && !purged.is_fresh(after(10)));
    assert!(
        purged.allows_while_revalidate(after(14)) && !purged.allows_while_revalidate(after(15))
    );
    assert!(purged.allows_if_error(after(15)) && !purged.allows_if_error(after(16)));
    assert_eq!(purged.age(after(10)), secs(10));
    // A response that is already stale gets no new window.
    assert_eq!(whole.made_stale(after(103)), whole);
}

#[test]
fn a_response_that_can_never_be_used_is_not_worth_keeping() {
    let rows: &[(FieldLines<'_>, bool)] = &[
        (&[("cache-control", "max-age=1")], true),
        (&[("cache-control", "max-age=0")], false),
        (&[("cache-control", "max-age=10"), ("age", "10")], false),
        (&[("cache-control", "max-age=0"), ("etag", "\"a\"")], true),
        (
            &[
                ("cache-control", "no-cache"),
                ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ],
            true,
        ),
        (
            &[
                ("cache-control", "max-age=0"),
                ("last-modified", "yesterday"),
            ],
            false,
        ),
        (&[("cache-control", "max-age=0, stale-if-error=1")], true),
        (
            &[("cache-control", "max-age=0, stale-while-revalidate=1")],
            true,
        ),
        (
            &[(
                "cache-control",
                "max-age=0, must-revalidate, stale-if-error=1",
            )],
            false,
        ),
    ];
    for (lines, worth) in rows {
        assert_eq!(
            by_fields(lines).is_worth_keeping(&headers(lines), NOON),
            *worth,
            "{lines:?}"
        );
    }
}

#[test]
fn freshness_stays_small() {
    assert!(std::mem::size_of::<Freshness>() <= 32);
}

#[test]
fn a_bounded_lifetime_ends_at_its_second_whatever_gave_it() {
    let policy = |ttl| ResponseDecision {
        ttl: Some(secs(ttl)),
        ..ResponseDecision::default()
    };
    let bound = LifetimeBound {
        ttl: secs(60),
        stale: secs(10),
    };
    let long: FieldLines<'_> = &[(
        "cache-control",
        "max-age=600, stale-if-error=100, stale-while-revalidate=5",
    )];
    for (given, lifetime, source) in [
        (by_fields(long), 60, LifetimeSource::AtMost),
        (freshness(&[], &policy(600)), 60, LifetimeSource::AtMost),
        (freshness(&[], &policy(60)), 60, LifetimeSource::Policy),
        (freshness(&[], &policy(59)), 59, LifetimeSource::Policy),
    ] {
        let bounded = given.bounded(bound);
        assert_eq!(
            (bounded.lifetime(), bounded.source()),
            (secs(lifetime), source)
        );
        let lifetime = i64::try_from(lifetime).unwrap();
        assert!(bounded.is_fresh(after(lifetime - 1)) && !bounded.is_fresh(after(lifetime)));
        assert!(bounded.is_within(bound) && bounded.forbids_stale());
        assert_eq!(bounded.bounded(bound), bounded);
    }
    let bounded = by_fields(long).bounded(bound);
    assert!(bounded.allows_if_error(after(69)) && !bounded.allows_if_error(after(70)));
    assert!(bounded.allows_while_revalidate(after(64)));
    assert!(!bounded.allows_while_revalidate(after(65)));
    assert!(!by_fields(long).is_within(bound));
    // The age that a response comes with counts, as without a bound.
    let aged = by_fields(&[("cache-control", "max-age=600"), ("age", "50")]).bounded(bound);
    assert!(aged.is_fresh(after(9)) && !aged.is_fresh(after(10)));
    let none = LifetimeBound {
        ttl: secs(0),
        stale: secs(0),
    };
    assert_eq!(by_fields(long).bounded(none).usable_until(), NOON);
}

#[test]
fn the_sites_default_counts_where_the_response_gives_no_lifetime() {
    let yesterday = date(-DAY);
    let check = |lines: FieldLines<'_>, decision: &ResponseDecision, lifetime, source| {
        let headers = headers(lines);
        let targets = [http::HeaderName::from_static("cdn-cache-control")];
        let freshness = Freshness::of(&FreshnessInput {
            status: StatusCode::OK,
            response_headers: &headers,
            directives: &ResponseDirectives::governing(&headers, &targets),
            decision,
            defaults: SiteDefaults {
                ttl: Some(secs(90)),
                ..SiteDefaults::default()
            },
            request_time: NOON,
            response_time: NOON,
        });
        let found = (freshness.lifetime(), freshness.source());
        assert_eq!(found, (secs(lifetime), source), "{lines:?}");
        freshness
    };
    let by_fields = ResponseDecision::default();
    let cc = "cache-control";
    use LifetimeSource::{DefaultTtl, Expires, MaxAge, Policy, Targeted};
    check(&[], &by_fields, 90, DefaultTtl);
    check(
        &[(cc, "public, must-revalidate")],
        &by_fields,
        90,
        DefaultTtl,
    );
    // It goes before the heuristic, and after all that is explicit.
    check(&[("last-modified", &yesterday)], &by_fields, 90, DefaultTtl);
    check(&[(cc, "max-age=5")], &by_fields, 5, MaxAge);
    check(&[(cc, "max-age=0")], &by_fields, 0, MaxAge);
    check(&[("expires", "0")], &by_fields, 0, Expires);
    check(
        &[("cdn-cache-control", "max-age=7")],
        &by_fields,
        7,
        Targeted,
    );
    let policy = ResponseDecision {
        ttl: Some(secs(3)),
        ..ResponseDecision::default()
    };
    check(&[], &policy, 3, Policy);
    assert!(check(&[(cc, "no-cache")], &by_fields, 0, DefaultTtl).must_validate());
    // The age that it came with counts.
    let aged = check(&[("age", "80")], &by_fields, 90, DefaultTtl);
    assert!(aged.is_fresh(after(9)) && !aged.is_fresh(after(10)));
    assert!(!LifetimeSource::DefaultTtl.is_explicit());
}

#[test]
fn sources_and_ends_are_packed_without_loss() {
    for (place, source) in LifetimeSource::ALL.into_iter().enumerate().take(10) {
        let mut traits = FreshnessTraits::of(LifetimeSource::None).with(CAN_BRIDGE, true);
        traits.set_source(source);
        assert_eq!((traits.source(), source as usize), (source, place));
        assert!(traits.has(CAN_BRIDGE) && !traits.has(MUST_VALIDATE));
    }
    for (given, kept) in [
        (0, 0),
        (1, 1),
        (16_777_213, 16_777_213),
        (u64::MAX, 16_777_214),
    ] {
        assert_eq!(SecondsToEnd::of(secs(given)).get(), Some(secs(kept)));
    }
    assert_eq!(SecondsToEnd::NEVER.get(), None);
}
