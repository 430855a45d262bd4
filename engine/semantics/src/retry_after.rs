//! How long a server asks to be left alone: `Retry-After` (RFC 9110 §10.2.3).

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;

use super::timestamp::Timestamp;

/// The delay that the `Retry-After` of a response asks for: its number of seconds, at most
/// `u32::MAX`, or the time from `now` to its date, zero if that has passed. `None` if the field is
/// absent or malformed.
///
/// ```
/// use std::time::Duration;
/// use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
/// use tero_semantics::retry_after::retry_after;
/// use tero_semantics::timestamp::Timestamp;
///
/// let now = Timestamp::from_unix_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
/// for value in ["60", "Sun, 06 Nov 1994 08:50:37 GMT"] {
///     let response = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
///     assert_eq!(retry_after(&response, now), Some(Duration::from_secs(60)));
/// }
/// ```
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(secs) = value.parse::<u32>() {
        return Some(Duration::from_secs(secs.into()));
    }
    let until = httpdate::parse_http_date(value)
        .ok()?
        .duration_since(std::time::UNIX_EPOCH)
        .ok()?;
    let until = Timestamp::from_unix_millis(i64::try_from(until.as_millis()).ok()?);
    Some(until.since(now))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Timestamp::from_unix_secs(784_111_777);
        for (value, expected) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("-1", None),
            ("99999999999", None),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            assert_eq!(
                retry_after(&headers, now),
                expected.map(Duration::from_secs),
                "{value}"
            );
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
