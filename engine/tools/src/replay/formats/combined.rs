//! Apache's common and combined formats, as Apache, nginx, varnishncsa and tero write them:
//! `[HOST] CLIENT IDENT USER [TIME] "METHOD TARGET PROTOCOL" STATUS BYTES "REFERER" "USER AGENT"`.
//! The last two may be missing, and anything may stand after them.
//!
//! Quoted text comes from clients. The writers put a backslash before quotes, or write bytes as
//! `\x22`, so an unescaped quote ends a text, and text that looks like a time can't have a quote
//! after it.

use std::borrow::Cow;

use http::header::{REFERER, USER_AGENT};

use super::draft::RecordDraft;
use super::fields::LogFact;
use crate::replay::record::{LineFault, LogRecord};

/// Whether a line may be in this format: it has a time in brackets, with a quote after it.
pub(super) fn looks_so(line: &str) -> bool {
    split(line).is_some()
}

/// Reads a line.
pub(super) fn record(line: &str) -> Result<LogRecord, LineFault> {
    let (before, time, after) = split(line).ok_or(LineFault::Format)?;
    let mut draft = RecordDraft::default();
    draft.set(&LogFact::At, Cow::Borrowed(time));
    clients(before, &mut draft);
    let (request, rest) = quoted(after).ok_or(LineFault::Fields)?;
    if let Some(method) = request.split(' ').next()
        && method.bytes().any(|byte| !byte.is_ascii_graphic())
    {
        return Err(LineFault::Request);
    }
    draft.request_line(request);
    let mut numbers = rest.split_ascii_whitespace();
    draft.set(&LogFact::Status, numbers.next().unwrap_or_default().into());
    draft.set(&LogFact::Bytes, numbers.next().unwrap_or_default().into());
    if let Some((referer, rest)) = quoted(rest) {
        draft.set(&LogFact::RequestField(REFERER), referer);
        if let Some((user_agent, _)) = quoted(rest) {
            draft.set(&LogFact::RequestField(USER_AGENT), user_agent);
        }
    }
    draft.finish()
}

/// What stands before the time, the time, and the rest from the quote on.
fn split(line: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(open) = line[from..].find('[').map(|at| from + at) {
        let rest = &line[open + 1..];
        if let Some(close) = rest.find(']')
            && let Some(after) = rest[close + 1..].strip_prefix(" \"")
            && !has_open_quote(&line[..open])
        {
            let quote = line.len() - after.len() - 1;
            return Some((&line[..open], &rest[..close], &line[quote..]));
        }
        from = open + 1;
    }
    None
}

/// Whether a quote stands in a text that is not escaped. A user's name may have escaped ones.
fn has_open_quote(text: &str) -> bool {
    let mut is_escaped = false;
    text.bytes().any(|byte| {
        let is_open = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_open
    })
}

/// Reads `CLIENT IDENT USER`, or `HOST CLIENT IDENT USER`: the virtual host stands first in some
/// logs. A user's name may have spaces, so a host is taken only before an address.
fn clients(text: &str, draft: &mut RecordDraft<'_>) {
    let mut words = text.split_ascii_whitespace();
    let (first, second) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let is_address = |word: &str| word.parse::<std::net::IpAddr>().is_ok();
    if !is_address(first) && is_address(second) {
        draft.set(&LogFact::Host, Cow::Owned(first.to_owned()));
        draft.set(&LogFact::Client, Cow::Owned(second.to_owned()));
    } else {
        draft.set(&LogFact::Client, Cow::Owned(first.to_owned()));
    }
}

/// The next text in quotes, without its escapes, and the rest of the line.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let text = &text[text.find('"')? + 1..];
    let end = text.find(['"', '\\'])?;
    if text.as_bytes()[end] == b'"' {
        return Some((Cow::Borrowed(&text[..end]), &text[end + 1..]));
    }
    let mut plain = text.as_bytes()[..end].to_vec();
    let bytes = text.as_bytes();
    let mut at = end;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let plain = String::from_utf8(plain)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
                return Some((Cow::Owned(plain), &text[at + 1..]));
            }
            b'\\' => at += escape(&bytes[at + 1..], &mut plain) + 1,
            byte => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    None
}

/// Adds what stands after a backslash; returns how many bytes that is.
fn escape(after: &[u8], plain: &mut Vec<u8>) -> usize {
    let hex = |byte: &u8| char::from(*byte).to_digit(16);
    match after {
        [b'x', high, low, ..] => match (hex(high), hex(low)) {
            (Some(high), Some(low)) => {
                plain.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                3
            }
            _ => {
                plain.push(b'x');
                1
            }
        },
        [byte, ..] => {
            plain.push(match byte {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                byte => *byte,
            });
            1
        }
        [] => 0,
    }
}
