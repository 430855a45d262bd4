//! The bytes of a client's connection: one request after the other.

use http::HeaderMap;
use http::header::TRANSFER_ENCODING;

use super::Fault;
use super::chunks::Chunks;
use super::glance::lines_of_one_head;
use super::head::{Framing, Head, fault_of_coding};

/// Checks requests and tells them apart.
#[derive(Debug, Default)]
pub struct Requests(RequestState);

/// What was taken of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanResult {
    /// How many of them belong to the request.
    pub bytes: usize,
    /// Whether the request ends with them.
    pub ended: bool,
    /// The lines of a head that was only glanced at, 0 for any other: see [`Requests::content`].
    pub lines: usize,
}

#[derive(Debug, Default)]
enum RequestState {
    #[default]
    Between,
    Head(Head),
    Length(u64),
    Chunks(Chunks),
}

impl Requests {
    /// Takes the next bytes of the connection, up to the end of the request that they belong to.
    /// The rest is the next request's, and is to be given again.
    ///
    /// A GET or a HEAD that comes alone is taken for one without content. Where the parsed head
    /// then says otherwise, its caller asks [`Requests::content`].
    ///
    /// # Errors
    /// [`Fault`]: what came is no request, and nothing that follows can be told apart any more.
    #[inline]
    pub fn take(&mut self, bytes: &[u8]) -> Result<ScanResult, Fault> {
        if matches!(self.0, RequestState::Between)
            && let Some(lines) = lines_of_one_head(bytes)
        {
            return Ok(ScanResult {
                bytes: bytes.len(),
                ended: true,
                lines,
            });
        }
        self.take_in_lines(bytes)
    }

    fn take_in_lines(&mut self, bytes: &[u8]) -> Result<ScanResult, Fault> {
        let mut at = 0;
        if matches!(self.0, RequestState::Between) {
            self.0 = RequestState::Head(Head::default());
        }
        if let RequestState::Head(head) = &mut self.0 {
            match head.take(bytes)? {
                None => {
                    return Ok(ScanResult {
                        bytes: bytes.len(),
                        ended: false,
                        lines: 0,
                    });
                }
                Some(end) => at = end,
            }
            self.0 = match head.framing() {
                Framing::Unsaid | Framing::Length(0) => RequestState::Between,
                Framing::Length(length) => RequestState::Length(length),
                Framing::Chunked => RequestState::Chunks(Chunks::default()),
            };
        }
        self.take_body(bytes, at)
    }

    /// Whether a request's head has come, and not yet all of its body.
    pub fn is_in_body(&self) -> bool {
        matches!(self.0, RequestState::Length(_) | RequestState::Chunks(_))
    }

    /// Checks a head that was only glanced at, and that announces content, once it is parsed. Its
    /// content will not be told apart from what follows it: the connection has to end with the
    /// answer.
    ///
    /// # Errors
    /// [`Fault`]: the parser has left out a field, or the content is coded.
    pub fn content(headers: &HeaderMap, lines: usize) -> Result<(), Fault> {
        // The start line and the empty one are no fields. A parser that is content with two lengths
        // leaves one out.
        let is_complete = headers.len() + 2 == lines;
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
        match (codings.next(), codings.next()) {
            (None, _) if is_complete => Ok(()),
            (None, _) => Err(Fault::Lengths),
            (Some(_), None) if !is_complete => Err(Fault::LengthAndCoding),
            (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
            (Some(coding), None) => Err(fault_of_coding(coding.as_bytes())),
            _ => Err(Fault::Coding),
        }
    }

    fn take_body(&mut self, bytes: &[u8], at: usize) -> Result<ScanResult, Fault> {
        let rest = &bytes[at..];
        let end = match &mut self.0 {
            RequestState::Between | RequestState::Head(_) => Some(0),
            RequestState::Length(left) => {
                let taken = (*left).min(rest.len() as u64);
                *left -= taken;
                (*left == 0).then_some(taken as usize)
            }
            RequestState::Chunks(chunks) => chunks.take(rest)?,
        };
        let Some(end) = end else {
            return Ok(ScanResult {
                bytes: bytes.len(),
                ended: false,
                lines: 0,
            });
        };
        self.0 = RequestState::Between;
        Ok(ScanResult {
            bytes: at + end,
            ended: true,
            lines: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

    /// The requests in `text`, given in pieces of `size`.
    fn requests(text: &str, size: usize) -> Result<Vec<String>, Fault> {
        let (mut checker, mut found, mut now) = (Requests::default(), Vec::new(), Vec::new());
        for piece in text.as_bytes().chunks(size) {
            let mut rest = piece;
            while !rest.is_empty() {
                let ScanResult { bytes, ended, .. } = checker.take(rest)?;
                assert!(
                    bytes > 0 && (ended || bytes == rest.len()),
                    "{bytes} bytes of {rest:?}"
                );
                now.extend_from_slice(&rest[..bytes]);
                rest = &rest[bytes..];
                if ended {
                    found.push(String::from_utf8(std::mem::take(&mut now)).unwrap());
                }
            }
        }
        Ok(found)
    }

    #[test]
    fn requests_are_told_apart_however_they_come() {
        let posted =
            "POST / HTTP/1.1\r\nContent-Length: 33\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
        let chunked =
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\n\n\r\n0\r\nA: b\r\n\r\n";
        let empty = "PUT / HTTP/1.1\r\nContent-Length: 0\r\n\r\n";
        let all = [GET, GET, posted, GET, chunked, empty, GET];
        for size in [1, 2, 3, 7, 50, 1_000] {
            let found = requests(&all.concat(), size).unwrap();
            assert_eq!(found, all, "{size}");
        }
    }

    #[test]
    fn a_fault_in_a_later_request_is_found_as_well() {
        for (bad, fault) in [
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", Fault::BareLf),
            ("GET / HTTP/1.1\r\nHost: a\n\n", Fault::BareLf),
            (
                "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                Fault::LengthAndCoding,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\n",
                Fault::ChunkSize,
            ),
        ] {
            for size in [1, 5, 1_000] {
                assert_eq!(requests(&format!("{GET}{bad}"), size), Err(fault), "{bad}");
            }
        }
    }

    #[test]
    fn content_behind_a_head_that_was_glanced_at_is_checked_when_it_is_parsed() {
        let content = |fields: &[(&'static str, &'static str)], lines| {
            let fields = fields
                .iter()
                .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
            Requests::content(&fields.collect(), lines)
        };
        let (length, chunked) = (("content-length", "5"), ("transfer-encoding", "Chunked"));
        assert_eq!(content(&[length], 3), Ok(()));
        assert_eq!(content(&[length], 4), Err(Fault::Lengths));
        assert_eq!(content(&[chunked], 3), Ok(()));
        assert_eq!(content(&[chunked], 4), Err(Fault::LengthAndCoding));
        let mut doubled = HeaderMap::new();
        for _ in 0..2 {
            doubled.append(TRANSFER_ENCODING, http::HeaderValue::from_static("chunked"));
        }
        assert_eq!(Requests::content(&doubled, 4), Err(Fault::Coding));
        assert_eq!(
            content(&[("transfer-encoding", "gzip, chunked")], 3),
            Err(Fault::UnknownCoding)
        );
    }
}
