//! Both sides of every boundary second, and every refusal.

mod refusals;

use super::*;
use tero_policy::{Hook, Lookup};

fn policy(settings: serde_json::Value) -> BusinessHours {
    tero_policy::configure(&settings.to_string()).unwrap()
}

fn moment(text: &str) -> Moment<'_> {
    text.parse().unwrap()
}

fn decide(policy: &BusinessHours, path: &str, now: &Moment) -> ResponseDecision {
    policy.on_response(&Request::get(path), &Response::ok(), now)
}

/// Checks the TTL and the reason of a page at this time.
fn check(policy: &BusinessHours, path: &str, time: &str, ttl_secs: u32, reason: &str) {
    let decision = decide(policy, path, &moment(time));
    let found = (
        decision.ttl.map(Duration::as_secs),
        decision.reason.as_deref(),
    );
    assert_eq!(found, (Some(ttl_secs), Some(reason)), "{path} at {time}");
}

/// Checks rows of time, TTL in seconds, and reason.
fn check_all(policy: &BusinessHours, path: &str, rows: &[(&str, u32, &str)]) {
    for (time, ttl_secs, reason) in rows {
        check(policy, path, time, *ttl_secs, reason);
    }
}

fn barbers() -> BusinessHours {
    policy(serde_json::json!({
        "zone": "America/Argentina/Buenos_Aires", "days": ["mon-sat"], "open": "09:00", "close": "18:00",
        "rules": [
            { "name": "payments", "paths": ["/checkout/*"], "inside": "never", "outside": "never" },
            { "name": "availability", "paths": ["/api/v1/disponibilidad/*"], "inside": "15s", "outside": "2min", "stale_while_revalidate": "15s",
              "stale_if_error": "1min", "tags": ["disponibilidad"], "browser_ttl": "1min" },
            { "name": "night", "paths": ["/noche/*"], "inside": "headers", "outside": "until-open" },
            { "name": "day", "paths": ["/dia/*"], "inside": "until-close", "outside": "never" },
            { "name": "raw", "paths": ["/raw/*"], "inside": "2min", "outside": "30min", "clip": false },
            { "paths": ["/", "/barberias/*"], "inside": "2min", "outside": "30min" }
        ]
    }))
}

#[test]
fn a_ttl_holds_only_within_its_own_window() {
    let policy = barbers();
    check_all(
        &policy,
        "/",
        &[
            ("2026-11-24T08:29:59-03:00", 1_800, "/: closed"),
            (
                "2026-11-24T08:30:00-03:00",
                1_800,
                "/: closed, until it opens",
            ),
            ("2026-11-24T08:59:50-03:00", 10, "/: closed, until it opens"),
            ("2026-11-24T08:59:59-03:00", 1, "/: closed, until it opens"),
            ("2026-11-24T09:00:00-03:00", 120, "/: open"),
            ("2026-11-24T17:57:59-03:00", 120, "/: open"),
            (
                "2026-11-24T17:59:59-03:00",
                1,
                "/: open, until the next change",
            ),
            ("2026-11-24T18:00:00-03:00", 1_800, "/: closed"),
            ("2026-11-29T12:00:00-03:00", 1_800, "/: closed"),
        ],
    );
}

#[test]
fn a_rule_may_let_its_ttl_cross() {
    let policy = barbers();
    check_all(
        &policy,
        "/raw/x",
        &[
            ("2026-11-24T08:59:59-03:00", 1_800, "raw: closed"),
            ("2026-11-24T09:00:00-03:00", 120, "raw: open"),
            ("2026-11-24T17:59:59-03:00", 120, "raw: open"),
            ("2026-11-24T18:00:00-03:00", 1_800, "raw: closed"),
        ],
    );
}

#[test]
fn a_lifetime_may_end_at_the_opening_or_the_closing() {
    let policy = barbers();
    check_all(
        &policy,
        "/noche/x",
        &[
            (
                "2026-11-24T08:59:59-03:00",
                1,
                "night: closed, until it opens",
            ),
            (
                "2026-11-24T18:00:00-03:00",
                15 * 3_600,
                "night: closed, until it opens",
            ),
            (
                "2026-11-28T18:00:00-03:00",
                39 * 3_600,
                "night: closed, until it opens",
            ),
        ],
    );
    check_all(
        &policy,
        "/dia/x",
        &[
            (
                "2026-11-24T09:00:00-03:00",
                9 * 3_600,
                "day: open, until the next change",
            ),
            (
                "2026-11-24T17:59:59-03:00",
                1,
                "day: open, until the next change",
            ),
        ],
    );
    let by_headers = decide(&policy, "/noche/x", &moment("2026-11-24T09:00:00-03:00"));
    assert_eq!(
        (by_headers.storing, by_headers.ttl),
        (Storing::ByHeaders, None)
    );
}

#[test]
fn holidays_are_closed_and_half_days_have_their_hours() {
    let policy = barbers();
    let holiday = |time: &str| {
        decide(
            &policy,
            "/",
            &moment(time).on_holiday("Día de la Soberanía"),
        )
    };
    assert_eq!(
        holiday("2026-11-23T12:00:00-03:00").ttl,
        Some(Duration::from_mins(30))
    );
    assert_eq!(
        holiday("2026-11-23T12:00:00-03:00").reason.unwrap(),
        "/: closed (holiday: Dia de la Soberania)"
    );
    assert_eq!(
        holiday("2026-11-23T08:59:59-03:00").ttl,
        Some(Duration::from_mins(30)),
        "it does not open today"
    );
    let half_day = |time: &str| {
        decide(
            &policy,
            "/",
            &moment(time).on_half_day("Nochebuena", LocalTime::at(9, 0), LocalTime::at(13, 0)),
        )
    };
    assert_eq!(
        half_day("2026-12-24T12:59:59-03:00").ttl,
        Some(Duration::from_secs(1))
    );
    assert_eq!(
        half_day("2026-12-24T13:00:00-03:00").ttl,
        Some(Duration::from_mins(30))
    );
    assert_eq!(
        half_day("2026-12-24T13:00:00-03:00").reason.unwrap(),
        "/: closed (half-day: Nochebuena)"
    );
    let always = self::policy(
        serde_json::json!({"zone": "UTC", "open": "09:00", "close": "18:00", "holidays": "open"}),
    );
    assert_eq!(
        decide(
            &always,
            "/",
            &moment("2026-12-25T12:00:00Z").on_holiday("Navidad")
        )
        .reason
        .unwrap(),
        "hours: open"
    );
}

#[test]
fn responses_that_are_never_stored_are_not_looked_up() {
    let policy = barbers();
    assert_eq!(policy.manifest().hooks, [Hook::OnResponse, Hook::OnRequest]);
    let ask = |path: &str, time: &str| policy.on_request(&Request::get(path), &moment(time));
    assert_eq!(
        ask("/checkout/1", "2026-11-24T12:00:00-03:00").lookup,
        Some(Lookup::Pass)
    );
    assert_eq!(
        ask("/checkout/1", "2026-11-24T12:00:00-03:00")
            .reason
            .unwrap(),
        "payments: open"
    );
    for path in ["//checkout/1", "/x/../checkout/1", "/checkout%2f1"] {
        let lookup = ask(path, "2026-11-24T12:00:00-03:00").lookup;
        assert_eq!(lookup, Some(Lookup::Pass), "{path}");
    }
    assert_eq!(
        ask("/dia/x", "2026-11-24T08:59:00-03:00").lookup,
        Some(Lookup::Pass)
    );
    assert_eq!(
        ask("/dia/x", "2026-11-24T09:00:00-03:00"),
        RequestDecision::new()
    );
    assert_eq!(
        ask("/dia/x", "2026-11-24T17:59:00-03:00"),
        RequestDecision::new()
    );
    assert_eq!(
        ask("/dia/x", "2026-11-24T18:00:00-03:00").lookup,
        Some(Lookup::Pass)
    );
    assert_eq!(
        decide(&policy, "/checkout/1", &moment("2026-11-24T12:00:00-03:00")).storing,
        Storing::Never
    );
}

#[test]
fn a_response_gets_everything_that_its_rule_says() {
    let decision = decide(
        &barbers(),
        "/api/v1/disponibilidad/1",
        &moment("2026-11-24T17:59:30-03:00"),
    );
    let expected = ResponseDecision::cache_for(Duration::from_secs(15))
        .browser_ttl(Duration::from_secs(30))
        .stale_while_revalidate(Duration::from_secs(15))
        .stale_if_error(Duration::from_secs(60))
        .tag("disponibilidad")
        .because("availability: open");
    assert_eq!(decision, expected);
}

#[test]
fn errors_and_unmatched_paths_are_left_to_their_own_fields() {
    let policy = barbers();
    let now = moment("2026-11-24T12:00:00-03:00");
    for status in [302, 404, 500, 503] {
        let decision = policy.on_response(
            &Request::get("/api/v1/disponibilidad/1"),
            &Response::new(status),
            &now,
        );
        assert_eq!(
            (
                decision.storing,
                decision.ttl,
                decision.stale_if_error,
                decision.tags.len()
            ),
            (Storing::ByHeaders, None, None, 1),
            "{status}"
        );
    }
    assert_eq!(
        decide(&policy, "/elsewhere", &now),
        ResponseDecision::by_headers()
    );
}

#[test]
fn without_rules_all_paths_have_hours_and_storing_is_left_to_the_response() {
    let policy = policy(
        serde_json::json!({"zone": "America/Argentina/Buenos_Aires", "open": "09:00", "close": "18:00"}),
    );
    assert_eq!(policy.manifest().hooks, [Hook::OnResponse]);
    assert_eq!(
        policy.manifest().zone.as_deref(),
        Some("America/Argentina/Buenos_Aires")
    );
    assert_eq!(policy.manifest().path_patterns.unwrap(), ["*"]);
    assert!(!policy.manifest().each_response);
    check_all(
        &policy,
        "/any",
        &[
            ("2026-11-29T09:00:00-03:00", 120, "hours: open"),
            ("2026-11-29T18:00:00-03:00", 1_800, "hours: closed"),
        ],
    );
    assert_eq!(
        decide(&policy, "/any", &moment("2026-11-29T09:00:00-03:00")).storing,
        Storing::ByHeaders
    );
}

#[test]
fn several_windows_and_one_across_midnight() {
    let policy = policy(serde_json::json!({
        "zone": "America/Argentina/Buenos_Aires",
        "windows": [{"days": "mon-fri", "from": "09:00", "to": "13:00"}, {"days": "mon-fri", "from": "16:00", "to": "20:00"},
                    {"days": ["fri"], "from": "22:00", "to": "04:00"}],
        "rules": [{"paths": ["*"], "inside": "1min", "outside": "10min"}]
    }));
    check_all(
        &policy,
        "/",
        &[
            (
                "2026-11-27T12:59:59-03:00",
                1,
                "*: open, until the next change",
            ),
            ("2026-11-27T13:00:00-03:00", 600, "*: closed"),
            ("2026-11-27T15:59:59-03:00", 1, "*: closed, until it opens"),
            ("2026-11-27T16:00:00-03:00", 60, "*: open"),
            ("2026-11-27T21:59:59-03:00", 1, "*: closed, until it opens"),
            ("2026-11-27T23:59:30-03:00", 60, "*: open"),
            (
                "2026-11-28T03:59:59-03:00",
                1,
                "*: open, until the next change",
            ),
            ("2026-11-28T04:00:00-03:00", 600, "*: closed"),
            ("2026-11-28T16:00:00-03:00", 600, "*: closed"),
        ],
    );
}

/// New York, 8 March 2026: at 07:00 UTC, 02:00 becomes 03:00.
#[test]
fn the_clip_is_exact_in_the_night_that_the_clock_jumps() {
    let policy = policy(serde_json::json!({
        "zone": "America/New_York", "open": "09:00", "close": "18:00", "rules": [{"paths": ["*"], "inside": "1h", "outside": "until-open"}]
    }));
    let change = moment("2026-03-08T07:00:00Z").unix_secs;
    let now = moment("2026-03-08T01:00:00-05:00").before_offset_change(change, -240);
    assert_eq!(
        decide(&policy, "/", &now).ttl,
        Some(Duration::from_hours(7))
    );
}

#[test]
fn spread_only_shortens_and_is_the_same_for_the_same_key() {
    let policy = policy(serde_json::json!({
        "zone": "UTC", "open": "09:00", "close": "18:00", "spread": 10, "rules": [{"paths": ["*"], "inside": "10min", "outside": "10min"}]
    }));
    let now = moment("2026-11-24T12:00:00Z");
    let ttl = |key: &str| {
        policy
            .on_response(&Request::get("/"), &Response::ok().with_key(key), &now)
            .ttl
            .unwrap()
            .as_secs()
    };
    let ttls: Vec<u32> = (0..1_000)
        .map(|n| ttl(&format!("https://h/?n={n}")))
        .collect();
    assert!(ttls.iter().all(|ttl| (540..=600).contains(ttl)), "{ttls:?}");
    let most = (540..=600)
        .map(|secs| ttls.iter().filter(|ttl| **ttl == secs).count())
        .max();
    assert!(
        most < Some(50),
        "{most:?} of a thousand pages expire in one second"
    );
    assert_eq!(ttl("https://h/?n=1"), ttl("https://h/?n=1"));
}

#[test]
fn a_lifetime_may_end_at_a_time_of_day() {
    let policy = policy(serde_json::json!({
        "zone": "America/Argentina/Buenos_Aires", "open": "09:00", "close": "18:00",
        "rules": [
            { "name": "menu", "paths": ["/menu"], "inside": "until 12:30", "outside": "until 06:00", "browser_ttl": "until 12:00" },
            { "name": "news", "paths": ["*"], "inside": "until 20:00", "outside": "1h", "clip": false }
        ]
    }));
    check_all(
        &policy,
        "/menu",
        &[
            ("2026-11-24T12:29:59-03:00", 1, "menu: open"),
            (
                "2026-11-24T12:30:00-03:00",
                5 * 3_600 + 1_800,
                "menu: open, until the next change",
            ),
            ("2026-11-24T05:59:59-03:00", 1, "menu: closed"),
            (
                "2026-11-24T06:00:00-03:00",
                3 * 3_600,
                "menu: closed, until it opens",
            ),
        ],
    );
    check(
        &policy,
        "/news",
        "2026-11-24T17:59:59-03:00",
        2 * 3_600 + 1,
        "news: open",
    );
    let browser = |time: &str| {
        decide(&policy, "/menu", &moment(time))
            .browser_ttl
            .unwrap()
            .as_secs()
    };
    assert_eq!(
        (
            browser("2026-11-24T11:59:59-03:00"),
            browser("2026-11-24T12:00:00-03:00")
        ),
        (1, 6 * 3_600)
    );
}

#[test]
fn browsers_do_not_keep_a_page_past_the_next_change() {
    let policy = barbers();
    let browser = |path: &str, time: &str, ttl: Option<u64>| {
        let response = ttl
            .map(Duration::from_secs)
            .into_iter()
            .fold(Response::ok(), Response::with_header_browser_ttl);
        policy
            .on_response(&Request::get(path), &response, &moment(time))
            .browser_ttl
            .map(Duration::as_secs)
    };
    assert_eq!(
        browser("/", "2026-11-24T17:00:00-03:00", Some(3_600)),
        None,
        "it ends in time by itself"
    );
    assert_eq!(
        browser("/", "2026-11-24T17:00:01-03:00", Some(3_600)),
        Some(3_599)
    );
    assert_eq!(
        browser("/", "2026-11-24T17:59:59-03:00", Some(86_400)),
        Some(1)
    );
    assert_eq!(browser("/", "2026-11-24T18:00:00-03:00", Some(3_600)), None);
    assert_eq!(browser("/", "2026-11-24T17:59:59-03:00", None), None);
    assert_eq!(
        browser("/raw/x", "2026-11-24T17:59:59-03:00", Some(86_400)),
        None,
        "that rule may cross"
    );
}
