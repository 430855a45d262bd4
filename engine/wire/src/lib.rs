//! HTTP as bytes: refuses messages that two recipients could read in two ways, before anything
//! else reads them (RFC 9112 §2.2, §5, §6, §7.1).
//!
//! hyper parses the messages. It is lenient where two parsers in a row could disagree about the end
//! of a message, and it hides what it forgave: it accepts a bare LF as the end of a line, drops
//! `Content-Length` beside `Transfer-Encoding`, and drops transfer codings that it does not know.
//! So a checker sees the bytes of a connection first. [`Requests`] checks those of a client and
//! tells its messages apart by their own framing. [`Responses`] checks those of a next hop; there
//! the end of a body does not matter, since a response belongs to the request that was sent.
//!
//! Neither changes, keeps or delays a byte, and the content of chunks is counted but not looked at.
//! What hyper refuses itself is left to it: a bare CR, a folded line, white space before a colon, a
//! malformed field, trailers without end.
//!
//! A GET that comes alone, as nearly all do, costs no more than a count of its line ends
//! (`glance`); anything else is read line by line. [`head_as_bytes`] writes the head of a response.
//!
//! Of HTTP/2, [`Frames`] tells the frames of a connection without looking at their content, and
//! [`check_http2_head`] checks a decoded head, so that it means what one of HTTP/1.1 would.

mod chunks;
mod fault;
mod frames;
mod glance;
mod head;
mod http2_head;
mod lines;
mod requests;
mod responses;
mod write;

pub use fault::Fault;
pub use frames::{FrameHead, FrameKind, Frames, PREFACE};
pub use http2_head::{check_http2_head, join_cookies};
pub use requests::{Requests, ScanResult};
pub use responses::{MAX_INTERIM, Responses};
pub use write::{head_as_bytes, write_field};
