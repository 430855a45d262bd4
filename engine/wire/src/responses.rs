//! The bytes of a connection to a next hop: the responses to our requests.

use super::chunks::Chunks;
use super::fault::Fault;
use super::head::{Framing, Head};

/// The most interim responses (RFC 9110 §15.2) before a final one.
pub const MAX_INTERIM: u32 = 32;

/// Checks the heads of responses and bodies in chunks. The end of any other body does not matter:
/// whatever follows it is not the response to a request.
///
/// ```
/// use tero_wire::{Fault, Responses};
///
/// let mut responses = Responses::default();
/// responses.expect();
/// assert_eq!(responses.take(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Ok(()));
///
/// responses.expect();
/// let doubled = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 20\r\n\r\n";
/// assert_eq!(responses.take(doubled), Err(Fault::Lengths));
/// ```
#[derive(Debug, Default)]
pub struct Responses {
    state: ResponseState,
    interim: u32,
    is_bodiless: bool,
}

#[derive(Debug, Default)]
enum ResponseState {
    #[default]
    Unchecked,
    Head(Head),
    Chunks(Chunks),
}

impl Responses {
    /// Call this when a request is sent: the head of a response comes next.
    pub fn expect(&mut self) {
        *self = Responses {
            state: ResponseState::Head(Head::default()),
            ..Responses::default()
        };
    }

    /// As [`Responses::expect`], for a HEAD: its response has no body, whatever its fields say (RFC
    /// 9112 §6.3).
    ///
    /// ```
    /// use tero_wire::Responses;
    ///
    /// let mut responses = Responses::default();
    /// responses.expect_bodiless();
    /// let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    /// assert_eq!(responses.take(head), Ok(()));
    /// ```
    pub fn expect_bodiless(&mut self) {
        self.expect();
        self.is_bodiless = true;
    }

    /// Reads the next bytes of the connection.
    ///
    /// # Errors
    /// [`Fault`]: the bytes are not a response, nor is anything that follows.
    #[inline]
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match &mut self.state {
            ResponseState::Unchecked => Ok(()),
            ResponseState::Head(_) => self.take_heads(bytes),
            ResponseState::Chunks(_) => self.take_chunks(bytes),
        }
    }

    fn take_heads(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut at = 0;
        while let ResponseState::Head(head) = &mut self.state {
            let Some(end) = head.take(&bytes[at..])? else {
                return Ok(());
            };
            at += end;
            if head.is_interim() {
                self.count_interim()?;
                self.state = ResponseState::Head(Head::default());
                continue;
            }
            let has_chunks =
                head.framing() == Framing::Chunked && !head.is_bodiless() && !self.is_bodiless;
            self.state = if has_chunks {
                ResponseState::Chunks(Chunks::default())
            } else {
                ResponseState::Unchecked
            };
        }
        self.take_chunks(&bytes[at..])
    }

    fn count_interim(&mut self) -> Result<(), Fault> {
        if self.interim == MAX_INTERIM {
            return Err(Fault::TooManyInterim);
        }
        self.interim += 1;
        Ok(())
    }

    fn take_chunks(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if let ResponseState::Chunks(chunks) = &mut self.state
            && chunks.take(bytes)?.is_some()
        {
            self.state = ResponseState::Unchecked;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in `text`. It must be the same in one piece, cut in two anywhere, and byte by
    /// byte.
    #[track_caller]
    fn check_after(expect: fn(&mut Responses), text: &str) -> Result<(), Fault> {
        let found = |pieces: &[&[u8]]| {
            let mut responses = Responses::default();
            expect(&mut responses);
            pieces.iter().try_for_each(|piece| responses.take(piece))
        };
        let bytes = text.as_bytes();
        let whole = found(&[bytes]);
        for cut in 0..bytes.len() {
            assert_eq!(
                found(&[&bytes[..cut], &bytes[cut..]]),
                whole,
                "{text:?} cut at {cut}"
            );
        }
        assert_eq!(
            found(&bytes.chunks(1).collect::<Vec<_>>()),
            whole,
            "{text:?} byte by byte"
        );
        whole
    }

    #[track_caller]
    fn check(text: &str) -> Result<(), Fault> {
        check_after(Responses::expect, text)
    }

    const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n";

    #[test]
    fn heads_are_checked_and_bodies_with_a_length_are_not() {
        for fields in ["Content-Length: 2\r\n", "Content-Length: 70\r\n", ""] {
            assert_eq!(
                check(&format!(
                    "HTTP/1.1 200 OK\r\n{fields}\r\n\n\n\nContent-Length: x\n{CHUNKED}zz\r\n"
                )),
                Ok(()),
                "{fields}"
            );
        }
        assert_eq!(
            check("HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\n"),
            Err(Fault::BareLf)
        );
        assert_eq!(
            check(&format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{CHUNKED}"
            )),
            Err(Fault::LengthAndCoding)
        );
        assert_eq!(
            check("HTTP/1.1 304 x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n"),
            Err(Fault::Lengths)
        );
        assert_eq!(
            check("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
            Err(Fault::Coding)
        );
    }

    #[test]
    fn chunks_are_checked_up_to_their_end() {
        for (body, found) in [
            ("3\r\na\nc\r\n0\r\nX: 1\r\n\r\nwhatever follows\n", Ok(())),
            ("0B;a=b\r\n0123456789a\r\n000\r\n\r\n", Ok(())),
            ("ffffffffffffffff\r\nabc", Ok(())),
            ("3 \r\nabc\r\n0\r\n\r\n", Err(Fault::ChunkSize)),
            ("3\r\nabc\r\n 0\r\n\r\n", Err(Fault::ChunkSize)),
            ("3\r\nabc\r\n+3\r\nabc\r\n0\r\n\r\n", Err(Fault::ChunkSize)),
            ("\r\n", Err(Fault::ChunkSize)),
            ("10000000000000000\r\nabc", Err(Fault::ChunkSize)),
            ("3\nabc\r\n0\r\n\r\n", Err(Fault::BareLf)),
            ("3\r\nabcd\r\n0\r\n\r\n", Err(Fault::ChunkEnd)),
            ("3\r\nabc\n0\r\n\r\n", Err(Fault::ChunkEnd)),
            ("0\r\nX: 1\n\r\n", Err(Fault::BareLf)),
        ] {
            assert_eq!(
                check(&format!("HTTP/1.1 200 OK\r\n{CHUNKED}{body}")),
                found,
                "{body:?}"
            );
            assert_eq!(
                check(&format!(
                    "HTTP/1.1 103 x\r\n\r\nHTTP/1.1 404 x\r\n{CHUNKED}{body}"
                )),
                found,
                "{body:?}"
            );
        }
    }

    #[test]
    fn a_response_without_body_has_no_chunks() {
        for status in [101, 204, 304] {
            assert_eq!(
                check(&format!("HTTP/1.1 {status} x\r\n{CHUNKED}zz\r\n\n")),
                Ok(()),
                "{status}"
            );
        }
        for status in [200, 205, 206, 404, 500] {
            let answer = format!("HTTP/1.1 {status} x\r\n{CHUNKED}zz\r\n\n");
            assert_eq!(check(&answer), Err(Fault::ChunkSize), "{status}");
            assert_eq!(
                check_after(Responses::expect_bodiless, &answer),
                Ok(()),
                "{status}"
            );
        }
        // Nor has an interim response: a final one follows it at once.
        assert_eq!(
            check(&format!(
                "HTTP/1.1 103 x\r\n{CHUNKED}HTTP/1.1 200 OK\nX: 1\r\n"
            )),
            Err(Fault::BareLf)
        );
        // The next request has its own expectation.
        let mut responses = Responses::default();
        responses.expect_bodiless();
        responses.expect();
        assert_eq!(
            responses.take(format!("HTTP/1.1 200 OK\r\n{CHUNKED}zz\r\n").as_bytes()),
            Err(Fault::ChunkSize)
        );
    }

    #[test]
    fn the_final_head_is_checked_after_interim_ones() {
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        assert_eq!(
            check(&format!("{hints}{hints}HTTP/1.1 200 OK\r\n\r\n\n")),
            Ok(())
        );
        assert_eq!(
            check(&format!("{hints}HTTP/1.1 200 OK\nA: b\r\n\r\n")),
            Err(Fault::BareLf)
        );
    }

    #[test]
    fn interim_responses_are_counted_for_each_request() {
        let hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(MAX_INTERIM as usize);
        assert_eq!(check(&format!("{hints}HTTP/1.1 200 OK\r\n\r\n")), Ok(()));
        assert_eq!(
            check(&format!("{hints}HTTP/1.1 100 Continue\r\n\r\n")),
            Err(Fault::TooManyInterim)
        );
        let mut responses = Responses::default();
        for _ in 0..2 {
            responses.expect();
            assert_eq!(
                responses.take(format!("{hints}HTTP/1.1 200 OK\r\n\r\n").as_bytes()),
                Ok(())
            );
        }
    }
}
