//! Every rule of the sample file, on both sides of every boundary second, and every refusal.

use super::*;
use tero_policy::{Device, Duration, LocalTime, Storing};

const SAMPLE: &str = include_str!("../../../examples/barberpro/cdn-argentina-policies.json");

fn sample() -> JsonRules {
    tero_policy::configure(SAMPLE).unwrap()
}

fn moment(text: &str) -> Moment<'static> {
    text.parse().unwrap()
}

fn decide(path: &str, now: &Moment) -> ResponseDecision {
    sample().on_response(&Request::get(path), &Response::ok(), now)
}

fn check(path: &str, now: &Moment, ttl_secs: u32, reason: &str) {
    let decision = decide(path, now);
    let found = (
        decision.storing,
        decision.ttl.map(Duration::as_secs),
        decision.reason.as_deref(),
    );
    assert_eq!(
        found,
        (Storing::Always, Some(ttl_secs), Some(reason)),
        "{path} at {now:?}"
    );
}

#[test]
fn lifetimes_follow_business_hours_to_the_second() {
    for (path, rule, inside, outside) in [
        ("/api/v1/disponibilidad/42", "availability", 15, 120),
        ("/", "shop-pages", 120, 1_800),
        ("/barberias/palermo", "shop-pages", 120, 1_800),
        ("/turnos/hoy", "shop-pages", 120, 1_800),
    ] {
        let inside = |time: &str| {
            check(
                path,
                &moment(time),
                inside,
                &format!("{rule}: business hours"),
            )
        };
        let outside =
            |time: &str| check(path, &moment(time), outside, &format!("{rule}: otherwise"));
        outside("2026-11-24T08:59:59-03:00");
        inside("2026-11-24T09:00:00-03:00");
        inside("2026-11-24T17:59:59-03:00");
        outside("2026-11-24T18:00:00-03:00");
        inside("2026-11-28T09:00:00-03:00");
        outside("2026-11-28T18:00:00-03:00");
        outside("2026-11-29T12:00:00-03:00");
        inside("2026-11-30T09:00:00-03:00");
    }
}

#[test]
fn a_lifetime_may_end_at_a_time_of_day_and_be_spread() {
    let policy: JsonRules = tero_policy::configure(
        r#"{ "timezone": "America/Argentina/Buenos_Aires", "business_hours": {"days": ["mon"], "from": "09:00", "to": "18:00"},
             "spread": 20, "rules": [{"match": ["/menu"], "ttl": "until 18:00", "spread": 0},
             {"match": ["/hours"], "ttl": {"business_hours": "until 13:00", "otherwise": 60}, "spread": 0}, {"match": ["*"], "ttl": 1000}] }"#,
    )
    .unwrap();
    let decide = |path: &str, response: Response, time: &str| {
        policy.on_response(&Request::get(path), &response, &moment(time))
    };
    let ttl = |path: &str, time: &str| decide(path, Response::ok(), time).ttl.unwrap().as_secs();
    assert_eq!(
        (
            ttl("/menu", "2026-11-23T17:59:59-03:00"),
            ttl("/menu", "2026-11-23T18:00:00-03:00")
        ),
        (1, 86_400)
    );
    assert_eq!(
        (
            ttl("/hours", "2026-11-23T12:59:59-03:00"),
            ttl("/hours", "2026-11-24T12:59:59-03:00")
        ),
        (1, 60)
    );
    let day = Response::ok().with_header_browser_ttl(Duration::from_days(1));
    assert_eq!(
        decide("/menu", day.clone(), "2026-11-23T17:59:00-03:00").browser_ttl,
        Some(Duration::from_mins(1))
    );
    assert_eq!(
        decide("/x", day, "2026-11-23T17:59:00-03:00").browser_ttl,
        None
    );
    let spread = |key: &str| {
        decide(
            "/x",
            Response::ok().with_key(key),
            "2026-11-23T12:00:00-03:00",
        )
        .ttl
        .unwrap()
        .as_secs()
    };
    let ttls: Vec<u32> = (0..100).map(|n| spread(&n.to_string())).collect();
    assert!(
        ttls.iter().all(|ttl| (800..=1_000).contains(ttl)) && ttls.iter().any(|ttl| *ttl < 850),
        "{ttls:?}"
    );
}

#[test]
fn holidays_are_closed_and_half_days_have_the_hours_of_the_calendar() {
    check(
        "/",
        &moment("2026-12-25T12:00:00-03:00").on_holiday("Navidad"),
        1_800,
        "shop-pages: otherwise (holiday: Navidad)",
    );
    let half_day = |time: &str| {
        moment(time).on_half_day("Nochebuena", LocalTime::at(9, 0), LocalTime::at(13, 0))
    };
    check(
        "/",
        &half_day("2026-12-24T12:59:59-03:00"),
        120,
        "shop-pages: business hours (half-day: Nochebuena)",
    );
    check(
        "/",
        &half_day("2026-12-24T13:00:00-03:00"),
        1_800,
        "shop-pages: otherwise (half-day: Nochebuena)",
    );
    let open = SAMPLE.replace(r#""holidays": "closed""#, r#""holidays": "open""#);
    let policy: JsonRules = tero_policy::configure(&open).unwrap();
    let decision = policy.on_response(
        &Request::get("/"),
        &Response::ok(),
        &moment("2026-12-25T12:00:00-03:00").on_holiday("Navidad"),
    );
    assert_eq!(
        (decision.ttl, decision.reason.as_deref()),
        (
            Some(Duration::from_secs(120)),
            Some("shop-pages: business hours")
        )
    );
}

#[test]
fn the_other_rules_do_not_depend_on_the_time() {
    for time in [
        "2026-11-24T08:59:59-03:00",
        "2026-11-24T09:00:00-03:00",
        "2026-11-29T12:00:00-03:00",
    ] {
        let now = moment(time);
        check("/img/logo.png", &now, 86_400, "images: ttl");
        for path in ["/assets/app.bin", "/site.css", "/x/y.js", "/font.woff2"] {
            check(path, &now, 31_536_000, "assets: ttl");
        }
        let origin = decide("/anything", &now);
        assert_eq!(
            (origin.storing, origin.ttl, origin.reason.as_deref()),
            (Storing::ByHeaders, None, Some("everything-else: origin"))
        );
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let now = moment("2026-11-24T12:00:00-03:00");
    check(
        "/barberias/estilo.css",
        &now,
        120,
        "shop-pages: business hours",
    );
    check("/img/estilo.css", &now, 86_400, "images: ttl");
    assert_eq!(decide("/checkout/app.js", &now).storing, Storing::Never);
}

#[test]
fn paths_that_are_never_cached_pass_unchanged() {
    let policy = sample();
    for (path, rule) in [
        ("/api/v1/pagos/1?utm_source=x", "payments"),
        ("/webhooks/mercadopago", "payments"),
        ("/checkout/2", "payments"),
        ("/mi-cuenta/turnos", "account"),
        ("/api/v1/sesion/renovar", "account"),
        ("/mi-cuent%61/turnos", "account"),
        ("//mi-cuenta/turnos", "account"),
        ("/barberias/../mi-cuenta/turnos", "account"),
        ("/barberias/%2e%2e/mi-cuenta/turnos", "account"),
        ("/mi-cuenta%2fturnos", "account"),
        ("/mi-cuenta;v=1/turnos", "account"),
        ("/mi-cuenta/turnos/../../barberias/x", "account"),
    ] {
        let request = policy.on_request(&Request::get(path), &moment("2026-11-24T12:00:00-03:00"));
        assert_eq!(
            request,
            RequestDecision::pass().because(format!("{rule}: never")),
            "{path}"
        );
        let path = path.split('?').next().unwrap();
        assert_eq!(
            decide(path, &moment("2026-11-24T12:00:00-03:00")),
            ResponseDecision::never().because(format!("{rule}: never")),
            "{path}"
        );
    }
    assert_eq!(
        policy
            .on_request(&Request::get("/webhooks/mercadopago/x"), &Moment::epoch())
            .lookup,
        None
    );
}

#[test]
fn staleness_and_tags_come_with_the_rule() {
    let now = moment("2026-11-24T12:00:00-03:00");
    let rest = |path: &str| {
        let decision = decide(path, &now);
        (
            decision.stale_while_revalidate.map(Duration::as_secs),
            decision.stale_if_error.map(Duration::as_secs),
            decision.tags,
        )
    };
    assert_eq!(
        rest("/api/v1/disponibilidad/1"),
        (Some(15), Some(60), vec!["disponibilidad".to_owned()])
    );
    assert_eq!(
        rest("/turnos/1"),
        (Some(300), Some(86_400), vec!["paginas".to_owned()])
    );
    assert_eq!(rest("/img/1.jpg"), (Some(3_600), Some(604_800), vec![]));
    assert_eq!(rest("/assets/1.js"), (None, None, vec![]));
}

#[test]
fn errors_keep_their_tags_and_are_left_to_their_own_fields() {
    for status in [302, 404, 500, 503] {
        let decision = sample().on_response(
            &Request::get("/turnos/1"),
            &Response::new(status),
            &moment("2026-11-24T12:00:00-03:00"),
        );
        let expected = ResponseDecision::by_headers()
            .tag("paginas")
            .because(format!("shop-pages: status {status} is left to its fields"));
        assert_eq!(decision, expected);
    }
}

#[test]
fn variants_are_for_their_devices_and_paths() {
    let policy = sample();
    for (device, path, expected) in [
        (Device::Mobile, "/", Some("mobile")),
        (Device::Mobile, "/barberias/palermo", Some("mobile")),
        (Device::Mobile, "/turnos/1", Some("mobile")),
        (Device::Mobile, "/img/1.jpg", Some("mobile")),
        (Device::Mobile, "/api/v1/disponibilidad/1", None),
        (Device::Tablet, "/img/1.jpg", Some("tablet")),
        (Device::Tablet, "/", None),
        (Device::Desktop, "/img/1.jpg", None),
        (Device::Bot, "/", None),
        (Device::Unknown, "/", None),
    ] {
        let decision = policy.on_request(&Request::get(path).with_device(device), &Moment::epoch());
        assert_eq!(decision.variant.as_deref(), expected, "{device} on {path}");
    }
    let both = r#"{"variants": {"z": {"devices": ["tv"]}, "a": {"devices": ["tv", "bot"]}}, "rules": [{"match": ["*"], "ttl": 1}]}"#;
    let policy: JsonRules = tero_policy::configure(both).unwrap();
    assert_eq!(
        policy
            .on_request(&Request::get("/").with_device(Device::Tv), &Moment::epoch())
            .variant
            .as_deref(),
        Some("z"),
        "the first written"
    );
}

/// The rule that leaves these parameters and the order out.
fn ignored(names: &[&str]) -> QueryRule {
    let names = names.iter().map(ToString::to_string).collect();
    QueryRule {
        parameters: QueryParameters::Ignore(names),
        sort: true,
    }
}

#[test]
fn the_query_rule_of_the_file_is_used() {
    let names = ["utm_*", "fbclid", "gclid", "msclkid", "mc_cid", "mc_eid"];
    assert_eq!(sample().manifest().query_rules, [ignored(&names)]);
    assert_eq!(
        sample().on_request(&Request::get("/?b=1"), &Moment::epoch()),
        RequestDecision::new().declared_query(0)
    );
    let plain: JsonRules =
        tero_policy::configure(r#"{"rules": [{"match": ["/a"], "ttl": 1}]}"#).unwrap();
    assert_eq!(
        plain.on_request(&Request::get("/a?b=1"), &Moment::epoch()),
        RequestDecision::new()
    );
    assert_eq!(
        plain.on_response(&Request::get("/b"), &Response::ok(), &Moment::epoch()),
        ResponseDecision::by_headers()
    );
    assert_eq!(
        plain
            .on_response(&Request::get("/a"), &Response::ok(), &Moment::epoch())
            .reason
            .unwrap(),
        "/a: ttl"
    );
}

#[test]
fn the_manifest_declares_what_the_file_needs() {
    let manifest = Manifest::new()
        .on_request()
        .on_response()
        .plan_warm()
        .device()
        .zone("America/Argentina/Buenos_Aires")
        .variants(["mobile", "tablet"])
        .query_rules([ignored(&[
            "utm_*", "fbclid", "gclid", "msclkid", "mc_cid", "mc_eid",
        ])])
        .path_patterns([
            "*",
            "*.css",
            "*.js",
            "*.woff2",
            "/",
            "/api/v1/disponibilidad/*",
            "/api/v1/pagos/*",
            "/api/v1/sesion/*",
            "/assets/*",
            "/barberias/*",
            "/checkout/*",
            "/img/*",
            "/mi-cuenta/*",
            "/turnos/*",
            "/webhooks/mercadopago",
        ]);
    assert_eq!(sample().manifest(), manifest);
    let plain: JsonRules =
        tero_policy::configure(r#"{"rules": [{"match": ["*"], "ttl": 1}]}"#).unwrap();
    assert_eq!(
        plain.manifest(),
        Manifest::new()
            .on_request()
            .on_response()
            .path_patterns(["*"]),
        "nothing in it depends on the time"
    );
    let until: JsonRules =
        tero_policy::configure(r#"{"rules": [{"match": ["*"], "ttl": "until 18:00"}]}"#).unwrap();
    assert_eq!(until.manifest().zone.as_deref(), Some("UTC"));
}

#[test]
fn responses_are_asked_about_one_by_one_for_a_spread() {
    let settings = r#"{"rules": [{"match": ["*"], "ttl": 60, "spread": 10}]}"#;
    let spread = tero_policy::configure::<JsonRules>(settings).unwrap();
    let spread = spread.manifest();
    assert!(spread.each_response && spread.path_patterns.is_some());
}

#[test]
fn plans_answer_their_urls_and_then_popular_pages_that_may_be_cached() {
    let popular = [
        PopularPage::new("/mi-cuenta/turnos?x=1", 90),
        PopularPage::new("/barberias/palermo", 80).variant("mobile"),
        PopularPage::new("/barberias/caballito", 70).variant("mobile"),
        PopularPage::new("/barberias/caballito", 60),
        PopularPage::new("/turnos/hoy", 50),
    ];
    let page = |url: &str, priority: u8| {
        WarmUrl::new(url)
            .variants(["desktop", "mobile"])
            .priority(priority)
    };
    let expected = [
        page("/", 255),
        page("/barberias/palermo", 255),
        page("/barberias/recoleta", 255),
        page("/barberias/belgrano", 255),
        page("/barberias/caballito", 128),
        page("/turnos/hoy", 128),
    ];
    assert_eq!(
        sample().plan_warm("apertura", &popular, &Moment::epoch()),
        expected
    );
    let few: JsonRules =
        tero_policy::configure(&SAMPLE.replace("\"popular\": 50", "\"popular\": 1")).unwrap();
    let noon = few.plan_warm("mediodia", &popular, &Moment::epoch());
    assert_eq!(
        noon,
        [WarmUrl::new("/barberias/palermo")
            .variants(["mobile"])
            .priority(128)]
    );
    assert_eq!(sample().plan_warm("otro", &popular, &Moment::epoch()), []);
}

#[test]
fn bad_settings_are_refused_with_key_and_cure() {
    let refusal = |settings: &str| tero_policy::configure::<JsonRules>(settings).unwrap_err();
    let with = |more: &str| {
        refusal(&format!(
            r#"{{"rules": [{{"match": ["*"], "ttl": 1}}], {more}}}"#
        ))
    };
    let rule = |more: &str| refusal(&format!(r#"{{"rules": [{{"match": ["*"], {more}}}]}}"#));
    let hours = |more: &str| with(&format!(r#""business_hours": {{"days": ["mon"], {more}}}"#));
    let plan = |more: &str| with(&format!(r#""warming": [{{"name": "apertura", {more}}}]"#));
    for (found, expected) in [
        (refusal("{}"), "missing field `rules`"),
        (
            refusal(r#"{"rules": []}"#),
            "`rules` has 0 entries: write 1 to 1024",
        ),
        (
            with(r#""version": 4"#),
            "`version` is 4: this policy reads versions 1 to 3",
        ),
        (
            with(r#""varaints": {}"#),
            "settings: `varaints`: unknown field `varaints`",
        ),
        (
            with(r#""key": {"ignore": []}"#),
            "settings: `key.ignore`: unknown field `ignore`, expected `ignore_query` or `sort_query`",
        ),
        (
            with(r#""key": {"ignore_query": ["*_utm"]}"#),
            "settings: `key.ignore_query[0]`: \"*_utm\" is not a query parameter's name",
        ),
        (
            with(r#""variants": {"Mobile": {"devices": ["mobile"]}}"#),
            "\"Mobile\" is not a variant's name",
        ),
        (
            with(r#""variants": {"m": {"devices": []}}"#),
            "`variants.m`: `devices` is empty",
        ),
        (
            with(r#""variants": {"m": {"devices": ["mobile"], "paths": []}}"#),
            "leave it out for all",
        ),
        (
            with(r#""variants": {"m": {"devices": ["phone"]}}"#),
            "settings: `variants.m.devices[0]`: \"phone\" is not a device class",
        ),
        (
            with(r#""variants": {"m": {"devices": ["tv"]}, "m": {"devices": ["tv"]}}"#),
            "written twice",
        ),
        (
            hours(r#""from": "09:00", "to": "09:00""#),
            "`business_hours`: a window from 09:00 to 09:00 covers nothing",
        ),
        (
            hours(r#""from": "9", "to": "18:00""#),
            "settings: `business_hours.from`: \"9\" is not a time of day",
        ),
        (
            hours(r#""from": "09:00", "to": "18:00", "holidays": "shut""#),
            "unknown variant `shut`, expected `closed` or `open`",
        ),
        (
            rule(r#""cache": "never", "ttl": 1"#),
            "`rules[0]`: a rule that is never cached has no `ttl`",
        ),
        (
            rule(r#""name": "x""#),
            "`rules[0]` (x): the rule decides nothing",
        ),
        (
            rule(r#""cache": "always""#),
            "unknown variant `always`, expected `never`",
        ),
        (
            rule(r#""ttl": 31536001"#),
            "settings: `rules[0].ttl`: 31536001 is out of range: write a whole number of seconds",
        ),
        (
            rule(r#""ttl": -1"#),
            "settings: `rules[0].ttl`: invalid type: integer `-1`, expected a whole number of seconds",
        ),
        (
            rule(r#""ttl": "1h""#),
            "\"until 18:00\", { \"business_hours\": …, \"otherwise\": … } or \"origin\"",
        ),
        (
            rule(r#""ttl": {"business_hours": 1}"#),
            "missing field `otherwise`",
        ),
        (
            rule(r#""ttl": {"business_hours": 1, "otherwise": 2}"#),
            "the file has no `business_hours`",
        ),
        (
            rule(r#""ttl": 1, "stale_if_error": 99999999"#),
            "settings: `rules[0].stale_if_error`: 99999999 is out of range",
        ),
        (
            rule(r#""ttl": 1, "tags": ["a b"]"#),
            "settings: `rules[0].tags[0]`: \"a b\" is not a tag",
        ),
        (rule(r#""ttl": 1, "paths": []"#), "unknown field `paths`"),
        (
            rule(r#""ttl": "until 9""#),
            "settings: `rules[0].ttl`: \"9\" is not a time of day",
        ),
        (
            rule(r#""ttl": 1, "spread": 51"#),
            "`rules[0]`: `spread` is 51: write 0 to 50 percent",
        ),
        (
            refusal(
                r#"{"rules": [{"match": ["*"], "ttl": 1}, {"name": "home", "match": ["/"], "ttl": 2}]}"#,
            ),
            "`rules[1]`: / is decided by `rules[0]` (*): put this rule before that one",
        ),
        (
            refusal(r#"{"rules": [{"match": [], "ttl": 1}]}"#),
            "`match` is empty",
        ),
        (
            refusal(
                r#"{"rules": [{"name": "x", "match": ["/"], "ttl": 1}, {"name": "x", "match": ["*"], "ttl": 1}]}"#,
            ),
            "`rules[1]` (x): another rule",
        ),
        (
            plan(r#""urls": ["http://elsewhere.example/"]"#),
            "`warming` (apertura): \"http://elsewhere.example/\" is not a page of the site",
        ),
        (
            plan(r#""urls": ["//elsewhere.example/"]"#),
            "is not a page of the site",
        ),
        (
            plan(r#""sitemap": "sitemap.xml""#),
            "\"sitemap.xml\" is not a page of the site",
        ),
        (
            plan(r#""variants": ["phone"]"#),
            "\"phone\" is neither a variant nor a device class: write one of desktop, mobile",
        ),
        (plan(r#""days": ["mon"]"#), "`days` without a time"),
        (plan(r#""popular": 100001"#), "at most 100000"),
        (
            plan(r#""at": "8:30""#),
            "settings: `warming[0].at`: \"8:30\" is not a time of day",
        ),
        (
            with(r#""warming": [{"name": "a"}, {"name": "a"}]"#),
            "another plan has that name",
        ),
    ] {
        assert!(
            found.contains(expected),
            "{found:?} does not contain {expected:?}"
        );
    }
}

fn passes(policy: &JsonRules, path: &str, cookie: &str) -> Option<String> {
    let request = Request::get(path).with_cookie(cookie, "1");
    let decision = policy.on_request(&request, &moment("2026-11-24T12:00:00-03:00"));
    let is_pass = decision.lookup == Some(tero_policy::Lookup::Pass);
    is_pass.then(|| decision.reason.unwrap_or_default())
}

#[test]
fn cookies_make_requests_pass_by_rule_and_by_file() {
    let policy: JsonRules = tero_policy::configure(
        r#"{ "pass_cookies": ["sid", "in_*"], "rules": [
            {"name": "images", "match": ["*.png"], "ttl": 60, "pass_cookies": []},
            {"name": "cart", "match": ["/cart"], "ttl": 60, "pass_cookies": ["cart"]},
            {"name": "paid", "match": ["/paid"], "cache": "never"},
            {"name": "pages", "match": ["/p/*"], "ttl": 60}] }"#,
    )
    .unwrap();
    assert_eq!(policy.manifest().cookies, ["cart", "in_*", "sid"]);
    for (path, cookie, expected) in [
        ("/p/1", "sid", Some("pages: cookie")),
        ("/p/1", "in_7", Some("pages: cookie")),
        ("/p/1", "Sid", None),
        ("/p/1", "cart", None),
        ("/p/1", "sid2", None),
        ("/cart", "cart", Some("cart: cookie")),
        ("/cart", "sid", None),
        ("/a.png", "sid", None),
        ("/paid", "x", Some("paid: never")),
        ("/other", "sid", Some("pass_cookies: cookie")),
        ("/other", "cart", None),
    ] {
        let seen = passes(&policy, path, cookie);
        assert_eq!(seen.as_deref(), expected, "{path} {cookie}");
    }
}

#[test]
fn a_file_names_at_most_32_cookies() {
    let file = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("\"c{n}\"")).collect();
        let names = names.join(",");
        format!(
            r#"{{ "pass_cookies": ["c0"], "rules": [{{"match": ["*"], "ttl": 1, "pass_cookies": [{names}]}}] }}"#
        )
    };
    let configure = |file: &str| tero_policy::configure::<JsonRules>(file);
    assert_eq!(configure(&file(32)).unwrap().manifest().cookies.len(), 32);
    let error = configure(&file(33)).unwrap_err();
    assert!(error.contains("33 cookies: at most 32"), "{error}");
    for (rule, refused) in [
        (
            r#""cache": "never", "pass_cookies": ["a"]"#,
            "remove `pass_cookies`",
        ),
        (r#""ttl": 1, "pass_cookies": ["a b"]"#, "a cookie's name"),
        (r#""ttl": 1, "pass_cookies": ["a*b"]"#, "a cookie's name"),
    ] {
        let error = configure(&format!(r#"{{ "rules": [{{"match": ["*"], {rule}}}] }}"#));
        let error = error.unwrap_err();
        assert!(error.contains(refused), "{error}");
    }
}

#[test]
fn cookies_of_a_path_count_however_the_path_is_written() {
    let policy: JsonRules = tero_policy::configure(
        r#"{"version": 3, "rules": [
            {"match": ["/cuenta/*"], "ttl": 60, "pass_cookies": ["sid"]},
            {"match": ["/static/*"], "ttl": 60},
            {"match": ["*"], "ttl": 60}
        ]}"#,
    )
    .unwrap();
    let lookup = |path: &str, cookie: &str| {
        let request = Request::get(path).with_cookie(cookie, "1");
        policy.on_request(&request, &Moment::epoch()).lookup
    };
    let pass = RequestDecision::pass().lookup;
    for path in [
        "/cuenta/1",
        "//cuenta/1",
        "/static/../cuenta/1",
        "/cuenta/../static/1",
    ] {
        assert_eq!(lookup(path, "sid"), pass, "{path}");
        assert_eq!(lookup(path, "other"), None, "{path}");
    }
    assert_eq!(lookup("/static/1", "sid"), None);
}
