//! The head of a request as it was decoded: what is refused of it, and the form in which the request
//! path takes it.
//!
//! That form is the one of HTTP/1.1: the target is a path, `Host` says the authority, there is one
//! `Cookie`, and an extended CONNECT is a GET with `Upgrade` (RFC 8441 §5).

use h2::ext::Protocol;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, Uri};

use crate::request::body::EdgeBody;
use crate::request::{self, Edge};
use tero_wire::{Fault, check_http2_head, join_cookies};

/// A head that is let through.
#[derive(Debug)]
pub(super) struct RequestHead {
    pub(super) parts: Parts,
    /// It asks for another protocol on its stream.
    pub(super) is_connect: bool,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadRefusal {
    /// It could not have come over HTTP/1.1.
    Fault(Fault),
    /// It has more than `max_headers` fields.
    TooManyFields,
}

impl HeadRefusal {
    /// The answer to it.
    #[cold]
    pub(super) fn response(self, edge: &Edge) -> Response<EdgeBody> {
        match self {
            HeadRefusal::Fault(fault) => request::refuse(edge, fault),
            HeadRefusal::TooManyFields => {
                request::refuse_as(edge, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
            }
        }
    }
}

impl RequestHead {
    /// Takes a decoded head with at most `max_fields`.
    ///
    /// # Errors
    /// [`HeadRefusal`]; the head comes back for the record.
    pub(super) fn of(
        mut parts: Parts,
        max_fields: usize,
    ) -> Result<RequestHead, Box<(HeadRefusal, Parts)>> {
        if let Err(fault) = check_http2_head(&parts.method, &parts.uri, &parts.headers) {
            return Err(Box::new((HeadRefusal::Fault(fault), parts)));
        }
        join_cookies(&mut parts.headers);
        if parts.headers.len() > max_fields {
            return Err(Box::new((HeadRefusal::TooManyFields, parts)));
        }
        say_host(&mut parts);
        let is_connect = parts.method == Method::CONNECT && say_upgrade(&mut parts);
        Ok(RequestHead { parts, is_connect })
    }

    /// The length of the content that the head tells.
    pub(super) fn length(&self) -> Option<u64> {
        let length = self.parts.headers.get(CONTENT_LENGTH)?;
        length.to_str().ok()?.parse().ok()
    }
}

/// Says the authority with `Host`, and leaves a path as the target.
fn say_host(parts: &mut Parts) {
    let Some(path) = parts.uri.path_and_query().cloned() else {
        return;
    };
    if !parts.headers.contains_key(HOST)
        && let Some(authority) = parts.uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        parts.headers.insert(HOST, host);
    }
    parts.uri = Uri::from(path);
}

/// Makes an extended CONNECT the request that it is over HTTP/1.1. Returns whether it is one.
#[cold]
fn say_upgrade(parts: &mut Parts) -> bool {
    let Some(protocol) = parts.extensions.remove::<Protocol>() else {
        return false;
    };
    let Ok(protocol) = HeaderValue::from_str(protocol.as_str()) else {
        return false;
    };
    parts.method = Method::GET;
    parts.headers.insert(UPGRADE, protocol);
    parts
        .headers
        .insert(CONNECTION, HeaderValue::from_static("upgrade"));
    true
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::header::COOKIE;

    use super::*;

    fn parts(method: Method, uri: &str, fields: &[(&'static str, &'static str)]) -> Parts {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = method;
        parts.uri = uri.parse().unwrap();
        for (name, value) in fields {
            parts.headers.append(*name, HeaderValue::from_static(value));
        }
        parts
    }

    #[test]
    fn a_head_takes_the_form_of_http1() {
        let cookies = [("cookie", "a=1"), ("cookie", "b=2")];
        let parts = parts(Method::GET, "https://www.example:8443/a?b", &cookies);
        let head = RequestHead::of(parts, 2).unwrap();
        assert!(!head.is_connect);
        assert_eq!(head.parts.uri, "/a?b");
        assert_eq!(head.parts.headers[HOST], "www.example:8443");
        assert_eq!(head.parts.headers[COOKIE], "a=1; b=2");
    }

    #[test]
    fn an_extended_connect_is_an_upgrade() {
        let mut of_websocket = parts(Method::CONNECT, "https://www.example/chat", &[]);
        of_websocket
            .extensions
            .insert(Protocol::from_static("websocket"));
        let head = RequestHead::of(of_websocket, 10).unwrap();
        assert!(head.is_connect);
        assert_eq!(
            (head.parts.method, head.parts.uri.path()),
            (Method::GET, "/chat")
        );
        assert_eq!(head.parts.headers[UPGRADE], "websocket");
        let plain = RequestHead::of(parts(Method::CONNECT, "www.example:443", &[]), 10).unwrap();
        assert!(!plain.is_connect);
        assert_eq!(plain.parts.method, Method::CONNECT);
    }

    #[test]
    fn fields_are_counted_and_checked() {
        let fields = [("a", "1"), ("b", "2"), ("c", "3")];
        let refusal = |fields, max| {
            let head = RequestHead::of(parts(Method::GET, "http://a/", fields), max);
            head.err().map(|refused| refused.0)
        };
        assert_eq!(refusal(&fields, 3), None);
        assert_eq!(refusal(&fields, 2), Some(HeadRefusal::TooManyFields));
        let upgrade = [("upgrade", "websocket")];
        let expected = HeadRefusal::Fault(Fault::ConnectionField);
        assert_eq!(refusal(&upgrade, 3), Some(expected));
    }
}
