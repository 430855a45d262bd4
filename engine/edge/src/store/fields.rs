//! The fields of a stored response, its surrogate keys and the policies' reason, packed into one
//! allocation: there are many stored responses, and they outlive the buffers that they came in.
//!
//! A field is a byte for its name, the length of its value (LEB128) and the value. Usual names are
//! stored as their place in [`KNOWN`]; any other name follows the byte [`OTHER`], with a length of
//! its own. A date is four bytes instead of thirty, marked by [`DATED`]. The reason comes before
//! the fields, behind the byte [`DETAIL`]; the surrogate keys come after them, each behind a
//! [`TAG`] or an [`OWN_TAG`].

use std::collections::HashMap;
use std::io::Write as _;
use std::ops::Range;
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, AGE,
    ALLOW, ALT_SVC, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE,
    CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, DATE, ETAG, EXPIRES,
    LAST_MODIFIED, LINK, LOCATION, PRAGMA, REFERRER_POLICY, RETRY_AFTER, SERVER,
    STRICT_TRANSPORT_SECURITY, VARY, VIA, WARNING, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    X_XSS_PROTECTION,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use httpdate::HttpDate;

use super::weight::allocated;

/// Names that are stored as one byte.
static KNOWN: [HeaderName; 39] = [
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
    HeaderName::from_static("cache-groups"),
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

/// The place of each name in [`KNOWN`].
static PLACES: LazyLock<HashMap<&[u8], u8, foldhash::fast::RandomState>> = LazyLock::new(|| {
    let names = KNOWN.iter().map(|name| name.as_str().as_bytes());
    names.zip(0..).collect()
});

/// Added to the place of a name whose value is a date: seconds since 1970, in four bytes.
const DATED: u8 = 0x40;
/// Stands before a name that is not in [`KNOWN`].
const OTHER: u8 = u8::MAX;
/// Stands before a surrogate key.
const TAG: u8 = OTHER - 1;
/// Stands before the policies' reason.
const DETAIL: u8 = OTHER - 2;
/// Stands before a surrogate key that the response itself has.
const OWN_TAG: u8 = OTHER - 3;

/// The space that most responses need, in bytes.
const USUAL_BYTES: usize = 512;

/// Packed fields, surrogate keys and the policies' reason.
#[derive(Clone, Debug)]
pub struct StoredFields(Box<[u8]>);

/// Packs fields that were saved, one after the other: the reason first, then the fields, then the
/// surrogate keys.
pub(super) struct FieldPacker(Vec<u8>);

/// A packed field, surrogate key or reason.
struct PackedField<'a> {
    name: PackedName<'a>,
    value: PackedValue,
}

#[derive(Clone, Copy)]
enum PackedName<'a> {
    Known(&'static HeaderName),
    Other(&'a [u8]),
    Detail,
    Tag { is_own: bool },
}

/// The value of a field as it is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldValue<'a> {
    Text(&'a [u8]),
    /// Seconds since 1970.
    Date(u32),
}

enum PackedValue {
    /// The bytes at this place.
    Bytes(Range<usize>),
    /// Seconds since 1970.
    Date(u32),
}

impl<'a> PackedName<'a> {
    /// The bytes of the name of a field; `None` for a reason and for surrogate keys.
    fn bytes(self) -> Option<&'a [u8]> {
        match self {
            PackedName::Known(name) => Some(name.as_str().as_bytes()),
            PackedName::Other(name) => Some(name),
            PackedName::Detail | PackedName::Tag { .. } => None,
        }
    }
}

impl StoredFields {
    /// Copies `fields` with their names, the policies' reason `detail` and the surrogate keys
    /// `tags`.
    pub fn new<'h, 'a>(
        fields: impl IntoIterator<Item = (&'h HeaderName, &'h HeaderValue)>,
        detail: Option<&str>,
        tags: impl Iterator<Item = &'a str>,
    ) -> StoredFields {
        StoredFields::with_own_tags(fields, detail, tags, std::iter::empty())
    }

    /// The same, with surrogate keys that the response itself has.
    pub fn with_own_tags<'h, 'a>(
        fields: impl IntoIterator<Item = (&'h HeaderName, &'h HeaderValue)>,
        detail: Option<&str>,
        tags: impl Iterator<Item = &'a str>,
        own_tags: impl Iterator<Item = &'a str>,
    ) -> StoredFields {
        let mut packed = Vec::with_capacity(USUAL_BYTES);
        if let Some(detail) = detail {
            packed.push(DETAIL);
            put(&mut packed, detail.as_bytes());
        }
        for (name, value) in fields {
            put_field(&mut packed, name, value.as_bytes());
        }
        let (tags, own_tags) = (
            tags.map(|tag| (TAG, tag)),
            own_tags.map(|tag| (OWN_TAG, tag)),
        );
        for (kind, tag) in tags.chain(own_tags) {
            packed.push(kind);
            put(&mut packed, tag.as_bytes());
        }
        StoredFields(packed[..].into())
    }

    /// Other fields, with the same reason and surrogate keys.
    pub fn with_headers(&self, headers: &HeaderMap) -> StoredFields {
        let of_others = self.tags_of(Some(false));
        StoredFields::with_own_tags(headers, self.detail(), of_others, self.own_tags())
    }

    /// The policies' reason for their decision, for `Cache-Status`.
    pub fn detail(&self) -> Option<&str> {
        match self.iter().next()? {
            PackedField {
                name: PackedName::Detail,
                value: PackedValue::Bytes(place),
            } => Some(self.text(place)),
            _ => None,
        }
    }

    /// All surrogate keys.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.tags_of(None)
    }

    /// Those that the response itself has, in ascending order.
    pub fn own_tags(&self) -> impl Iterator<Item = &str> {
        self.tags_of(Some(true))
    }

    /// Those that policies and groups have given it, in ascending order.
    pub(super) fn given_tags(&self) -> impl Iterator<Item = &str> {
        self.tags_of(Some(false))
    }

    /// The surrogate keys of the response itself, of policies and groups, or all.
    fn tags_of(&self, of_response: Option<bool>) -> impl Iterator<Item = &str> {
        self.iter().filter_map(move |packed| match packed {
            PackedField {
                name: PackedName::Tag { is_own },
                value: PackedValue::Bytes(place),
            } if of_response.is_none_or(|wanted| wanted == is_own) => Some(self.text(place)),
            _ => None,
        })
    }

    /// The fields alone, by the bytes of their names, as they are packed.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&[u8], FieldValue<'_>)> {
        self.iter().filter_map(|PackedField { name, value }| {
            let name = name.bytes()?;
            let value = match value {
                PackedValue::Bytes(place) => FieldValue::Text(&self.0[place]),
                PackedValue::Date(seconds) => FieldValue::Date(seconds),
            };
            Some((name, value))
        })
    }

    /// Packed text.
    fn text(&self, place: Range<usize>) -> &str {
        std::str::from_utf8(&self.0[place]).expect("it was packed as text")
    }

    /// The fields as a map with room for `extra` more.
    pub fn to_headers(&self, extra: usize) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.iter().count() + extra);
        // One copy, which all values share.
        let shared = Bytes::copy_from_slice(&self.0);
        for PackedField { name, value } in self.iter() {
            let name = match name {
                PackedName::Known(name) => Ok(name.clone()),
                PackedName::Other(name) => HeaderName::from_bytes(name),
                PackedName::Detail | PackedName::Tag { .. } => continue,
            };
            let value = match value {
                PackedValue::Bytes(place) => shared.slice(place),
                PackedValue::Date(seconds) => date(seconds).to_string().into(),
            };
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_maybe_shared(value)) {
                headers.append(name, value);
            }
        }
        headers
    }

    /// Appends the field lines, as they go over the wire, to `lines`: `name: value` with CRLF.
    /// Known names in `without` are left out.
    pub fn write_lines(&self, lines: &mut Vec<u8>, without: &[HeaderName]) {
        for PackedField { name, value } in self.iter() {
            let is_left_out = matches!(name, PackedName::Known(name) if without.contains(name));
            let Some(name) = name.bytes().filter(|_| !is_left_out) else {
                continue;
            };
            lines.extend_from_slice(name);
            lines.extend_from_slice(b": ");
            match value {
                PackedValue::Bytes(place) => lines.extend_from_slice(&self.0[place]),
                PackedValue::Date(seconds) => {
                    write!(lines, "{}", date(seconds)).expect("a vector grows")
                }
            }
            lines.extend_from_slice(b"\r\n");
        }
    }

    /// The memory that they use, in bytes, without this structure.
    pub fn weight(&self) -> usize {
        allocated(self.0.len())
    }

    /// Unpacks, in order.
    fn iter(&self) -> impl Iterator<Item = PackedField<'_>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let packed = &*self.0;
            let place = *packed.get(at)?;
            at += 1;
            let name = match place {
                OTHER => PackedName::Other(&packed[take(packed, &mut at)]),
                DETAIL => PackedName::Detail,
                TAG => PackedName::Tag { is_own: false },
                OWN_TAG => PackedName::Tag { is_own: true },
                _ => PackedName::Known(&KNOWN[usize::from(place & !DATED)]),
            };
            if matches!(name, PackedName::Known(_)) && place & DATED != 0 {
                let (seconds, _) = packed[at..].split_first_chunk()?;
                at += seconds.len();
                return Some(PackedField {
                    name,
                    value: PackedValue::Date(u32::from_be_bytes(*seconds)),
                });
            }
            Some(PackedField {
                name,
                value: PackedValue::Bytes(take(packed, &mut at)),
            })
        })
    }
}

impl FieldPacker {
    pub(super) fn new() -> FieldPacker {
        FieldPacker(Vec::with_capacity(USUAL_BYTES))
    }

    /// The policies' reason.
    pub(super) fn detail(&mut self, detail: &str) {
        self.0.push(DETAIL);
        put(&mut self.0, detail.as_bytes());
    }

    /// A field whose value was packed as text; `None` if it can't be one.
    pub(super) fn field(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        let is_text = |byte: u8| (byte >= b' ') & (byte != 0x7f) | (byte == b'\t');
        // To the end in any case: many bytes are looked at together then.
        if !value.iter().fold(true, |all, byte| all & is_text(*byte)) {
            return None;
        }
        match PLACES.get(name) {
            Some(place) => self.0.push(*place),
            None if HeaderName::from_bytes(name).is_ok() => put_other(&mut self.0, name),
            None => return None,
        }
        put(&mut self.0, value);
        Some(())
    }

    /// A field whose value was packed as a date, in seconds since 1970; `None` if it can't be one.
    pub(super) fn date(&mut self, name: &[u8], seconds: u32) -> Option<()> {
        put_date(&mut self.0, *PLACES.get(name)?, seconds);
        Some(())
    }

    /// A surrogate key that policies and groups have given, or one that the response itself has.
    pub(super) fn tag(&mut self, tag: &str, is_own: bool) {
        self.0.push(if is_own { OWN_TAG } else { TAG });
        put(&mut self.0, tag.as_bytes());
    }

    pub(super) fn packed(self) -> StoredFields {
        StoredFields(self.0[..].into())
    }
}

/// The seconds of a date since 1970. Only of the form that must be sent (RFC 9110 §5.6.7): from the
/// seconds, such a date can be written again byte by byte.
fn seconds(value: &[u8]) -> Option<u32> {
    // The obsolete forms have no comma there.
    if value.len() != "Sun, 06 Nov 1994 08:49:37 GMT".len() || value[3] != b',' {
        return None;
    }
    let time = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    u32::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
}

/// The date of seconds since 1970.
fn date(seconds: u32) -> HttpDate {
    (UNIX_EPOCH + Duration::from_secs(seconds.into())).into()
}

/// Appends a field.
fn put_field(packed: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    let name = name.as_str().as_bytes();
    match PLACES.get(name) {
        Some(place) => {
            if let Some(seconds) = seconds(value) {
                return put_date(packed, *place, seconds);
            }
            packed.push(*place);
        }
        None => put_other(packed, name),
    }
    put(packed, value);
}

fn put_date(packed: &mut Vec<u8>, place: u8, seconds: u32) {
    packed.push(place | DATED);
    packed.extend_from_slice(&seconds.to_be_bytes());
}

/// Appends a name that is not in [`KNOWN`].
fn put_other(packed: &mut Vec<u8>, name: &[u8]) {
    packed.push(OTHER);
    put(packed, name);
}

/// Appends the length of `bytes`, and `bytes`.
fn put(packed: &mut Vec<u8>, bytes: &[u8]) {
    let mut left = bytes.len();
    while left > 0x7f {
        packed.push(left as u8 | 0x80);
        left >>= 7;
    }
    packed.push(left as u8);
    packed.extend_from_slice(bytes);
}

/// The place of the bytes whose length is at `at`. Moves `at` behind them.
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

    fn packed(headers: &HeaderMap) -> StoredFields {
        StoredFields::new(headers, None, [].into_iter())
    }

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
    fn fields_are_unpacked_as_they_were_packed() {
        for headers in [
            headers(),
            HeaderMap::new(),
            KNOWN
                .iter()
                .cloned()
                .map(|name| (name, "value".parse().unwrap()))
                .collect(),
        ] {
            assert_eq!(packed(&headers).to_headers(2), headers);
        }
    }

    #[test]
    fn reason_and_surrogate_keys_are_not_fields_and_stay_with_other_fields() {
        for (detail, tags) in [
            (None, &[][..]),
            (Some(""), &["a", "b c"]),
            (Some("áé"), &[""]),
        ] {
            let fields = StoredFields::new(&headers(), detail, tags.iter().copied());
            let others = HeaderMap::from_iter([(AGE, HeaderValue::from_static("1"))]);
            for (fields, headers) in [(fields.with_headers(&others), others), (fields, headers())] {
                assert_eq!(
                    (fields.detail(), fields.tags().collect::<Vec<_>>()),
                    (detail, tags.to_vec())
                );
                assert_eq!(fields.to_headers(0), headers);
                let (mut lines, mut alone) = (Vec::new(), Vec::new());
                fields.write_lines(&mut lines, &[]);
                packed(&headers).write_lines(&mut alone, &[]);
                assert_eq!(lines, alone);
            }
        }
    }

    #[test]
    fn surrogate_keys_of_the_response_itself_are_told_from_others() {
        let headers = headers();
        let (others, own) = (["a", "b"].into_iter(), ["b", "c"].into_iter());
        let fields = StoredFields::with_own_tags(&headers, None, others, own);
        for fields in [fields.with_headers(&headers), fields] {
            assert_eq!(fields.tags().collect::<Vec<_>>(), ["a", "b", "b", "c"]);
            assert_eq!(fields.own_tags().collect::<Vec<_>>(), ["b", "c"]);
            assert_eq!(fields.to_headers(0), headers);
        }
    }

    #[test]
    fn a_date_in_the_form_to_be_sent_takes_four_bytes() {
        for (value, length) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 5),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 5),
            ("Sun, 07 Feb 2106 06:28:15 GMT", 5),
            ("Sun, 07 Feb 2106 06:28:16 GMT", 31),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 31),
            ("Mon, 06 Nov 1994 08:49:37 GMT", 31),
            ("Sun, 06 Nov 1994 08:49:60 GMT", 31),
            ("Sun, 31 Nov 1994 08:49:37 GMT", 31),
            ("sun, 06 Nov 1994 08:49:37 GMT", 31),
            ("Sun, 06 Nov 1994 08:49:37 UTC", 31),
            ("Sun,  6 Nov 1994 08:49:37 GMT", 31),
            ("Sunday, 06-Nov-94 08:49:37 GMT", 32),
            ("Sun Nov  6 08:49:37 1994", 26),
            ("0", 3),
        ] {
            for name in [EXPIRES, DATE] {
                let headers =
                    HeaderMap::from_iter([(name.clone(), HeaderValue::from_static(value))]);
                let fields = packed(&headers);
                assert_eq!(
                    (fields.0.len(), fields.to_headers(0)),
                    (length, headers),
                    "{value}"
                );
                let mut lines = Vec::new();
                fields.write_lines(&mut lines, &[]);
                assert_eq!(
                    String::from_utf8(lines).unwrap(),
                    format!("{name}: {value}\r\n")
                );
            }
        }
    }

    #[test]
    fn field_lines_are_written_as_they_go_over_the_wire() {
        let mut headers = headers();
        headers.remove("link");
        let mut lines = Vec::new();
        packed(&headers).write_lines(&mut lines, &[AGE]);
        assert_eq!(
            lines,
            b"x-custom: one\r\nx-custom: two \xff\r\netag: \"a\"\r\n"
        );
    }

    #[test]
    fn usual_fields_take_two_bytes_beside_their_values() {
        let usual = [
            ("content-type", "text/html"),
            ("cache-control", "max-age=60"),
            ("etag", "\"0123\""),
        ];
        let headers = usual
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        assert_eq!(
            packed(&headers).0.len(),
            usual
                .iter()
                .map(|(_, value)| 2 + value.len())
                .sum::<usize>()
        );
    }
}
