//! Dates in fields (RFC 9110 §5.6.7): read in any of their three forms, written in the usual one.

use std::cell::Cell;

use http::HeaderValue;

use super::timestamp::Timestamp;

/// The lengths of HTTP dates: from `Thu Aug 18 02:01:18 2050` to
/// `Wednesday, 18-Aug-50 02:01:18 GMT`.
const USUAL_DATE_BYTES: usize = 29;
const DATE_BYTES: std::ops::RangeInclusive<usize> = 24..=33;

/// An HTTP date in any of its three forms (RFC 9110 §5.6.7), in letters of either case (§4.2); none
/// where it is anything else.
///
/// The last one in the usual form is remembered by each thread: for a second, all responses have
/// the same `Date`.
pub fn http_date(value: &HeaderValue) -> Option<Timestamp> {
    thread_local! {
        static LAST: Cell<([u8; USUAL_DATE_BYTES], Timestamp)> = const { Cell::new(([0; USUAL_DATE_BYTES], Timestamp::from_unix_secs(0))) };
    }
    let Ok(bytes) = <[u8; USUAL_DATE_BYTES]>::try_from(value.as_bytes()) else {
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
    let since_epoch = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_secs())
        .ok()
        .map(Timestamp::from_unix_secs)
}

/// A date with its names as they are usually written; nothing where it can be none.
fn in_usual_case(text: &str) -> String {
    let mut usual = if DATE_BYTES.contains(&text.len()) {
        text.to_ascii_lowercase()
    } else {
        String::new()
    };
    let starts: Vec<usize> = usual
        .match_indices(char::is_alphabetic)
        .map(|(at, _)| at)
        .collect();
    for at in starts
        .iter()
        .filter(|at| **at == 0 || !starts.contains(&(**at - 1)))
    {
        usual[*at..=*at].make_ascii_uppercase();
    }
    match usual.strip_suffix(" Gmt") {
        Some(date) => format!("{date} GMT"),
        None => usual,
    }
}

/// `time` as an HTTP date (RFC 9110 §5.6.7), in whole seconds rounded down; held within the years
/// 1970 to 9999.
pub fn date_value(time: Timestamp) -> HeaderValue {
    const LAST: u64 = 253_402_300_799;
    let secs = u64::try_from(time.unix_secs()).unwrap_or(0).min(LAST);
    let date =
        httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(secs));
    HeaderValue::from_str(&date).expect("a date is ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_three_forms_and_no_other() {
        let good = [
            "Thu, 18 Aug 2050 02:01:18 GMT",
            "Thursday, 18-Aug-50 02:01:18 GMT",
            "Thu Aug 18 02:01:18 2050",
            // In letters of either case (RFC 9111 §4.2).
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
