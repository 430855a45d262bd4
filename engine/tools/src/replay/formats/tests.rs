use http::header::{ACCEPT_ENCODING, CONTENT_TYPE};
use http::{Method, StatusCode};
use proptest::prelude::*;

use super::*;
use crate::replay::record::{LogRecord, LoggedCache};
use tero_semantics::authority::Scheme;
use tero_semantics::timestamp::Timestamp;

/// Wednesday 25 November 2026, 11:59:00 UTC.
const TIME: i64 = 1_795_607_940;

fn read(lines: &[&str], syntax: &LogSyntax) -> Result<LogRecord, LineFault> {
    let mut parser = LineParser::new(syntax);
    let mut last = Err(LineFault::Format);
    for line in lines {
        match parser.parse(line) {
            ParsedLine::Nothing => {}
            ParsedLine::Fault(fault) => last = Err(fault),
            ParsedLine::Request(_, record) => last = Ok(*record),
        }
    }
    last
}

fn one(line: &str) -> Result<LogRecord, LineFault> {
    read(&[line], &LogSyntax::default())
}

fn with_fields(line: &str, fields: &str) -> Result<LogRecord, LineFault> {
    let syntax = LogSyntax {
        format: Some(LogFormat::Json),
        fields: FieldMap::parse(fields).unwrap(),
    };
    read(&[line], &syntax)
}

fn facts(record: &LogRecord) -> (i64, &str, &str, u16, Option<u64>) {
    let host = record.host_or("-");
    (
        record.at.unix_secs(),
        host,
        &record.target,
        record.status.as_u16(),
        record.content_bytes(),
    )
}

#[test]
fn lines_of_each_server_are_read() {
    let expected = |host| (TIME, host, "/a?b=c", 200, Some(12));
    let plain = r#"[25/Nov/2026:08:59:00 -0300] "GET /a?b=c HTTP/1.1" 200 12"#;
    let absolute = plain.replace("/a?b=c", "http://A.Example:8080/a?b=c");
    for (line, host) in [
        // Apache: common, combined, vhost_combined; a user with spaces and brackets.
        (format!("10.0.0.1 - - {plain}"), "-"),
        (format!(r#"10.0.0.1 - frank {plain} "-" "curl""#), "-"),
        (
            format!(r#"a.example:443 10.0.0.1 - - {plain} "-" "curl""#),
            "a.example",
        ),
        (format!(r#"a.example 2001:db8::1 - - {plain}"#), "a.example"),
        (format!(r#"10.0.0.1 - a [b] c [1] {plain} "-" "curl""#), "-"),
        // nginx with fields after the combined ones.
        (
            format!(r#"10.0.0.1 - - {plain} "-" "curl" "10.9.9.9" rt=0.001"#),
            "-",
        ),
        // varnishncsa writes the whole URL.
        (
            format!(r#"10.0.0.1 - - {absolute} "-" "curl""#),
            "a.example",
        ),
        // tero.
        (
            format!(r#"10.0.0.1 - - {plain} "-" "curl" "tero; hit; ttl=3""#),
            "-",
        ),
    ] {
        assert_eq!(one(&line).as_ref().map(facts), Ok(expected(host)), "{line}");
    }
    let named = one(&format!("a.example 10.0.0.1 - - {absolute}")).unwrap();
    assert_eq!(
        (named.host.as_deref(), named.scheme),
        (Some("a.example"), Some(Scheme::Http))
    );
}

#[test]
fn a_line_of_tero_has_all_facts() {
    let line = r#"{"at":"2026-11-25T11:59:00.250Z","client":"10.0.0.1","method":"GET","scheme":"https","host":"a.example","target":"/a?b=c",
        "status":200,"outcome":"stale","bytes":12,"referer":null,"user_agent":"curl \"8\"","total_seconds":0.5,"origin_seconds":null,
        "content_type":"text/html","proxies":["10.1.1.1"],"ttl":-3}"#
        .replace('\n', " ");
    let record = one(&line).unwrap();
    assert_eq!(facts(&record), (TIME, "a.example", "/a?b=c", 200, Some(12)));
    assert_eq!(record.at, Timestamp::from_unix_millis(TIME * 1_000 + 250));
    assert_eq!(
        (record.scheme, record.cache),
        (Some(Scheme::Https), Some(LoggedCache::Stale))
    );
    assert_eq!(record.took.map(|took| took.as_millis()), Some(500));
    assert_eq!(record.origin_took, None);
    assert_eq!(record.client, Some([10, 0, 0, 1].into()));
    assert_eq!(record.user_agent().unwrap(), "curl \"8\"");
    assert_eq!(
        (record.referer(), record.content_type().unwrap()),
        (None, &"text/html".parse().unwrap())
    );
}

#[test]
fn cloudflares_and_fastlys_lines_are_read_as_they_are() {
    let cloudflare = r#"{"ClientIP":"2001:db8::1","ClientRequestHost":"A.example","ClientRequestMethod":"GET","ClientRequestURI":"/a?b=c",
        "EdgeResponseStatus":200,"EdgeResponseBytes":412,"EdgeStartTimestamp":1795607940000000000,"CacheCacheStatus":"expired",
        "ClientRequestScheme":"https","ClientRequestUserAgent":"curl","EdgeResponseContentType":"text/html","OriginResponseDurationMs":80}"#
        .replace('\n', " ");
    let record = one(&cloudflare).unwrap();
    assert_eq!(facts(&record), (TIME, "a.example", "/a?b=c", 200, Some(12)));
    assert_eq!(record.cache, Some(LoggedCache::Miss));
    assert_eq!(record.origin_took.map(|took| took.as_millis()), Some(80));
    let body = cloudflare.replace("\"ClientIP\"", "\"EdgeResponseBodyBytes\":9,\"ClientIP\"");
    assert_eq!(
        one(&body).unwrap().content_bytes(),
        Some(9),
        "the better number"
    );
    let fastly = r#"{"timestamp":"2026-11-25T11:59:00+0000","client_ip":"10.0.0.1","host":"a.example","url":"/a?b=c","request_method":"GET",
        "request_user_agent":"curl","response_state":"HIT-CLUSTER","response_status":200,"response_body_size":12,"fastly_is_edge":true}"#
        .replace('\n', " ");
    let record = one(&fastly).unwrap();
    assert_eq!(facts(&record), (TIME, "a.example", "/a?b=c", 200, Some(12)));
    assert_eq!(
        (record.cache, record.user_agent().unwrap()),
        (Some(LoggedCache::Hit), &"curl".parse().unwrap())
    );
}

#[test]
fn a_field_map_reads_other_json() {
    let line = r#"{"t":"1795607940.5","req":{"line":"GET /a?b=c HTTP/1.1","h":{"accept-encoding":"br"}},"res":{"code":"200","len":12.0},"us":1500}"#;
    let record = with_fields(
        line,
        "at=t,request-line=req.line,request.accept-encoding=req.h.accept-encoding,status=res.code,microseconds=us",
    )
    .unwrap();
    assert_eq!(facts(&record), (TIME, "-", "/a?b=c", 200, None));
    assert_eq!(record.request.get(ACCEPT_ENCODING).unwrap(), "br");
    assert_eq!(record.took.map(|took| took.as_micros()), Some(1_500));
    let split = with_fields(
        r#"{"t":1795607940123,"p":"/a","q":"?b=c","m":"GET","s":200}"#,
        "at=t,path=p,query=q,method=m,status=s",
    )
    .unwrap();
    assert_eq!(facts(&split), (TIME, "-", "/a?b=c", 200, None));
    // An object where a text was expected says nothing.
    assert_eq!(
        with_fields(r#"{"t":{},"m":[1]}"#, "at=t,method=m"),
        Err(LineFault::Time)
    );
}

const CLOUDFRONT: &str = "#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) \
    cs-uri-query x-edge-result-type x-host-header cs-protocol time-taken sc-content-type sc-content-len";

#[test]
fn cloudfronts_lines_are_decoded() {
    let line = "2026-11-25\t11:59:00\tEZE50\t412\t10.0.0.1\tGET\td1.cloudfront.net\t/a%2520b\t200\t-\tMozilla/5.0%20(X11)%20%2522x%2522\tb=%2541&c=%22\t\
                RefreshHit\ta.example\thttps\t0.250\ttext/html\t12";
    let lines = ["#Version: 1.0", CLOUDFRONT, line];
    let record = read(&lines, &LogSyntax::default()).unwrap();
    assert_eq!(
        facts(&record),
        (TIME, "a.example", "/a%20b?b=%41&c=%22", 200, Some(12))
    );
    assert_eq!(record.user_agent().unwrap(), "Mozilla/5.0 (X11) %22x%22");
    assert_eq!(
        (record.cache, record.scheme),
        (Some(LoggedCache::Revalidated), Some(Scheme::Https))
    );
    assert_eq!(record.took.map(|took| took.as_millis()), Some(250));
    assert_eq!(record.content_type().unwrap(), "text/html");
    let without_length = line.replace("\t12", "\t-");
    assert_eq!(
        read(&[CLOUDFRONT, &without_length], &LogSyntax::default())
            .unwrap()
            .content_bytes(),
        Some(12)
    );
    let twice = line.replace("Mozilla/5.0%20(X11)%20%2522x%2522", "Mozilla/5.0%2520(X11)");
    assert_eq!(
        read(&[CLOUDFRONT, &twice], &LogSyntax::default())
            .unwrap()
            .user_agent()
            .unwrap(),
        "Mozilla/5.0 (X11)"
    );
}

#[test]
fn lines_of_iis_are_split_by_spaces() {
    let fields = "#Fields: date time cs-method cs-uri-stem cs-uri-query c-ip cs(User-Agent) sc-status sc-bytes time-taken";
    let line = "2026-11-25 11:59:00 GET /a b=c 10.0.0.1 Mozilla/5.0+(Windows+NT+10.0) 200 412 15";
    let record = read(&[fields, line], &LogSyntax::default()).unwrap();
    assert_eq!(facts(&record), (TIME, "-", "/a?b=c", 200, Some(12)));
    assert_eq!(
        record.user_agent().unwrap(),
        "Mozilla/5.0 (Windows NT 10.0)"
    );
    assert_eq!(record.took.map(|took| took.as_millis()), Some(15));
    // An attacker's space or tab makes a line with too many values, and no other line.
    for forged in [line.replace("b=c", "b= c"), format!("{line}\tx y")] {
        assert_eq!(
            read(&[fields, line, &forged], &LogSyntax::default()),
            Err(LineFault::Fields)
        );
    }
    // The columns change in the middle of the file.
    let lines = [
        fields,
        line,
        "#Fields: time date cs-method cs-uri-stem sc-status",
        "11:59:00 2026-11-25 GET /z 404",
    ];
    assert_eq!(
        facts(&read(&lines, &LogSyntax::default()).unwrap()),
        (TIME, "-", "/z", 404, None)
    );
}

#[test]
fn escapes_are_taken_back() {
    for (written, plain) in [
        (r#"/a\"b"#, "/a\"b"),
        (r"/a\x22b", "/a\"b"),
        (r"/a\\x22b", r"/a\x22b"),
        (r"/a\xC3\xB1", "/añ"),
        (r"/a\xzz", "/axzz"),
    ] {
        let line = format!(
            r#"10.0.0.1 - - [25/Nov/2026:08:59:00 -0300] "GET {written} HTTP/1.1" 200 1 "-" "-""#
        );
        assert_eq!(
            one(&line).map(|record| record.target.into_string()),
            Ok(plain.to_owned()),
            "{line}"
        );
    }
}

#[test]
fn text_of_clients_cannot_forge_a_line() {
    let inner = r#"x [01/Jan/2030:00:00:00 +0000] \"GET /forged HTTP/1.1\" 200 999"#;
    let line = format!(
        r#"10.0.0.1 - {inner} [25/Nov/2026:08:59:00 -0300] "GET /a HTTP/1.1" 404 1 "{inner}" "{inner}""#
    );
    let record = one(&line).unwrap();
    assert_eq!(facts(&record), (TIME, "-", "/a", 404, Some(1)));
    assert!(
        record
            .user_agent()
            .unwrap()
            .to_str()
            .unwrap()
            .contains("/forged")
    );
    let json = r#"{"at":"2026-11-25T11:59:00Z","method":"GET","host":"a","target":"/a\",\"status\":200,\"x\":\"","status":404}"#;
    assert_eq!(one(json).unwrap().status, StatusCode::NOT_FOUND);
}

#[test]
fn bad_lines_say_what_is_wrong_with_them() {
    let time = "[25/Nov/2026:08:59:00 -0300]";
    for (line, fault) in [
        ("nonsense".to_owned(), LineFault::Format),
        ("[".to_owned(), LineFault::Format),
        ("{".to_owned(), LineFault::Format),
        ("{}".to_owned(), LineFault::Time),
        (
            r#"{"at":"2026-11-25T11:59:00Z"} {"at":1}"#.to_owned(),
            LineFault::Format,
        ),
        (
            r#"{"at":"2026-11-25T11:59:00Z","method":"GET"}"#.to_owned(),
            LineFault::Request,
        ),
        (
            r#"{"at":"2026-11-25T11:59:00Z","method":"GET","target":"/","status":2000}"#.to_owned(),
            LineFault::Status,
        ),
        (
            r#"1 - - [yesterday] "GET / HTTP/1.1" 200 1"#.to_owned(),
            LineFault::Time,
        ),
        (format!(r#"1 - - {time} "GET /a"#), LineFault::Fields),
        (format!(r#"1 - - {time} "GET /a\"#), LineFault::Fields),
        (format!(r#"1 - - {time} "-" 400 0"#), LineFault::Request),
        (
            format!(r#"1 - - {time} "\x16\x03\x01" 400 0"#),
            LineFault::Request,
        ),
        (format!(r#"1 - - {time} "GET" 400 0"#), LineFault::Request),
        (
            format!(r#"1 - - {time} "GET a HTTP/1.1" 400 0"#),
            LineFault::Request,
        ),
        (
            format!(r#"1 - - {time} "GET ftp://a/ HTTP/1.1" 400 0"#),
            LineFault::Request,
        ),
        (
            format!(r#"1 - - {time} "CONNECT a:443 HTTP/1.1" 400 0"#),
            LineFault::Request,
        ),
        (
            format!(r#"1 - - {time} "GET /a HTTP/1.1" abc 0"#),
            LineFault::Status,
        ),
        (
            format!(r#"1 - - {time} "GET /a HTTP/1.1" 099 0"#),
            LineFault::Status,
        ),
    ] {
        assert_eq!(one(&line), Err(fault), "{line}");
    }
    let named = LogSyntax {
        format: Some(LogFormat::Json),
        ..LogSyntax::default()
    };
    assert_eq!(read(&["1 - - nonsense"], &named), Err(LineFault::Format));
    let w3c = LogSyntax {
        format: Some(LogFormat::W3c),
        ..LogSyntax::default()
    };
    assert_eq!(
        read(&["2026-11-25 GET /"], &w3c),
        Err(LineFault::Format),
        "no columns"
    );
}

#[test]
fn empty_lines_and_byte_order_marks_are_nothing() {
    let mut parser = LineParser::new(&LogSyntax::default());
    for line in ["", "   ", "\u{feff}", "\r"] {
        assert!(
            matches!(parser.parse(line), ParsedLine::Nothing),
            "{line:?}"
        );
    }
    let marked = "\u{feff}{\"at\":1795607940,\"method\":\"HEAD\",\"target\":\"/\",\"status\":200,\"content_type\":\"a/b\"}\r";
    let record = one(marked).unwrap();
    assert_eq!(record.method, Method::HEAD);
    assert_eq!(record.response.get(CONTENT_TYPE).unwrap(), "a/b");
}

#[test]
fn words_for_what_a_cache_did_are_known() {
    for (word, cache) in [
        ("hit", LoggedCache::Hit),
        ("HIT", LoggedCache::Hit),
        ("TCP_MEM_HIT", LoggedCache::Hit),
        ("HIT-STALE-CLUSTER", LoggedCache::Hit),
        ("UPDATING", LoggedCache::Stale),
        ("REVALIDATED", LoggedCache::Revalidated),
        ("MISS-CLUSTER", LoggedCache::Miss),
        ("EXPIRED", LoggedCache::Miss),
        ("collapsed", LoggedCache::Miss),
        ("dynamic", LoggedCache::Pass),
        ("PASS", LoggedCache::Pass),
        ("Error", LoggedCache::Own),
    ] {
        assert_eq!(draft::cache(word), Some(cache), "{word}");
    }
    for word in ["", "unknown", "a word that is longer than any cache's", "é"] {
        assert_eq!(draft::cache(word), None);
    }
}

proptest! {
    #[test]
    fn any_line_is_read_without_a_panic(line in "\\PC{0,200}", columns in proptest::bool::ANY) {
        let mut parser = LineParser::new(&LogSyntax::default());
        if columns {
            parser.parse(CLOUDFRONT);
        }
        if let ParsedLine::Request(_, record) = parser.parse(&line) {
            prop_assert!(record.target.starts_with('/'));
        }
    }

    #[test]
    fn a_damaged_line_is_read_without_a_panic(cut in 0_usize..200, put in "\\PC{0,6}", which in 0_usize..3) {
        let lines = [
            r#"a.example 10.0.0.1 - - [25/Nov/2026:08:59:00 -0300] "GET /a?b=c HTTP/1.1" 200 12 "http://x/\"\x22" "curl \\" "x""#,
            r#"{"at":"2026-11-25T11:59:00.250Z","client":"10.0.0.1","method":"GET","host":"a.example","target":"/a?b=c","status":200}"#,
            "2026-11-25\t11:59:00\tE\t412\t10.0.0.1\tGET\td1\t/a%2520b\t200\t-\tM%2520\tb=%25\tHit\ta.example\thttps\t0.2\tt/h\t12",
        ];
        let line = lines[which];
        let at = (0..=cut.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        let damaged = format!("{}{put}{}", &line[..at], &line[at..]);
        let mut parser = LineParser::new(&LogSyntax::default());
        parser.parse(CLOUDFRONT);
        for text in [&damaged[..at], &damaged] {
            if let ParsedLine::Request(_, record) = parser.parse(text) {
                prop_assert!(record.target.starts_with('/'));
                prop_assert!(record.target.parse::<http::Uri>().is_ok());
            }
        }
    }
}
