use super::*;

fn ask<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> Ask<'a> {
    Ask {
        method: &http::Method::GET,
        scheme: "http",
        host: "example.test",
        path: "/p",
        query,
        headers,
        device: Device::Mobile,
        variant: None,
    }
}

fn manifest() -> Manifest {
    Manifest {
        headers: vec![HeaderName::from_static("x-a"), HeaderName::from_static("x-b")],
        cookies: vec!["market".into(), "currency".into()],
        query: true,
        device: true,
        zone: Some(chrono_tz::UTC),
        ..Manifest::default()
    }
}

fn headers(fields: &[(&'static str, &[u8])]) -> HeaderMap {
    let field = |(name, value): &(&'static str, &[u8])| (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
    fields.iter().map(field).collect()
}

#[track_caller]
fn check(manifest: &Manifest, a: (&[(&'static str, &[u8])], Option<&str>, i64), b: (&[(&'static str, &[u8])], Option<&str>, i64), same: bool) {
    let inputs = Inputs::of([manifest].into_iter());
    let [a, b] = [a, b].map(|(fields, query, secs)| {
        let (headers, mut key) = (headers(fields), Vec::new());
        inputs.encode(&ask(&headers, query), Timestamp::from_unix_secs(secs), &mut key);
        key
    });
    assert_eq!(a == b, same, "{a:?}\n{b:?}");
}

#[test]
fn the_key_differs_exactly_by_what_a_manifest_declares() {
    let (all, none) = (manifest(), Manifest::default());
    for (a, b) in [
        ((&[("x-a", b"1".as_slice())] as &[_], None, 0), (&[("x-a", b"2".as_slice())] as &[_], None, 0)),
        ((&[], Some(""), 0), (&[], None, 0)),
        ((&[], Some("a=1"), 0), (&[], Some("a=2"), 0)),
        ((&[], None, 59), (&[], None, 60)),
        ((&[("cookie", b"market=ar")], None, 0), (&[("cookie", b"market=cl")], None, 0)),
        ((&[("cookie", b"market=ar")], None, 0), (&[("cookie", b"currency=ar")], None, 0)),
        ((&[("x-a", b"")], None, 0), (&[], None, 0)),
        ((&[("x-a", b"1")], None, 0), (&[("x-b", b"1")], None, 0)),
        ((&[("x-a", b"1"), ("x-a", b"2")], None, 0), (&[("x-a", b"1")], None, 0)),
        ((&[("x-a", b"\xff")], None, 0), (&[("x-a", b"\xfe")], None, 0)),
    ] {
        check(&all, a, b, false);
        check(&none, a, b, true);
    }
    check(&all, (&[], None, 60), (&[], None, 119), true);
    check(&all, (&[("x-c", b"1")], None, 0), (&[], None, 0), true);
    check(&all, (&[("cookie", b"session=1; market=ar")], None, 0), (&[("cookie", b"market=ar; session=2")], None, 0), true);
}

#[test]
fn no_text_can_be_moved_from_one_part_of_the_key_to_the_next() {
    let inputs = Inputs::of([&Manifest { query: true, ..Manifest::default() }].into_iter());
    let headers = HeaderMap::new();
    let key = |host, path, query| {
        let mut key = Vec::new();
        inputs.encode(&Ask { host, path, query, ..ask(&headers, None) }, Timestamp::default(), &mut key);
        key
    };
    assert_ne!(key("a", "/b", None), key("a/", "b", None));
    assert_ne!(key("a", "/b", Some("c")), key("a", "/bc", Some("")));
}

#[test]
fn a_policy_sees_the_fields_and_cookies_that_it_asked_for_and_no_others() {
    let headers = headers(&[
        ("x-b", b"b"),
        ("x-a", b"1"),
        ("x-a", b"\xff2"),
        ("authorization", b"secret"),
        ("cookie", b"session=secret; currency=ARS;market = ar ;broken"),
        ("cookie", b"market=\"cl\""),
    ]);
    let manifest = manifest();
    let (fields, sent) = (Fields::of(&headers, &manifest.headers), Fields::cookies(&headers, &manifest.cookies));
    assert_eq!(fields.pairs(), [("x-a", "1"), ("x-a", "\u{fffd}2"), ("x-b", "b")]);
    assert_eq!(sent.pairs(), [("currency", "ARS"), ("market", "ar"), ("market", "\"cl\"")]);
    let (fields, sent) = (fields.pairs(), sent.pairs());
    let told = request(&ask(&headers, Some("q")), &manifest, &fields, &sent);
    assert_eq!((told.query, told.device), (Some("q"), types::Device::Mobile));
    let told = request(&ask(&headers, Some("q")), &Manifest::default(), &[], &[]);
    assert_eq!((told.query, told.device), (None, types::Device::Unknown));
}
