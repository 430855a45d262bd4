//! Which protocol a client speaks in the clear: HTTP/2 with prior knowledge begins with its preface
//! (RFC 9113 §3.3, §3.4). It looks like a method that no request of HTTP/1.1 has.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt};

use tero_time::clock::Clock;
use tero_wire::PREFACE;

/// The first bytes of a connection, and the protocol that they are of.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::server) enum FirstBytes {
    /// Those of HTTP/1.1.
    Http1(Bytes),
    /// Those of HTTP/2.
    Http2(Bytes),
}

/// The method that the preface begins with.
const METHOD: &[u8] = b"PRI ";

/// Reads from a connection until its protocol is clear: `idle` at most for the first byte, and
/// `header` for each other one. `None` if that doesn't come, or the client has left.
///
/// # Errors
/// Those of the socket.
pub(in crate::server) async fn look(
    socket: &mut (impl AsyncRead + Unpin),
    clock: &Clock,
    idle: Duration,
    header: Duration,
) -> io::Result<Option<FirstBytes>> {
    let mut first = [0; PREFACE.len()];
    let mut length = 0;
    loop {
        let patience = if length == 0 { idle } else { header };
        let read = socket.read(&mut first[length..]);
        match clock.timeout(patience, read).await {
            Err(_) | Ok(Ok(0)) => return Ok(None),
            Ok(read) => length += read?,
        }
        let bytes = &first[..length];
        if bytes.starts_with(METHOD) {
            return Ok(Some(FirstBytes::Http2(Bytes::copy_from_slice(bytes))));
        }
        if !METHOD.starts_with(bytes) {
            return Ok(Some(FirstBytes::Http1(Bytes::copy_from_slice(bytes))));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use tero_semantics::timestamp::Timestamp;

    /// What is read of a client that sends these pieces and ends.
    async fn seen(pieces: &[&[u8]]) -> Option<FirstBytes> {
        let (mut client, mut socket) = tokio::io::duplex(1);
        let clock = Clock::by_hand(Timestamp::from_unix_secs(0));
        let second = Duration::from_secs(1);
        let send = async {
            for piece in pieces {
                // The reader may have seen enough.
                let _ = client.write_all(piece).await;
            }
            drop(client);
        };
        let look = async {
            let seen = look(&mut socket, &clock, second, second).await.unwrap();
            drop(socket);
            seen
        };
        tokio::join!(send, look).1
    }

    #[tokio::test]
    async fn the_protocol_is_clear_at_the_first_byte_that_differs() {
        let http1 = |bytes| Some(FirstBytes::Http1(Bytes::from_static(bytes)));
        assert_eq!(seen(&[b"GET / HTTP/1.1\r\n"]).await, http1(b"G"));
        assert_eq!(seen(&[b"P", b"OST / HTTP/1.1"]).await, http1(b"PO"));
        assert_eq!(seen(&[b"PR", b"OPFIND /"]).await, http1(b"PRO"));
        assert_eq!(
            seen(&[PREFACE]).await,
            Some(FirstBytes::Http2(Bytes::from_static(METHOD)))
        );
        assert_eq!(seen(&[]).await, None);
        assert_eq!(seen(&[b"PRI"]).await, None);
    }
}
