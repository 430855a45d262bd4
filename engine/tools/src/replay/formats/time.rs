//! Times as logs write them.

use tero_semantics::timestamp::Timestamp;

const DAY_SECS: i64 = 86_400;

/// A day of the Gregorian calendar, as days since 1 January 1970; `None` if there is no such day, or
/// its year has more than four digits.
pub(super) fn day(year: u32, month: u32, day: u32) -> Option<i64> {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=length).contains(&day) || !(1..=9_999).contains(&year) {
        return None;
    }
    // Years that begin in March have the leap day last.
    let (year, month) = (
        i64::from(year) - i64::from(month < 3),
        i64::from((month + 9) % 12),
    );
    let in_year = (153 * month + 2) / 5 + i64::from(day) - 1;
    Some(
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + in_year
            - 719_468,
    )
}

/// `2026-11-25`, as days since 1 January 1970.
pub(super) fn date(text: &str) -> Option<i64> {
    let text = text.as_bytes();
    if text.len() != 10 || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    day(
        number(&text[..4])?,
        number(&text[5..7])?,
        number(&text[8..])?,
    )
}

/// `08:59:00` or `08:59:00.123456`, as milliseconds since midnight. A leap second is the next one.
pub(super) fn time_of_day(text: &str) -> Option<i64> {
    let text = text.as_bytes();
    if text.len() < 8 || text[2] != b':' || text[5] != b':' {
        return None;
    }
    let (hour, minute, second) = (
        number(&text[..2])?,
        number(&text[3..5])?,
        number(&text[6..8])?,
    );
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let millis = match text.get(8) {
        None => 0,
        Some(b'.' | b',') => fraction(&text[9..])?,
        Some(_) => return None,
    };
    Some(i64::from(hour * 3_600 + minute * 60 + second) * 1_000 + millis)
}

/// The digits after a decimal point, in milliseconds.
fn fraction(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let padded = digits.iter().copied().chain(std::iter::repeat(b'0'));
    Some(
        padded
            .take(3)
            .fold(0, |millis, digit| millis * 10 + i64::from(digit - b'0')),
    )
}

/// `25/Nov/2026:08:59:00 -0300`, as Apache writes it.
pub(super) fn apache(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() != 26
        || bytes[2] != b'/'
        || bytes[6] != b'/'
        || bytes[11] != b':'
        || bytes[20] != b' '
    {
        return None;
    }
    let month = match &bytes[3..6] {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    };
    let day = day(number(&bytes[7..11])?, month, number(&bytes[..2])?)?;
    at(day, text.get(12..20)?, text.get(21..)?)
}

/// RFC 3339, or ISO 8601 with less punctuation in its offset. Without an offset it is UTC.
pub(super) fn iso(text: &str) -> Option<Timestamp> {
    let day = date(text.get(..10)?)?;
    if !matches!(text.as_bytes().get(10), Some(b'T' | b't' | b' ')) {
        return None;
    }
    let rest = text.get(11..)?;
    let end = rest.find(['Z', 'z', '+', '-', ' ']).unwrap_or(rest.len());
    at(day, &rest[..end], rest[end..].trim())
}

fn at(day: i64, time: &str, offset: &str) -> Option<Timestamp> {
    let millis = day * DAY_SECS * 1_000 + time_of_day(time)?;
    Some(Timestamp::from_unix_millis(
        millis - offset_secs(offset)? * 1_000,
    ))
}

fn offset_secs(text: &str) -> Option<i64> {
    if matches!(text, "" | "Z" | "z" | "UTC" | "GMT") {
        return Some(0);
    }
    let sign = match text.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = &text.as_bytes()[1..];
    let (hours, minutes) = match digits.len() {
        2 => (number(digits)?, 0),
        4 => (number(&digits[..2])?, number(&digits[2..])?),
        5 if digits[2] == b':' => (number(&digits[..2])?, number(&digits[3..])?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * i64::from(hours * 3_600 + minutes * 60))
}

/// Seconds, milliseconds, microseconds or nanoseconds since the Unix epoch: the number of digits
/// tells which. Seconds may have a fraction.
pub(super) fn unix(text: &str) -> Option<Timestamp> {
    let (whole, part) = match text.split_once('.') {
        Some((whole, part)) => (whole, fraction(part.as_bytes())?),
        None => (text, 0),
    };
    if whole.is_empty() || whole.len() > 19 || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: i64 = whole.parse().ok()?;
    let millis = match whole.len() {
        ..=11 => count * 1_000 + part,
        12..=14 => count,
        15..=17 => count / 1_000,
        _ => count / 1_000_000,
    };
    Some(Timestamp::from_unix_millis(millis))
}

/// A time in any of these forms.
pub(super) fn any_form(text: &str) -> Option<Timestamp> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    unix(bare).or_else(|| iso(bare)).or_else(|| apache(bare))
}

fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + u32::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Datelike, NaiveDate};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_form_of_a_time_is_read() {
        for (text, millis) in [
            ("25/Nov/2026:08:59:00 -0300", 1_795_607_940_000),
            ("[25/Nov/2026:08:59:00 -0300]", 1_795_607_940_000),
            ("2026-11-25T11:59:00Z", 1_795_607_940_000),
            ("2026-11-25t11:59:00.25z", 1_795_607_940_250),
            ("2026-11-25T08:59:00.1234567-03:00", 1_795_607_940_123),
            ("2026-11-25T08:59:00-0300", 1_795_607_940_000),
            ("2026-11-25 11:59:00", 1_795_607_940_000),
            ("2026-11-25 11:59:00 UTC", 1_795_607_940_000),
            ("2026-11-25 13:59:00 +02", 1_795_607_940_000),
            ("1795607940", 1_795_607_940_000),
            ("1795607940.5", 1_795_607_940_500),
            ("1795607940123", 1_795_607_940_123),
            ("1795607940123456", 1_795_607_940_123),
            ("1795607940123456789", 1_795_607_940_123),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ] {
            assert_eq!(
                any_form(text),
                Some(Timestamp::from_unix_millis(millis)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in [
            "",
            "-",
            "yesterday",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-25",
            "2026-11-25T24:00:00Z",
            "2026-11-25T11:60:00Z",
            "2026-11-25T11:59:00+24:00",
            "2026-11-25T11:59Z",
            "32/Nov/2026:08:59:00 -0300",
            "25/Nop/2026:08:59:00 -0300",
            "25/Nov/2026:08:59:00",
            "1.",
            "1.x",
            "0000-01-01T00:00:00Z",
            "123456789012345678901",
            "25/Nov/2026:08:59:0é -030",
        ] {
            assert_eq!(any_form(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn days_are_those_of_the_calendar(days in -700_000_i32..2_900_000) {
            let date = NaiveDate::from_num_days_from_ce_opt(days + 719_163).unwrap();
            if let Ok(year) = u32::try_from(date.year()) && (1..=9_999).contains(&year) {
                prop_assert_eq!(day(year, date.month(), date.day()), Some(i64::from(days)));
            }
        }

        #[test]
        fn written_times_are_read_again(millis in 0_i64..253_402_300_800_000, minutes in -720_i32..840) {
            let zone = chrono::FixedOffset::east_opt(minutes * 60).unwrap();
            #[allow(clippy::disallowed_methods)] // A fixed offset needs no zone data.
            let at = DateTime::from_timestamp_millis(millis).unwrap().with_timezone(&zone);
            if at.year() <= 9_999 {
                let written = at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
                prop_assert_eq!(any_form(&written), Some(Timestamp::from_unix_millis(millis)), "{}", written);
                let apache = at.format("%d/%b/%Y:%H:%M:%S %z").to_string();
                prop_assert_eq!(any_form(&apache), Some(Timestamp::from_unix_secs(millis / 1_000)), "{}", apache);
            }
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,40}") {
            let _ = (any_form(&text), date(&text), time_of_day(&text));
        }
    }
}
