use super::Selection::{Multiple, Single, Unsatisfiable, Whole};
use super::*;
use crate::testing::{FieldLines, date, headers};

/// What a GET for a 200 of `length` bytes without validators selects.
fn select(range: &str, length: u64) -> Selection {
    select_with(&headers(&[("range", range)]), &HeaderMap::new(), length)
}

fn select_with(request: &HeaderMap, response: &HeaderMap, length: u64) -> Selection {
    selection(&SelectionInput {
        method: &Method::GET,
        request,
        status: StatusCode::OK,
        response,
        length,
        max_ranges: MAX_RANGES,
    })
}

#[test]
fn a_range_is_clamped_to_the_length() {
    let rows = [
        ("bytes=0-1", 11, Single(0..2)),
        ("bytes=1-", 11, Single(1..11)),
        ("bytes=-1", 11, Single(10..11)),
        ("bytes=-11", 11, Single(0..11)),
        ("bytes=-12", 11, Single(0..11)),
        ("bytes=0-0", 11, Single(0..1)),
        ("bytes=10-10", 11, Single(10..11)),
        ("bytes=10-11", 11, Single(10..11)),
        ("bytes=11-11", 11, Unsatisfiable),
        ("bytes=11-", 11, Unsatisfiable),
        ("bytes=-0", 11, Unsatisfiable),
        ("bytes=0-99999999999999999999999", 11, Single(0..11)),
        (
            "bytes=18446744073709551615-18446744073709551615",
            11,
            Unsatisfiable,
        ),
        (
            "bytes=0-18446744073709551615",
            u64::MAX,
            Single(0..u64::MAX),
        ),
        ("BYTES=0-1", 11, Single(0..2)),
        ("bytes= 0-1 ,", 11, Single(0..2)),
        ("bytes=0-", 0, Unsatisfiable),
        ("bytes=-1", 0, Whole),
        ("bytes=-0", 0, Unsatisfiable),
    ];
    for (range, length, expected) in rows {
        assert_eq!(select(range, length), expected, "{range} of {length}");
    }
}

#[test]
fn malformed_ranges_are_ignored() {
    for range in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=1",
        "bytes=2-1",
        "bytes=a-b",
        "bytes=0-1,2-1",
        "bytes=0-1;2-3",
        "bytes=0--1",
        "bytes=-1-",
        "bytes=+0-1",
        "bytes=0 -1",
        "bytes 0-1",
        "bytes =0-1",
        "lines=0-1",
        "bytes=0x0-1",
        "bytes=\u{e9}",
    ] {
        assert_eq!(select(range, 11), Whole, "{range}");
    }
    let twice = headers(&[("range", "bytes=0-1"), ("range", "bytes=2-3")]);
    assert_eq!(select_with(&twice, &HeaderMap::new(), 11), Whole);
}

#[test]
fn ranges_count_only_for_a_200_to_a_get() {
    let request = headers(&[("range", "bytes=0-1")]);
    for (method, status, expected) in [
        (Method::GET, StatusCode::OK, Single(0..2)),
        (Method::HEAD, StatusCode::OK, Whole),
        (Method::GET, StatusCode::NOT_FOUND, Whole),
        (Method::GET, StatusCode::PARTIAL_CONTENT, Whole),
    ] {
        let selected = selection(&SelectionInput {
            method: &method,
            request: &request,
            status,
            response: &HeaderMap::new(),
            length: 11,
            max_ranges: MAX_RANGES,
        });
        assert_eq!(selected, expected, "{method} {status}");
    }
    assert_eq!(select_with(&HeaderMap::new(), &HeaderMap::new(), 11), Whole);
}

#[test]
fn several_ranges_are_parts_unless_they_overlap_or_nearly_touch() {
    let rows = [
        ("bytes=0-9,500-509", Multiple(vec![0..10, 500..510])),
        ("bytes=500-509,0-9", Multiple(vec![500..510, 0..10])),
        ("bytes=0-9,-10", Multiple(vec![0..10, 990..1_000])),
        ("bytes=0-9,5000-", Single(0..10)),
        ("bytes=5000-,6000-", Unsatisfiable),
        ("bytes=0-9,5-19", Single(0..20)),
        ("bytes=0-9,10-19", Single(0..20)),
        ("bytes=0-9,90-99", Single(0..100)),
        ("bytes=0-9,91-99", Multiple(vec![0..10, 91..100])),
        ("bytes=0-,0-,0-", Single(0..1_000)),
        ("bytes=500-509,0-9,505-600", Multiple(vec![500..601, 0..10])),
        // A range that bridges two others joins all three.
        ("bytes=0-9,500-509,5-505", Single(0..510)),
        (
            "bytes=0-9,400-409,800-809,5-405",
            Multiple(vec![0..410, 800..810]),
        ),
    ];
    for (range, expected) in rows {
        assert_eq!(select(range, 1_000), expected, "{range}");
    }
}

/// That many ranges of one byte, far apart.
fn ranges(count: u64) -> String {
    let ranges = (0..count).map(|at| format!("{}-{}", at * 1_000, at * 1_000));
    ranges.collect::<Vec<_>>().join(",")
}

#[test]
fn too_many_ranges_select_the_whole_response() {
    let bound = u64::try_from(MAX_RANGES).unwrap();
    let Multiple(parts) = select(&format!("bytes={}", ranges(bound)), 1 << 20) else {
        panic!("the bound itself is allowed");
    };
    assert_eq!(parts.len(), MAX_RANGES);
    assert_eq!(
        select(&format!("bytes={}", ranges(bound + 1)), 1 << 20),
        Whole
    );
    assert_eq!(
        select(&format!("bytes={}", "0-,".repeat(100_000)), 1 << 20),
        Whole
    );
}

#[test]
fn if_range_holds_only_for_the_same_strong_validator() {
    let (now, then, minute, almost) = (date(0), date(-3_000), date(-60), date(-59));
    let (strong, weak) = (("etag", "\"a\""), ("etag", "W/\"a\""));
    let rows: &[(&str, FieldLines<'_>, bool)] = &[
        ("\"a\"", &[strong], true),
        ("\"b\"", &[strong], false),
        ("W/\"a\"", &[weak], false),
        ("\"a\"", &[weak], false),
        ("\"a\"", &[], false),
        ("*", &[strong], false),
        ("\"a\", \"b\"", &[strong], false),
        (&then, &[("last-modified", &then), ("date", &now)], true),
        (&then, &[("last-modified", &then)], false),
        (&now, &[("last-modified", &then), ("date", &now)], false),
        (&minute, &[("last-modified", &minute), ("date", &now)], true),
        (
            &almost,
            &[("last-modified", &almost), ("date", &now)],
            false,
        ),
        ("yesterday", &[strong], false),
    ];
    for (validator, response, holds) in rows {
        let request = headers(&[("range", "bytes=0-1"), ("if-range", validator)]);
        let expected = if *holds { Single(0..2) } else { Whole };
        assert_eq!(
            select_with(&request, &headers(response), 11),
            expected,
            "{validator} {response:?}"
        );
    }
}

#[test]
fn multipart_bodies_have_their_announced_length() {
    let content = b"0123456789abcdef";
    let length = u64::try_from(content.len()).unwrap();
    let frame = Multipart::new(
        vec![0..2, 10..16],
        length,
        &headers(&[("content-type", "text/plain")]),
        7,
    );
    let mut body = Vec::new();
    for range in frame.ranges() {
        body.extend(frame.head(range));
        body.extend(
            &content[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()],
        );
    }
    body.extend(frame.tail());
    let boundary = "00000000000000000000000000000007";
    let expected = format!(
        "\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/16\r\n\r\n01\
         \r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 10-15/16\r\n\r\nabcdef\
         \r\n--{boundary}--\r\n"
    );
    assert_eq!(String::from_utf8(body).unwrap(), expected);
    assert_eq!(
        frame.content_length(),
        u64::try_from(expected.len()).unwrap()
    );
    assert_eq!(
        frame.content_type(),
        format!("multipart/byteranges; boundary={boundary}")
    );
    assert_eq!(
        (
            content_range(&(0..2), 16),
            unsatisfied_range(16),
            from_on(5)
        ),
        (
            HeaderValue::from_static("bytes 0-1/16"),
            HeaderValue::from_static("bytes */16"),
            HeaderValue::from_static("bytes=5-")
        )
    );
}

fn part(range: Range<u64>, length: Option<u64>) -> Option<Partial> {
    Some(Partial { range, length })
}

#[test]
fn malformed_content_range_is_ignored() {
    for (value, expected) in [
        ("bytes 4-9/10", part(4..10, Some(10))),
        ("Bytes 0-0/1", part(0..1, Some(1))),
        ("bytes 4-9/*", part(4..10, None)),
        ("bytes 4-10/10", None),
        ("bytes 9-4/10", None),
        ("bytes */10", None),
        ("bytes 4-/10", None),
        ("bytes 4-9", None),
        ("bytes=4-9/10", None),
        ("lines 4-9/10", None),
        ("bytes 4-9/x", None),
        ("bytes 0-18446744073709551615/*", None),
        ("bytes 0-18446744073709551616/*", None),
        ("", None),
    ] {
        assert_eq!(
            Partial::of(&headers(&[("content-range", value)])),
            expected,
            "{value}"
        );
    }
    assert_eq!(
        Partial::of(&headers(&[
            ("content-range", "bytes 0-1/2"),
            ("content-range", "bytes 0-1/2")
        ])),
        None
    );
}
