use super::*;

fn rule(parameters: QueryParameters, sort: bool) -> QueryRule {
    QueryRule { parameters, sort }
}

fn patterns(patterns: &[&str]) -> Vec<String> {
    patterns
        .iter()
        .map(|pattern| (*pattern).to_owned())
        .collect()
}

fn key(parts: &KeyParts<'_>) -> Vec<u8> {
    let mut key = Vec::new();
    write_key(&mut key, parts);
    key
}

fn check(query: Option<&str>, rule: &QueryRule, expected: Option<&str>) {
    let canonical = canonical_query(query, rule);
    assert_eq!(canonical.as_deref(), expected, "{query:?} {rule:?}");
    let is_borrowed = matches!(canonical, Some(Cow::Borrowed(_)) | None);
    assert_eq!(
        is_borrowed,
        canonical.is_none() || canonical.as_deref() == query,
        "{query:?} {rule:?}"
    );
}

#[test]
fn only_significant_parameters_are_kept() {
    let ignore = rule(
        QueryParameters::Ignore(patterns(&["utm_*", "fbclid"])),
        false,
    );
    check(None, &ignore, None);
    check(Some("a=1"), &ignore, Some("a=1"));
    check(Some("utm_source=x&a=1&fbclid=2&b"), &ignore, Some("a=1&b"));
    check(Some("fbclid"), &ignore, None);
    check(
        Some("fbclid2=1&xutm_=1"),
        &ignore,
        Some("fbclid2=1&xutm_=1"),
    );
    check(Some("utm%5Fsource=x&a=1"), &ignore, Some("a=1"));
    check(Some("a%"), &ignore, Some("a%"));
    check(Some("a%zz=1&b=%4"), &ignore, Some("a%zz=1&b=%4"));
    let only = rule(QueryParameters::Only(patterns(&["page"])), false);
    check(Some("page=2"), &only, Some("page=2"));
    check(Some("Page=2&page=1&page=3"), &only, Some("page=1&page=3"));
    check(Some("x"), &only, None);
    check(Some(""), &only, None);
    check(
        Some("a=1"),
        &rule(QueryParameters::Only(Vec::new()), false),
        None,
    );
    check(
        Some("a=1"),
        &rule(QueryParameters::Ignore(patterns(&["*"])), false),
        None,
    );
}

#[test]
fn sorting_is_by_name_and_keeps_the_order_of_values() {
    let sort = rule(QueryParameters::All, true);
    check(Some("b=2&a=1"), &sort, Some("a=1&b=2"));
    check(Some("a=1&b=2"), &sort, Some("a=1&b=2"));
    check(Some("a=2&b=1&a=1"), &sort, Some("a=2&a=1&b=1"));
    check(Some("a=2&a=1"), &sort, Some("a=2&a=1"));
    check(Some(""), &sort, Some(""));
    check(Some("b&&a"), &sort, Some("&a&b"));
    check(Some("b=2&a=1"), &QueryRule::default(), Some("b=2&a=1"));
}

#[test]
fn a_key_yields_its_url_and_its_variant() {
    let rows = [
        (
            ("http", "example.com", "/A", None, None),
            "http://example.com/A",
            None,
        ),
        (
            ("http", "example.com", "/", Some("a=1"), Some("mobile")),
            "http://example.com/?a=1",
            Some("mobile"),
        ),
        (
            ("https", "example.com", "/", Some(""), None),
            "https://example.com/?",
            None,
        ),
        (
            ("https", "example.com:80", "/%7E", None, Some("a+b")),
            "https://example.com:80/%7E",
            Some("a+b"),
        ),
        (
            ("http", "[::1]:8080", "/", None, None),
            "http://[::1]:8080/",
            None,
        ),
    ];
    for ((scheme, authority, path, query, variant), url, expected) in rows {
        let key = key(&KeyParts {
            scheme,
            authority,
            path,
            query,
            variant,
        });
        assert_eq!((url_of(&key), variant_of(&key)), (url, expected));
    }
}

#[test]
fn the_web_origin_of_a_key_ends_before_the_path() {
    for (key, expected) in [
        ("http://a.example/\n", "http://a.example"),
        (
            "https://a.example:8443/b://c/\nmobile",
            "https://a.example:8443",
        ),
        ("http://[::1]:8080/?a=/\n", "http://[::1]:8080"),
        ("http://a.example\n", "http://a.example"),
        ("", ""),
        ("no URL", "no URL"),
    ] {
        assert_eq!(web_origin_of(key.as_bytes()), expected, "{key}");
    }
}

#[test]
fn host_of_drops_the_port_and_refuses_malformed_authorities() {
    for (named, host) in [
        ("a.example", Some("a.example")),
        ("a.example:8080", Some("a.example")),
        ("[::1]:80", Some("[::1]")),
        ("[::1]", Some("[::1]")),
        ("[::1", None),
        ("::1", None),
        ("10", Some("10")),
        ("a.example:", Some("a.example")),
        ("a.example:8o", None),
        ("user@a.example", None),
        ("", None),
        (":80", None),
        ("a b", None),
    ] {
        assert_eq!(host_of(named), host, "{named}");
    }
}

#[test]
fn different_spellings_of_a_path_are_different_keys() {
    for (one, other) in [("/%7Ea", "/~a"), ("/a/../b", "/b"), ("/a", "/A")] {
        let [one, other] = [one, other].map(|path| {
            key(&KeyParts {
                scheme: "http",
                authority: "h",
                path,
                query: None,
                variant: None,
            })
        });
        assert_ne!(one, other);
    }
}

/// Edges of different versions spread the lifetimes of one page alike.
#[test]
fn the_hash_of_a_key_never_changes() {
    assert_eq!(hash(b""), 0xf52a_15e9_a9b5_e89b);
    assert_eq!(hash(b"http://example.com/\n"), 0x767e_ea64_c03e_dbf8);
}

#[test]
fn a_malformed_key_has_neither_url_nor_variant() {
    assert_eq!(
        (
            url_of(b"\xff\n"),
            variant_of(b"no line feed"),
            variant_of(b"u\n\xff")
        ),
        ("", None, None)
    );
}
