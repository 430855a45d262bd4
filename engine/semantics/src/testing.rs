//! What the tests of this crate share.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::http_date::date_value;
use super::timestamp::Timestamp;

/// A Tuesday: `Tue, 10 Mar 2026 12:00:00 GMT`.
pub(super) const NOON: Timestamp = Timestamp::from_unix_secs(1_773_144_000);

/// The lines of a header section: name and value.
pub(super) type FieldLines<'a> = &'a [(&'a str, &'a str)];

/// Fields, one line each.
pub(super) fn headers(lines: FieldLines<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

/// The HTTP date that many seconds after [`NOON`].
pub(super) fn date(secs: i64) -> String {
    let time = Timestamp::from_unix_secs(NOON.unix_secs() + secs);
    date_value(time).to_str().unwrap().to_owned()
}
