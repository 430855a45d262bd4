//! What the tests of these files share.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::timestamp::Timestamp;

/// A Tuesday: `Tue, 10 Mar 2026 12:00:00 GMT`.
pub(super) const NOON: Timestamp = Timestamp::from_unix_secs(1_773_144_000);

/// The lines of a header section: name and value.
pub(super) type FieldLines<'a> = &'a [(&'a str, &'a str)];

/// Fields, one line each.
pub(super) fn headers(lines: FieldLines<'_>) -> HeaderMap {
    let line = |(name, value): &(&str, &str)| {
        (
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        )
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.iter().map(line) {
        headers.append(name, value);
    }
    headers
}

/// The HTTP date that many seconds after [`NOON`].
pub(super) fn date(secs: i64) -> String {
    let time = Timestamp::from_unix_secs(NOON.unix_secs() + secs);
    super::http_date::date_value(time)
        .to_str()
        .unwrap()
        .to_owned()
}
