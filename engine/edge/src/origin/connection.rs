//! One connection to a next hop, and the idle ones of this thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::stream::{NextHopStream, RequestProgress};
use super::{OriginSettings, RequestBody};
use tero_semantics::timestamp::Timestamp;

/// Idle connections kept per next hop and thread.
const MAX_IDLE: usize = 64;
/// How long a connection is kept idle: less than the 60 to 75 seconds after which most servers
/// close one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(55);
/// How long a connection may have been idle for a request that can't be sent twice: less than the
/// two to five seconds after which some servers close one. A connection that is closed just then
/// would take the request with it.
const USED_LATELY: Duration = Duration::from_secs(1);

thread_local! {
    static IDLE: RefCell<IdleConnections> = RefCell::default();
}

/// The idle connections of a thread.
#[derive(Default)]
struct IdleConnections {
    by_hop: HashMap<usize, Vec<(NextHopConnection, Timestamp)>, foldhash::fast::RandomState>,
    /// When those of all hops were last looked through.
    swept: Timestamp,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct NextHopConnection {
    sender: http1::SendRequest<RequestBody>,
    progress: Arc<RequestProgress>,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum SendResult {
    /// The head of the response came.
    Answered(Response<Incoming>),
    /// The connection had ended already: not a byte was sent.
    Unsent(Request<RequestBody>, hyper::Error),
    /// It ended before the head of the response was complete.
    Broken {
        /// What went wrong.
        source: hyper::Error,
        /// It was closed before a byte of a response came.
        was_silent: bool,
    },
}

impl NextHopConnection {
    pub(super) async fn send(&mut self, request: Request<RequestBody>) -> SendResult {
        if let Err(source) = self.sender.ready().await {
            return SendResult::Unsent(request, source);
        }
        self.progress.request_sent(request.method());
        match self.sender.try_send_request(request).await {
            Ok(response) => SendResult::Answered(response),
            Err(mut failure) => match failure.take_message() {
                Some(request) => SendResult::Unsent(request, failure.into_error()),
                None => {
                    let source = failure.into_error();
                    let was_closed = source.is_incomplete_message() || source.is_canceled();
                    SendResult::Broken {
                        source,
                        was_silent: was_closed && !self.progress.has_answer(),
                    }
                }
            },
        }
    }
}

/// Opens a connection and lets it run on this thread.
pub(super) async fn open(
    host: &str,
    port: u16,
    settings: &OriginSettings,
) -> io::Result<NextHopConnection> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let progress = Arc::new(RequestProgress::default());
    let handshake = http1::Builder::new()
        .max_buf_size(settings.max_header_bytes.max(8192))
        .max_headers(settings.max_headers)
        .handshake(TokioIo::new(NextHopStream::new(
            stream,
            Arc::clone(&progress),
        )))
        .await;
    let (sender, connection) = handshake.map_err(io::Error::other)?;
    // An error of the connection reaches whoever waits for its response.
    tokio::spawn(async move { drop(connection.with_upgrades().await) });
    Ok(NextHopConnection { sender, progress })
}

/// An idle connection to the hop that is still open, the latest first; for what can't be sent
/// twice, one that was used lately.
pub(super) fn take_idle(hop: usize, now: Timestamp, can_repeat: bool) -> Option<NextHopConnection> {
    let longest = if can_repeat {
        IDLE_TIMEOUT
    } else {
        USED_LATELY
    };
    IDLE.with_borrow_mut(|idle| {
        let idle = idle.by_hop.get_mut(&hop)?;
        idle.retain(|idle| is_of_use(idle, now));
        // Those whose response is still being read are not ready.
        let ready = idle.iter().rposition(|(connection, since)| {
            connection.sender.is_ready() && now.since(*since) < longest
        })?;
        Some(idle.swap_remove(ready).0)
    })
}

fn is_of_use((connection, since): &(NextHopConnection, Timestamp), now: Timestamp) -> bool {
    !connection.sender.is_closed() && now.since(*since) < IDLE_TIMEOUT
}

/// Keeps a connection whose response is being read; it serves the next request as soon as that has
/// ended.
pub(super) fn keep(hop: usize, connection: NextHopConnection, now: Timestamp) {
    IDLE.with_borrow_mut(|idle| {
        if now.since(idle.swept) >= IDLE_TIMEOUT || now < idle.swept {
            // A reload makes new hops, and nobody asks any more for the connections of those
            // before.
            idle.by_hop.retain(|_, idle| {
                idle.retain(|idle| is_of_use(idle, now));
                !idle.is_empty()
            });
            idle.swept = now;
        }
        let idle = idle.by_hop.entry(hop).or_default();
        if idle.len() >= MAX_IDLE {
            // Without its sender a connection closes when its response has been read.
            idle.remove(0);
        }
        idle.push((connection, now));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_to_hops_that_nobody_asks_any_more_are_let_go() {
        let settings = OriginSettings {
            hops: vec![],
            max_fetches: 1,
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(1),
            max_header_bytes: 8_192,
            max_headers: 100,
        };
        let kept = || IDLE.with_borrow(|idle| idle.by_hop.values().map(Vec::len).sum::<usize>());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let now = Timestamp::from_unix_secs(1_000);
            for (hop, now, expected) in [
                (1, now, 1),
                (1, now, 2),
                (2, now, 3),
                (2, now.saturating_add(IDLE_TIMEOUT), 1),
            ] {
                keep(hop, open("127.0.0.1", port, &settings).await.unwrap(), now);
                assert_eq!(kept(), expected, "{hop}");
            }
        });
    }
}
