//! HTTP/2 on a client's connection (RFC 9113).
//!
//! The protocol itself is that of the crate `h2`, which hyper's HTTP/2 server runs on, too. It is
//! used without hyper's layer, which hides the numbers of streams and knows no interim responses
//! ([`connection`]). Around it stand bounds of our own: [`socket`] sees the frames of both sides,
//! [`frame_budget`] bounds those that cost the edge more than the client, [`watch`] ends connections
//! that make no progress, and [`request_head`] refuses heads that HTTP/1.1 could not carry.

mod connection;
mod connection_waker;
mod cut;
mod frame_budget;
mod preface;
mod request_head;
mod sending;
mod shared_state;
mod socket;
mod stream;
mod stream_set;
mod tunnel_io;
mod watch;

pub(super) use connection::serve;
pub(super) use preface::{FirstBytes, look};
