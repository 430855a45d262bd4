//! What serving costs where nothing is decided: a bare epoll loop, and hyper alone, each with a constant answer as long as tero's.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::{ErrorKind, Read as _, Write as _};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::origin;

/// Fields of the answer, about as many and as long as tero's to a hit.
const FIELDS: [(&str, &str); 8] = [
    ("content-type", "application/octet-stream"),
    ("last-modified", "Mon, 02 Mar 2026 12:00:00 GMT"),
    ("etag", "\"bench-1024\""),
    ("cache-control", "public, max-age=31536000"),
    ("age", "3"),
    ("via", "1.1 tero"),
    ("cache-status", "tero; hit; ttl=86397; detail=\"rules: images\""),
    ("date", "Mon, 02 Mar 2026 12:00:00 GMT"),
];

const LISTENER: Token = Token(0);

/// Answers every request, on one thread, with one read and one write each, until the process ends.
pub(crate) fn epoll(port: u16) -> std::io::Result<()> {
    let body = origin::body(1);
    let fields: String = FIELDS.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{fields}\r\n", body.len());
    let answer = [head.as_bytes(), &body].concat();
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut listener = TcpListener::bind(([127, 0, 0, 1], port).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut open: HashMap<Token, TcpStream> = HashMap::new();
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
                    poll.registry().register(&mut stream, token, Interest::READABLE)?;
                    open.insert(token, stream);
                }
            } else if let Some(stream) = open.get_mut(&event.token())
                && !serve(stream, &mut buffer, &answer)
            {
                open.remove(&event.token());
            }
        }
    }
}

/// One read, and an answer for each request in it. False when the connection is over.
fn serve(stream: &mut TcpStream, buffer: &mut [u8], answer: &[u8]) -> bool {
    match stream.read(buffer) {
        Ok(0) => false,
        Ok(length) => {
            let requests = buffer[..length].windows(4).filter(|window| window == b"\r\n\r\n").count();
            (0..requests).all(|_| stream.write_all(answer).is_ok())
        }
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// Answers every request through hyper, on one thread, until the process ends.
pub(crate) fn hyper(port: u16) -> std::io::Result<()> {
    let body = Bytes::from(origin::body(1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
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
                    for (name, value) in FIELDS {
                        response.headers_mut().insert(name, hyper::header::HeaderValue::from_static(value));
                    }
                    std::future::ready(Ok::<_, Infallible>(response))
                });
                // An error is the client's end of the connection.
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}
