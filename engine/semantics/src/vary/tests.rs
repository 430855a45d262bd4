use super::*;
use crate::testing::{FieldLines, headers};

fn vary(lines: &[&str]) -> Vary {
    let lines: Vec<_> = lines.iter().map(|line| ("vary", *line)).collect();
    Vary::of(&headers(&lines))
}

/// Whether the second request selects the response stored for the first one. Equality and digest
/// must agree with that.
fn selects(fields: &str, first: FieldLines<'_>, second: FieldLines<'_>) -> bool {
    let vary = vary(&[fields]);
    let (first, second) = (headers(first), headers(second));
    let (stored, own) = (vary.nominated(&first), vary.nominated(&second));
    let selects = vary.selects(&stored, &second);
    assert!(vary.selects(&stored, &first) && vary.selects(&own, &second));
    assert_eq!(stored == own, selects);
    assert_eq!(stored.digest() == own.digest(), selects);
    selects
}

/// A `Vary` of these fields.
fn fields(names: &[&'static str]) -> Vary {
    let names = names.iter().map(|name| HeaderName::from_static(name));
    Vary::Fields(names.collect())
}

#[test]
fn vary_lists_fields_in_any_spelling() {
    let rows: &[(&[&str], Vary)] = &[
        (&[], Vary::Nothing),
        (&[""], Vary::Nothing),
        (&[" , ,"], Vary::Nothing),
        (&["Foo"], fields(&["foo"])),
        (&["foo, BAR", "baz,foo"], fields(&["bar", "baz", "foo"])),
        (&["*"], Vary::Everything),
        (&["*, *"], Vary::Everything),
        (&["*", "*"], Vary::Everything),
        (&[", *"], Vary::Everything),
        (&["", "*"], Vary::Everything),
        (&["*, Foo"], Vary::Everything),
        (&["Foo, *"], Vary::Everything),
        (&["foo bar"], Vary::Everything),
        (&["foo\u{e9}"], Vary::Everything),
    ];
    for (lines, expected) in rows {
        assert_eq!(vary(lines), *expected, "{lines:?}");
    }
}

#[test]
fn a_vary_with_too_many_fields_counts_as_a_star() {
    let names: Vec<String> = (0..=MAX_VARY_FIELDS).map(|at| format!("x-{at}")).collect();
    let most = names[..MAX_VARY_FIELDS].join(",");
    assert_eq!(vary(&[&most]).fields().len(), MAX_VARY_FIELDS);
    assert_eq!(vary(&[&names.join(",")]), Vary::Everything);
}

#[test]
fn vary_star_is_never_selected_and_an_absent_vary_always_is() {
    let request = headers(&[("foo", "1")]);
    assert!(!vary(&["*"]).selects(&vary(&["*"]).nominated(&request), &request));
    for own in ["X-Forwarded-For", "Forwarded", "x-request-id"] {
        let names = format!("foo, {own}");
        assert_eq!(vary(&[&names]), Vary::Everything, "{own}");
    }
    assert!(vary(&[]).selects(&vary(&[]).nominated(&request), &headers(&[])));
    assert!(!vary(&["foo"]).selects(&NominatedFields::default(), &request));
}

#[test]
fn requests_must_agree_in_every_nominated_field() {
    let foo = ("foo", "1");
    assert!(selects("foo", &[foo], &[foo]));
    assert!(selects(
        "foo",
        &[foo, ("other", "2")],
        &[foo, ("other", "3")]
    ));
    assert!(!selects("foo", &[foo], &[("foo", "2")]));
    assert!(!selects("foo", &[foo], &[]));
    assert!(!selects("foo", &[], &[foo]));
    assert!(!selects("foo", &[], &[("foo", "")]));
    assert!(selects(
        "foo, bar",
        &[foo, ("bar", "a")],
        &[("bar", "a"), foo]
    ));
    assert!(!selects(
        "foo, bar",
        &[foo, ("bar", "a")],
        &[foo, ("bar", "b")]
    ));
    assert!(!selects("foo, bar", &[foo], &[]));
    assert!(selects(
        "foo, bar, baz",
        &[foo, ("baz", "7")],
        &[foo, ("baz", "7")]
    ));
    assert!(!selects(
        "foo, bar",
        &[foo, ("bar", "2")],
        &[("foo", "2"), ("bar", "1")]
    ));
}

#[test]
fn white_space_and_the_split_into_lines_do_not_count_in_lists() {
    assert!(selects("foo", &[("foo", "1,2")], &[("foo", " 1, 2 ")]));
    assert!(selects(
        "foo",
        &[("foo", "1, 2")],
        &[("foo", "1"), ("foo", "2")]
    ));
    assert!(selects("foo", &[("foo", "1,,2")], &[("foo", "1,2,")]));
    assert!(!selects("foo", &[("foo", "1,2")], &[("foo", "2,1")]));
    assert!(!selects("foo", &[("foo", "a b")], &[("foo", "a  b")]));
    assert!(!selects("foo", &[("foo", "a")], &[("foo", "A")]));
    assert!(!selects(
        "foo",
        &[("foo", "\"a,b\"")],
        &[("foo", "\"a, b\"")]
    ));
}

#[test]
fn fields_that_are_not_lists_are_compared_literally() {
    for name in ["user-agent", "cookie", "authorization", "referer"] {
        assert!(selects(name, &[(name, "a, b")], &[(name, "a, b")]));
        assert!(!selects(name, &[(name, "a, b")], &[(name, "a,b")]));
    }
    // HTTP/2 clients may send one line for each cookie (RFC 9113 §8.2.3).
    assert!(selects(
        "cookie",
        &[("cookie", "a=1; b=2")],
        &[("cookie", "a=1"), ("cookie", "b=2")]
    ));
    assert!(!selects(
        "cookie",
        &[("cookie", "a=1; b=2")],
        &[("cookie", "b=2; a=1")]
    ));
}

/// Whether two values of a field are the same to `Vary`.
fn same_in(name: &str, first: &str, second: &str) -> bool {
    selects(name, &[(name, first)], &[(name, second)])
}

#[test]
fn order_does_not_count_in_weighted_lists() {
    let same = |first, second| same_in("accept-language", first, second);
    assert!(same("en, de", "de, en"));
    assert!(same("en, de", "eN, De"));
    assert!(same("en, de", " en ,   de"));
    assert!(same("en;q=0.5, de", "de;q=1.0, en; Q=0.50"));
    assert!(same("de;q=1", "de"));
    assert!(same("de;q=0", "de;q=0.000"));
    assert!(!same("en;q=0.5, de", "en, de;q=0.5"));
    assert!(!same("en", "de"));
    assert!(!same("en;q=0.5", "en"));
    assert!(!same("en;q=0.5, de;q=0.5", "en;q=0.5, de;q=0.501"));
    // A malformed weight is 1.
    assert!(same("en;q=x, de;q=2, fr;q=0.1234, it;q=", "en,de,fr,it"));
    let many: Vec<String> = (0..200)
        .map(|at| format!("x-{at};q=0.{}", at % 10))
        .collect();
    let reversed: Vec<String> = many.iter().rev().cloned().collect();
    assert!(same(&many.join(","), &reversed.join(", ")));
    let same = |first, second| same_in("accept", first, second);
    assert!(same(
        "text/html;level=1;q=.5, */*;q=0.1",
        "*/*;q=0.1, TEXT/html ; level=1"
    ));
    assert!(same("text/html, image/*;q=0.5", "image/*; q=0.5,text/HTML"));
    assert!(!same("text/html;level=1", "text/html;level=2"));
}

#[test]
fn accept_encoding_is_compared_as_a_set_of_accepted_codings() {
    let same = |first, second| same_in("accept-encoding", first, second);
    assert!(same("gzip, br", "br;q=0.1, GZIP;q=1.0"));
    assert!(same("gzip, br, zstd;q=0", "x-gzip,br"));
    assert!(same("", "identity"));
    assert!(same("gzip, identity;q=0.5", "gzip"));
    assert!(same("gzip, *;q=0", "*;q=0.0, gzip"));
    assert!(same("gzip, identity;q=0", "gzip, *;q=0"));
    assert!(same("*, gzip;q=0", "gzip;q=0, *;q=0.1"));
    assert!(same("*", "br, deflate, gzip, zstd"));
    assert!(same("*, dcb;q=0", "*"));
    // Neither unknown codings nor a refusal of identity split what is stored.
    assert!(same("gzip, dcb, dcz", "gzip, x1, x2, x3"));
    assert!(same("gzip", "gzip, identity;q=0"));
    assert!(same("*;q=0", "identity"));
    assert!(!same("gzip", "gzip, br"));
    assert!(!same("gzip", "gzip, deflate"));
    assert!(!same("gzip", "*"));
    assert!(!same("*", "*, gzip;q=0"));
    assert!(!same("*", ""));
    assert!(!selects("accept-encoding", &[], &[("accept-encoding", "")]));
}

#[test]
fn a_response_in_the_most_wanted_language_is_selected() {
    let vary = vary(&["accept-language, foo"]);
    let stored = |response: FieldLines<'_>| {
        vary.nominated(&headers(&[("accept-language", "en, de")]))
            .in_language_of(&headers(response))
    };
    let wants = |stored: &NominatedFields, language: &str| {
        vary.selects(stored, &headers(&[("accept-language", language)]))
    };
    let german = stored(&[("content-language", "DE")]);
    assert!(wants(&german, "fr;q=0.5, de;q=1.0"));
    assert!(wants(&german, "De"));
    for other in ["fr, de;q=0.5", "fr, de", "de-AT", "*", "de;q=0", ""] {
        assert!(!wants(&german, other), "{other}");
    }
    assert!(!vary.selects(&german, &headers(&[])));
    assert!(!vary.selects(
        &german,
        &headers(&[("accept-language", "de"), ("foo", "1")])
    ));
    for response in [
        &[][..],
        &[("content-language", "de, en")],
        &[("content-language", "de"), ("content-language", "en")],
        &[("content-language", "")],
    ] {
        assert!(!wants(&stored(response), "de"), "{response:?}");
    }
    // The language has no part in equality.
    assert_eq!(german, stored(&[]));
    let none = vary
        .nominated(&headers(&[]))
        .in_language_of(&headers(&[("content-language", "de")]));
    assert!(!wants(&none, "de"));
}

#[test]
fn weight_counts_the_bytes_that_are_held() {
    let light = vary(&["foo"]).nominated(&headers(&[("foo", "")]));
    let heavy = vary(&["foo"]).nominated(&headers(&[("foo", &"x".repeat(1_000))]));
    assert_eq!(heavy.weight() - light.weight(), 1_000);
}

#[test]
fn a_forwarded_accept_encoding_is_the_same_set_of_codings() {
    let rows: &[(&[&str], Option<&str>)] = &[
        (&[], None),
        (&[""], Some("identity")),
        (&["identity"], Some("identity")),
        (
            &["gzip, deflate, br, zstd"],
            Some("zstd, br, gzip, deflate"),
        ),
        (&["br;q=0.1", "gzip"], Some("br, gzip")),
        (&["x-gzip"], Some("gzip")),
        (&["gzip, br;q=0"], Some("gzip")),
        // Unknown codings and refusals of identity are left out; a star stands for the others.
        (&["gzip, *"], Some("zstd, br, gzip, deflate")),
        (&["br;q=0, *;q=0.1"], Some("zstd, gzip, deflate")),
        (&["gzip, identity;q=0"], Some("gzip")),
        (&["*;q=0"], Some("identity")),
        (&["gzip, dcb"], Some("gzip")),
        (&["dcb, dcz"], Some("identity")),
    ];
    for (lines, expected) in rows {
        let lines: Vec<_> = lines
            .iter()
            .map(|line| ("accept-encoding", *line))
            .collect();
        let request = headers(&lines);
        let forwarded = normalised_accept_encoding(&request);
        assert_eq!(
            forwarded.as_ref().map(|value| value.to_str().unwrap()),
            *expected,
            "{lines:?}"
        );
        if let Some(forwarded) = forwarded {
            let after = headers(&[("accept-encoding", forwarded.to_str().unwrap())]);
            let vary = vary(&["accept-encoding"]);
            assert!(vary.selects(&vary.nominated(&request), &after));
            assert_eq!(
                normalised_accept_encoding(&after).as_ref(),
                Some(&forwarded)
            );
        }
    }
}

#[test]
fn a_response_without_vary_is_selected_by_its_own_request_beside_others() {
    let (a, b) = (headers(&[("x-a", "1")]), headers(&[("x-a", "2")]));
    let names = || {
        [
            HeaderName::from_static("x-b"),
            HeaderName::from_static("x-a"),
        ]
    };
    let bare = SecondaryKey::of(&HeaderMap::new(), &a);
    assert_eq!(bare.clone().beside([], &a), bare);
    let beside = bare.beside(names(), &a);
    assert_eq!(beside.fields(), [names()[1].clone(), names()[0].clone()]);
    assert!(beside.selects(&a) && !beside.selects(&b) && !beside.selects(&HeaderMap::new()));
    assert!(!beside.is_by_vary());
    // One with a `Vary` of its own keeps it.
    let own = SecondaryKey::of(&headers(&[("vary", "x-c")]), &a);
    assert!(own.is_by_vary());
    assert_eq!(own.clone().beside(names(), &a), own);
    // It takes the place of one that the same requests select.
    let same = SecondaryKey::of(&headers(&[("vary", "x-a, x-b")]), &a);
    assert_eq!(same, beside);
}

#[test]
fn a_coded_response_is_for_requests_that_accept_its_codings() {
    let request = |value: &str| headers(&[("accept-encoding", value)]);
    let key = |response: FieldLines<'_>, accepted: &str| {
        SecondaryKey::of(&headers(response), &request(accepted))
    };
    let coded = key(&[("content-encoding", "gzip")], "gzip, br");
    assert!(!coded.is_by_vary());
    assert_eq!(coded.fields(), ["accept-encoding"]);
    for (accepted, selects) in [
        ("gzip, br", true),
        ("gzip", true),
        ("x-gzip;q=0.1, zstd", true),
        ("*", true),
        ("br", false),
        ("gzip;q=0, br", false),
        ("identity", false),
        ("", false),
    ] {
        assert_eq!(coded.selects(&request(accepted)), selects, "{accepted}");
    }
    assert!(!coded.selects(&HeaderMap::new()));
    // A next hop that codes whatever it is asked for is not asked again and again.
    let stubborn = key(&[("content-encoding", "gzip")], "br");
    assert!(stubborn.selects(&request("br")) && stubborn.selects(&request("gzip")));
    let bare = SecondaryKey::of(&headers(&[("content-encoding", "gzip")]), &HeaderMap::new());
    assert!(bare.selects(&HeaderMap::new()) && !bare.selects(&request("br")));
    // All codings count.
    let twice = key(&[("content-encoding", "br, gzip")], "br, gzip");
    assert!(twice.selects(&request("gzip, br, zstd")) && !twice.selects(&request("gzip")));
    let split = &[("content-encoding", "br"), ("content-encoding", "gzip")];
    assert!(!key(split, "br, gzip").selects(&request("gzip")));
    assert_eq!(
        key(&[("content-encoding", "identity")], "gzip").fields(),
        [""; 0]
    );
}

#[test]
fn content_codings_and_vary_select_together() {
    let both = [("vary", "foo"), ("content-encoding", "gzip")];
    let first = headers(&[("foo", "1"), ("accept-encoding", "gzip, br")]);
    let key = SecondaryKey::of(&headers(&both), &first);
    assert!(key.is_by_vary());
    assert_eq!(key.fields(), ["accept-encoding", "foo"]);
    assert!(key.selects(&headers(&[("foo", "1"), ("accept-encoding", "gzip")])));
    assert!(!key.selects(&headers(&[("foo", "2"), ("accept-encoding", "gzip")])));
    assert!(!key.selects(&headers(&[("foo", "1")])));
    // A `Vary` that names the field decides alone.
    let own = [("vary", "accept-encoding"), ("content-encoding", "gzip")];
    let key = SecondaryKey::of(&headers(&own), &first);
    assert!(key.selects(&headers(&[("accept-encoding", "br, gzip")])));
    assert!(!key.selects(&headers(&[("accept-encoding", "gzip")])));
    // Beside others that have a `Vary`, theirs counts too.
    let coded = SecondaryKey::of(&headers(&both[1..]), &first);
    let beside = coded.beside([HeaderName::from_static("foo")], &first);
    assert_eq!(beside.fields(), ["accept-encoding", "foo"]);
    assert!(!beside.is_by_vary());
    assert!(beside.selects(&headers(&[("foo", "1"), ("accept-encoding", "gzip")])));
    assert!(!beside.selects(&headers(&[("accept-encoding", "gzip")])));
    let star = SecondaryKey::of(&headers(&[("vary", "*"), both[1]]), &first);
    assert!(!star.selects(&first));
}

#[test]
fn a_field_that_every_request_has_alike_is_left_out_of_the_key() {
    let request = headers(&[("a", "1"), ("b", "2")]);
    let key = |vary| SecondaryKey::of(&headers(&[("vary", vary)]), &request);
    let name = HeaderName::from_static;
    assert_eq!(key("a, b").without(&name("a")), key("b"));
    assert_eq!(key("a").without(&name("a")), SecondaryKey::default());
    assert_eq!(key("a").without(&name("b")), key("a"));
    assert_eq!(key("*").without(&name("a")), key("*"));
}
