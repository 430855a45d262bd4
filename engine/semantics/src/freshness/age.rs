//! How old a response is when it comes (RFC 9111 §4.2.3).

use std::time::Duration;

use http::header::{AGE, DATE, HeaderMap};

use crate::cache_control::delta_seconds;
use crate::http_date::http_date;
use crate::list::list_members;
use crate::timestamp::Timestamp;

/// The corrected initial age, in the RFC's own terms. The apparent age is computed in whole
/// seconds, since `Date` has no finer ones.
pub(super) fn initial_age(
    headers: &HeaderMap,
    request_time: Timestamp,
    response_time: Timestamp,
) -> Duration {
    let response_secs = Timestamp::from_unix_secs(response_time.unix_secs());
    let apparent_age = response_secs.since(date_or(headers, response_time));
    let response_delay = response_time.since(request_time);
    let corrected_age_value = age_value(headers).saturating_add(response_delay);
    apparent_age.max(corrected_age_value)
}

/// The value of `Age`: its first member, or zero if that isn't a number (§5.1).
///
/// ```
/// use std::time::Duration;
/// use http::header::{AGE, HeaderMap, HeaderValue};
/// use tero_semantics::freshness::age_value;
///
/// for (value, secs) in [("30", 30), ("30, 60", 30), ("old", 0)] {
///     let response = HeaderMap::from_iter([(AGE, HeaderValue::from_static(value))]);
///     assert_eq!(age_value(&response), Duration::from_secs(secs));
/// }
/// ```
pub fn age_value(headers: &HeaderMap) -> Duration {
    let first = headers
        .get(AGE)
        .and_then(|line| list_members(line.as_bytes()).next());
    first.and_then(delta_seconds).unwrap_or(Duration::ZERO)
}

/// `Date`, or the time of arrival if it is missing or malformed (RFC 9110 §6.6.1).
pub(super) fn date_or(headers: &HeaderMap, response_time: Timestamp) -> Timestamp {
    headers
        .get(DATE)
        .and_then(http_date)
        .unwrap_or(Timestamp::from_unix_secs(response_time.unix_secs()))
}
