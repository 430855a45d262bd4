use super::query::query_rule;
use super::*;
use crate::manifest::Hook;
use tero_semantics::decision::QueryParameters;

fn raw_manifest() -> types::Manifest {
    types::Manifest {
        hooks: vec![
            types::Hook::PlanWarm,
            types::Hook::OnRequest,
            types::Hook::OnRequest,
        ],
        headers: vec!["X-Market".into(), "x-market".into()],
        cookies: vec!["market".into()],
        response_headers: vec!["content-type".into()],
        query: true,
        device: true,
        device_source: true,
        zone: Some("America/Argentina/Buenos_Aires".into()),
        network: Some(types::NetworkPrefix { ipv4: 24, ipv6: 48 }),
        country: true,
        region: true,
        bucket: Some(types::BucketRule {
            experiment: "checkout".into(),
            buckets: 2,
            cookie: Some("visitor".into()),
            network: types::NetworkPrefix { ipv4: 32, ipv6: 64 },
        }),
        route: true,
        tables: vec!["prices".into(), "prices".into()],
        variants: vec!["mobile".into(), "desktop_2-x".into()],
        query_rules: vec![types::QueryRule {
            parameters: types::QueryParameters::Only(vec!["page".into()]),
            sort: true,
        }],
        key_parts: vec!["market".into(), "plan".into()],
        origins: vec!["eu".into(), "app.internal:8080".into()],
        rate_classes: vec!["search".into()],
        request_edits: vec!["X-Tenant".into(), "x-debug".into()],
        response_edits: vec!["x-robots-tag".into()],
        stored_edits: vec!["server".into()],
        abilities: types::Abilities::all(),
        path_patterns: None,
    }
}

fn raw_request() -> types::RequestDecision {
    types::RequestDecision {
        lookup: None,
        variant_name: None,
        query: None,
        key_parts: Vec::new(),
        rewrite: None,
        origin: None,
        request_edits: Vec::new(),
        response_edits: Vec::new(),
        answer: None,
        log_tag: None,
        rate_class: None,
        reason: None,
    }
}

fn raw_response() -> types::ResponseDecision {
    types::ResponseDecision {
        storing: types::Storing::ByHeaders,
        ttl_secs: None,
        browser_ttl_secs: None,
        stale_while_revalidate_secs: None,
        stale_if_error_secs: None,
        admit: None,
        error_ttl_secs: None,
        expiry: None,
        edits: Vec::new(),
        tags: Vec::new(),
        reason: None,
    }
}

fn response(raw: types::ResponseDecision) -> Result<ResponseAnswer, String> {
    super::response(raw, &manifest(&raw_manifest()).unwrap())
}

#[test]
fn a_good_manifest_is_accepted_with_each_name_once() {
    let manifest = manifest(&raw_manifest()).unwrap();
    assert_eq!(manifest.hooks, [Hook::OnRequest, Hook::PlanWarm]);
    assert_eq!(manifest.headers, ["x-market"]);
    assert_eq!(
        manifest.zone,
        Some(chrono_tz::America::Argentina::Buenos_Aires)
    );
    assert_eq!(manifest.variants.len(), 2);
    assert_eq!(manifest.tables, ["prices".into()]);
    assert_eq!(manifest.request_edits, ["x-tenant", "x-debug"]);
    let may = manifest.abilities;
    assert!(may.rewrite && may.answer && may.log_tag && may.admission);
    assert!(may.error_ttl && may.expiry);
}

#[test]
fn a_bad_manifest_is_refused_with_the_reason() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut types::Manifest), expected: &str) {
        let mut raw = raw_manifest();
        change(&mut raw);
        let refusal = manifest(&raw).unwrap_err();
        assert!(refusal.contains(expected), "{refusal}");
    }
    check(
        |raw| raw.headers = (0..33).map(|i| format!("x-{i}")).collect(),
        "33 request fields",
    );
    check(
        |raw| raw.headers = vec!["no name".into()],
        "not a field name",
    );
    check(
        |raw| raw.cookies = vec!["a=b".into()],
        "not the name of a cookie",
    );
    check(
        |raw| raw.cookies = vec!["c".repeat(129)],
        "not the name of a cookie",
    );
    check(
        |raw| raw.response_headers = vec![String::new()],
        "not a field name",
    );
    check(
        |raw| raw.zone = Some("Mars/Olympus".into()),
        "not a time zone",
    );
    check(|raw| raw.variants = vec!["v".into(), "v".into()], "twice");
    check(|raw| raw.key_parts = vec!["v".into(), "v".into()], "twice");
    check(
        |raw| raw.key_parts = (0..9).map(|i| format!("p{i}")).collect(),
        "9 parts of the key; at most 8",
    );
    check(|raw| raw.key_parts = vec!["A".into()], "not the name of");
    check(
        |raw| raw.tables = (0..17).map(|i| format!("t{i}")).collect(),
        "17 tables; at most 16",
    );
    check(
        |raw| raw.tables = vec!["T".into()],
        "not the name of a table",
    );
    check(
        |raw| raw.origins = (0..33).map(|i| format!("o{i}")).collect(),
        "33 origins",
    );
    for bad in ["", "a b", "a\n", &"o".repeat(262)] {
        check(
            |raw| raw.origins = vec![bad.into()],
            "not the name of an origin",
        );
    }
    let rule = |names| types::QueryRule {
        parameters: types::QueryParameters::Ignore(names),
        sort: false,
    };
    check(
        |raw| raw.query_rules = vec![rule(vec!["p".into()]); 33],
        "33 rules for the query",
    );
    check(
        |raw| raw.query_rules = vec![rule(vec![String::new()])],
        "not the name of a query parameter",
    );
    check(
        |raw| raw.rate_classes = vec!["a b".into()],
        "not the name of a rate class",
    );
    for (bad, why) in [
        ("host", "who asks for what"),
        ("authorization", "who asks for what"),
        ("x-forwarded-for", "who asks for what"),
        ("connection", "framing"),
        ("content-length", "framing"),
        ("via", "where the message has been"),
        ("tero-variant", "where the message has been"),
        ("no name", "not a field name"),
    ] {
        check(|raw| raw.request_edits = vec![bad.into()], why);
    }
    for (bad, why) in [
        ("set-cookie", "share one cookie"),
        ("age", "caching"),
        ("transfer-encoding", "framing"),
        ("via", "where the message has been"),
    ] {
        check(|raw| raw.response_edits = vec![bad.into()], why);
        check(|raw| raw.stored_edits = vec![bad.into()], why);
    }
    for (ipv4, ipv6) in [(33, 48), (24, 129), (255, 255)] {
        check(
            |raw| raw.network = Some(types::NetworkPrefix { ipv4, ipv6 }),
            "at most 32 of IPv4 and 128 of IPv6",
        );
    }
    let bucket = |change: fn(&mut types::BucketRule)| {
        move |raw: &mut types::Manifest| change(raw.bucket.as_mut().unwrap())
    };
    check(bucket(|rule| rule.buckets = 1), "1 buckets; 2 to 10000");
    check(bucket(|rule| rule.buckets = 10_001), "10001 buckets");
    check(
        bucket(|rule| rule.experiment = String::new()),
        "an experiment",
    );
    check(
        bucket(|rule| rule.experiment = "e".repeat(65)),
        "an experiment",
    );
    check(
        bucket(|rule| rule.cookie = Some("visitor_*".into())),
        "more than one cookie",
    );
    check(bucket(|rule| rule.network.ipv4 = 33), "at most 32");
    for bad in ["", "Mobile", "a+b", "ñ", &"v".repeat(33)] {
        check(
            |raw| raw.variants = vec![bad.into()],
            "not the name of a variant",
        );
    }
}

#[test]
fn a_variant_must_be_in_the_manifest() {
    let manifest = manifest(&raw_manifest()).unwrap();
    let answer = |name: &str| {
        request(
            types::RequestDecision {
                variant_name: Some(name.into()),
                ..raw_request()
            },
            &manifest,
        )
    };
    assert_eq!(answer("mobile").unwrap().variant.as_deref(), Some("mobile"));
    assert!(
        answer("tablet")
            .unwrap_err()
            .contains("not in its manifest")
    );
    assert!(answer("").is_err());
}

#[test]
fn the_bounds_of_a_manifest_are_within_reach() {
    let mut raw = raw_manifest();
    raw.key_parts = (0..8).map(|i| format!("p{i}")).collect();
    raw.tables = (0..16).map(|i| format!("t{i}")).collect();
    raw.origins = vec!["o".repeat(261)];
    raw.network = Some(types::NetworkPrefix {
        ipv4: 32,
        ipv6: 128,
    });
    raw.bucket.as_mut().unwrap().buckets = 10_000;
    raw.bucket.as_mut().unwrap().experiment = "e".repeat(64);
    assert!(manifest(&raw).is_ok());
}

/// What an answer to `on-request` decides beyond look-up, variant and query.
fn extended(change: impl FnOnce(&mut types::RequestDecision)) -> Result<ExtendedDecision, String> {
    let mut raw = raw_request();
    change(&mut raw);
    let answer = request(raw, &manifest(&raw_manifest()).unwrap())?;
    Ok(*answer.extended.unwrap_or_default())
}

fn edit(name: &str, value: Option<&str>) -> types::Edit {
    types::Edit {
        name: name.into(),
        value: value.map(str::to_owned),
    }
}

#[test]
fn parts_of_the_key_are_named_once_short_and_printable() {
    let parts = |parts: &[(&str, &str)]| {
        extended(|raw| {
            let part = |(name, value): &(&str, &str)| types::KeyPart {
                name: (*name).into(),
                value: (*value).into(),
            };
            raw.key_parts = parts.iter().map(part).collect();
        })
    };
    let good = parts(&[("market", "ar"), ("plan", "")]).unwrap();
    assert_eq!(good.key_parts.len(), 2);
    assert!(parts(&[("plan", &"v".repeat(128))]).is_ok());
    for (bad, why) in [
        (&[("plan", &*"v".repeat(129))][..], "at most 128 bytes"),
        (&[("plan", "a\nb")], "printable ASCII"),
        (&[("plan", "\u{e1}")], "printable ASCII"),
        (&[("color", "red")], "not in its manifest"),
        (&[("plan", "a"), ("plan", "b")], "two values"),
        (&[("plan", "a"), ("market", "b"), ("color", "c")], "3 parts"),
    ] {
        let refusal = parts(bad).unwrap_err();
        assert!(refusal.contains(why), "{refusal}");
    }
}

#[test]
fn a_rewritten_target_is_a_path_and_a_query() {
    let target = |path: Option<&str>, query: Option<&str>| {
        extended(|raw| {
            raw.rewrite = Some(types::Rewrite {
                path: path.map(str::to_owned),
                query: query.map(str::to_owned),
            });
        })
    };
    let good = target(Some("/a%20b/c"), Some("")).unwrap().origin;
    assert_eq!(
        (good.path.as_deref(), good.query.as_deref()),
        (Some("/a%20b/c"), Some(""))
    );
    assert!(target(Some(&format!("/{}", "a".repeat(8_191))), None).is_ok());
    assert!(target(None, Some(&"q".repeat(8_192))).is_ok());
    assert!(target(None, None).unwrap().is_empty());
    let (long_path, long_query) = (format!("/{}", "a".repeat(8_192)), "q".repeat(8_193));
    for path in [
        "",
        "a",
        "http://elsewhere/",
        "/a b",
        "/a?b",
        "/a#b",
        "/a\r\nx: y",
        "/a%2",
        "/a%zz",
        "/\u{f1}",
        &long_path,
    ] {
        let refusal = target(Some(path), None).unwrap_err();
        assert!(refusal.contains("is not a path"), "{refusal}");
    }
    for query in ["a b", "a#b", "a\r\nx: y", "\u{f1}", &long_query] {
        let refusal = target(None, Some(query)).unwrap_err();
        assert!(refusal.contains("is not a query"), "{refusal}");
    }
}

#[test]
fn an_origin_and_a_rate_class_must_be_in_the_manifest() {
    let good = extended(|raw| {
        raw.origin = Some("eu".into());
        raw.rate_class = Some("search".into());
    });
    let good = good.unwrap();
    assert_eq!(good.origin.origin.as_deref(), Some("eu"));
    assert_eq!(good.rate_class.as_deref(), Some("search"));
    let other = extended(|raw| raw.origin = Some("us".into())).unwrap_err();
    assert_eq!(other, r#"the origin "us" is not in its manifest"#);
    let other = extended(|raw| raw.rate_class = Some("all".into())).unwrap_err();
    assert!(other.contains("rate class"), "{other}");
}

#[test]
fn changes_of_fields_are_declared_and_cannot_end_a_line() {
    let edits = |edits: Vec<types::Edit>| extended(|raw| raw.request_edits = edits);
    let good = edits(vec![edit("X-Tenant", Some("a b")), edit("x-debug", None)]).unwrap();
    assert_eq!(good.origin.fields.set[0].0, "x-tenant");
    assert_eq!(good.origin.fields.remove, ["x-debug"]);
    assert!(edits(vec![edit("x-tenant", Some(&"v".repeat(4096)))]).is_ok());
    let long = "v".repeat(4097);
    for bad in ["", " a", "a ", "a\r\nx: y", "a\0", "\u{f1}", &long] {
        let refusal = edits(vec![edit("x-tenant", Some(bad))]).unwrap_err();
        assert!(refusal.contains("is not a value of the field"), "{refusal}");
    }
    let refusal = edits(vec![edit("x-other", None)]).unwrap_err();
    assert!(refusal.contains("not in `request-edits`"), "{refusal}");
    let twice = vec![edit("x-tenant", None), edit("X-TENANT", Some("a"))];
    assert!(edits(twice).unwrap_err().contains("two changes"));
    let many = vec![edit("x-tenant", None); 100_000];
    assert!(edits(many).unwrap_err().contains("100000 changes"));
    let refusal = extended(|raw| raw.response_edits = vec![edit("server", None)]);
    assert!(refusal.unwrap_err().contains("`response-edits`"));
    let stored = |edits: Vec<types::Edit>| {
        response(types::ResponseDecision {
            edits,
            ..raw_response()
        })
    };
    let good = stored(vec![edit("server", None)]).unwrap();
    assert_eq!(good.fields.remove, ["server"]);
    let refusal = stored(vec![edit("x-tenant", None)]).unwrap_err();
    assert!(refusal.contains("`stored-edits`"), "{refusal}");
}

#[test]
fn an_answer_of_a_policys_own_is_bounded() {
    let answer = |status, fields: &[(&str, &str)], body: usize| {
        extended(|raw| {
            let fields = fields.iter();
            raw.answer = Some(types::Answer {
                status,
                fields: fields
                    .map(|(name, value)| ((*name).into(), (*value).into()))
                    .collect(),
                body: "b".repeat(body),
            });
        })
        .map(|extended| extended.answer.unwrap())
    };
    let good = answer(
        301,
        &[("Location", "/new"), ("cache-control", "max-age=60")],
        0,
    )
    .unwrap();
    assert_eq!(
        (good.status.as_u16(), good.fields[0].0.as_str()),
        (301, "location")
    );
    assert_eq!(answer(200, &[], 64 << 10).unwrap().body.len(), 64 << 10);
    assert!(answer(200, &[("x-a", "b"); 32], 0).is_ok());
    for status in [200, 203, 207, 299, 300, 303, 305, 410, 599] {
        assert!(answer(status, &[], 0).is_ok(), "{status}");
    }
    for status in [0, 100, 101, 199, 204, 205, 206, 304, 600, 999, u16::MAX] {
        let refusal = answer(status, &[], 0).unwrap_err();
        assert!(refusal.contains("is not the status"), "{refusal}");
    }
    assert!(
        answer(200, &[], (64 << 10) + 1)
            .unwrap_err()
            .contains("64 KiB")
    );
    assert!(
        answer(200, &[("x-a", "b"); 33], 0)
            .unwrap_err()
            .contains("33 fields")
    );
    for bad in [
        ("content-length", "1"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("set-cookie", "a=b"),
        ("age", "1"),
        ("via", "x"),
        ("tero-variant", "x"),
        ("not a name", "x"),
        ("x-a", "a\r\nb: c"),
        ("x-a\r\nb", "c"),
    ] {
        assert!(answer(200, &[bad], 0).is_err(), "{bad:?}");
    }
}

#[test]
fn a_word_for_the_log_is_visible_ascii() {
    let tag = |tag: &str| extended(|raw| raw.log_tag = Some(tag.into()));
    assert_eq!(
        tag("variant-b").unwrap().log_tag.as_deref(),
        Some("variant-b")
    );
    assert!(tag(&"t".repeat(64)).is_ok());
    for bad in ["", "a b", "a\nb", "\u{f1}", &"t".repeat(65)] {
        assert!(
            tag(bad).unwrap_err().contains("word for the log"),
            "{bad:?}"
        );
    }
}

#[test]
fn an_answer_does_no_more_than_its_manifest_names() {
    let plain = manifest(&types::Manifest {
        abilities: types::Abilities::empty(),
        path_patterns: None,
        ..raw_manifest()
    })
    .unwrap();
    let rewrite = |raw: &mut types::RequestDecision| {
        raw.rewrite = Some(types::Rewrite {
            path: Some("/".into()),
            query: None,
        });
    };
    let answer = |raw: &mut types::RequestDecision| {
        raw.answer = Some(types::Answer {
            status: 200,
            fields: Vec::new(),
            body: String::new(),
        });
    };
    let log_tag = |raw: &mut types::RequestDecision| raw.log_tag = Some("t".into());
    let of_request: [(&str, &dyn Fn(&mut types::RequestDecision)); 3] = [
        ("rewrite", &rewrite),
        ("answer", &answer),
        ("log-tag", &log_tag),
    ];
    for (ability, change) in of_request {
        let mut raw = raw_request();
        change(&mut raw);
        let refusal = request(raw, &plain).unwrap_err();
        assert!(
            refusal.ends_with(&format!("ability `{ability}`")),
            "{refusal}"
        );
        let mut raw = raw_request();
        change(&mut raw);
        assert!(request(raw, &manifest(&raw_manifest()).unwrap()).is_ok());
    }
    let of_response: [(&str, fn(&mut types::ResponseDecision)); 3] = [
        ("admission", |raw| raw.admit = Some(true)),
        ("error-ttl", |raw| raw.error_ttl_secs = Some(1)),
        ("expiry", |raw| raw.expiry = Some(types::Expiry::StaleAt(1))),
    ];
    for (ability, change) in of_response {
        let mut raw = raw_response();
        change(&mut raw);
        let refusal = super::response(raw, &plain).unwrap_err();
        assert!(
            refusal.ends_with(&format!("ability `{ability}`")),
            "{refusal}"
        );
        let mut raw = raw_response();
        change(&mut raw);
        assert!(response(raw).is_ok());
    }
}

#[test]
fn an_expiry_is_at_most_the_end_of_the_year_9999() {
    let expiry = |expiry| {
        response(types::ResponseDecision {
            expiry: Some(expiry),
            ..raw_response()
        })
    };
    let last = 253_402_300_799;
    assert_eq!(
        expiry(types::Expiry::PurgeAt(last)).unwrap().expiry,
        Some(Expiry::PurgeAt(Timestamp::from_unix_secs(253_402_300_799)))
    );
    assert!(expiry(types::Expiry::StaleAt(0)).is_ok());
    for beyond in [last + 1, u64::MAX] {
        let refusal = expiry(types::Expiry::StaleAt(beyond)).unwrap_err();
        assert!(refusal.contains("the year 9999"), "{refusal}");
    }
}

#[test]
fn a_rule_for_the_query_is_chosen_from_the_manifest() {
    let chosen = |place| {
        let mut raw = raw_request();
        raw.query = Some(types::QueryChoice::Declared(place));
        request(raw, &manifest(&raw_manifest()).unwrap())
    };
    let rule = chosen(0).unwrap().query.unwrap();
    assert_eq!(rule.parameters, QueryParameters::Only(vec!["page".into()]));
    for place in [1, 255] {
        let refusal = chosen(place).unwrap_err();
        assert_eq!(
            refusal,
            format!("the rule {place} for the query; its manifest names 1")
        );
    }
}

#[test]
fn query_patterns_are_bounded() {
    let rule = |names: Vec<String>| {
        query_rule(types::QueryRule {
            parameters: types::QueryParameters::Ignore(names),
            sort: true,
        })
    };
    assert_eq!(
        rule(vec!["utm_*".into()]),
        Ok(QueryRule {
            parameters: QueryParameters::Ignore(vec!["utm_*".into()]),
            sort: true
        })
    );
    assert!(rule(vec!["p".into(); 128]).is_ok());
    assert!(rule(vec!["p".into(); 129]).is_err());
    assert!(rule(vec![String::new()]).is_err());
    assert!(rule(vec!["p".repeat(257)]).is_err());
}

#[test]
fn a_lifetime_is_at_most_a_year() {
    let ttl = |secs| {
        response(types::ResponseDecision {
            ttl_secs: Some(secs),
            ..raw_response()
        })
    };
    assert_eq!(
        ttl(31_536_000).unwrap().ttl,
        Some(Duration::from_secs(31_536_000))
    );
    assert!(ttl(31_536_001).unwrap_err().contains("a year"));
    for change in [
        |raw: &mut types::ResponseDecision| raw.browser_ttl_secs = Some(u32::MAX),
        |raw: &mut types::ResponseDecision| raw.stale_while_revalidate_secs = Some(u32::MAX),
        |raw: &mut types::ResponseDecision| raw.stale_if_error_secs = Some(u32::MAX),
        |raw: &mut types::ResponseDecision| raw.error_ttl_secs = Some(u32::MAX),
    ] {
        let mut raw = raw_response();
        change(&mut raw);
        assert!(response(raw).is_err());
    }
}

#[test]
fn a_tag_is_visible_ascii_and_tags_are_bounded() {
    let tags = |tags: Vec<String>| {
        response(types::ResponseDecision {
            tags,
            ..raw_response()
        })
    };
    assert!(tags(vec!["barberia:42".into(); 64]).is_ok());
    assert!(tags(vec!["barberia:42".into(); 65]).is_err());
    assert!(tags(vec!["t".repeat(128)]).is_ok());
    for bad in [
        "",
        "two words",
        "line\nbreak",
        "ñ",
        "\u{7f}",
        &"t".repeat(129),
    ] {
        assert!(tags(vec![bad.into()]).is_err(), "{bad:?}");
    }
}

#[test]
fn a_reason_is_short_and_printable() {
    assert_eq!(reason("before opening".into()), Ok("before opening".into()));
    assert!(reason("r".repeat(200)).is_ok());
    for bad in ["", "ma\u{f1}ana", "two\nlines", "\u{7f}", &"r".repeat(201)] {
        assert!(reason(bad.into()).is_err(), "{bad:?}");
    }
}

#[test]
fn a_url_to_warm_is_a_path_on_the_site() {
    let urls = |url: &str| {
        warm_urls(
            vec![types::WarmUrl {
                url: url.into(),
                variants: Vec::new(),
                priority: 1,
            }],
            &[],
        )
    };
    assert!(urls("/barberias?zona=palermo").is_ok());
    for bad in [
        "",
        "barberias",
        "http://elsewhere/",
        "/a b",
        "/a\nb",
        &format!("/{}", "a".repeat(8 << 10)),
    ] {
        assert!(urls(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_url_is_warmed_for_known_variants_and_device_classes() {
    let variants = |names: &[&str]| {
        let variants = names.iter().map(ToString::to_string).collect();
        warm_urls(
            vec![types::WarmUrl {
                url: "/".into(),
                variants,
                priority: 0,
            }],
            &["m+ar".into()],
        )
    };
    assert!(variants(&["m+ar", "mobile"]).is_ok());
    assert!(variants(&["m"]).unwrap_err().contains("neither"));
    assert!(variants(&["mobile"; 65]).is_err());
}
