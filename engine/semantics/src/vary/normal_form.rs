//! The normal form of a field's value, in which requests are compared (RFC 9111 §4.1).

use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, HOST,
    HeaderMap, HeaderName, ORIGIN, REFERER, USER_AGENT,
};

use super::codings::write_codings;
use super::sink::NormalFormSink;
use super::weighted::write_weighted;
use crate::list::list_members;

/// Writes the value of a field in normal form.
pub(super) fn write_normal(name: &HeaderName, headers: &HeaderMap, sink: &mut impl NormalFormSink) {
    match *name {
        ACCEPT_ENCODING => write_codings(headers, sink),
        ACCEPT | ACCEPT_CHARSET | ACCEPT_LANGUAGE => write_weighted(name, headers, sink),
        // Not lists: a comma in them separates nothing.
        COOKIE => write_lines(name, headers, b"; ", sink),
        AUTHORIZATION | HOST | ORIGIN | REFERER | USER_AGENT => {
            write_lines(name, headers, b", ", sink);
        }
        _ => write_members(name, headers, sink),
    }
}

fn write_lines(
    name: &HeaderName,
    headers: &HeaderMap,
    between: &[u8],
    sink: &mut impl NormalFormSink,
) {
    for (at, line) in headers.get_all(name).iter().enumerate() {
        if at > 0 {
            sink.put(between);
        }
        sink.put(line.as_bytes().trim_ascii());
    }
}

/// A list of unknown meaning: the order and the letters of its members count, white space around
/// them does not.
fn write_members(name: &HeaderName, headers: &HeaderMap, sink: &mut impl NormalFormSink) {
    let lines = headers.get_all(name).iter();
    let members = lines.flat_map(|line| list_members(line.as_bytes()));
    for (at, member) in members.enumerate() {
        if at > 0 {
            sink.put(b",");
        }
        sink.put(member);
    }
}
