use http::StatusCode;

use super::ClientDirectives::{Ignore, Obey};
use super::Reuse::{Fresh, Revalidate, StaleWhileRevalidate, Unsatisfiable};
use super::*;
use crate::cache_control::ResponseDirectives;
use crate::decision::ResponseDecision;
use crate::freshness::{FreshnessInput, SiteDefaults};
use crate::testing::{NOON, headers};

fn stored(cache_control: &str) -> Freshness {
    let headers = headers(&[("cache-control", cache_control)]);
    Freshness::of(&FreshnessInput {
        status: StatusCode::OK,
        response_headers: &headers,
        directives: &ResponseDirectives::of(&headers),
        decision: &ResponseDecision::default(),
        defaults: SiteDefaults::default(),
        request_time: NOON,
        response_time: NOON,
    })
}

fn asked(cache_control: &str) -> RequestDirectives {
    RequestDirectives::of(&headers(&[("cache-control", cache_control)]))
}

fn after(secs: u64) -> Timestamp {
    NOON.saturating_add(Duration::from_secs(secs))
}

fn check(response: &str, request: &str, client: ClientDirectives, rows: &[(u64, Reuse)]) {
    for (secs, expected) in rows {
        let seen = reuse(&stored(response), &asked(request), client, after(*secs));
        assert_eq!(
            seen, *expected,
            "{response} | {request} | {client:?} | {secs}"
        );
    }
}

#[test]
fn fresh_responses_are_served_and_stale_ones_are_revalidated() {
    let stale = Revalidate(RevalidationReason::Stale);
    check(
        "max-age=10",
        "",
        Ignore,
        &[(0, Fresh), (9, Fresh), (10, stale), (11, stale)],
    );
    check("max-age=0", "", Ignore, &[(0, stale)]);
    check(
        "max-age=10, no-cache",
        "",
        Ignore,
        &[
            (0, Revalidate(RevalidationReason::NoCache)),
            (20, Revalidate(RevalidationReason::NoCache)),
        ],
    );
    check(
        "max-age=10, must-revalidate",
        "",
        Ignore,
        &[(9, Fresh), (10, stale)],
    );
    check(
        "max-age=10, immutable",
        "",
        Ignore,
        &[(9, Fresh), (10, stale)],
    );
}

#[test]
fn stale_responses_are_served_within_the_stale_while_revalidate_window() {
    let stale = Revalidate(RevalidationReason::Stale);
    let rows = [
        (9, Fresh),
        (10, StaleWhileRevalidate),
        (14, StaleWhileRevalidate),
        (15, stale),
    ];
    check("max-age=10, stale-while-revalidate=5", "", Ignore, &rows);
    check("max-age=10, stale-while-revalidate=5", "", Obey, &rows);
    check(
        "max-age=0, stale-while-revalidate=3600",
        "",
        Ignore,
        &[(0, StaleWhileRevalidate), (3_600, stale)],
    );
    for strict in ["must-revalidate", "proxy-revalidate", "s-maxage=10"] {
        check(
            &format!("max-age=10, {strict}, stale-while-revalidate=5"),
            "",
            Ignore,
            &[(9, Fresh), (10, stale)],
        );
    }
}

#[test]
fn client_directives_count_only_if_they_are_obeyed() {
    let rows: &[(&str, u64, Reuse)] = &[
        (
            "no-cache",
            1,
            Revalidate(RevalidationReason::RequestNoCache),
        ),
        ("max-age=0", 0, Fresh),
        (
            "max-age=0",
            1,
            Revalidate(RevalidationReason::RequestMaxAge),
        ),
        ("max-age=3", 3, Fresh),
        (
            "max-age=3",
            4,
            Revalidate(RevalidationReason::RequestMaxAge),
        ),
        ("min-fresh=4", 6, Fresh),
        (
            "min-fresh=4",
            7,
            Revalidate(RevalidationReason::RequestMinFresh),
        ),
        ("no-store", 1, Fresh),
    ];
    for (request, secs, expected) in rows {
        check("max-age=10", request, Obey, &[(*secs, *expected)]);
        check("max-age=10", request, Ignore, &[(*secs, Fresh)]);
    }
    let stale = Revalidate(RevalidationReason::Stale);
    check(
        "max-age=10",
        "max-stale",
        Obey,
        &[
            (10, StaleWhileRevalidate),
            (1_000_000, StaleWhileRevalidate),
        ],
    );
    check(
        "max-age=10",
        "max-stale=5",
        Obey,
        &[(15, StaleWhileRevalidate), (16, stale)],
    );
    check("max-age=10", "max-stale=5", Ignore, &[(15, stale)]);
    for strict in ["must-revalidate", "proxy-revalidate", "s-maxage=10"] {
        check(
            &format!("max-age=10, {strict}"),
            "max-stale",
            Obey,
            &[(11, stale)],
        );
    }
    check(
        "max-age=10, no-cache",
        "max-stale",
        Obey,
        &[(1, Revalidate(RevalidationReason::NoCache))],
    );
    // Who wants it young or fresh does not want it stale, unless they say so.
    check(
        "max-age=10, stale-while-revalidate=9",
        "max-age=100",
        Obey,
        &[(11, stale)],
    );
    check(
        "max-age=10, stale-while-revalidate=9",
        "min-fresh=0",
        Obey,
        &[(11, stale)],
    );
    check(
        "max-age=10, stale-while-revalidate=9",
        "max-age=100, max-stale=5",
        Obey,
        &[(11, StaleWhileRevalidate)],
    );
}

#[test]
fn only_if_cached_is_always_obeyed() {
    for client in [Ignore, Obey] {
        check(
            "max-age=10",
            "only-if-cached",
            client,
            &[(9, Fresh), (10, Unsatisfiable)],
        );
        check(
            "max-age=10, no-cache",
            "only-if-cached",
            client,
            &[(0, Unsatisfiable)],
        );
        check(
            "max-age=10, stale-while-revalidate=1",
            "only-if-cached",
            client,
            &[(10, StaleWhileRevalidate), (11, Unsatisfiable)],
        );
    }
    check(
        "max-age=10",
        "only-if-cached, no-cache",
        Obey,
        &[(1, Unsatisfiable)],
    );
    check(
        "max-age=10",
        "only-if-cached, no-cache",
        Ignore,
        &[(1, Fresh)],
    );
    assert_eq!(absent(&asked("only-if-cached")), Absent::Unsatisfiable);
    assert_eq!(absent(&asked("no-cache")), Absent::Fetch);
}

#[test]
fn stale_responses_are_served_on_errors_only_with_permission() {
    // Response, request, whether clients are obeyed, and the seconds before which stale may be
    // served.
    let rows = [
        ("max-age=10", "", Ignore, 10),
        ("max-age=10, stale-if-error=5", "", Ignore, 15),
        ("max-age=0, stale-if-error=1", "", Ignore, 1),
        (
            "max-age=10, stale-if-error=5, must-revalidate",
            "",
            Obey,
            10,
        ),
        (
            "max-age=10, stale-if-error=5, proxy-revalidate",
            "",
            Obey,
            10,
        ),
        ("s-maxage=10, stale-if-error=5", "", Obey, 10),
        ("max-age=10, stale-if-error=5, no-cache", "", Obey, 0),
        ("max-age=10", "stale-if-error=5", Obey, 15),
        ("max-age=10", "stale-if-error=5", Ignore, 10),
        ("max-age=10, must-revalidate", "stale-if-error=5", Obey, 10),
        // `max-stale` includes its last second.
        ("max-age=10", "max-stale=5", Obey, 16),
        ("max-age=10", "max-stale=5", Ignore, 10),
        ("max-age=10, must-revalidate", "max-stale=5", Obey, 10),
    ];
    for (response, request, client, until) in rows {
        let may = |secs| stale_if_error(&stored(response), &asked(request), client, after(secs));
        assert!(until == 0 || may(until - 1), "{response} | {request}");
        assert!(!may(until), "{response} | {request}");
    }
}

#[test]
fn a_stored_error_stands_in_for_nothing() {
    let asked = asked("stale-if-error=100, max-stale=100");
    for (status, expected) in [
        (200, true),
        (204, true),
        (301, true),
        (307, true),
        (404, false),
        (410, false),
        (500, false),
        (503, false),
    ] {
        let headers = headers(&[("cache-control", "max-age=10, stale-if-error=60")]);
        let freshness = Freshness::of(&FreshnessInput {
            status: StatusCode::from_u16(status).unwrap(),
            response_headers: &headers,
            directives: &ResponseDirectives::of(&headers),
            decision: &ResponseDecision {
                stale_if_error: Some(Duration::from_secs(60)),
                ..ResponseDecision::default()
            },
            defaults: SiteDefaults::default(),
            request_time: NOON,
            response_time: NOON,
        });
        assert!(
            stale_if_error(&freshness, &asked, Obey, after(9)),
            "{status}"
        );
        assert_eq!(
            stale_if_error(&freshness, &asked, Obey, after(10)),
            expected,
            "{status}"
        );
        assert_eq!(freshness.usable_until() > after(10), expected, "{status}");
    }
}
