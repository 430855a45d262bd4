use http::HeaderValue;

use super::*;
use crate::facts::{ClientFacts, PopularPage};
use crate::manifest::{BucketRule, NetworkPrefix};
use crate::tables::TableSet;
use crate::tests::answered;
use tero_semantics::timestamp::Timestamp;
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
        device_source: DeviceSource::ClientHints,
        client: ClientFacts {
            address: Some("203.0.113.77".parse().unwrap()),
            country: Some("AR"),
            region: Some("C"),
            bucket: None,
        },
        route: Some("search"),
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
    DecisionInputs::of([manifest].into_iter(), &TableSet::default()).encode(
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
        &TableSet::default(),
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
        DecisionInputs::of([&manifest].into_iter(), &TableSet::default()).encode(
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
    let told = Told::of(&ask(&headers, None), &manifest);
    assert_eq!(told.cookies, [pair("in_a", "1"), pair("in_", "3")]);
}

/// A question about a request, read back.
#[derive(Debug)]
struct Told {
    headers: Vec<(String, String)>,
    cookies: Vec<(String, String)>,
    query: Option<String>,
    device: types::Device,
    device_source: types::DeviceSource,
    client: [Option<String>; 3],
    bucket: Option<u16>,
    route: Option<String>,
    texts: String,
}

impl Told {
    fn of(request: &PolicyRequest<'_>, manifest: &Manifest) -> Told {
        let mut buffer = QuestionBuffer::default();
        let now = moment::moment(Timestamp::default(), chrono_tz::UTC, &Calendar::default());
        let (texts, told, _) = buffer.request(request, manifest, &now);
        let pairs = |fields: &[types::Field]| {
            let fields = fields.iter();
            fields
                .map(|field| (read(texts, field.name), read(texts, field.value)))
                .collect()
        };
        let option = |span: Option<types::Span>| span.map(|span| read(texts, span));
        Told {
            headers: pairs(told.headers),
            cookies: pairs(told.cookies),
            query: option(told.query),
            device: told.device,
            device_source: told.device_source,
            client: [told.client.network, told.client.country, told.client.region].map(option),
            bucket: told.client.bucket,
            route: option(told.route),
            texts: texts.to_owned(),
        }
    }
}

fn read(texts: &str, span: types::Span) -> String {
    let start = span.start as usize;
    texts[start..start + span.length as usize].to_owned()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
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
    let told = Told::of(&ask(&headers, Some("q")), &manifest);
    assert_eq!(
        told.headers,
        [pair("x-a", "1"), pair("x-a", "\u{fffd}2"), pair("x-b", "b")]
    );
    assert_eq!(
        told.cookies,
        [
            pair("currency", "ARS"),
            pair("market", "ar"),
            pair("market", "\"cl\"")
        ]
    );
    assert_eq!(
        (told.query.as_deref(), told.device),
        (Some("q"), types::Device::Mobile)
    );
    assert!(!told.texts.contains("secret"), "{told:?}");
    let told = Told::of(&ask(&headers, Some("q")), &Manifest::default());
    assert_eq!((told.query, told.device), (None, types::Device::Unknown));
    assert_eq!(told.texts, "GEThttpexample.test/p");
}

/// A manifest that names everything about the client and the configuration.
fn curious() -> Manifest {
    Manifest {
        device_source: true,
        network: Some(NetworkPrefix { ipv4: 24, ipv6: 48 }),
        country: true,
        region: true,
        bucket: Some(BucketRule {
            experiment: "checkout".into(),
            buckets: 2,
            cookie: None,
            network: NetworkPrefix { ipv4: 32, ipv6: 64 },
        }),
        route: true,
        ..Manifest::default()
    }
}

#[test]
fn a_policy_is_told_of_the_client_what_its_manifest_names() {
    let headers = HeaderMap::new();
    let told = Told::of(&ask(&headers, None), &curious());
    let texts = told.client.each_ref().map(Option::as_deref);
    assert_eq!(texts, [Some("203.0.113.0/24"), Some("AR"), Some("C")]);
    assert_eq!(told.route.as_deref(), Some("search"));
    assert_eq!(told.device_source, types::DeviceSource::ClientHints);
    assert!(told.bucket.is_some_and(|bucket| bucket < 2));
    let told = Told::of(&ask(&headers, None), &Manifest::default());
    assert_eq!(
        (told.client, told.bucket, told.route),
        ([None, None, None], None, None)
    );
    assert_eq!(told.device_source, types::DeviceSource::Nothing);
}

#[test]
fn the_key_differs_by_what_a_manifest_names_of_the_client() {
    let headers = HeaderMap::new();
    let from = |address: &str| ClientFacts::of(Some(address.parse().unwrap()));
    let request = |client, route, device_source| PolicyRequest {
        client,
        route,
        device_source,
        ..ask(&headers, None)
    };
    let hints = DeviceSource::ClientHints;
    let plain = || request(from("203.0.113.1"), None, hints);
    let country = |country| ClientFacts {
        country,
        ..from("203.0.113.1")
    };
    let region = |region| ClientFacts {
        region,
        ..from("203.0.113.1")
    };
    let different = [
        request(from("203.0.112.1"), None, hints),
        request(from("2001:db8::1"), None, hints),
        request(ClientFacts::default(), None, hints),
        request(country(Some("AR")), None, hints),
        request(country(Some("")), None, hints),
        request(region(Some("AR")), None, hints),
        request(from("203.0.113.1"), Some("search"), hints),
        request(from("203.0.113.1"), None, DeviceSource::UserAgent),
    ];
    let key = |manifest: &Manifest, request: &PolicyRequest<'_>| {
        let mut key = Vec::new();
        let inputs = DecisionInputs::of([manifest].into_iter(), &TableSet::default());
        inputs.encode(request, Timestamp::default(), &mut key);
        key
    };
    let named = Manifest {
        bucket: None,
        ..curious()
    };
    for (row, other) in different.iter().enumerate() {
        assert_ne!(key(&named, &plain()), key(&named, other), "row {row}");
        let undeclared = Manifest::default();
        assert_eq!(
            key(&undeclared, &plain()),
            key(&undeclared, other),
            "row {row}"
        );
    }
    // The rest of the address isn't named.
    let near = request(from("203.0.113.2"), None, hints);
    assert_eq!(key(&named, &plain()), key(&named, &near));
    // Of buckets the number counts, and nothing else.
    let divided = Manifest {
        bucket: curious().bucket,
        ..Manifest::default()
    };
    let keys = (0..50_u8).map(|last| {
        let address = format!("203.0.113.{last}");
        key(&divided, &request(from(&address), None, hints))
    });
    assert_eq!(keys.collect::<std::collections::BTreeSet<_>>().len(), 2);
}

#[test]
fn a_buffer_forgets_the_last_question() {
    let mut buffer = QuestionBuffer::default();
    let now = moment::moment(Timestamp::default(), chrono_tz::UTC, &Calendar::default());
    let long = headers(&[("x-a", b"a long value"), ("cookie", b"market=ar")]);
    buffer.request(&ask(&long, Some("query")), &manifest(), &now);
    let popular = vec![
        PopularPage {
            url: "/".repeat(100),
            requests: 1,
            variant: Some("mobile".into()),
        };
        5_000
    ];
    let plan = PlanRequest {
        plan: "opening",
        popular: &popular,
        variants: &[],
    };
    let (texts, (name, pages), _) = buffer.plan(&plan, &now);
    assert_eq!(
        (read(texts, name).as_str(), pages.len()),
        ("opening", 5_000)
    );
    let last = pages[4_999].variant_name.unwrap();
    assert_eq!(read(texts, last), "mobile");
    let none = HeaderMap::new();
    let (texts, told, _) = buffer.request(&ask(&none, None), &Manifest::default(), &now);
    assert_eq!(texts, "GEThttpexample.test/p");
    assert!(told.headers.is_empty() && told.cookies.is_empty());
    assert!(buffer.texts.capacity() <= KEPT_BYTES);
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
    let mut buffer = QuestionBuffer::default();
    let mut about = |key: &'static [u8]| {
        let headers = HeaderMap::new();
        let header_browser_ttl = Some(Duration::from_secs(7));
        let answered = PolicyResponse {
            header_browser_ttl,
            key,
            ..answered(&headers)
        };
        let request = ask(&headers, None);
        let (texts, (_, response), told) =
            buffer.response(&request, &answered, &Manifest::default(), &now);
        let around: Vec<(i8, String, bool)> = told
            .nearby_holidays
            .iter()
            .map(|it| {
                (
                    it.days_ahead,
                    read(texts, it.holiday.name),
                    it.holiday.open.is_some(),
                )
            })
            .collect();
        assert_eq!(
            (told.day, around),
            (24, vec![(1, "Navidad".to_owned(), false)])
        );
        assert_eq!(
            told.holiday
                .and_then(|it| it.open)
                .map(|it| (it.from_mins, it.until_mins)),
            Some((540, 780))
        );
        (response.header_browser_ttl_secs, response.key_hash)
    };
    assert_eq!(about(b"a"), (Some(7), key::hash(b"a")));
    assert_ne!(about(b"a"), about(b"b"));
}

fn holiday_named(name: &str, kind: HolidayKind) -> Option<Holiday> {
    Some(Holiday {
        name: name.to_owned(),
        kind,
    })
}
