//! The bytes of a connection to a next hop: the heads of the responses to our requests.

use super::head::Head;
use super::{Fault, MAX_INTERIM};

/// Checks the heads of responses. Where a body ends is of no concern: what follows it is no response to anything.
#[derive(Debug, Default)]
pub struct Responses {
    head: Option<Head>,
    interim: u32,
}

impl Responses {
    /// A request was sent: the head of a response comes next.
    pub fn expect(&mut self) {
        *self = Responses { head: Some(Head::default()), interim: 0 };
    }

    /// Takes the next bytes of the connection.
    ///
    /// # Errors
    /// [`Fault`]: what came is no response, and nothing that follows is one.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut at = 0;
        while let Some(head) = &mut self.head {
            let Some(end) = head.take(&bytes[at..])? else { return Ok(()) };
            at += end;
            if !head.is_interim() {
                self.head = None;
            } else if self.interim == MAX_INTERIM {
                return Err(Fault::TooManyInterim);
            } else {
                self.interim += 1;
                *head = Head::default();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), Fault> {
        let mut whole = Responses::default();
        whole.expect();
        let taken = whole.take(text.as_bytes());
        let mut single = Responses::default();
        single.expect();
        assert_eq!(text.as_bytes().chunks(1).try_for_each(|byte| single.take(byte)), taken, "{text:?}");
        taken
    }

    #[test]
    fn heads_are_checked_and_bodies_are_not() {
        assert_eq!(check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\n\n\nContent-Length: x\n"), Ok(()));
        assert_eq!(check("HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\n"), Err(Fault::BareLf));
        assert_eq!(
            check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Err(Fault::LengthAndCoding)
        );
        assert_eq!(check("HTTP/1.1 304 x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n"), Err(Fault::Lengths));
        assert_eq!(check("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), Err(Fault::Coding));
    }

    #[test]
    fn the_final_head_is_checked_behind_interim_ones() {
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
        assert_eq!(check(&format!("{hints}{hints}HTTP/1.1 200 OK\r\n\r\n\n")), Ok(()));
        assert_eq!(check(&format!("{hints}HTTP/1.1 200 OK\nA: b\r\n\r\n")), Err(Fault::BareLf));
    }

    #[test]
    fn interim_responses_are_counted_for_each_request() {
        let hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(MAX_INTERIM as usize);
        assert_eq!(check(&format!("{hints}HTTP/1.1 200 OK\r\n\r\n")), Ok(()));
        assert_eq!(check(&format!("{hints}HTTP/1.1 100 Continue\r\n\r\n")), Err(Fault::TooManyInterim));
        let mut responses = Responses::default();
        for _ in 0..2 {
            responses.expect();
            assert_eq!(responses.take(format!("{hints}HTTP/1.1 200 OK\r\n\r\n").as_bytes()), Ok(()));
        }
    }
}
