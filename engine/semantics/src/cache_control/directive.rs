//! How a directive is written: its name, its argument, and numbers of seconds (RFC 9111 §5.2,
//! §1.2.2).

use std::time::Duration;

use http::HeaderName;

use crate::list::{closing_quote, list_members};

/// The longest lifetime, in seconds: 2^31. Longer ones are read as this (RFC 9111 §1.2.2).
pub const MAX_DELTA_SECS: u64 = 1 << 31;

/// What follows a directive's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Argument<'a> {
    /// Nothing.
    Absent,
    /// A value, without its quotes if it had any: both forms must be accepted (§5.2). A backslash
    /// stays in place, since no value that is read here may contain one.
    Value(&'a [u8]),
    /// Something that the grammar does not allow: white space beside the `=`, or a quote that isn't
    /// closed.
    Malformed,
}

impl Argument<'_> {
    /// The number of seconds; `None` if it is absent or malformed.
    pub(super) fn delta(self) -> Option<Duration> {
        match self {
            Argument::Value(digits) => delta_seconds(digits),
            Argument::Absent | Argument::Malformed => None,
        }
    }
}

/// delta-seconds (§1.2.2), at most [`MAX_DELTA_SECS`]; `None` if there is anything but digits.
pub(crate) fn delta_seconds(digits: &[u8]) -> Option<Duration> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let secs = digits.iter().fold(0_u64, |secs, digit| {
        secs.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    Some(Duration::from_secs(secs.min(MAX_DELTA_SECS)))
}

/// The field names of a comma-separated list; `None` if it is empty or one of them isn't a name.
pub(super) fn field_names(list: &[u8]) -> Option<Box<[HeaderName]>> {
    let names: Option<Box<[HeaderName]>> = list
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|name| !name.is_empty())
        .map(|name| HeaderName::from_bytes(name).ok())
        .collect();
    names.filter(|names| !names.is_empty())
}

/// Calls `take` with the name and the argument of each directive of a line, in order.
pub(super) fn each_directive<'a>(line: &'a [u8], mut take: impl FnMut(&'a [u8], Argument<'a>)) {
    for member in list_members(line) {
        let (name, argument) = match member.iter().position(|byte| *byte == b'=') {
            None => (member, Argument::Absent),
            Some(at) => (&member[..at], argument(&member[..at], &member[at + 1..])),
        };
        take(name.trim_ascii_end(), argument);
    }
}

fn argument<'a>(name: &[u8], value: &'a [u8]) -> Argument<'a> {
    let spaced = name.last().is_some_and(u8::is_ascii_whitespace)
        || value.first().is_some_and(u8::is_ascii_whitespace);
    if spaced || value.is_empty() {
        return Argument::Malformed;
    }
    match value.strip_prefix(b"\"") {
        None => Argument::Value(value),
        Some(quoted) => match closing_quote(quoted) {
            Some(end) if end + 1 == quoted.len() => Argument::Value(&quoted[..end]),
            Some(_) | None => Argument::Malformed,
        },
    }
}
