use super::*;

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
        zone: Some("America/Argentina/Buenos_Aires".into()),
        variants: vec!["mobile".into(), "desktop_2-x".into()],
    }
}

fn raw_request() -> types::RequestDecision {
    types::RequestDecision {
        lookup: None,
        variant_name: None,
        query: None,
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
        tags: Vec::new(),
        reason: None,
    }
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
