//! Which fields may stand in the trailers of a request that goes on (RFC 9110 §6.5.1).

use http::header::{HeaderMap, HeaderName, HeaderValue, TRAILER};

use super::field_edits::{EditedMessage, untouchable};

/// Whether a request may have a field in its trailers: not one that frames, routes, controls or
/// authenticates the request, describes its content, or that only a proxy may set. A recipient may
/// merge trailers into the head, where such a field would say something unchecked. A digest of the
/// content is what its end can tell alone (RFC 9530 §2).
///
/// ```
/// use http::header::{AUTHORIZATION, HeaderName};
/// use tero_semantics::trailers::may_be_trailer;
///
/// assert!(may_be_trailer(&HeaderName::from_static("x-checksum")));
/// assert!(may_be_trailer(&HeaderName::from_static("content-digest")));
/// assert!(!may_be_trailer(&AUTHORIZATION));
/// assert!(!may_be_trailer(&HeaderName::from_static("x-forwarded-for")));
/// ```
pub fn may_be_trailer(name: &HeaderName) -> bool {
    let text = name.as_str();
    if matches!(text, "digest" | "content-digest") {
        return true;
    }
    untouchable(name, EditedMessage::Request).is_none()
        && !text.starts_with("accept")
        && !text.starts_with("sec-")
        && !matches!(
            text,
            "origin" | "referer" | "user-agent" | "set-cookie" | "prefer"
        )
}

/// The fields of `trailers` for which `may_go` holds; `None` if there are none. A value with white
/// space around it is left out: HTTP/1.1 can't carry it.
pub fn selected_trailers(
    trailers: &HeaderMap,
    may_go: impl Fn(&HeaderName) -> bool,
) -> Option<HeaderMap> {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let mut selected = HeaderMap::new();
    for (name, value) in trailers {
        let bytes = value.as_bytes();
        if may_go(name) && !is_space(bytes.first()) && !is_space(bytes.last()) {
            selected.append(name.clone(), value.clone());
        }
    }
    (!selected.is_empty()).then_some(selected)
}

/// The announcement of the fields for which `may_go` holds among those that the `Trailer` fields of
/// a head announce (§6.6.2); `None` if there are none.
///
/// ```
/// use http::header::{HeaderMap, HeaderValue, TRAILER};
/// use tero_semantics::trailers::{announced_trailers, may_be_trailer};
///
/// let mut head = HeaderMap::new();
/// head.insert(TRAILER, HeaderValue::from_static("X-Sum, Cache-Control,, X-Count"));
/// let announced = announced_trailers(&head, may_be_trailer).unwrap();
/// assert_eq!(announced, "x-sum, x-count");
/// ```
pub fn announced_trailers(
    head: &HeaderMap,
    may_go: impl Fn(&HeaderName) -> bool,
) -> Option<HeaderValue> {
    let lines = head.get_all(TRAILER).iter();
    let names = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(may_go);
    let names: Vec<String> = names.map(|name| name.as_str().to_owned()).collect();
    let announced = HeaderValue::try_from(names.join(", ")).ok()?;
    (!names.is_empty()).then_some(announced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_mean_something_to_a_recipient_before_the_content_are_no_trailers() {
        for name in [
            "transfer-encoding",
            "content-length",
            "content-type",
            "content-encoding",
            "content-range",
            "trailer",
            "te",
            "connection",
            "host",
            "authorization",
            "proxy-authorization",
            "cookie",
            "set-cookie",
            "cache-control",
            "pragma",
            "expect",
            "range",
            "if-match",
            "if-none-match",
            "max-forwards",
            "via",
            "cdn-loop",
            "x-request-id",
            "tero-variant",
            "forwarded",
            "x-forwarded-proto",
            "x_real_ip",
            "x-http-method-override",
            "accept-language",
            "sec-websocket-key",
            "user-agent",
        ] {
            let name = HeaderName::from_static(name);
            assert!(!may_be_trailer(&name), "{name}");
        }
        for name in ["x-checksum", "server-timing", "grpc-status", "etag"] {
            assert!(may_be_trailer(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn trailers_that_may_not_go_are_left_out() {
        let mut trailers = HeaderMap::new();
        for (name, value) in [
            ("x-sum", "1"),
            ("x-sum", "2"),
            ("host", "elsewhere"),
            ("x-spaced", " 1"),
            ("x-tabbed", "1\t"),
        ] {
            trailers.append(name, HeaderValue::from_static(value));
        }
        let selected = selected_trailers(&trailers, may_be_trailer).unwrap();
        let values: Vec<_> = selected.get_all("x-sum").iter().collect();
        assert_eq!(selected.len(), 2);
        assert_eq!(values, ["1", "2"]);
        trailers.remove("x-sum");
        assert_eq!(selected_trailers(&trailers, may_be_trailer), None);
    }
}
