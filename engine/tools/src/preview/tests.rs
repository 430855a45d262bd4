use std::path::Path;

use chrono::DateTime;

use super::*;

const SHOP: &str = r#"
[policies]
compiled_cache = "COMPILED"
[[policy]]
name = "never"
module = "builtin:json-rules"
settings = { rules = [{ match = ["/checkout/*"], cache = "never" }] }
[[policy]]
name = "hours"
module = "builtin:business-hours"
calendar = "builtin:argentina"
limits = { deadline = "5s" }
settings = { zone = "America/Argentina/Buenos_Aires", days = ["mon-sat"], open = "09:00", close = "18:00", spread = 10, rules = [
    { name = "pages", paths = ["/", "/shops/*"], inside = "2min", outside = "until-open" },
    { name = "images", paths = ["/img/*"], inside = "1d", outside = "1d", clip = false },
] }
[[site]]
name = "shop"
hosts = ["shop.example"]
origins = ["http://127.0.0.1:1"]
policies = ["never", "hours"]
[[warm]]
name = "opening"
site = "shop"
schedule = "30 8 * * MON-SAT"
urls = ["/shops/palermo"]
"#;

fn look(text: &str, from: &str, hours: u64) -> Preview {
    let folder = std::env::temp_dir().join("tero-preview-tests");
    let text = text.replace("COMPILED", &folder.display().to_string());
    let config = Config::parse(&text, "tero.toml", Path::new(""))
        .unwrap_or_else(|errors| panic!("{errors}"));
    let from = Timestamp::from_unix_secs(DateTime::parse_from_rfc3339(from).unwrap().timestamp());
    let outlook = PreviewInput {
        from: LocalDateTime::Instant(from),
        span: Duration::from_secs(hours * 3_600),
        site: None,
        urls: vec!["/shops/x?day=1".to_owned()],
        other_zone_data: None,
    };
    preview(&config, &outlook, &Compiler::InProcess).unwrap()
}

/// The local time of each event, and a word about it.
fn told(preview: &Preview) -> Vec<(&str, String)> {
    let word = |event: &PreviewEvent| match &event.what {
        EventKind::OffsetChange {
            before_mins,
            after_mins,
        } => format!("{before_mins} {after_mins}"),
        EventKind::Holiday { name, .. } => name.clone(),
        EventKind::Plan { plan, .. } => plan.clone(),
        EventKind::Decision { policy, after, .. } => {
            format!("{policy} {}", after.reason.as_deref().unwrap_or_default())
        }
    };
    preview
        .events
        .iter()
        .map(|event| (event.local.as_str(), word(event)))
        .collect()
}

#[test]
fn windows_plans_and_holidays_come_in_the_order_of_time() {
    // A Thursday; Christmas is the Friday after it.
    let preview = look(SHOP, "2026-12-24T07:00:00-03:00", 54);
    let open = || "hours pages: open".to_owned();
    let closed = || "hours pages: closed, until it opens".to_owned();
    assert_eq!(
        told(&preview),
        [
            ("2026-12-24T08:30:00-03:00", "opening".to_owned()),
            ("2026-12-24T09:00:00-03:00", open()),
            ("2026-12-24T18:00:00-03:00", closed()),
            ("2026-12-25T00:00:00-03:00", "Navidad".to_owned()),
            ("2026-12-25T08:30:00-03:00", "opening".to_owned()),
            ("2026-12-26T08:30:00-03:00", "opening".to_owned()),
            ("2026-12-26T09:00:00-03:00", open()),
        ]
    );
    assert_eq!(preview.events[1].utc, "2026-12-24T12:00:00Z");
    let EventKind::Decision {
        urls,
        before,
        after,
        ..
    } = &preview.events[2].what
    else {
        panic!("{preview:?}")
    };
    assert_eq!(urls, &["/shops/x?day=1", "/", "/shops/palermo", "/shops/x"]);
    assert!(
        before.reason.as_deref() == Some("pages: open, until the next change")
            && after.ttl_secs > Some(35 * 3_600),
        "{after:?}"
    );
    assert_eq!(
        preview.asked[0].policies,
        ["hours"],
        "the other does not depend on the time"
    );
    assert!(preview.warnings.is_empty(), "{:?}", preview.warnings);
}

#[test]
fn a_preview_tells_clock_changes_and_years_without_holidays() {
    let text = SHOP
        .replace("America/Argentina/Buenos_Aires", "America/Santiago")
        .replace("builtin:argentina", "builtin:chile");
    let spring = look(&text, "2026-09-05T22:00:00-04:00", 4);
    assert_eq!(
        told(&spring),
        [("2026-09-06T01:00:00-03:00", "-240 -180".to_owned())]
    );
    assert_eq!(
        (&*spring.events[0].utc, &*spring.events[0].zone),
        ("2026-09-06T04:00:00Z", "America/Santiago")
    );
    let year = look(&text, "2100-12-31T22:00:00-03:00", 4);
    assert!(
        year.warnings[0].contains("no data for 2101"),
        "{:?}",
        year.warnings
    );
    // Decrees make holidays in Argentina, and those of 2027 are not known.
    let argentina = text.replace("builtin:chile", "builtin:argentina");
    let year = look(&argentina, "2026-12-31T22:00:00-03:00", 4);
    assert_eq!(year.warnings, [] as [String; 0]);
    assert!(
        year.notices[0].contains("decrees for 2027 are not known"),
        "{:?}",
        year.notices
    );
}

const TWO: &str = r#"
[policies]
compiled_cache = "COMPILED"
[[policy]]
name = "argentina"
module = "builtin:business-hours"
calendar = "builtin:argentina"
settings = { zone = "America/Argentina/Buenos_Aires", open = "09:00", close = "18:00", rules = [{ paths = ["*"], inside = "2min", outside = "1h" }] }
[[policy]]
name = "spain"
module = "builtin:business-hours"
calendar = "builtin:spain"
settings = { zone = "Europe/Madrid", open = "09:00", close = "18:00", rules = [{ paths = ["*"], inside = "2min", outside = "1h" }] }
[[site]]
name = "tienda"
hosts = ["tienda.example"]
origins = ["http://127.0.0.1:1"]
policies = ["argentina"]
[[site]]
name = "shop"
hosts = ["shop.example"]
origins = ["http://127.0.0.1:1"]
policies = ["spain"]
[[warm]]
name = "opening"
site = "shop"
schedule = "30 8 * * *"
zone = "America/Santiago"
urls = ["/"]
"#;

fn look_at(site: Option<&str>, from: &str, days: u64) -> Result<Preview, PreviewError> {
    let folder = std::env::temp_dir().join("tero-preview-tests");
    let text = TWO.replace("COMPILED", &folder.display().to_string());
    let config = Config::parse(&text, "tero.toml", Path::new("")).unwrap();
    let input = PreviewInput {
        from: LocalDateTime::parse(from).unwrap(),
        span: Duration::from_secs(days * 86_400),
        site: site.map(str::to_owned),
        urls: Vec::new(),
        other_zone_data: None,
    };
    preview(&config, &input, &Compiler::InProcess)
}

#[test]
fn a_local_time_is_one_of_the_site_that_is_looked_at() {
    for (site, expected) in [
        ("tienda", "2026-12-24T03:00:00Z"),
        ("shop", "2026-12-23T23:00:00Z"),
    ] {
        let preview = look_at(Some(site), "2026-12-24T00:00", 1).unwrap();
        assert_eq!(preview.from, expected, "{site}");
    }
    let error = look_at(None, "2026-12-24T00:00", 1).unwrap_err();
    let names = "America/Argentina/Buenos_Aires, Europe/Madrid";
    assert!(error.to_string().contains(names), "{error}");
    let preview = look_at(None, "2026-12-24T00:00:00-03:00", 1).unwrap();
    assert_eq!(preview.from, "2026-12-24T03:00:00Z");
}

#[test]
fn holidays_are_those_of_the_sites_that_are_looked_at() {
    let holidays = |site| {
        // Epiphany is a holiday in Spain alone.
        let preview = look_at(site, "2027-01-05T00:00:00Z", 3).unwrap();
        let events = preview.events.into_iter();
        let policies = events.filter_map(|event| match event.what {
            EventKind::Holiday { policies, .. } => Some(policies.join(" ")),
            _ => None,
        });
        policies.collect::<Vec<_>>()
    };
    assert_eq!(holidays(Some("tienda")), [""; 0]);
    assert_eq!(holidays(Some("shop")), ["spain"]);
    assert_eq!(holidays(None), ["spain"]);
}

#[test]
fn the_clock_of_a_plan_is_told_when_it_changes() {
    // Chile puts the clock forward on 2026-09-06, at 04:00 UTC.
    let preview = look_at(Some("shop"), "2026-09-05T00:00:00Z", 3).unwrap();
    let changes = preview.events.iter().filter_map(|event| match event.what {
        EventKind::OffsetChange { .. } => Some((event.utc.as_str(), event.zone.as_str())),
        _ => None,
    });
    let expected = [("2026-09-06T04:00:00Z", "America/Santiago")];
    assert_eq!(changes.collect::<Vec<_>>(), expected);
    let preview = look_at(Some("tienda"), "2026-09-05T00:00:00Z", 3).unwrap();
    let of_plan = |event: &PreviewEvent| event.zone == "America/Santiago";
    assert!(!preview.events.iter().any(of_plan));
}
