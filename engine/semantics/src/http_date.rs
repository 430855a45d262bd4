//! Dates in fields (RFC 9110 §5.6.7): read in each of the three formats, written in the first one.

use std::cell::Cell;
use std::ops::RangeInclusive;
use std::time::{Duration, UNIX_EPOCH};

use http::HeaderValue;

use super::timestamp::Timestamp;

/// The length of `Sun, 06 Nov 1994 08:49:37 GMT`.
const IMF_FIXDATE_BYTES: usize = 29;

/// The lengths of the three formats: from `Sun Nov  6 08:49:37 1994` to
/// `Wednesday, 09-Nov-94 08:49:37 GMT`.
const DATE_BYTES: RangeInclusive<usize> = 24..=33;

/// The last second of the year 9999, since the Unix epoch.
const LAST_SECS: u64 = 253_402_300_799;

thread_local! {
    /// The last date that was read in the first format: for a second, all responses have the same
    /// `Date`.
    static LAST: Cell<([u8; IMF_FIXDATE_BYTES], Timestamp)> =
        const { Cell::new(([0; IMF_FIXDATE_BYTES], Timestamp::from_unix_secs(0))) };
}

/// The instant that an HTTP date means, in whole seconds; `None` if it has none of the three
/// formats or lies before 1970. Upper and lower case are the same (RFC 9111 §4.2).
///
/// ```
/// use http::HeaderValue;
/// use tero_semantics::http_date::http_date;
/// use tero_semantics::timestamp::Timestamp;
///
/// for text in [
///     "Sun, 06 Nov 1994 08:49:37 GMT",
///     "Sunday, 06-Nov-94 08:49:37 GMT",
///     "Sun Nov  6 08:49:37 1994",
/// ] {
///     let date = http_date(&HeaderValue::from_static(text));
///     assert_eq!(date, Some(Timestamp::from_unix_secs(784_111_777)));
/// }
/// assert_eq!(http_date(&HeaderValue::from_static("0")), None);
/// ```
pub fn http_date(value: &HeaderValue) -> Option<Timestamp> {
    let Ok(bytes) = <[u8; IMF_FIXDATE_BYTES]>::try_from(value.as_bytes()) else {
        return read_date(value);
    };
    let (last, time) = LAST.get();
    if last == bytes {
        return Some(time);
    }
    let time = read_date(value)?;
    LAST.set((bytes, time));
    Some(time)
}

fn read_date(value: &HeaderValue) -> Option<Timestamp> {
    let text = value.to_str().ok()?;
    let time = httpdate::parse_http_date(text)
        .or_else(|_| httpdate::parse_http_date(&in_usual_case(text)))
        .ok()?;
    let since_epoch = time.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_secs())
        .ok()
        .map(Timestamp::from_unix_secs)
}

/// A date with its names in the case that the grammar gives them; an empty text if its length alone
/// says that it isn't a date.
fn in_usual_case(text: &str) -> String {
    if !DATE_BYTES.contains(&text.len()) {
        return String::new();
    }
    let mut usual = text.to_ascii_lowercase();
    let letters: Vec<usize> = usual
        .match_indices(char::is_alphabetic)
        .map(|(at, _)| at)
        .collect();
    for at in &letters {
        let starts_a_name = *at == 0 || !letters.contains(&(*at - 1));
        if starts_a_name {
            usual[*at..=*at].make_ascii_uppercase();
        }
    }
    match usual.strip_suffix(" Gmt") {
        Some(date) => format!("{date} GMT"),
        None => usual,
    }
}

/// `time` as an HTTP date in the first format, in whole seconds rounded down. Times before 1970 and
/// after 9999 are written as the first and the last second between.
///
/// ```
/// use tero_semantics::http_date::date_value;
/// use tero_semantics::timestamp::Timestamp;
///
/// let date = date_value(Timestamp::from_unix_millis(784_111_777_999));
/// assert_eq!(date, "Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
pub fn date_value(time: Timestamp) -> HeaderValue {
    let secs = u64::try_from(time.unix_secs()).unwrap_or(0).min(LAST_SECS);
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(secs));
    HeaderValue::from_str(&date).expect("a date is ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_date_formats_are_read_and_no_other() {
        let good = [
            "Thu, 18 Aug 2050 02:01:18 GMT",
            "Thursday, 18-Aug-50 02:01:18 GMT",
            "Thu Aug 18 02:01:18 2050",
            // Upper and lower case are the same (RFC 9111 §4.2).
            "THU, 18 Aug 2050 02:01:18 GMT",
            "thu, 18 AUG 2050 02:01:18 gMT",
            "tHURSDAY, 18-aug-50 02:01:18 gmt",
            "thu aUG 18 02:01:18 2050",
        ];
        for text in good {
            let time = http_date(&HeaderValue::from_str(text).unwrap());
            assert_eq!(
                time,
                Some(Timestamp::from_unix_secs(2_544_400_878)),
                "{text}"
            );
        }
        let bad: &[&[u8]] = &[
            b"0",
            b"-1",
            b"",
            b"foo",
            b"2544400878",
            b"2050-08-18T02:01:18Z",
            b"Thu, 18 Aug 2050 02:01:18 UTC",
            b"Thu, 18 Aug 2050 02:01:18",
            b"Thu, 18 Aug 50 02:01:18 GMT",
            b"Thu 18 Aug 2050 02:01:18 GMT",
            b"Thu, 18  Aug  2050 02:01:18 GMT",
            b"Thu, 18-Aug-2050 02:01:18 GMT",
            b"Thu, 18 Aug 2050 02.01.18 GMT",
            b"Thu, 18 Aug 2050 2:01:18 GMT",
            b"Thu, 18 Aug 2050 24:01:18 GMT",
            b"Thu, 32 Aug 2050 02:01:18 GMT",
            b"Thu, 18 Aug 1950 02:01:18 GMT",
            b"Thu, 18 Aug 2050 02:01:18 GMT\xff",
        ];
        for text in bad {
            assert_eq!(
                http_date(&HeaderValue::from_bytes(text).unwrap()),
                None,
                "{:?}",
                String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn dates_outside_1970_to_9999_are_clamped() {
        assert_eq!(
            date_value(Timestamp::from_unix_millis(i64::MIN)),
            "Thu, 01 Jan 1970 00:00:00 GMT"
        );
        assert_eq!(
            date_value(Timestamp::from_unix_millis(i64::MAX)),
            "Fri, 31 Dec 9999 23:59:59 GMT"
        );
    }
}
