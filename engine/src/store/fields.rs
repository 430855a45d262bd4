//! Header fields at rest, packed into one allocation: a stored response outlives the buffers that it was read into, and there are many
//! of them.
//!
//! A field is a byte for its name, the length of its value (LEB128) and the value. The names that responses usually have are known by
//! their place in [`KNOWN`]; any other follows the byte [`OTHER`] with a length of its own.

use std::ops::Range;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, AGE, ALLOW, ALT_SVC, CACHE_CONTROL, CONTENT_DISPOSITION,
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, DATE, ETAG,
    EXPIRES, LAST_MODIFIED, LINK, LOCATION, PRAGMA, REFERRER_POLICY, RETRY_AFTER, SERVER, STRICT_TRANSPORT_SECURITY, VARY, VIA,
    WARNING, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS, X_XSS_PROTECTION,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::weight::{SHARED_BYTES, allocated};

/// Names that are stored as one byte.
static KNOWN: [HeaderName; 38] = [
    ACCEPT_RANGES,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    AGE,
    ALLOW,
    ALT_SVC,
    CACHE_CONTROL,
    HeaderName::from_static("cache-tag"),
    HeaderName::from_static("cdn-cache-control"),
    CONTENT_DISPOSITION,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_LENGTH,
    CONTENT_LOCATION,
    CONTENT_SECURITY_POLICY,
    CONTENT_TYPE,
    DATE,
    ETAG,
    EXPIRES,
    LAST_MODIFIED,
    LINK,
    LOCATION,
    PRAGMA,
    REFERRER_POLICY,
    RETRY_AFTER,
    SERVER,
    STRICT_TRANSPORT_SECURITY,
    HeaderName::from_static("surrogate-control"),
    HeaderName::from_static("surrogate-key"),
    VARY,
    VIA,
    WARNING,
    X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
    X_XSS_PROTECTION,
];

/// Stands for a name that is none of [`KNOWN`].
const OTHER: u8 = u8::MAX;

/// What most responses' fields take, in bytes.
const USUAL_BYTES: usize = 512;

/// Header fields at rest.
#[derive(Clone, Debug)]
pub struct Fields(Bytes);

/// A field as it is packed.
struct Packed<'a> {
    name: Name<'a>,
    value: Range<usize>,
}

#[derive(Clone, Copy)]
enum Name<'a> {
    Known(&'static HeaderName),
    Other(&'a [u8]),
}

impl Fields {
    /// Copies `fields`, names included.
    pub fn of<'h>(fields: impl IntoIterator<Item = (&'h HeaderName, &'h HeaderValue)>) -> Fields {
        let mut packed = Vec::with_capacity(USUAL_BYTES);
        for (name, value) in fields {
            match KNOWN.iter().position(|known| known == name) {
                Some(place) => packed.push(place as u8),
                None => {
                    packed.push(OTHER);
                    put(&mut packed, name.as_str().as_bytes());
                }
            }
            put(&mut packed, value.as_bytes());
        }
        Fields(Bytes::copy_from_slice(&packed))
    }

    /// The fields as a map with room for `extra` more.
    pub fn to_headers(&self, extra: usize) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.iter().count() + extra);
        for Packed { name, value } in self.iter() {
            let name = match name {
                Name::Known(name) => Ok(name.clone()),
                Name::Other(name) => HeaderName::from_bytes(name),
            };
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_maybe_shared(self.0.slice(value))) {
                headers.append(name, value);
            }
        }
        headers
    }

    /// Writes the lines of all fields but `without`, as they go over the wire.
    pub fn write_lines(&self, lines: &mut Vec<u8>, without: &[HeaderName]) {
        for Packed { name, value } in self.iter() {
            let name = match name {
                Name::Known(name) if without.contains(name) => continue,
                Name::Known(name) => name.as_str().as_bytes(),
                Name::Other(name) => name,
            };
            for part in [name, b": ", &self.0[value], b"\r\n"] {
                lines.extend_from_slice(part);
            }
        }
    }

    /// The memory that they use, in bytes, beside this structure.
    pub fn weight(&self) -> usize {
        allocated(self.0.len()) + SHARED_BYTES
    }

    fn iter(&self) -> impl Iterator<Item = Packed<'_>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let packed = &*self.0;
            let place = *packed.get(at)?;
            at += 1;
            let name = match KNOWN.get(usize::from(place)) {
                Some(name) => Name::Known(name),
                None => Name::Other(&packed[take(packed, &mut at)]),
            };
            Some(Packed { name, value: take(packed, &mut at) })
        })
    }
}

/// Appends bytes behind their length.
fn put(packed: &mut Vec<u8>, bytes: &[u8]) {
    let mut left = bytes.len();
    while left > 0x7f {
        packed.push(left as u8 | 0x80);
        left >>= 7;
    }
    packed.push(left as u8);
    packed.extend_from_slice(bytes);
}

/// The place of the bytes whose length stands at `at`, which moves behind them.
fn take(packed: &[u8], at: &mut usize) -> Range<usize> {
    let (mut length, mut shift) = (0, 0);
    loop {
        let byte = packed[*at];
        *at += 1;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let start = *at;
    *at += length;
    start..*at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.append("x-custom", HeaderValue::from_static("one"));
        headers.append("etag", HeaderValue::from_static("\"a\""));
        headers.append("x-custom", HeaderValue::from_bytes(b"two \xff").unwrap());
        headers.append("age", HeaderValue::from_static(""));
        for length in [127, 128, 16_383, 16_384, 100_000] {
            headers.append("link", HeaderValue::try_from("x".repeat(length)).unwrap());
        }
        headers
    }

    #[test]
    fn fields_come_back_as_they_were_stored() {
        for headers in [headers(), HeaderMap::new(), KNOWN.iter().cloned().map(|name| (name, "value".parse().unwrap())).collect()]
        {
            assert_eq!(Fields::of(&headers).to_headers(2), headers);
        }
    }

    #[test]
    fn lines_are_what_goes_over_the_wire() {
        let mut headers = headers();
        headers.remove("link");
        let mut lines = Vec::new();
        Fields::of(&headers).write_lines(&mut lines, &[AGE]);
        assert_eq!(lines, b"x-custom: one\r\nx-custom: two \xff\r\netag: \"a\"\r\n");
    }

    #[test]
    fn usual_fields_take_two_bytes_beside_their_values() {
        let usual = [("content-type", "text/html"), ("cache-control", "max-age=60"), ("etag", "\"0123\"")];
        let headers: HeaderMap =
            usual.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect();
        assert_eq!(Fields::of(&headers).0.len(), usual.iter().map(|(_, value)| 2 + value.len()).sum::<usize>());
    }
}
