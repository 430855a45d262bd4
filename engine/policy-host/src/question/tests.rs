use http::HeaderValue;

use super::*;
use crate::tests::answered;
use tero_time::calendar::Calendar;
use tero_time::moment;

fn ask<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> PolicyRequest<'a> {
    PolicyRequest {
        method: &http::Method::GET,
        scheme: "http",
        host: "example.test",
        path: "/p",
        query,
        headers,
        device: Device::Mobile,
        client: None,
        variant: None,
    }
}

fn manifest() -> Manifest {
    Manifest {
        headers: vec![
            HeaderName::from_static("x-a"),
            HeaderName::from_static("x-b"),
        ],
        cookies: vec!["market".into(), "currency".into()],
        query: true,
        device: true,
        zone: Some(chrono_tz::UTC),
        ..Manifest::default()
    }
}

fn headers(fields: &[(&'static str, &[u8])]) -> HeaderMap {
    let field = |(name, value): &(&'static str, &[u8])| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_bytes(value).unwrap(),
        )
    };
    fields.iter().map(field).collect()
}

/// The key of a request with these fields and this query, at this second.
fn key(
    manifest: &Manifest,
    fields: &[(&'static str, &[u8])],
    query: Option<&str>,
    secs: i64,
) -> Vec<u8> {
    let (headers, mut key) = (headers(fields), Vec::new());
    DecisionInputs::of([manifest].into_iter()).encode(
        &ask(&headers, query),
        Timestamp::from_unix_secs(secs),
        &mut key,
    );
    key
}

#[test]
fn the_key_differs_exactly_by_what_a_manifest_declares() {
    let with = |manifest: &Manifest| {
        let fields = |fields: &[(&'static str, &[u8])]| key(manifest, fields, None, 0);
        let query = |query| key(manifest, &[], query, 0);
        let at = |secs| key(manifest, &[], None, secs);
        [
            (fields(&[("x-a", b"1")]), fields(&[("x-a", b"2")])),
            (fields(&[("x-a", b"")]), fields(&[])),
            (fields(&[("x-a", b"1")]), fields(&[("x-b", b"1")])),
            (
                fields(&[("x-a", b"1"), ("x-a", b"2")]),
                fields(&[("x-a", b"1")]),
            ),
            (fields(&[("x-a", b"\xff")]), fields(&[("x-a", b"\xfe")])),
            (
                fields(&[("cookie", b"market=ar")]),
                fields(&[("cookie", b"market=cl")]),
            ),
            (
                fields(&[("cookie", b"market=ar")]),
                fields(&[("cookie", b"currency=ar")]),
            ),
            (query(Some("")), query(None)),
            (query(Some("a=1")), query(Some("a=2"))),
            (at(59), at(60)),
        ]
    };
    for (row, (a, b)) in with(&manifest()).into_iter().enumerate() {
        assert_ne!(a, b, "row {row}");
    }
    for (row, (a, b)) in with(&Manifest::default()).into_iter().enumerate() {
        assert_eq!(a, b, "row {row}");
    }
}

#[test]
fn the_key_holds_only_inputs_that_a_manifest_declares() {
    let manifest = manifest();
    let fields = |fields: &[(&'static str, &[u8])]| key(&manifest, fields, None, 60);
    assert_eq!(fields(&[("x-c", b"1")]), fields(&[]));
    assert_eq!(
        fields(&[("cookie", b"session=1; market=ar")]),
        fields(&[("cookie", b"market=ar; session=2")])
    );
    assert_eq!(fields(&[]), key(&manifest, &[], None, 119));
}

#[test]
fn parts_of_the_key_cannot_run_into_each_other() {
    let inputs = DecisionInputs::of(
        [&Manifest {
            query: true,
            ..Manifest::default()
        }]
        .into_iter(),
    );
    let headers = HeaderMap::new();
    let key = |host, path, query| {
        let mut key = Vec::new();
        inputs.encode(
            &PolicyRequest {
                host,
                path,
                query,
                ..ask(&headers, None)
            },
            Timestamp::default(),
            &mut key,
        );
        key
    };
    assert_ne!(key("a", "/b", None), key("a/", "b", None));
    assert_ne!(key("a", "/b", Some("c")), key("a", "/bc", Some("")));
}

#[test]
fn cookies_that_are_named_by_their_beginning_are_told_and_remembered_by_their_own_names() {
    let manifest = Manifest {
        cookies: vec!["in_*".into()],
        ..Manifest::default()
    };
    let key = |cookies: &'static [u8]| {
        let headers = headers(&[("cookie", cookies)]);
        let mut key = Vec::new();
        DecisionInputs::of([&manifest].into_iter()).encode(
            &ask(&headers, None),
            Timestamp::default(),
            &mut key,
        );
        key
    };
    assert_eq!(key(b"in_a=1; other=1"), key(b"other=2; in_a=1"));
    for other in [&b"in_b=1"[..], b"in_a=2", b"in_=a1", b"in_a=1; in_b=2", b""] {
        assert_ne!(key(b"in_a=1"), key(other));
    }
    let headers = headers(&[("cookie", b"in_a=1; IN_a=2; in_=3")]);
    let told = MessageFields::cookies(&headers, &manifest.cookies);
    assert_eq!(told.pairs(), [("in_a", "1"), ("in_", "3")]);
}

#[test]
fn a_policy_sees_only_the_fields_and_cookies_of_its_manifest() {
    let headers = headers(&[
        ("x-b", b"b"),
        ("x-a", b"1"),
        ("x-a", b"\xff2"),
        ("authorization", b"secret"),
        (
            "cookie",
            b"session=secret; currency=ARS;market = ar ;broken",
        ),
        ("cookie", b"market=\"cl\""),
    ]);
    let manifest = manifest();
    let (fields, sent) = (
        MessageFields::of(&headers, &manifest.headers),
        MessageFields::cookies(&headers, &manifest.cookies),
    );
    assert_eq!(
        fields.pairs(),
        [("x-a", "1"), ("x-a", "\u{fffd}2"), ("x-b", "b")]
    );
    assert_eq!(
        sent.pairs(),
        [("currency", "ARS"), ("market", "ar"), ("market", "\"cl\"")]
    );
    let (fields, sent) = (fields.pairs(), sent.pairs());
    let told = request(&ask(&headers, Some("q")), &manifest, &fields, &sent);
    assert_eq!(
        (told.query, told.device),
        (Some("q"), types::Device::Mobile)
    );
    let told = request(&ask(&headers, Some("q")), &Manifest::default(), &[], &[]);
    assert_eq!((told.query, told.device), (None, types::Device::Unknown));
}

#[test]
fn a_policy_is_told_nearby_holidays_and_the_hash_of_the_key() {
    let mut calendar = Calendar::covering([2026]);
    calendar.set(
        "2026-12-25".parse().unwrap(),
        holiday_named("Navidad", HolidayKind::Closed),
    );
    let hours = HolidayKind::HalfDay {
        from_mins: 540,
        until_mins: 780,
    };
    calendar.set(
        "2026-12-24".parse().unwrap(),
        holiday_named("Nochebuena", hours),
    );
    let now = moment::moment(
        Timestamp::from_unix_secs(1_798_113_600),
        chrono_tz::UTC,
        &calendar,
    );
    let nearby = nearby_holidays(&now);
    let told = moment(&now, &nearby);
    let around: Vec<(i8, &str, bool)> = told
        .nearby_holidays
        .iter()
        .map(|it| (it.days_ahead, it.holiday.name, it.holiday.open.is_some()))
        .collect();
    assert_eq!((told.day, around), (24, vec![(1, "Navidad", false)]));
    assert_eq!(
        told.holiday
            .and_then(|it| it.open)
            .map(|it| (it.from_mins, it.until_mins)),
        Some((540, 780))
    );
    let answered = |key| {
        let headers = HeaderMap::new();
        let header_browser_ttl = Some(Duration::from_secs(7));
        let answered = PolicyResponse {
            header_browser_ttl,
            key,
            ..answered(&headers)
        };
        let told = response(&answered, &[]);
        (told.header_browser_ttl_secs, told.key_hash)
    };
    assert_eq!(answered(b"a"), (Some(7), key::hash(b"a")));
    assert_ne!(answered(b"a"), answered(b"b"));
}

fn holiday_named(name: &str, kind: HolidayKind) -> Option<Holiday> {
    Some(Holiday {
        name: name.to_owned(),
        kind,
    })
}
