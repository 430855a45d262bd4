use super::*;
use crate::testing::{FieldLines, headers};

const MAX: u64 = MAX_DELTA_SECS;

fn said(lines: &[&str]) -> ResponseDirectives {
    let lines: Vec<_> = lines.iter().map(|line| ("cache-control", *line)).collect();
    ResponseDirectives::of(&headers(&lines))
}

fn asked(line: &str) -> RequestDirectives {
    RequestDirectives::of(&headers(&[("cache-control", line)]))
}

fn fields(names: &[&str]) -> Scope {
    Scope::Fields(
        names
            .iter()
            .map(|name| HeaderName::from_bytes(name.as_bytes()).unwrap())
            .collect(),
    )
}

#[test]
fn odd_values_of_max_age_are_read_as_the_rfc_says() {
    let rows: &[(&[&str], Option<u64>)] = &[
        (&[], None),
        (&[""], None),
        (&["max-age=3600"], Some(3_600)),
        (&["MaX-aGe=3600"], Some(3_600)),
        (&["foobar, max-age=3600"], Some(3_600)),
        (&["max-age=\"3600\""], Some(3_600)),
        (&["max-age=003600"], Some(3_600)),
        (&["max-age=0"], Some(0)),
        (&["max-age=2147483647"], Some(MAX - 1)),
        (&["max-age=2147483648"], Some(MAX)),
        (&["max-age=99999999999"], Some(MAX)),
        (&["max-age=99999999999999999999999999"], Some(MAX)),
        // The first of several counts, on one line or on two.
        (&["max-age=1800, max-age=1"], Some(1_800)),
        (&["max-age=1, max-age=1800"], Some(1)),
        (&["max-age=1", "max-age=1800"], Some(1)),
        (&["max-age=, max-age=1800"], Some(0)),
        // A malformed one is stale.
        (&["max-age"], Some(0)),
        (&["max-age="], Some(0)),
        (&["max-age=-1"], Some(0)),
        (&["max-age=+1"], Some(0)),
        (&["max-age=1.5"], Some(0)),
        (&["max-age=3600.0"], Some(0)),
        (&["max-age=1e3"], Some(0)),
        (&["max-age=a100"], Some(0)),
        (&["max-age=100a"], Some(0)),
        (&["max-age='3600'"], Some(0)),
        (&["max-age =3600"], Some(0)),
        (&["max-age= 3600"], Some(0)),
        (&["max-age=\"3600"], Some(0)),
        (&["max-age=\"3600\"x"], Some(0)),
        (&["max-age=\"\""], Some(0)),
        // Other and misspelt directives are ignored.
        (&["maxage=3600"], None),
        (&["max_age=3600"], None),
        (&["x-max-age=3600"], None),
        (&["\"max-age=3600\""], None),
        (&["max-age=1; foo"], Some(0)),
        // A quoted string hides its content; one that isn't closed hides nothing.
        (&["extension=\"max-age=3600\", max-age=1"], Some(1)),
        (&["max-age=1, extension=\"max-age=3600\""], Some(1)),
        (&["extension=\"a, max-age=3600, b\""], None),
        (&["extension=\"a\\\", max-age=3600\", max-age=1"], Some(1)),
        (&["extension=\"a, max-age=3600"], Some(3_600)),
        (&["extension=\"a", "max-age=3600"], Some(3_600)),
        (&[",, ,max-age=5,,"], Some(5)),
    ];
    for (lines, secs) in rows {
        assert_eq!(
            said(lines).max_age,
            secs.map(Duration::from_secs),
            "{lines:?}"
        );
    }
}

#[test]
fn s_maxage_is_read_like_max_age() {
    for (line, secs) in [
        ("s-maxage=5", Some(5)),
        ("S-MAXAGE=\"5\"", Some(5)),
        ("s-maxage=x", Some(0)),
        ("smaxage=5", None),
    ] {
        assert_eq!(
            said(&[line]).s_maxage,
            secs.map(Duration::from_secs),
            "{line}"
        );
    }
}

#[test]
fn malformed_stale_windows_are_ignored() {
    for (value, secs) in [
        ("5", Some(5)),
        ("\"5\"", Some(5)),
        ("-5", None),
        ("5.0", None),
        ("", None),
        (" 5", None),
    ] {
        let window = secs.map(Duration::from_secs);
        assert_eq!(
            said(&[&format!("stale-while-revalidate={value}")]).stale_while_revalidate,
            window,
            "{value}"
        );
        assert_eq!(
            said(&[&format!("stale-if-error={value}")]).stale_if_error,
            window,
            "{value}"
        );
    }
    assert_eq!(said(&["stale-if-error"]).stale_if_error, None);
}

#[test]
fn restrictions_count_with_any_argument_and_permissions_only_without_one() {
    let all = said(&[
        "No-StOrE=1, must-revalidate=x, PROXY-REVALIDATE, no-transform=\"\", public=1, immutable=1, must-understand=1",
    ]);
    assert!(all.no_store && all.must_revalidate && all.proxy_revalidate && all.no_transform);
    assert!(!all.public && !all.immutable && !all.must_understand);
    let all = said(&["Public, IMMUTABLE, must-Understand"]);
    assert!(all.public && all.immutable && all.must_understand);
    assert_eq!(
        said(&["nostore, no_store, no-stores, x-no-store"]),
        ResponseDirectives::default()
    );
}

#[test]
fn a_member_that_is_no_directive_forbids_what_it_names() {
    for (line, no_store, no_cache, private) in [
        ("max-age=60, no-store;", true, false, false),
        ("s-maxage=60, private;", false, false, true),
        ("max-age=60, PRIVATE;proxy-revalidate", false, false, true),
        ("max-age=60, no-cache; must-revalidate", false, true, false),
        ("max-age=60, \"private\", \"no-store\"", true, false, true),
        ("public;private", false, false, true),
        ("private=\"*\"", false, false, true),
        ("max-age=60, pub lic", false, false, false),
    ] {
        let read = said(&[line]);
        assert_eq!(
            (read.no_store, read.no_cache.is_all(), read.private.is_all()),
            (no_store, no_cache, private),
            "{line}"
        );
    }
}

#[test]
fn no_cache_and_private_cover_the_fields_that_they_name_or_the_whole_response() {
    let rows: &[(&[&str], Scope)] = &[
        (&["max-age=1"], Scope::Nothing),
        (&["NAME"], Scope::All),
        (&["NAME=\"a\""], fields(&["a"])),
        (&["NAME=\"A , b\""], fields(&["a", "b"])),
        (&["NAME=a"], fields(&["a"])),
        (&["NAME=\"a\"", "NAME=\"b\""], fields(&["a", "b"])),
        (&["NAME=\"a\", NAME"], Scope::All),
        (&["NAME, NAME=\"a\""], Scope::All),
        (&["NAME=\"\""], Scope::All),
        (&["NAME=\",\""], Scope::All),
        (&["NAME=\"a b\""], Scope::All),
        (&["NAME=\"a"], Scope::All),
        (&["NAME= \"a\""], Scope::All),
        (&["NAME="], Scope::All),
    ];
    for (lines, scope) in rows {
        let named = |name: &str| {
            let lines: Vec<_> = lines
                .iter()
                .map(|line| line.replace("NAME", name))
                .collect();
            said(&lines.iter().map(String::as_str).collect::<Vec<_>>())
        };
        assert_eq!(named("No-Cache").no_cache, *scope, "{lines:?}");
        assert_eq!(named("private").private, *scope, "{lines:?}");
    }
}

#[test]
fn the_first_well_formed_targeted_field_governs() {
    let targets = [
        HeaderName::from_static("tero-cache-control"),
        HeaderName::from_static("cdn-cache-control"),
    ];
    let cdn = "cdn-cache-control";
    let own = "tero-cache-control";
    let basic = ("cache-control", "max-age=1, no-store");
    // Lines, the field that governs, and the lifetime that it gives.
    let rows: &[(FieldLines<'_>, Option<&str>, Option<u64>)] = &[
        (&[], None, Some(1)),
        (&[(cdn, "max-age=3600")], Some(cdn), Some(3_600)),
        (
            &[(cdn, "max-age=3600"), (own, "max-age=60")],
            Some(own),
            Some(60),
        ),
        (
            &[(cdn, "max-age=3600"), (own, "max-age=")],
            Some(cdn),
            Some(3_600),
        ),
        (&[(cdn, "max-age=0")], Some(cdn), Some(0)),
        (&[(cdn, "max-age=2147483648")], Some(cdn), Some(MAX)),
        (&[(cdn, "max-age=99999999999")], Some(cdn), Some(MAX)),
        (&[(cdn, "max-age=-1")], Some(cdn), Some(0)),
        (&[(cdn, "max-age=1;foo=bar")], Some(cdn), Some(1)),
        (&[(cdn, "foobar, max-age=3600")], Some(cdn), Some(3_600)),
        (
            &[(cdn, "foobar=(a b), max-age=3600")],
            Some(cdn),
            Some(3_600),
        ),
        (&[(cdn, "foo")], Some(cdn), None),
        (&[(cdn, "foo"), (cdn, "max-age=7")], Some(cdn), Some(7)),
        (&[(cdn, "max-age=7, max-age=8")], Some(cdn), Some(8)),
        // Not a structured field, or of the wrong type: as if absent.
        (&[(cdn, "")], None, Some(1)),
        (&[(cdn, "max-age=10000, &&&&&")], None, Some(1)),
        (&[(cdn, "max-age=10000,")], None, Some(1)),
        (&[(cdn, "max-age=\"10000\"")], None, Some(1)),
        (&[(cdn, "max-age=10.0")], None, Some(1)),
        (&[(cdn, "max-age=ten")], None, Some(1)),
        (&[(cdn, "max-age")], None, Some(1)),
        (&[(cdn, "max-age=(1)")], None, Some(1)),
        (&[(cdn, "max-age=1000000000000000")], None, Some(1)),
        (&[(cdn, "MaX-aGe=3600")], None, Some(1)),
        (&[(cdn, "max-age =100")], None, Some(1)),
        (&[(cdn, "max-age= 100")], None, Some(1)),
        (&[(cdn, "no-store=1")], None, Some(1)),
        (&[(cdn, "no-cache=1")], None, Some(1)),
        (&[(cdn, "private=(a)")], None, Some(1)),
        (&[(cdn, "caf\u{e9}")], None, Some(1)),
    ];
    for (lines, governing, secs) in rows {
        let mut all = vec![basic];
        all.extend_from_slice(lines);
        let said = ResponseDirectives::governing(&headers(&all), &targets);
        assert_eq!(
            said.targeted.as_ref().map(HeaderName::as_str),
            *governing,
            "{lines:?}"
        );
        assert_eq!(said.max_age, secs.map(Duration::from_secs), "{lines:?}");
        assert_eq!(said.no_store, governing.is_none(), "{lines:?}");
    }
}

#[test]
fn a_targeted_field_carries_every_directive_of_cache_control() {
    let cdn = HeaderName::from_static("cdn-cache-control");
    let value = "s-maxage=1, no-store, no-cache, private=\"a, b\", public, must-revalidate, proxy-revalidate, must-understand, \
                 immutable, no-transform, stale-while-revalidate=2, stale-if-error=3, unknown=4";
    let said = ResponseDirectives::governing(
        &headers(&[("cdn-cache-control", value)]),
        std::slice::from_ref(&cdn),
    );
    let expected = ResponseDirectives {
        targeted: Some(cdn.clone()),
        no_store: true,
        no_cache: Scope::All,
        private: fields(&["a", "b"]),
        public: true,
        must_revalidate: true,
        proxy_revalidate: true,
        must_understand: true,
        max_age: None,
        s_maxage: Some(Duration::from_secs(1)),
        stale_while_revalidate: Some(Duration::from_secs(2)),
        stale_if_error: Some(Duration::from_secs(3)),
        immutable: true,
        no_transform: true,
    };
    assert_eq!(said, expected);
    let said = ResponseDirectives::governing(
        &headers(&[("cdn-cache-control", "no-store=?0, private=?0")]),
        &[cdn],
    );
    assert!(!said.no_store && said.private == Scope::Nothing && said.targeted.is_some());
}

#[test]
fn malformed_directives_of_requests_are_ignored() {
    let secs = Duration::from_secs;
    let all = asked(
        "no-cache, no-store, only-if-cached, no-transform, max-age=1, min-fresh=\"2\", max-stale=3, stale-if-error=4",
    );
    let expected = RequestDirectives {
        no_cache: true,
        no_store: true,
        only_if_cached: true,
        no_transform: true,
        max_age: Some(secs(1)),
        min_fresh: Some(secs(2)),
        max_stale: Some(MaxStale::Within(secs(3))),
        stale_if_error: Some(secs(4)),
    };
    assert_eq!(all, expected);
    assert_eq!(asked("max-stale").max_stale, Some(MaxStale::Any));
    assert!(
        asked("max-age=x, min-fresh=-1, max-stale=a, stale-if-error, maxage=1, foo").is_empty()
    );
    assert!(asked("max-age").is_empty());
    assert_eq!(asked("max-age=x, max-age=5").max_age, Some(secs(5)));
}

#[test]
fn pragma_counts_only_without_cache_control() {
    let rows: &[(FieldLines<'_>, bool)] = &[
        (&[("pragma", "no-cache")], true),
        (&[("pragma", "foo, No-Cache")], true),
        (&[("pragma", "foo")], false),
        (
            &[("pragma", "no-cache"), ("cache-control", "max-age=1")],
            false,
        ),
        (&[("pragma", "no-cache"), ("cache-control", "")], false),
    ];
    for (lines, expected) in rows {
        let directives = RequestDirectives::of(&headers(lines));
        assert_eq!(directives.no_cache, *expected, "{lines:?}");
    }
    assert!(RequestDirectives::of(&headers(&[("accept", "*/*")])).is_empty());
    // In responses it has no meaning (§5.4).
    assert_eq!(
        ResponseDirectives::of(&headers(&[("pragma", "no-cache")])),
        ResponseDirectives::default()
    );
}
