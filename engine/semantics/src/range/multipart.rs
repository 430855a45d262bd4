//! The frame of a response with several parts (RFC 9110 §14.6).

use std::ops::Range;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use super::content_range::{ascii, content_range};

/// The frame of a `multipart/byteranges` body. Its length is known before any byte is sent.
///
/// ```
/// use http::header::HeaderMap;
/// use tero_semantics::range::Multipart;
///
/// let content = b"0123456789";
/// let frame = Multipart::new(vec![0..2, 8..10], 10, &HeaderMap::new(), 7);
/// let mut body = Vec::new();
/// for range in frame.ranges() {
///     body.extend(frame.head(range));
///     body.extend(&content[range.start as usize..range.end as usize]);
/// }
/// body.extend(frame.tail());
/// assert_eq!(body.len() as u64, frame.content_length());
/// let boundary = "00000000000000000000000000000007";
/// let content_type = format!("multipart/byteranges; boundary={boundary}");
/// assert_eq!(frame.content_type(), content_type.as_str());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multipart {
    ranges: Vec<Range<u64>>,
    length: u64,
    part_type: Option<HeaderValue>,
    boundary: String,
}

impl Multipart {
    /// The frame for these parts of a response of `length` bytes. `seed` makes the boundary; it
    /// must be one that whoever writes the content can't foresee.
    pub fn new(
        ranges: Vec<Range<u64>>,
        length: u64,
        response: &HeaderMap,
        seed: u128,
    ) -> Multipart {
        let part_type = response.get(CONTENT_TYPE).cloned();
        Multipart {
            ranges,
            length,
            part_type,
            boundary: format!("{seed:032x}"),
        }
    }

    /// The parts, in order.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.ranges
    }

    /// `Content-Type` of the whole message.
    pub fn content_type(&self) -> HeaderValue {
        ascii(&format!("multipart/byteranges; boundary={}", self.boundary))
    }

    /// What precedes the bytes of a part.
    pub fn head(&self, range: &Range<u64>) -> Vec<u8> {
        let mut head = format!("\r\n--{}\r\n", self.boundary).into_bytes();
        if let Some(part_type) = &self.part_type {
            write_field(&mut head, "Content-Type", part_type);
        }
        let place = content_range(range, self.length);
        write_field(&mut head, "Content-Range", &place);
        head.extend_from_slice(b"\r\n");
        head
    }

    /// What follows the last part.
    pub fn tail(&self) -> Vec<u8> {
        format!("\r\n--{}--\r\n", self.boundary).into_bytes()
    }

    /// The length of the whole body in bytes: heads, parts and tail.
    pub fn content_length(&self) -> u64 {
        self.ranges
            .iter()
            .map(|range| {
                let part = range.end.saturating_sub(range.start);
                count(&self.head(range)).saturating_add(part)
            })
            .fold(count(&self.tail()), u64::saturating_add)
    }
}

fn write_field(head: &mut Vec<u8>, name: &str, value: &HeaderValue) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value.as_bytes());
    head.extend_from_slice(b"\r\n");
}

fn count(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
