//! HTTP/1.1 as bytes: what must not be read in two ways is refused before anything else reads it
//! (RFC 9112 §2.2, §5, §6, §7.1).
//!
//! hyper parses the messages. It is lenient where two parsers in a row could disagree about where a
//! message ends, and it hides what it forgave: it takes a bare LF for the end of a line, drops
//! `Content-Length` beside `Transfer-Encoding`, and drops what it does not know of a transfer
//! coding. So a checker sees the bytes of a connection first: [`Requests`] those of a client, whose
//! messages it tells apart by their own framing, and [`Responses`] those of a next hop, where the
//! end of a body is of no concern, since a response belongs to the request that was sent. Neither
//! changes, keeps or delays a byte, and those of a chunk are counted and not looked at. What hyper
//! refuses by itself is left to it: a bare CR, a folded line, white space before a colon, a field
//! that is none, trailers without end.
//!
//! A GET that comes alone, as nearly all do, costs a count of its line ends (`glance`) and no more;
//! whatever else comes is read line by line.

mod chunks;
mod glance;
mod head;
mod lines;
mod requests;
mod responses;
mod write;

pub use requests::{Requests, ScanResult};
pub use responses::Responses;
pub use write::{head_as_bytes, write_field};

/// Why bytes are no message that could be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A line that ends with LF alone (RFC 9112 §2.2).
    #[error("a line ends without CR")]
    BareLf,
    /// A `Content-Length` that is no number (RFC 9112 §6.3).
    #[error("Content-Length is malformed")]
    Length,
    /// More than one `Content-Length` (RFC 9112 §6.3). Equal ones too: a sender that says it twice
    /// has been tampered with.
    #[error("Content-Length is doubled")]
    Lengths,
    /// `Content-Length` beside `Transfer-Encoding` (RFC 9112 §6.3): the mark of smuggled requests.
    #[error("Content-Length stands beside Transfer-Encoding")]
    LengthAndCoding,
    /// A `Transfer-Encoding` that does not end with `chunked`, or has it twice (RFC 9112 §6.1).
    #[error("Transfer-Encoding is malformed")]
    Coding,
    /// A transfer coding other than `chunked` (RFC 9112 §6.1). None is ever asked for with `TE`.
    #[error("the transfer coding is not known")]
    UnknownCoding,
    /// A chunk whose size is no number, too large, or followed by what is no extension, or by too
    /// much (RFC 9112 §7.1).
    #[error("a chunk size is malformed")]
    ChunkSize,
    /// A chunk that goes on where it should end.
    #[error("a chunk is longer than it says")]
    ChunkEnd,
    /// More than [`MAX_INTERIM`] interim responses.
    #[error("too many interim responses")]
    TooManyInterim,
}

/// Interim responses before a final one (RFC 9110 §15.2), at most.
pub const MAX_INTERIM: u32 = 32;
