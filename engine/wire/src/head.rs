//! The head of a message: where it ends, and which length of the body it announces (RFC 9112 §6).

use super::fault::Fault;
use super::lines::{Lines, RawLine};

/// How long a body is (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// No field tells the length.
    Unsaid,
    /// That many bytes.
    Length(u64),
    /// Chunks, up to an empty one.
    Chunked,
}

/// A head, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Head {
    lines: Lines,
    /// The start line has come.
    started: bool,
    /// The status of a response; 0 if the start line has none.
    status: u16,
    length: Option<u64>,
    chunked: bool,
}

impl Head {
    /// Reads bytes up to the end of the head; returns where that is, once it is there.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let mut at = 0;
        while let Some((line, next)) = self.lines.cut(&bytes[at..])? {
            at += next;
            match line.bytes.first() {
                // Empty lines before the start line have no meaning (§2.2).
                None if !self.started => {}
                None => return Ok(Some(at)),
                Some(_) if !self.started => {
                    self.status = status(line.bytes);
                    self.started = true;
                }
                Some(b'c' | b'C' | b't' | b'T') => {
                    if let Some(field) = FramingField::of(line)? {
                        self.note(field)?;
                    }
                }
                Some(_) => {}
            }
        }
        Ok(None)
    }

    /// How long the body is, according to the fields that have come.
    pub(super) fn framing(&self) -> Framing {
        match self.length {
            _ if self.chunked => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::Unsaid,
        }
    }

    /// Whether a final response follows this one.
    pub(super) fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }

    /// Whether a response with this status has no body, whatever its fields say (§6.3).
    pub(super) fn is_bodiless(&self) -> bool {
        matches!(self.status, 100..=199 | 204 | 304)
    }

    #[cold]
    fn note(&mut self, field: FramingField) -> Result<(), Fault> {
        match field {
            FramingField::Length(_) if self.length.is_some() => return Err(Fault::Lengths),
            FramingField::Chunked if self.chunked => return Err(Fault::Coding),
            FramingField::Length(length) => self.length = Some(length),
            FramingField::Chunked => self.chunked = true,
        }
        if self.chunked && self.length.is_some() {
            Err(Fault::LengthAndCoding)
        } else {
            Ok(())
        }
    }
}

/// The status of a status line; 0 if the line isn't one.
fn status(line: &[u8]) -> u16 {
    let digits = line
        .strip_prefix(b"HTTP/1.")
        .and_then(|rest| rest.get(2..5))
        .filter(|digits| digits.iter().all(u8::is_ascii_digit));
    digits.map_or(0, |digits| {
        digits
            .iter()
            .fold(0, |status, digit| status * 10 + u16::from(digit - b'0'))
    })
}

/// A field that tells the length of the body.
enum FramingField {
    Length(u64),
    Chunked,
}

impl FramingField {
    /// `None` if the line is another field.
    fn of(line: RawLine<'_>) -> Result<Option<FramingField>, Fault> {
        if let Some(value) = value_of(line.bytes, b"content-length") {
            let length = if line.overlong { None } else { length(value) };
            return length
                .map(|length| Some(FramingField::Length(length)))
                .ok_or(Fault::Length);
        }
        match value_of(line.bytes, b"transfer-encoding") {
            None => Ok(None),
            Some(_) if line.overlong => Err(Fault::Coding),
            Some(value) if is_chunked(value) => Ok(Some(FramingField::Chunked)),
            Some(value) => Err(fault_of_coding(value)),
        }
    }
}

/// The value of a field; `None` if the line is another one.
fn value_of<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (own, value) = line.split_at_checked(name.len())?;
    let value = value.strip_prefix(b":")?;
    own.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn length(value: &[u8]) -> Option<u64> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    str::from_utf8(value)
        .ok()
        .filter(|_| is_number)?
        .parse()
        .ok()
}

/// What is wrong with a coding other than `chunked` alone. If `chunked` is the last of several, the
/// length is known and the answer is 501, otherwise 400 (§6.1, §6.3).
pub(super) fn fault_of_coding(value: &[u8]) -> Fault {
    let mut codings = value
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .rev();
    if codings.next().is_some_and(is_chunked) && !codings.any(is_chunked) {
        Fault::UnknownCoding
    } else {
        Fault::Coding
    }
}

fn is_chunked(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"chunked")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<(Option<usize>, Framing), Fault> {
        let mut head = Head::default();
        let end = head.take(text.as_bytes())?;
        Ok((end, head.framing()))
    }

    fn framing(fields: &str) -> Result<Framing, Fault> {
        head(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")).map(|(_, framing)| framing)
    }

    #[test]
    fn a_head_ends_with_its_empty_line() {
        assert_eq!(
            head("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET"),
            Ok((Some(27), Framing::Unsaid))
        );
        assert_eq!(
            head("\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
            Ok((Some(22), Framing::Unsaid))
        );
        assert_eq!(
            head("GET / HTTP/1.1\r\nHost: a\r\n").map(|(end, _)| end),
            Ok(None)
        );
        assert_eq!(head("\r\n\r\n").map(|(end, _)| end), Ok(None));
    }

    #[test]
    fn framing_comes_from_a_single_field() {
        assert_eq!(framing("X: 1"), Ok(Framing::Unsaid));
        assert_eq!(framing("Content-Length:5"), Ok(Framing::Length(5)));
        assert_eq!(
            framing("CONTENT-LENGTH: \t18446744073709551615 "),
            Ok(Framing::Length(u64::MAX))
        );
        assert_eq!(framing("content-length: 0007"), Ok(Framing::Length(7)));
        assert_eq!(
            framing("transfer-encoding: CHUNKED\t"),
            Ok(Framing::Chunked)
        );
        for other in [
            "Content-Lengthy: 5, 6",
            "Content-Type: x",
            "Cookie: content-length: 5x",
            "TE: chunked",
            "Trailer: content-length",
        ] {
            assert_eq!(framing(other), Ok(Framing::Unsaid), "{other}");
        }
    }

    #[test]
    fn ambiguous_framing_is_a_fault() {
        let max = "18446744073709551616";
        for value in [
            "", "+5", "-1", "0x5", "5, 5", "5 6", "5\u{b}", "\u{661}", max,
        ] {
            assert_eq!(
                framing(&format!("Content-Length: {value}")),
                Err(Fault::Length),
                "{value}"
            );
        }
        let (length, chunked) = ("Content-Length: 5", "Transfer-Encoding: chunked");
        assert_eq!(
            framing(&format!("{length}\r\n{length}")),
            Err(Fault::Lengths)
        );
        assert_eq!(
            framing(&format!("{length}\r\nX: 1\r\n{chunked}")),
            Err(Fault::LengthAndCoding)
        );
        assert_eq!(
            framing(&format!("{chunked}\r\n{length}")),
            Err(Fault::LengthAndCoding)
        );
        assert_eq!(
            framing(&format!("{chunked}\r\n{chunked}")),
            Err(Fault::Coding)
        );
        for value in [
            "",
            "identity",
            "chunked, identity",
            "chunked, chunked",
            "xchunked",
            "chunked;q=1",
            "\"chunked\"",
            "chunked,",
        ] {
            assert_eq!(
                framing(&format!("Transfer-Encoding: {value}")),
                Err(Fault::Coding),
                "{value}"
            );
        }
        for value in ["gzip, chunked", "identity,Chunked", " , chunked"] {
            assert_eq!(
                framing(&format!("Transfer-Encoding: {value}")),
                Err(Fault::UnknownCoding),
                "{value}"
            );
        }
    }

    #[test]
    fn an_overlong_framing_field_is_a_fault() {
        for (name, fault) in [
            ("Content-Length", Fault::Length),
            ("Transfer-Encoding", Fault::Coding),
        ] {
            let mut head = Head::default();
            assert_eq!(
                head.take(format!("POST / HTTP/1.1\r\n{name}:{}", " ".repeat(2_000)).as_bytes()),
                Ok(None)
            );
            assert_eq!(head.take(b"5\r\n\r\n"), Err(fault));
        }
    }

    #[test]
    fn interim_responses_are_recognised_by_their_status() {
        for (line, interim) in [
            ("HTTP/1.1 100 Continue", true),
            ("HTTP/1.1 103", true),
            ("HTTP/1.0 199 x", true),
            ("HTTP/1.1 101 Switching Protocols", false),
            ("HTTP/1.1 200 OK", false),
            ("HTTP/1.1 1x3 OK", false),
            ("HTTP/1.1", false),
            ("GET /100 HTTP/1.1", false),
        ] {
            let mut head = Head::default();
            head.take(format!("{line}\r\n\r\n").as_bytes()).unwrap();
            assert_eq!(head.is_interim(), interim, "{line}");
        }
    }
}
