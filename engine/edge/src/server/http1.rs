//! HTTP/1.1 on a client's connection.

mod connection;
mod connection_state;
mod gather;
mod poll_when_woken;
mod stream;
mod watchdog;
mod watched_body;

pub(super) use connection::serve;
pub(super) use poll_when_woken::PollWhenWoken;
