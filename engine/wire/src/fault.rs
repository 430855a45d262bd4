//! What is wrong with the bytes.

/// Why bytes are not a message that can be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The connection begins with a header of the PROXY protocol, which its listener does not take from
    /// this client.
    #[error("a PROXY header is not expected from this address")]
    ProxyHeader,
    /// The first byte is that of a TLS record (RFC 8446 §5.1): the client takes the port for one of
    /// HTTPS.
    #[error("this port speaks HTTP without TLS")]
    Tls,
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
    /// An HTTP/2 request has a field that concerns a connection of HTTP/1.1, or a `TE` other than
    /// `trailers` (RFC 9113 §8.2.2).
    #[error("a field concerns a connection of HTTP/1.1")]
    ConnectionField,
    /// The value of a field of an HTTP/2 request begins or ends with white space (RFC 9113 §8.2.1).
    #[error("the value of a field begins or ends with white space")]
    FieldSpace,
    /// `:authority` is empty, or has the name of a user (RFC 9113 §8.3.1).
    #[error(":authority is malformed")]
    Authority,
    /// `:authority` and `Host` differ (RFC 9113 §8.3.1).
    #[error(":authority and Host differ")]
    AuthorityAndHost,
    /// `:path` is not a path, or `:scheme` is neither `http` nor `https` (RFC 9113 §8.3.1).
    #[error(":path or :scheme is malformed")]
    Target,
}
