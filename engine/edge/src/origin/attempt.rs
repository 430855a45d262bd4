//! One try to get an answer from one hop: on an open connection, else on a new one.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, UPGRADE, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;

use super::connection::{self, ConnectionSettings, NextHopConnection, SendResult, StreamPlace};
use super::error::{self, OriginError, SendError};
use super::next_hop::NextHop;
use super::pool;
use super::sending::SendingContent;
use super::socket::PlainSocket;
use super::{FetchTimes, RequestBody, RequestCopy};
use tero_semantics::forwarding;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::{Clock, TimeoutError};

/// What one hop answered.
pub(super) struct HopAnswer {
    pub(super) response: Response<Incoming>,
    /// The request's place on a connection that it shares.
    pub(super) stream: Option<StreamPlace>,
}

/// A connection for one request.
struct TakenConnection {
    connection: NextHopConnection,
    /// The request's place on it, if others share it.
    stream: Option<StreamPlace>,
}

impl TakenConnection {
    /// One that no other request uses.
    fn alone(connection: NextHopConnection) -> TakenConnection {
        TakenConnection {
            connection,
            stream: None,
        }
    }
}

/// A try to get an answer from one hop.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) hop: &'a NextHop,
    pub(super) times: FetchTimes,
    pub(super) connection: ConnectionSettings,
    pub(super) clock: &'a Clock,
    /// How far the content of the request has been sent; `None` without content.
    pub(super) sending: Option<&'a Arc<SendingContent>>,
    /// Until when an answer without content is waited for.
    pub(super) deadline: Timestamp,
}

impl Attempt<'_> {
    /// Sends a request to one hop: on open connections, then on a new one.
    pub(super) async fn run(
        self,
        mut request: Request<RequestBody>,
        mut again: Option<&mut RequestCopy<'_>>,
    ) -> Result<HopAnswer, SendError> {
        let hop = self.hop;
        // Upgrades are of HTTP/1.1 (RFC 9110 §7.8).
        let only_http1 = request.headers().contains_key(UPGRADE);
        while let Some(open) = self.take_open(only_http1, again.is_some()) {
            let mut failure = match self.send(open, request).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if let Some(unsent) = failure.unsent.take() {
                request = unsent;
                continue;
            }
            // The hop may have closed the connection at this very moment: then the connection ends
            // without a byte of a response, and the hop has not handled the request (RFC 9112
            // §9.3.1, RFC 9113 §8.7).
            let again = again.as_mut().filter(|_| failure.was_silent);
            match again.and_then(|again| again()) {
                Some(copy) => request = copy,
                None => return Err(failure),
            }
            break;
        }
        let opened = if hop.may_share() && !only_http1 {
            self.open_shared().await
        } else {
            self.open(only_http1).await.map(TakenConnection::alone)
        };
        match opened {
            Ok(connection) => self.send(connection, request).await,
            Err(error) => Err(SendError::unsent(error, request)),
        }
    }

    /// Sends a request on a connection of its own, which is closed after it.
    pub(super) async fn run_alone(
        self,
        request: Request<RequestBody>,
    ) -> Result<HopAnswer, SendError> {
        match self.open(false).await {
            Ok(connection) => self.send(TakenConnection::alone(connection), request).await,
            Err(error) => Err(SendError::unsent(error, request)),
        }
    }

    /// An open connection that can take a request.
    fn take_open(self, only_http1: bool, can_repeat: bool) -> Option<TakenConnection> {
        let hop = self.hop;
        let (now, max_age) = (self.clock.now(), self.connection.max_age);
        if hop.may_share()
            && !only_http1
            && let Some((connection, stream)) = pool::join_shared(hop, now, max_age)
        {
            return Some(TakenConnection {
                connection,
                stream: Some(stream),
            });
        }
        let idle = pool::take_idle(hop, now, max_age, can_repeat);
        idle.map(TakenConnection::alone)
    }

    /// Opens a connection that several requests share. Of a crowd, one opens it and the others
    /// wait, unless the hop turns out not to speak HTTP/2.
    async fn open_shared(self) -> Result<TakenConnection, OriginError> {
        let hop = self.hop;
        let turn = pool::opening(hop);
        let turn = self.clock.timeout(self.patience(), turn.lock()).await;
        let Ok(_turn) = turn else {
            return Err(OriginError::ConnectTimeout {
                origin: hop.name.clone(),
            });
        };
        if !hop.may_share() {
            return self.open(false).await.map(TakenConnection::alone);
        }
        let (now, max_age) = (self.clock.now(), self.connection.max_age);
        if let Some((connection, stream)) = pool::join_shared(hop, now, max_age) {
            return Ok(TakenConnection {
                connection,
                stream: Some(stream),
            });
        }
        let connection = self.open(false).await?;
        let Some((joined, stream)) = connection.join(hop.max_streams) else {
            return Ok(TakenConnection::alone(connection));
        };
        pool::share(hop, connection, now);
        Ok(TakenConnection {
            connection: joined,
            stream: Some(stream),
        })
    }

    /// Connects. If the edge lacks the room, it closes the idle connections of this thread and tries
    /// once more.
    async fn connect_with_room(self) -> io::Result<PlainSocket> {
        let hop = self.hop;
        match hop.connect(self.clock).await {
            Err(error) if error::is_own(&error) && pool::close_idle() => {
                // Their tasks close the sockets.
                tokio::task::yield_now().await;
                hop.connect(self.clock).await
            }
            connected => connected,
        }
    }

    /// How long a connection may take now: `connect_timeout`, and no longer than to the deadline of a
    /// request without content.
    fn patience(&self) -> Duration {
        let timeout = self.times.connect;
        match self.sending {
            None => timeout.min(self.deadline.since(self.clock.now())),
            Some(_) => timeout,
        }
    }

    /// Opens a connection. `connect_timeout` bounds all of it, the TLS handshake included.
    async fn open(self, only_http1: bool) -> Result<NextHopConnection, OriginError> {
        let hop = self.hop;
        let origin = || hop.name.clone();
        let opening = async {
            let socket = self.connect_with_room().await;
            let socket = socket.map_err(|source| OriginError::connect(origin(), source))?;
            let secured = hop.secure(socket, only_http1, self.clock).await;
            let secured = secured.map_err(|source| OriginError::Tls {
                origin: origin(),
                source,
            })?;
            let (settings, now) = (&self.connection, self.clock.now());
            let spoken = connection::speak(secured.socket, secured.spoken, settings, now).await;
            spoken.map_err(|source| OriginError::connect(origin(), source))
        };
        let opened = self.clock.timeout(self.patience(), opening).await;
        let connection = opened.map_err(|_| OriginError::ConnectTimeout { origin: origin() })??;
        hop.counters.opened();
        Ok(connection)
    }

    /// Sends a request on a connection, and keeps the connection for the next one.
    async fn send(
        self,
        taken: TakenConnection,
        request: Request<RequestBody>,
    ) -> Result<HopAnswer, SendError> {
        let hop = self.hop;
        let TakenConnection {
            mut connection,
            stream,
        } = taken;
        let origin = || hop.name.clone();
        let asks_to_switch = request.headers().contains_key(UPGRADE);
        let is_tied = forwarding::ties_connection(request.headers(), AUTHORIZATION);
        match self.answer(&mut connection, request).await {
            Ok(SendResult::Answered(mut response))
                if response.status() != StatusCode::SWITCHING_PROTOCOLS =>
            {
                if response.headers().len() > self.connection.max_headers {
                    return Err(SendError::sent(OriginError::TooManyFields {
                        origin: origin(),
                    }));
                }
                // Each hop speaks its own version (RFC 9110 §6.2).
                *response.version_mut() = Version::HTTP_11;
                // One that belongs to a user ends with this response.
                if !connection.is_shared()
                    && !is_tied
                    && !forwarding::ties_connection(response.headers(), WWW_AUTHENTICATE)
                {
                    pool::keep(hop, connection, self.clock.now());
                }
                Ok(HopAnswer { response, stream })
            }
            Ok(SendResult::Answered(response)) if asks_to_switch => {
                Ok(HopAnswer { response, stream })
            }
            Ok(SendResult::Answered(_)) => {
                Err(SendError::sent(OriginError::Switched { origin: origin() }))
            }
            Ok(SendResult::Unsent(request, source)) => {
                let origin = origin();
                Err(SendError::unsent(
                    OriginError::Broken { origin, source },
                    request,
                ))
            }
            Ok(SendResult::Broken { source, was_silent }) => {
                Err(SendError::broken(origin(), source, was_silent))
            }
            Err(_) => {
                connection.retire();
                Err(SendError::sent(OriginError::ResponseTimeout {
                    origin: origin(),
                }))
            }
        }
    }

    /// Sends a request and waits for the head of its response, for `response_timeout` at most, and no
    /// longer than to the deadline. With
    /// content, that time begins anew with each byte that the next hop accepts, and does not run
    /// while the client's next byte is awaited.
    async fn answer(
        self,
        connection: &mut NextHopConnection,
        request: Request<RequestBody>,
    ) -> Result<SendResult, TimeoutError> {
        let timeout = self.times.response;
        let Some(sending) = self.sending else {
            let timeout = timeout.min(self.deadline.since(self.clock.now()));
            let answered = connection.send(request, None);
            return self.clock.timeout(timeout, answered).await;
        };
        sending.begin();
        let mut answered = pin!(connection.send(request, Some(sending)));
        loop {
            let now = self.clock.now();
            let Some(end) = sending.deadline(now, timeout) else {
                return Err(TimeoutError);
            };
            tokio::select! {
                biased;
                answered = &mut answered => return Ok(answered),
                () = self.clock.sleep_until(end) => {}
            }
        }
    }
}
