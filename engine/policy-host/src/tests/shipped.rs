//! Shipped policies, loaded as a configuration names them.

use std::time::Duration;

use super::*;
use tero_config::{CalendarSource, ModuleSource};
use tero_semantics::decision::StoringDecision;

const HOURS: &str = r#"{
  "zone": "America/Argentina/Buenos_Aires", "days": ["mon-sat"], "open": "09:00", "close": "18:00",
  "rules": [{ "paths": ["/"], "inside": "2min", "outside": "until-open" }]
}"#;

/// `business-hours` with the holidays of Argentina.
fn load_hours(settings: &str) -> Result<Chain, PolicyError> {
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    let mut config = config::Policy {
        module: ModuleSource::Builtin("business-hours".into()),
        settings: settings.into(),
        calendar: Some(CalendarSource::Builtin("argentina".into())),
        ..config(folder.path(), b"")
    };
    config.limits.memory = 64 << 20;
    Chain::new(&host, vec![host.load(&config)?], 64)
}

#[track_caller]
fn check(chain: &Chain, at: &str, expected: Duration) {
    let now = Timestamp::from_unix_secs(
        chrono::DateTime::parse_from_rfc3339(at)
            .unwrap()
            .timestamp(),
    );
    let headers = HeaderMap::new();
    let decision = chain.on_response(&ask("/", &headers), &answered(&headers), now);
    assert_eq!(
        (decision.storing, decision.ttl),
        (StoringDecision::Always, Some(expected)),
        "{at}: {:?}",
        decision.reason
    );
}

#[test]
fn local_time_and_holidays_reach_a_shipped_policy() {
    let chain = load_hours(HOURS).unwrap();
    assert_eq!(
        chain.zone(),
        Some(chrono_tz::America::Argentina::Buenos_Aires)
    );
    // A Tuesday.
    check(&chain, "2026-11-24T08:59:50-03:00", Duration::from_secs(10));
    check(
        &chain,
        "2026-11-24T09:00:00-03:00",
        Duration::from_secs(120),
    );
    check(&chain, "2026-11-24T17:59:50-03:00", Duration::from_secs(10));
    check(
        &chain,
        "2026-11-24T18:00:00-03:00",
        Duration::from_secs(15 * 3_600),
    );
    // Christmas, a Friday: closed at noon, until Saturday.
    check(
        &chain,
        "2026-12-25T12:00:00-03:00",
        Duration::from_secs(21 * 3_600),
    );
}

#[test]
fn a_shipped_policy_says_what_is_wrong_with_its_settings() {
    let settings =
        r#"{"zone": "America/Argentina/Buenos_Aires", "open": "9 o'clock", "close": "18:00"}"#;
    let error = load_hours(settings).unwrap_err();
    assert!(matches!(error, PolicyError::Settings { .. }), "{error}");
}
