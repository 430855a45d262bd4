//! A raw HTTP/1.1 client: it sends exactly the bytes that the test wants, and reads answers in
//! pieces.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::{Answer, GUARD, wire};

/// The default host of requests: that of the site of [`crate::EdgeBuilder`].
pub const HOST: &str = "www.example";

/// Builds a request.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A GET for [`HOST`].
pub fn get(target: impl Into<String>) -> Request {
    Request::new("GET", target)
}

impl Request {
    /// A request for [`HOST`].
    pub fn new(method: impl Into<String>, target: impl Into<String>) -> Request {
        let host = ("Host".to_owned(), HOST.to_owned());
        Request {
            method: method.into(),
            target: target.into(),
            headers: vec![host],
            body: Vec::new(),
        }
    }

    /// Adds a field.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Request {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Replaces the host.
    pub fn host(mut self, host: &str) -> Request {
        self.headers[0].1 = host.to_owned();
        self
    }

    /// Sets the body, and adds `Content-Length`.
    pub fn body(self, body: impl AsRef<[u8]>) -> Request {
        let body = body.as_ref().to_vec();
        Request {
            body: body.clone(),
            ..self.header("Content-Length", body.len().to_string())
        }
    }

    /// The bytes of the request.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }
}

/// What a client's connection runs on: TCP, or a protocol on top of it.
pub trait Duplex: Read + Write + std::fmt::Debug + Send {
    /// The TCP connection.
    fn tcp(&self) -> &TcpStream;
}

impl Duplex for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

/// A connection to an edge. Every read fails the test after [`GUARD`].
#[derive(Debug)]
pub struct Client {
    stream: Box<dyn Duplex>,
    buffer: Vec<u8>,
    body: wire::Body,
}

impl Client {
    /// Connects.
    ///
    /// # Panics
    /// If the connection is refused.
    pub fn connect(address: SocketAddr) -> Client {
        Client::try_connect(address)
            .unwrap_or_else(|error| panic!("{address} does not listen: {error}"))
    }

    /// Connects.
    ///
    /// # Errors
    /// If the connection is refused.
    pub fn try_connect(address: SocketAddr) -> io::Result<Client> {
        Ok(Client::over(TcpStream::connect(address)?))
    }

    /// A client on a connection that is open.
    ///
    /// # Panics
    /// If its socket takes no options.
    pub fn over(stream: impl Duplex + 'static) -> Client {
        let tcp = stream.tcp();
        tcp.set_nodelay(true).expect("a socket takes options");
        tcp.set_read_timeout(Some(GUARD))
            .expect("a socket takes options");
        tcp.set_write_timeout(Some(GUARD))
            .expect("a socket takes options");
        Client {
            stream: Box::new(stream),
            buffer: Vec::new(),
            body: wire::Body::Ended,
        }
    }

    /// Sends a request and reads the whole answer.
    pub fn send(&mut self, request: &Request) -> Answer {
        self.start(request);
        let mut answer = self.head_to(request.method == "HEAD");
        self.rest(&mut answer);
        answer
    }

    /// Sends a request without reading the answer.
    pub fn start(&mut self, request: &Request) {
        self.write(request.to_bytes());
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// If the connection is broken.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .expect("the edge reads the request");
    }

    /// Sends bytes, even if the edge no longer reads them.
    ///
    /// # Errors
    /// If the connection is broken.
    pub fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Ends sending; the answer can still be read.
    pub fn finish(&mut self) {
        drop(self.stream.tcp().shutdown(Shutdown::Write));
    }

    /// Reads the head of an answer; its body follows with [`Client::piece`], [`Client::exactly`] or
    /// [`Client::rest`].
    pub fn head(&mut self) -> Answer {
        self.head_to(false)
    }

    /// Reads the head of an answer. `is_head` says that the request was a HEAD, so that no body
    /// follows.
    ///
    /// # Panics
    /// If the edge sends no head, or a malformed one.
    pub fn head_to(&mut self, is_head: bool) -> Answer {
        self.try_head(is_head)
            .expect("the edge answers")
            .expect("the edge answers before it closes the connection")
    }

    /// Reads the head of an interim response.
    ///
    /// # Panics
    /// If the edge sends something else.
    pub fn interim(&mut self) -> Answer {
        let answer = self
            .any_head(false)
            .expect("the edge answers")
            .expect("the edge answers before it closes the connection");
        assert!((100..200).contains(&answer.status), "{answer:?}");
        answer
    }

    /// Reads the next head, of an interim or a final response.
    ///
    /// # Panics
    /// If the edge sends none.
    pub fn interim_or_answer(&mut self) -> Answer {
        self.any_head(false)
            .expect("the edge answers")
            .expect("the edge answers before it closes the connection")
    }

    /// Reads the head of an answer, after any interim responses; `None` if the edge closes the
    /// connection instead.
    ///
    /// # Errors
    /// If the connection is broken.
    ///
    /// # Panics
    /// If neither happens within [`GUARD`], or if the head is malformed.
    pub fn try_head(&mut self, is_head: bool) -> io::Result<Option<Answer>> {
        loop {
            match self.any_head(is_head)? {
                Some(Answer {
                    status: 100 | 102..=199,
                    ..
                }) => {}
                answer => return Ok(answer),
            }
        }
    }

    fn any_head(&mut self, is_head: bool) -> io::Result<Option<Answer>> {
        let head = wire::read_head(&mut self.stream, &mut self.buffer).inspect_err(|error| {
            let waited = matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            );
            assert!(
                !waited,
                "the edge neither answers nor closes the connection"
            );
        })?;
        let Some(head) = head else { return Ok(None) };
        let (start, headers) = wire::parse_head(&head)
            .unwrap_or_else(|| panic!("not a head: {}", String::from_utf8_lossy(&head)));
        let status = start
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status: u16 = status.unwrap_or_else(|| panic!("not a status line: {start}"));
        let without_body = is_head || matches!(status, 100 | 102..=199 | 204 | 304);
        self.body = if without_body {
            wire::Body::Ended
        } else {
            wire::Body::of(&headers, true)
        };
        Ok(Some(Answer {
            status,
            headers,
            body: Vec::new(),
            whole: false,
        }))
    }

    /// The next piece of the body as it arrives; `None` at its end.
    ///
    /// # Errors
    /// If the body is cut short.
    pub fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.body.next(&mut self.stream, &mut self.buffer)
    }

    /// Reads the body until at least `length` bytes have arrived.
    ///
    /// # Panics
    /// If the body ends before.
    pub fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut body = Vec::new();
        while body.len() < length {
            match self.piece() {
                Ok(Some(piece)) => body.extend(piece),
                other => panic!(
                    "the body ended after {} of {length} bytes: {other:?}",
                    body.len()
                ),
            }
        }
        body
    }

    /// Reads the rest of the body into `answer`, and sets [`Answer::whole`].
    ///
    /// # Panics
    /// If the body neither continues nor ends within [`GUARD`].
    pub fn rest(&mut self, answer: &mut Answer) {
        loop {
            match self.piece() {
                Ok(Some(piece)) => answer.body.extend(piece),
                Ok(None) => {
                    answer.whole = true;
                    return;
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    panic!("the body stalls after {} bytes", answer.body.len())
                }
                Err(_) => return,
            }
        }
    }

    /// Whether bytes of an answer have arrived.
    pub fn is_answered(&self) -> bool {
        let mut byte = [0];
        let tcp = self.stream.tcp();
        tcp.set_nonblocking(true).expect("a socket takes options");
        let seen = tcp.peek(&mut byte);
        tcp.set_nonblocking(false).expect("a socket takes options");
        seen.is_ok()
    }

    /// Whether the edge closes the connection without sending anything.
    ///
    /// # Panics
    /// If it neither sends nor closes within [`GUARD`].
    pub fn is_closed(&mut self) -> bool {
        if !self.buffer.is_empty() {
            return false;
        }
        match wire::read_more(&mut self.stream, &mut self.buffer) {
            Ok(more) => !more,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                panic!("the edge neither sends anything nor closes the connection")
            }
            Err(_) => true,
        }
    }

    /// Resets the connection, as a client that crashes does.
    pub fn reset(self) {
        drop(socket2::SockRef::from(self.stream.tcp()).set_linger(Some(Duration::ZERO)));
    }
}
