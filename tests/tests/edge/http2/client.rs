//! A client that keeps to the rules, on the crate `h2`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use hyper::body::Bytes;
use tero_tests::HOST;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// How long anything may take before the test fails.
const GUARD: Duration = tero_tests::GUARD;

/// Waits for at most [`GUARD`], in real time.
#[allow(clippy::disallowed_methods)] // A test that waits for ever must fail; none depends on its length.
pub(super) fn within<F: Future>(future: F) -> tokio::time::Timeout<F> {
    tokio::time::timeout(GUARD, future)
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Http2Client {
    handle: Handle,
    sender: SendRequest<Bytes>,
    /// How the connection ended, once it has.
    ended: Arc<Mutex<Option<Result<(), String>>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A request that was sent.
#[derive(Debug)]
pub(crate) struct Http2Request {
    handle: Handle,
    response: ResponseFuture,
    /// Where its content goes.
    pub(crate) content: SendStream<Bytes>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Http2Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
    /// The content came to its end.
    pub(crate) whole: bool,
}

impl Http2Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A GET for the site.
pub(crate) fn get(path: &str) -> Request<()> {
    request("GET", path)
}

/// A request for the site.
pub(crate) fn request(method: &str, path: &str) -> Request<()> {
    Request::builder()
        .method(method)
        .uri(format!("http://{HOST}{path}"))
        .body(())
        .unwrap()
}

impl Http2Client {
    /// Connects to a listener in the clear.
    pub(crate) fn connect(address: SocketAddr) -> Http2Client {
        let (to_handle, handle) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            to_handle.send(runtime.handle().clone()).unwrap();
            let _ = runtime.block_on(stopped);
        });
        let handle: Handle = handle.recv().unwrap();
        let ended: Arc<Mutex<Option<Result<(), String>>>> = Arc::default();
        let ends = Arc::clone(&ended);
        let sender = handle.block_on(async {
            let stream = TcpStream::connect(address).await.expect("the edge listens");
            stream.set_nodelay(true).unwrap();
            let (sender, connection) = h2::client::Builder::new()
                .enable_push(false)
                .initial_connection_window_size(16 << 20)
                .handshake(stream)
                .await
                .unwrap();
            tokio::spawn(async move {
                let end = connection.await.map_err(|error| error.to_string());
                *ends.lock().unwrap() = Some(end);
            });
            sender
        });
        Http2Client {
            handle,
            sender,
            ended,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Sends a request without content, and reads the answer.
    pub(crate) fn send(&self, request: Request<()>) -> Http2Answer {
        self.start(request, true).answer()
    }

    /// Sends a request with content, and reads the answer.
    pub(crate) fn send_with(&self, request: Request<()>, content: impl AsRef<[u8]>) -> Http2Answer {
        let mut sent = self.start(request, false);
        let content = Bytes::copy_from_slice(content.as_ref());
        sent.content.send_data(content, true).unwrap();
        sent.answer()
    }

    /// Sends the head of a request.
    pub(crate) fn start(&self, request: Request<()>, ends: bool) -> Http2Request {
        self.try_start(request, ends)
            .expect("the edge takes the request")
    }

    /// Sends the head of a request, unless the connection has ended.
    pub(crate) fn try_start(
        &self,
        request: Request<()>,
        ends: bool,
    ) -> Result<Http2Request, h2::Error> {
        self.handle.block_on(async {
            let ready = within(self.sender.clone().ready());
            let mut sender = ready.await.expect("the edge takes streams")?;
            let (response, content) = sender.send_request(request, ends)?;
            Ok(Http2Request {
                handle: self.handle.clone(),
                response,
                content,
            })
        })
    }

    /// Whether the edge offers extended CONNECT (RFC 8441 §3). The settings come after a while.
    pub(crate) fn may_connect(&self) -> bool {
        self.sender.is_extended_connect_protocol_enabled()
    }

    /// How the connection ended; `None` if it goes on.
    pub(crate) fn ended(&self) -> Option<Result<(), String>> {
        self.ended.lock().unwrap().clone()
    }
}

impl Drop for Http2Client {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Http2Request {
    /// Reads the answer to its end.
    pub(crate) fn answer(self) -> Http2Answer {
        self.try_answer().expect("the edge answers")
    }

    /// Reads the answer, unless the stream is reset before its head.
    pub(crate) fn try_answer(self) -> Result<Http2Answer, h2::Error> {
        let Http2Request {
            handle,
            response,
            content: _content,
        } = self;
        handle.block_on(async {
            let response = within(response).await.expect("the edge answers in time")?;
            Ok(read(response).await)
        })
    }

    /// Waits for an interim response.
    pub(crate) fn interim(&mut self) -> Response<()> {
        let response = &mut self.response;
        self.handle.block_on(async {
            let interim = std::future::poll_fn(|context| response.poll_informational(context));
            within(interim)
                .await
                .expect("an interim response comes in time")
                .expect("an interim response comes before the final one")
                .unwrap()
        })
    }

    /// Waits for the head of the answer, and leaves the content.
    pub(crate) fn head(self) -> (Response<RecvStream>, SendStream<Bytes>, Handle) {
        let response = self.response;
        let head = self.handle.block_on(async {
            let response = within(response);
            response.await.expect("the edge answers in time").unwrap()
        });
        (head, self.content, self.handle)
    }
}

async fn read(response: Response<RecvStream>) -> Http2Answer {
    let (head, mut content) = response.into_parts();
    let mut answer = Http2Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: Vec::new(),
        trailers: None,
        whole: false,
    };
    loop {
        let piece = within(content.data());
        match piece.await.expect("the content comes in time") {
            None => break,
            Some(Err(_)) => return answer,
            Some(Ok(piece)) => {
                content
                    .flow_control()
                    .release_capacity(piece.len())
                    .unwrap();
                answer.body.extend(piece);
            }
        }
    }
    match content.trailers().await {
        Ok(trailers) => (answer.trailers, answer.whole) = (trailers, true),
        Err(_) => answer.whole = false,
    }
    answer
}
