//! What is wrong with the bytes.

/// Why bytes are not a message that can be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A line ends with LF alone (RFC 9112 §2.2).
    #[error("a line ends with LF alone")]
    BareLf,
    /// A `Content-Length` isn't a number (RFC 9112 §6.3).
    #[error("Content-Length is malformed")]
    Length,
    /// There is more than one `Content-Length` (RFC 9112 §6.3). Equal ones are refused too: no
    /// honest sender repeats it.
    #[error("Content-Length is repeated")]
    Lengths,
    /// There is a `Content-Length` beside `Transfer-Encoding` (RFC 9112 §6.3): the mark of smuggled
    /// requests.
    #[error("there is a Content-Length beside Transfer-Encoding")]
    LengthAndCoding,
    /// `Transfer-Encoding` does not end with `chunked`, or has it twice (RFC 9112 §6.1).
    #[error("Transfer-Encoding is malformed")]
    Coding,
    /// There is a transfer coding other than `chunked` (RFC 9112 §6.1). We never ask for one with
    /// `TE`.
    #[error("the transfer coding is not supported")]
    UnknownCoding,
    /// The size of a chunk isn't a number, is too large, or is followed by too much or by something
    /// that isn't an extension (RFC 9112 §7.1).
    #[error("a chunk size is malformed")]
    ChunkSize,
    /// A chunk goes on where it should end (RFC 9112 §7.1).
    #[error("a chunk is longer than its size")]
    ChunkEnd,
    /// There are more than [`MAX_INTERIM`](crate::MAX_INTERIM) interim responses.
    #[error("too many interim responses")]
    TooManyInterim,
}
