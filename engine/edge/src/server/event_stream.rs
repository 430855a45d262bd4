//! Responses that send events as they happen (HTML, server-sent events).

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// Whether a response with these fields is an event stream, which has no least rate.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let name = value.as_bytes().split(|byte| *byte == b';').next();
        name.is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
    })
}
