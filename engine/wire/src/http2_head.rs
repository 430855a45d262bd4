//! The decoded head of an HTTP/2 request: what it has to be so that it means the same as one of
//! HTTP/1.1 (RFC 9113 §8.2, §8.3, §10.3).
//!
//! The decoder refuses by itself what can't be told afterwards: names in upper case, pseudo-fields
//! that are doubled, unknown or after a field, control characters in values.

use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{Method, Uri};

use super::fault::Fault;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Checks the head of an HTTP/2 request. `uri` has its `:scheme`, `:authority` and `:path`.
///
/// # Errors
/// [`Fault`]: the head could not have come over HTTP/1.1, or two recipients could read it in two
/// ways.
///
/// ```
/// use http::header::{HOST, HeaderMap, HeaderValue};
/// use http::{Method, Uri};
/// use tero_wire::{Fault, check_http2_head};
///
/// let uri = Uri::from_static("https://www.example/a");
/// let mut fields = HeaderMap::new();
/// assert_eq!(check_http2_head(&Method::GET, &uri, &fields), Ok(()));
/// fields.insert(HOST, HeaderValue::from_static("other.example"));
/// assert_eq!(check_http2_head(&Method::GET, &uri, &fields), Err(Fault::AuthorityAndHost));
/// ```
pub fn check_http2_head(method: &Method, uri: &Uri, fields: &HeaderMap) -> Result<(), Fault> {
    check_target(method, uri)?;
    let authority = uri.authority().map(|authority| authority.as_str());
    if authority.is_some_and(|authority| authority.is_empty() || authority.contains('@')) {
        return Err(Fault::Authority);
    }
    let mut has_length = false;
    for (name, value) in fields {
        check_value(value)?;
        match *name {
            HOST => check_host(authority, value)?,
            CONTENT_LENGTH if has_length => return Err(Fault::Lengths),
            CONTENT_LENGTH => {
                has_length = true;
                check_length(value)?;
            }
            TE if value != "trailers" => return Err(Fault::ConnectionField),
            CONNECTION | TRANSFER_ENCODING | UPGRADE => return Err(Fault::ConnectionField),
            _ if *name == KEEP_ALIVE || *name == PROXY_CONNECTION => {
                return Err(Fault::ConnectionField);
            }
            _ => {}
        }
    }
    Ok(())
}

/// A target is a path; with a scheme that is ours (RFC 9113 §8.3.1).
fn check_target(method: &Method, uri: &Uri) -> Result<(), Fault> {
    if uri
        .scheme_str()
        .is_some_and(|scheme| scheme != "http" && scheme != "https")
    {
        return Err(Fault::Target);
    }
    // Of a CONNECT, the authority is the target.
    if method == Method::CONNECT && uri.path_and_query().is_none() {
        return Ok(());
    }
    let target = uri.path_and_query().map_or("", PathAndQuery::as_str);
    let is_path = target.starts_with('/') || (method == Method::OPTIONS && target == "*");
    if is_path { Ok(()) } else { Err(Fault::Target) }
}

/// A value neither begins nor ends with white space (RFC 9113 §8.2.1): HTTP/1.1 can't carry it, and
/// a recipient that trims reads another value than one that doesn't.
fn check_value(value: &HeaderValue) -> Result<(), Fault> {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = value.as_bytes();
    if is_space(bytes.first()) || is_space(bytes.last()) {
        Err(Fault::FieldSpace)
    } else {
        Ok(())
    }
}

/// Beside an authority, `Host` says the same (RFC 9113 §8.3.1).
fn check_host(authority: Option<&str>, host: &HeaderValue) -> Result<(), Fault> {
    match authority {
        Some(authority) if !host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) => {
            Err(Fault::AuthorityAndHost)
        }
        _ => Ok(()),
    }
}

fn check_length(value: &HeaderValue) -> Result<(), Fault> {
    let bytes = value.as_bytes();
    let is_number = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
    let number = value.to_str().ok().filter(|_| is_number);
    match number.map(str::parse::<u64>) {
        Some(Ok(_)) => Ok(()),
        _ => Err(Fault::Length),
    }
}

/// Joins the `Cookie` fields of a request to one, as HTTP/1.1 has it (RFC 9113 §8.2.3).
///
/// ```
/// use http::header::{COOKIE, HeaderMap, HeaderValue};
/// use tero_wire::join_cookies;
///
/// let mut fields = HeaderMap::new();
/// fields.append(COOKIE, HeaderValue::from_static("a=1"));
/// fields.append(COOKIE, HeaderValue::from_static("b=2"));
/// join_cookies(&mut fields);
/// assert_eq!(fields.len(), 1);
/// assert_eq!(fields[COOKIE], "a=1; b=2");
/// ```
pub fn join_cookies(fields: &mut HeaderMap) {
    let mut lines = fields.get_all(COOKIE).iter();
    if lines.next().is_none() || lines.next().is_none() {
        return;
    }
    let lines: Vec<_> = fields
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    // Values joined by characters of a value are a value.
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        fields.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            let name = name.parse::<HeaderName>().unwrap();
            fields.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        fields
    }

    #[track_caller]
    fn check(uri: &str, lines: &[(&str, &str)], expected: Result<(), Fault>) {
        let checked = check_http2_head(&Method::GET, &uri.parse().unwrap(), &fields(lines));
        assert_eq!(checked, expected, "{uri} {lines:?}");
    }

    #[test]
    fn fields_that_http1_can_carry_pass() {
        for lines in [
            &[][..],
            &[("host", "WWW.example")],
            &[("te", "trailers")],
            &[("content-length", "0")],
            &[("cookie", "a=1"), ("cookie", "b=2")],
            &[("x", "")],
            &[("x", "a b\tc")],
            &[("x", "\u{e9}")],
        ] {
            check("https://www.example/a?b", lines, Ok(()));
        }
        check("/a", &[("host", "www.example")], Ok(()));
    }

    #[test]
    fn connection_fields_are_faults() {
        for (name, value) in [
            ("connection", "close"),
            ("connection", ""),
            ("keep-alive", "1"),
            ("proxy-connection", "close"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("te", "gzip"),
            ("te", "trailers, gzip"),
            ("te", "Trailers"),
        ] {
            check("http://a/", &[(name, value)], Err(Fault::ConnectionField));
        }
    }

    #[test]
    fn an_authority_is_said_once_and_is_a_host() {
        check("http://a/", &[("host", "b")], Err(Fault::AuthorityAndHost));
        check(
            "http://a:80/",
            &[("host", "a")],
            Err(Fault::AuthorityAndHost),
        );
        check("http://a/", &[("host", "")], Err(Fault::AuthorityAndHost));
        check(
            "http://a/",
            &[("host", "a"), ("host", "b")],
            Err(Fault::AuthorityAndHost),
        );
        check("http://u@a/", &[], Err(Fault::Authority));
        check("http://u:p@a/", &[("host", "a")], Err(Fault::Authority));
    }

    #[test]
    fn a_length_is_one_number() {
        for value in [
            "",
            "+5",
            "-1",
            "5, 5",
            "0x5",
            "5 5",
            "99999999999999999999999",
        ] {
            check(
                "http://a/",
                &[("content-length", value)],
                Err(Fault::Length),
            );
        }
        check(
            "http://a/",
            &[("content-length", "5"), ("content-length", "5")],
            Err(Fault::Lengths),
        );
    }

    #[test]
    fn white_space_around_a_value_is_a_fault() {
        for value in [" a", "a ", "\ta", "a\t", " "] {
            check("http://a/", &[("x", value)], Err(Fault::FieldSpace));
            check("http://a/", &[("cookie", value)], Err(Fault::FieldSpace));
        }
    }

    #[test]
    fn a_target_is_a_path_of_our_schemes() {
        check("ftp://a/", &[], Err(Fault::Target));
        let any = Uri::from_static("*");
        let target = |method: Method, uri: &Uri| check_http2_head(&method, uri, &HeaderMap::new());
        assert_eq!(target(Method::OPTIONS, &any), Ok(()));
        assert_eq!(target(Method::GET, &any), Err(Fault::Target));
        let query = Uri::from(PathAndQuery::from_static("?a"));
        assert_eq!(target(Method::GET, &query), Err(Fault::Target));
        let authority = Uri::from_static("a:443");
        assert_eq!(target(Method::CONNECT, &authority), Ok(()));
        assert_eq!(target(Method::GET, &authority), Err(Fault::Target));
    }

    #[test]
    fn cookies_become_one_line_in_their_order() {
        for (lines, joined) in [
            (&[][..], None),
            (&["a=1"], Some("a=1")),
            (&["a=1", "b=2", "c=3; d=4"], Some("a=1; b=2; c=3; d=4")),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| ("cookie", *line)).collect();
            let mut fields = fields(&lines);
            join_cookies(&mut fields);
            assert!(fields.get_all(COOKIE).iter().eq(joined));
        }
    }
}
