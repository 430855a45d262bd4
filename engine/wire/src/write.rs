//! Writing the heads of responses (RFC 9112 §4, §5).

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// The head of an HTTP/1.1 response as it is sent, the empty line at its end included.
///
/// ```
/// use http::StatusCode;
/// use http::header::{AGE, HeaderMap, HeaderValue};
/// use tero_wire::head_as_bytes;
///
/// let headers = HeaderMap::from_iter([(AGE, HeaderValue::from_static("7"))]);
/// let head = head_as_bytes(StatusCode::OK, &headers);
/// assert_eq!(head, b"HTTP/1.1 200 OK\r\nage: 7\r\n\r\n");
/// ```
pub fn head_as_bytes(code: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {} {}\r\n",
        code.as_str(),
        code.canonical_reason().unwrap_or_default()
    )
    .into_bytes();
    for (name, value) in headers {
        write_field(&mut bytes, name, value);
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Appends the line of a field to `bytes`, its CRLF included.
///
/// ```
/// use http::header::{AGE, HeaderValue};
/// use tero_wire::write_field;
///
/// let mut bytes = Vec::new();
/// write_field(&mut bytes, &AGE, &HeaderValue::from_static("7"));
/// assert_eq!(bytes, b"age: 7\r\n");
/// ```
#[inline]
pub fn write_field(bytes: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
        bytes.extend_from_slice(part);
    }
}
