//! HTTP/1.1 as bytes, for the scripted origin and the raw client.

use std::io::{self, ErrorKind, Read};

/// The value of a field; several lines are joined with commas.
pub fn field(headers: &[(String, String)], name: &str) -> Option<String> {
    let lines: Vec<&str> = headers
        .iter()
        .filter(|(own, _)| own.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
        .collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

/// Reads a head with its empty line; `None` if the other side closed before the first byte.
pub(crate) fn read_head(
    stream: &mut impl Read,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            return Ok(Some(buffer.drain(..end + 4).collect()));
        }
        if !read_more(stream, buffer)? {
            return if buffer.is_empty() {
                Ok(None)
            } else {
                Err(ErrorKind::UnexpectedEof.into())
            };
        }
    }
}

/// Splits a head into its start line and fields.
pub(crate) fn parse_head(head: &[u8]) -> Option<(String, Vec<(String, String)>)> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
    let start = lines.next()?.to_owned();
    let fields = lines.map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_owned(), value.trim().to_owned()))
    });
    Some((start, fields.collect::<Option<_>>()?))
}

/// Reads more bytes; returns false at the end.
pub(crate) fn read_more(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut piece = [0; 16 << 10];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return Ok(false),
            Ok(length) => {
                buffer.extend_from_slice(&piece[..length]);
                return Ok(true);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The rest of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Length(u64),
    Chunks { left: u64 },
    UntilClose,
    Ended,
}

impl Body {
    /// The framing that the fields give. Without any, a response ends with the connection.
    pub(crate) fn of(headers: &[(String, String)], of_response: bool) -> Body {
        if field(headers, "transfer-encoding")
            .is_some_and(|coding| coding.to_ascii_lowercase().contains("chunked"))
        {
            return Body::Chunks { left: 0 };
        }
        match field(headers, "content-length").and_then(|length| length.parse().ok()) {
            Some(0) => Body::Ended,
            Some(length) => Body::Length(length),
            None if of_response => Body::UntilClose,
            None => Body::Ended,
        }
    }

    /// The next piece as it arrives; `None` at the end. A body that is cut short is an error.
    pub(crate) fn next(
        &mut self,
        stream: &mut impl Read,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Option<Vec<u8>>> {
        match *self {
            Body::Ended => Ok(None),
            Body::UntilClose => {
                if buffer.is_empty() && !read_more(stream, buffer)? {
                    *self = Body::Ended;
                    return Ok(None);
                }
                Ok(Some(std::mem::take(buffer)))
            }
            Body::Length(left) => {
                let piece = take(stream, buffer, left)?;
                let left = left - piece.len() as u64;
                *self = if left == 0 {
                    Body::Ended
                } else {
                    Body::Length(left)
                };
                Ok(Some(piece))
            }
            Body::Chunks { left: 0 } => {
                let size = read_line(stream, buffer)?;
                let size = size.split(';').next().unwrap_or_default().trim();
                let left = u64::from_str_radix(size, 16)
                    .map_err(|_| io::Error::other(format!("a malformed chunk size: {size:?}")))?;
                if left > 0 {
                    *self = Body::Chunks { left };
                    return self.next(stream, buffer);
                }
                while !read_line(stream, buffer)?.is_empty() {}
                *self = Body::Ended;
                Ok(None)
            }
            Body::Chunks { left } => {
                let piece = take(stream, buffer, left)?;
                let left = left - piece.len() as u64;
                *self = Body::Chunks { left };
                if left == 0 && !read_line(stream, buffer)?.is_empty() {
                    return Err(io::Error::other("a chunk longer than announced"));
                }
                Ok(Some(piece))
            }
        }
    }
}

fn take(stream: &mut impl Read, buffer: &mut Vec<u8>, most: u64) -> io::Result<Vec<u8>> {
    if buffer.is_empty() && !read_more(stream, buffer)? {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let length = buffer
        .len()
        .min(usize::try_from(most).unwrap_or(usize::MAX));
    Ok(buffer.drain(..length).collect())
}

fn read_line(stream: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<String> {
    loop {
        if let Some(end) = buffer.windows(2).position(|window| window == b"\r\n") {
            let line: Vec<u8> = buffer.drain(..end + 2).collect();
            return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        if !read_more(stream, buffer)? {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}
