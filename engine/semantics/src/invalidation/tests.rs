use super::*;
use crate::testing::{FieldLines, headers};

const TARGET: &str = "http://Example.com/a/b?c=d";

fn urls(method: &str, status: u16, response: FieldLines<'_>) -> Vec<String> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    invalidated(
        &method,
        StatusCode::from_u16(status).unwrap(),
        &Uri::from_static(TARGET),
        &headers(response),
    )
}

#[test]
fn unsafe_and_unknown_methods_invalidate_their_target() {
    for method in [
        "POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "FOO", "get", "PURGE", "MKCOL",
    ] {
        for status in [200, 201, 204, 299, 301, 303, 399] {
            assert_eq!(
                urls(method, status, &[]),
                ["http://example.com/a/b?c=d"],
                "{method} {status}"
            );
        }
        for status in [100, 199, 400, 404, 499, 500, 503, 599, 600] {
            assert_eq!(urls(method, status, &[]), [""; 0], "{method} {status}");
        }
    }
    for method in [
        "GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY",
    ] {
        assert_eq!(
            urls(method, 200, &[("location", "/x")]),
            [""; 0],
            "{method}"
        );
    }
}

#[test]
fn location_and_content_location_are_invalidated_within_the_same_origin() {
    let rows = [
        ("/x", Some("http://example.com/x")),
        ("/x?y=1#z", Some("http://example.com/x?y=1")),
        ("x", Some("http://example.com/a/x")),
        ("./x", Some("http://example.com/a/x")),
        ("../x", Some("http://example.com/x")),
        ("../../../x", Some("http://example.com/x")),
        ("x/", Some("http://example.com/a/x/")),
        (".", Some("http://example.com/a/")),
        ("..", Some("http://example.com/")),
        ("/a/./x/../y/..", Some("http://example.com/a/")),
        ("/a//b", Some("http://example.com/a//b")),
        ("?e=f", Some("http://example.com/a/b?e=f")),
        ("", None),
        ("#z", None),
        ("//example.com/x", Some("http://example.com/x")),
        ("//EXAMPLE.com:80", Some("http://example.com/")),
        ("http://example.com/x", Some("http://example.com/x")),
        (
            "HTTP://u:p@Example.COM:80/x?y",
            Some("http://example.com/x?y"),
        ),
        ("http://example.com?y", Some("http://example.com/?y")),
        ("http://example.com/a/b?c=d", None),
        ("http://example.com:8080/x", None),
        ("https://example.com/x", None),
        ("http://other.example/x", None),
        ("//other.example/x", None),
        ("http:x", None),
        ("http://", None),
        ("ftp://example.com/x", None),
        ("mailto:x@example.com", None),
        ("/caf\u{e9}", None),
    ];
    for (reference, expected) in rows {
        for name in ["location", "content-location"] {
            let seen = urls("POST", 201, &[(name, reference)]);
            assert_eq!(
                seen.get(1).map(String::as_str),
                expected,
                "{name}: {reference}"
            );
        }
    }
    assert_eq!(
        urls(
            "PUT",
            200,
            &[("location", "/x"), ("content-location", "/y")]
        )
        .len(),
        3
    );
    assert_eq!(
        urls(
            "PUT",
            200,
            &[("location", "/x"), ("content-location", "/x")]
        )
        .len(),
        2
    );
}

#[test]
fn a_target_without_an_origin_invalidates_nothing() {
    for target in ["/a", "*"] {
        let target = Uri::from_static(target);
        let urls = invalidated(&Method::POST, StatusCode::OK, &target, &HeaderMap::new());
        assert_eq!(urls, [""; 0], "{target}");
    }
}

fn groups(lines: &[&str]) -> Vec<String> {
    let lines: Vec<_> = lines.iter().map(|line| ("cache-groups", *line)).collect();
    cache_groups(&headers(&lines))
}

#[test]
fn cache_groups_are_strings_within_bounds() {
    assert_eq!(groups(&[]), [""; 0]);
    assert_eq!(groups(&["\"a\", \"B c\";x=1", "\"d\""]), ["a", "B c", "d"]);
    assert_eq!(groups(&["\"a\", token, 1, (\"b\"), \"\""]), ["a"]);
    assert_eq!(groups(&["\"a\", "]), [""; 0]);
    assert_eq!(
        groups(&[&format!(
            "\"{}\", \"{}\"",
            "x".repeat(MAX_GROUP_BYTES + 1),
            "y".repeat(MAX_GROUP_BYTES)
        )]),
        ["y".repeat(MAX_GROUP_BYTES)]
    );
    let many: Vec<String> = (0..=MAX_GROUPS).map(|at| format!("\"{at}\"")).collect();
    assert_eq!(groups(&[&many.join(", ")]).len(), MAX_GROUPS);
}

#[test]
fn a_successful_unsafe_request_invalidates_groups() {
    let response = headers(&[("cache-group-invalidation", "\"a\", \"b\"")]);
    assert_eq!(
        invalidated_groups(&Method::POST, StatusCode::NO_CONTENT, &response),
        ["a", "b"]
    );
    assert_eq!(
        invalidated_groups(&Method::GET, StatusCode::OK, &response),
        [""; 0]
    );
    assert_eq!(
        invalidated_groups(&Method::POST, StatusCode::BAD_REQUEST, &response),
        [""; 0]
    );
}
