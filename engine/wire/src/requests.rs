//! The bytes of a client's connection: one request after another.

use http::HeaderMap;
use http::header::TRANSFER_ENCODING;

use super::chunks::Chunks;
use super::fault::Fault;
use super::glance::lines_of_one_head;
use super::head::{Framing, Head, fault_of_coding};

/// The first byte of a TLS handshake (RFC 8446 §5.1). No method contains it.
const TLS_HANDSHAKE: u8 = 0x16;

/// Checks the requests of a connection and tells them apart.
///
/// ```
/// use tero_wire::{Fault, Requests};
///
/// let bytes = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nokGET / HTTP/1.1\r\n\r\n";
/// let mut requests = Requests::default();
/// let post = requests.take(bytes).unwrap();
/// assert!(post.ended && bytes[post.bytes..].starts_with(b"GET"));
/// let get = requests.take(&bytes[post.bytes..]).unwrap();
/// assert!(get.ended && post.bytes + get.bytes == bytes.len());
///
/// // Two recipients could disagree about where this request ends.
/// let smuggled = b"POST / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n";
/// assert_eq!(requests.take(smuggled), Err(Fault::LengthAndCoding));
/// ```
#[derive(Debug, Default)]
pub struct Requests(RequestState);

/// Which of the bytes belong to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanResult {
    /// How many bytes, from the first on, belong to it.
    pub bytes: usize,
    /// Whether it ends with them.
    pub ended: bool,
    /// The lines of a head that was only glanced at; 0 for any other. See [`Requests::content`].
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
    /// Reads the next bytes of the connection, up to the end of the request to which they belong.
    /// The rest belongs to the next request and must be passed again.
    ///
    /// A GET or a HEAD that comes alone is read as one without content. If its parsed head then
    /// announces content, the caller asks [`Requests::content`].
    ///
    /// # Errors
    /// [`Fault`]: the bytes are not a request, and whatever follows can't be told apart any more.
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
            if is_proxy_header(bytes) {
                return Err(Fault::ProxyHeader);
            }
            if bytes.first() == Some(&TLS_HANDSHAKE) {
                return Err(Fault::Tls);
            }
            self.0 = RequestState::Head(Head::default());
        }
        if let RequestState::Head(head) = &mut self.0 {
            match head.take(bytes)? {
                None => return Ok(unended(bytes)),
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

    /// Whether the head of a request has come, but not all of its body.
    ///
    /// ```
    /// use tero_wire::Requests;
    ///
    /// let mut requests = Requests::default();
    /// requests.take(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\no").unwrap();
    /// assert!(requests.is_in_body());
    /// requests.take(b"k").unwrap();
    /// assert!(!requests.is_in_body());
    /// ```
    pub fn is_in_body(&self) -> bool {
        matches!(self.0, RequestState::Length(_) | RequestState::Chunks(_))
    }

    /// Checks the parsed fields of a head that announces content but was only glanced at and had
    /// that many `lines`. Its content will not be told apart from what follows it, so the
    /// connection must end with the response.
    ///
    /// # Errors
    /// [`Fault`]: the parser has left out a field, or the content has a transfer coding other than
    /// `chunked`.
    ///
    /// ```
    /// use http::HeaderMap;
    /// use http::header::{CONTENT_LENGTH, HeaderValue};
    /// use tero_wire::{Fault, Requests};
    ///
    /// let mut requests = Requests::default();
    /// let head = b"GET / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n";
    /// let lines = requests.take(head).unwrap().lines;
    /// // A lenient parser keeps one of the lengths.
    /// let fields = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static("5"))]);
    /// assert_eq!(Requests::content(&fields, lines), Err(Fault::Lengths));
    /// ```
    pub fn content(headers: &HeaderMap, lines: usize) -> Result<(), Fault> {
        // All lines but the start line and the empty one are fields. A parser that forgives a second
        // length leaves it out.
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
            return Ok(unended(bytes));
        };
        self.0 = RequestState::Between;
        Ok(ScanResult {
            bytes: at + end,
            ended: true,
            lines: 0,
        })
    }
}

/// Whether the bytes begin as a header of the PROXY protocol does, of version 1 or 2. No request
/// begins so.
fn is_proxy_header(bytes: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 3] = [b"PROXY TCP", b"PROXY UNKNOWN", b"\r\n\r\n\0\r\nQUIT\n"];
    BEGINNINGS
        .iter()
        .any(|beginning| bytes.starts_with(beginning))
}

/// All of the bytes belong to a request that goes on after them.
fn unended(bytes: &[u8]) -> ScanResult {
    ScanResult {
        bytes: bytes.len(),
        ended: false,
        lines: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn a_proxy_header_is_told_from_a_request() {
        for header in [
            &b"PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\nGET / HTTP/1.1\r\n\r\n"[..],
            b"PROXY UNKNOWN\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
        ] {
            let taken = Requests::default().take(header);
            assert_eq!(taken, Err(Fault::ProxyHeader), "{header:?}");
        }
        assert!(
            Requests::default()
                .take(b"PROXY /x HTTP/1.1\r\n\r\n")
                .is_ok()
        );
    }

    /// The requests in `text`, which comes in pieces of `size` bytes.
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
    fn requests_are_told_apart_however_the_bytes_are_cut() {
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
    fn a_fault_in_a_later_request_is_found() {
        for (bad, fault) in [
            ("\x16\x03\x01\x02\0\x01", Fault::Tls),
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

    /// Checks a head with one field that had that many lines.
    fn content((name, value): (&'static str, &str), lines: usize) -> Result<(), Fault> {
        let name = http::HeaderName::from_static(name);
        let fields = HeaderMap::from_iter([(name, value.parse().unwrap())]);
        Requests::content(&fields, lines)
    }

    #[test]
    fn announced_content_is_checked_after_parsing() {
        let (length, chunked) = (("content-length", "5"), ("transfer-encoding", "Chunked"));
        assert_eq!(content(length, 3), Ok(()));
        assert_eq!(content(length, 4), Err(Fault::Lengths));
        assert_eq!(content(chunked, 3), Ok(()));
        assert_eq!(content(chunked, 4), Err(Fault::LengthAndCoding));
        let mut doubled = HeaderMap::new();
        for _ in 0..2 {
            doubled.append(TRANSFER_ENCODING, http::HeaderValue::from_static("chunked"));
        }
        assert_eq!(Requests::content(&doubled, 4), Err(Fault::Coding));
        assert_eq!(
            content(("transfer-encoding", "gzip, chunked"), 3),
            Err(Fault::UnknownCoding)
        );
    }
}
