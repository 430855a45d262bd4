//! The floors: what serving costs without any decision. A bare epoll loop, and hyper alone, send a
//! constant answer as long as tero's.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{ErrorKind, Read as _, Write as _};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::origin::Size;

/// The constant answer.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Answer {
    /// The size of the body.
    pub(crate) size: Size,
    /// Sends a 304 without the body.
    #[arg(long)]
    pub(crate) not_modified: bool,
}

/// The fields of the answer, about as many and as long as those of a hit of tero.
const FIELDS: [(&str, &str); 8] = [
    ("content-type", "application/octet-stream"),
    ("last-modified", "Mon, 02 Mar 2026 12:00:00 GMT"),
    ("etag", "\"bench-1024\""),
    ("cache-control", "public, max-age=31536000"),
    ("age", "3"),
    ("via", "1.1 tero"),
    (
        "cache-status",
        "tero; hit; ttl=86397; detail=\"rules: images\"",
    ),
    ("date", "Mon, 02 Mar 2026 12:00:00 GMT"),
];

impl Answer {
    /// The fields; a 304 leaves out those about the content.
    fn fields(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        FIELDS.into_iter().filter(move |(name, _)| {
            !(self.not_modified && ["content-type", "last-modified"].contains(name))
        })
    }

    fn body(self) -> Vec<u8> {
        if self.not_modified {
            Vec::new()
        } else {
            self.size.body()
        }
    }

    /// The bytes of the answer.
    fn bytes(self) -> Vec<u8> {
        let fields: String = self
            .fields()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let body = self.body();
        let head = if self.not_modified {
            format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n")
        } else {
            format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{fields}\r\n",
                body.len()
            )
        };
        [head.as_bytes(), &body].concat()
    }
}

const LISTENER: Token = Token(0);

/// Answers requests on one thread until the process ends, with one read and one write for each.
pub(crate) fn epoll(port: u16, answer: Answer) -> std::io::Result<()> {
    let answer = answer.bytes();
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut listener = TcpListener::bind(([127, 0, 0, 1], port).into())?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut open: HashMap<Token, FloorConnection> = HashMap::new();
    let mut next = 1;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let token = Token(next);
                    next += 1;
                    poll.registry().register(
                        &mut stream,
                        token,
                        Interest::READABLE | Interest::WRITABLE,
                    )?;
                    open.insert(token, FloorConnection { stream, left: 0 });
                }
            } else if let Some(caller) = open.get_mut(&event.token())
                && !caller.serve(event.is_readable(), &mut buffer, &answer)
            {
                open.remove(&event.token());
            }
        }
    }
}

/// A connection.
struct FloorConnection {
    stream: TcpStream,
    /// Bytes of answers that the socket has not accepted yet.
    left: usize,
}

impl FloorConnection {
    /// Reads once if there is something to read, and answers each request. Returns false when the
    /// connection has ended.
    fn serve(&mut self, readable: bool, buffer: &mut [u8], answer: &[u8]) -> bool {
        if readable {
            match self.stream.read(buffer) {
                Ok(0) => return false,
                Ok(length) => {
                    let requests = buffer[..length]
                        .windows(4)
                        .filter(|window| window == b"\r\n\r\n")
                        .count();
                    self.left += requests * answer.len();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
        while self.left > 0 {
            // If several answers are left, a part of the first may be sent already.
            let of_this = match self.left % answer.len() {
                0 => answer.len(),
                part => part,
            };
            match self.stream.write(&answer[answer.len() - of_this..]) {
                Ok(written) => self.left -= written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        true
    }
}

/// Answers requests with hyper on one thread until the process ends.
pub(crate) fn hyper(port: u16, answer: Answer) -> std::io::Result<()> {
    let body = Bytes::from(answer.body());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            stream.set_nodelay(true)?;
            let body = body.clone();
            tokio::spawn(async move {
                let service = service_fn(move |_: Request<hyper::body::Incoming>| {
                    let mut response = Response::new(Full::new(body.clone()));
                    if answer.not_modified {
                        *response.status_mut() = StatusCode::NOT_MODIFIED;
                    }
                    for (name, value) in answer.fields() {
                        response
                            .headers_mut()
                            .insert(name, hyper::header::HeaderValue::from_static(value));
                    }
                    std::future::ready(Ok::<_, Infallible>(response))
                });
                // An error means that the client has closed the connection.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    })
}
