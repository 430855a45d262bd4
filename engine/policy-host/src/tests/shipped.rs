//! Built-in policies, loaded as a configuration names them.

use std::time::Duration;

use super::*;
use tero_config::{CalendarSource, ModuleSource};
use tero_semantics::decision::{QueryParameters, StoringDecision};

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

/// The time of an RFC 3339 text.
fn at(text: &str) -> Timestamp {
    let time = chrono::DateTime::parse_from_rfc3339(text).unwrap();
    Timestamp::from_unix_secs(time.timestamp())
}

#[track_caller]
fn check(chain: &Chain, time: &str, expected: Duration) {
    let headers = HeaderMap::new();
    let decision = chain.on_response(&ask("/", &headers), &answered(&headers), at(time));
    assert_eq!(
        (decision.storing, decision.ttl),
        (StoringDecision::Always, Some(expected)),
        "{time}: {:?}",
        decision.reason
    );
}

#[test]
fn local_time_and_holidays_reach_a_built_in_policy() {
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
fn a_built_in_policy_refuses_bad_settings() {
    let settings =
        r#"{"zone": "America/Argentina/Buenos_Aires", "open": "9 o'clock", "close": "18:00"}"#;
    let error = load_hours(settings).unwrap_err();
    assert!(matches!(error, PolicyError::Settings { .. }), "{error}");
}

/// The rules, variants and plans of the sample's JSON file, with the settings of the other
/// policies.
const SETTINGS: [(&str, &str); 4] = [
    (
        "json-rules",
        include_str!("../../../../examples/barberpro/cdn-argentina-policies.json"),
    ),
    (
        "device-variants",
        r#"{"variants": [{"name": "crawler", "devices": ["bot"]}]}"#,
    ),
    (
        "business-hours",
        r#"{"zone": "America/Argentina/Buenos_Aires", "open": "09:00", "close": "18:00"}"#,
    ),
    ("popular-pages", r#"{"min_requests": 3}"#),
];

fn all_shipped() -> Chain {
    let host = host();
    let load = |(name, settings): (&str, &str)| {
        let policy = config::Policy {
            place: config::FilePosition::default(),
            name: Arc::from(name),
            module: config::ModuleSource::Builtin(name.to_owned()),
            settings: settings.to_owned(),
            calendar: Some(config::CalendarSource::Builtin("argentina".to_owned())),
            limits: config::PolicyLimits {
                deadline: Duration::from_secs(5),
                decisions_per_instance: 100,
                max_failures: 1,
                ..Default::default()
            },
        };
        host.load(&policy).unwrap()
    };
    Chain::new(&host, SETTINGS.into_iter().map(load).collect(), 64).unwrap()
}

/// Christmas, at noon.
const NOON: &str = "2026-12-25T12:00:00-03:00";

/// A request for a page with a query.
fn page<'a>(path: &'a str, device: Device, headers: &'a HeaderMap) -> PolicyRequest<'a> {
    PolicyRequest {
        scheme: "https",
        query: Some("b=1&utm_source=x"),
        device,
        ..ask(path, headers)
    }
}

#[test]
fn built_in_policies_decide_about_requests_together() {
    let (chain, headers) = (all_shipped(), HeaderMap::new());
    let decide = |path, device| chain.on_request(&page(path, device, &headers), at(NOON));
    let decision = decide("/barberias/palermo", Device::Mobile);
    assert_eq!(
        (
            decision.lookup,
            decision.variant.as_deref(),
            decision.query.sort
        ),
        (LookupDecision::Cache, Some("mobile"), true)
    );
    assert!(
        matches!(&decision.query.parameters, QueryParameters::Ignore(names) if names.contains(&"utm_*".to_owned())),
        "{decision:?}"
    );
    assert_eq!(decide("/", Device::Bot).variant.as_deref(), Some("crawler"));
    assert_eq!(
        decide("/checkout/1", Device::Mobile).lookup,
        LookupDecision::Pass
    );
}

#[test]
fn built_in_policies_decide_about_responses_together() {
    let (chain, headers) = (all_shipped(), HeaderMap::new());
    let request = PolicyRequest {
        variant: Some("mobile"),
        ..page("/barberias/palermo", Device::Mobile, &headers)
    };
    let decision = chain.on_response(&request, &answered(&headers), at(NOON));
    assert_eq!(
        (decision.storing, decision.ttl),
        (StoringDecision::Always, Some(Duration::from_secs(1_800)))
    );
    assert!(
        decision
            .reason
            .as_deref()
            .unwrap()
            .starts_with("json-rules: shop-pages: otherwise (holiday: Navidad)"),
        "{decision:?}"
    );
}

#[test]
fn built_in_policies_plan_together() {
    let popular = [PopularPage {
        url: "/turnos/hoy".to_owned(),
        requests: 9,
        variant: Some("mobile".into()),
    }];
    let urls: Vec<String> = all_shipped()
        .plan_warm("apertura", &popular, at(NOON))
        .into_iter()
        .map(|page| page.url)
        .collect();
    assert!(
        ["/", "/barberias/belgrano", "/turnos/hoy"]
            .iter()
            .all(|url| urls.iter().any(|other| other == url)),
        "{urls:?}"
    );
}
