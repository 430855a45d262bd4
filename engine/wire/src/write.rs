//! Heads of responses, written.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// The head of a response, as it goes over the wire: with the empty line at its end.
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

/// Writes the line of a field.
#[inline]
pub fn write_field(bytes: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
        bytes.extend_from_slice(part);
    }
}
