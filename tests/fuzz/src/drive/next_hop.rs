//! Reads the bytes of a next hop with hyper, as the edge does, but without a socket.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::rt::{Read, ReadBufCursor, Write};

/// A response, as far as it was read.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Vec<u8>,
    /// Whether the body is complete.
    pub is_whole: bool,
}

/// Reads the response to a request with this method; `None` if it is malformed.
pub fn answer(method: &Method, bytes: &[u8]) -> Option<Answer> {
    let mut context = Context::from_waker(Waker::noop());
    let io = Io {
        bytes: bytes.to_vec(),
        at: 0,
    };
    let mut handshake = pin!(http1::handshake::<_, Empty<Bytes>>(io));
    let Poll::Ready(Ok((mut sender, connection))) = handshake.as_mut().poll(&mut context) else {
        return None;
    };
    let mut connection = pin!(connection);
    let request = Request::builder()
        .method(method)
        .uri("/")
        .header("host", "h")
        .body(Empty::new())
        .expect("it is a request");
    let mut response = pin!(sender.send_request(request));
    let mut ended = false;
    let mut drive =
        |context: &mut Context<'_>| ended = ended || connection.as_mut().poll(context).is_ready();
    // All bytes are available from the start: what is not done after these turns never will be.
    let turns = 64 + bytes.len();
    let response = (0..turns).find_map(|_| {
        drive(&mut context);
        match response.as_mut().poll(&mut context) {
            Poll::Ready(response) => Some(response.ok()),
            Poll::Pending => None,
        }
    });
    let (parts, mut body) = response
        .expect("hyper decides within these turns")?
        .into_parts();
    let mut answer = Answer {
        status: parts.status,
        body: Vec::new(),
        is_whole: false,
    };
    for _ in 0..turns {
        drive(&mut context);
        match frame(&mut body, &mut context) {
            Poll::Ready(None) => {
                answer.is_whole = true;
                break;
            }
            Poll::Ready(Some(Ok(frame))) => {
                answer.body.extend(frame.data_ref().into_iter().flatten())
            }
            Poll::Ready(Some(Err(_))) => break,
            Poll::Pending => {}
        }
    }
    Some(answer)
}

fn frame(
    body: &mut Incoming,
    context: &mut Context<'_>,
) -> Poll<Option<hyper::Result<hyper::body::Frame<Bytes>>>> {
    pin!(body.frame()).poll(context)
}

/// A next hop that has sent all its bytes, and accepts everything.
struct Io {
    bytes: Vec<u8>,
    at: usize,
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let size = buffer.remaining().min(self.bytes.len() - self.at);
        buffer.put_slice(&self.bytes[self.at..self.at + size]);
        self.at += size;
        Poll::Ready(Ok(()))
    }
}

impl Write for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
