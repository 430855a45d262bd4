//! Moments from RFC 3339 texts, for tests.

use std::str::FromStr;

use super::{DAY_SECS, Moment, days_from_civil};
use crate::LocalTime;

impl FromStr for Moment<'_> {
    type Err = String;

    /// `2026-11-24T08:59:59-03:00`, with `Z` for UTC.
    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| {
            format!("{text:?} is not a moment: write \"2026-11-24T08:59:59-03:00\", from 1970 on")
        })
    }
}

/// The separators between the numbers, with their places.
const MARKS: [(usize, u8); 5] = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];

fn parse<'a>(text: &str) -> Option<Moment<'a>> {
    if !text.is_ascii() || text.len() < 20 {
        return None;
    }
    let (date_time, offset) = text.split_at(19);
    if MARKS
        .iter()
        .any(|(at, mark)| date_time.as_bytes()[*at] != *mark)
    {
        return None;
    }
    let number = |at: usize, len: usize| digits(&date_time[at..at + len]);
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let offset_mins = offset_mins(offset)?;
    if !(1_970..=9_999).contains(&year)
        || !(1..=12).contains(&month)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    let days = days_from_civil(year, month, day);
    let of_day = hour * 3_600 + minute * 60 + second;
    let unix_secs = days * DAY_SECS + of_day - i64::from(offset_mins) * 60;
    let moment = Moment::new(u64::try_from(unix_secs).ok()?, offset_mins);
    // The 31st of November would have become the 1st of December.
    (i64::from(moment.day) == day).then_some(moment)
}

fn digits(text: &str) -> Option<i64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

/// Minutes ahead of UTC: `-03:00` is -180.
fn offset_mins(text: &str) -> Option<i16> {
    let (sign, time) = match text.split_at_checked(1)? {
        ("Z", "") => return Some(0),
        ("+", time) => (1, time),
        ("-", time) => (-1, time),
        _ => return None,
    };
    let mins = time.parse::<LocalTime>().ok()?.as_mins();
    Some(sign * i16::try_from(mins).ok()?)
}
