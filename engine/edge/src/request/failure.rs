//! A fetch that brought nothing to serve, and errors with their causes as the log tells them.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

use crate::origin::OriginError;
use tero_semantics::retry_after::retry_after;
use tero_time::clock::Clock;

/// Why a request does not get the response that it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the client is told, unless a stale response is served instead.
    pub status: StatusCode,
    /// The reason, for people.
    pub reason: &'static str,
    /// What the next hop answered, if it did.
    pub next_hop: Option<NextHopReply>,
}

/// What the next hop answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHopReply {
    /// With which status.
    pub status: StatusCode,
    /// How long it wants to be left alone (RFC 9110 §10.2.3).
    pub retry_after: Option<Duration>,
}

impl NextHopReply {
    /// A response with this head.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap, clock: &Clock) -> NextHopReply {
        // Few have the field, and the time is dear.
        let retry_after = if headers.contains_key(RETRY_AFTER) {
            retry_after(headers, clock.wall())
        } else {
            None
        };
        NextHopReply {
            status,
            retry_after,
        }
    }

    /// A status alone.
    pub(super) fn bare(status: StatusCode) -> NextHopReply {
        NextHopReply {
            status,
            retry_after: None,
        }
    }
}

impl Failure {
    /// An answer of our own.
    pub(super) const fn own(status: StatusCode, reason: &'static str) -> Failure {
        Failure {
            status,
            reason,
            next_hop: None,
        }
    }

    /// The answer of a rule of the site.
    pub(super) fn by_rule(status: StatusCode, reason: &'static str) -> Failure {
        Failure::own(status, reason)
    }

    /// An error of the next hop: 504 where time ran out, 503 where we hold back or lack something,
    /// else 502 (RFC 9110 §15.6); or of the client's content: 408 where time ran out, else 400
    /// (§15.5).
    pub(super) fn of(error: &OriginError) -> Failure {
        let status = match error {
            _ if error.is_timeout() => StatusCode::GATEWAY_TIMEOUT,
            OriginError::Busy | OriginError::Exhausted { .. } => StatusCode::SERVICE_UNAVAILABLE,
            OriginError::SlowRequestBody => StatusCode::REQUEST_TIMEOUT,
            OriginError::RequestBody { .. } => StatusCode::BAD_REQUEST,
            _ => StatusCode::BAD_GATEWAY,
        };
        Failure::own(status, error.as_str())
    }

    /// `only-if-cached`, and nothing stored will do (RFC 9111 §5.2.1.7).
    pub(super) fn only_if_cached() -> Failure {
        let reason = "only-if-cached, and nothing stored will do";
        Failure::own(StatusCode::GATEWAY_TIMEOUT, reason)
    }

    /// The content of the request failed before it was sent on.
    pub(super) fn of_content(error: &(dyn std::error::Error + 'static)) -> Failure {
        if crate::origin::is_slow_client(error) {
            Failure::of(&OriginError::SlowRequestBody)
        } else {
            Failure::own(StatusCode::BAD_REQUEST, "request body ended early")
        }
    }

    /// The client has sent more requests than a limit allows.
    pub(super) fn over_a_limit() -> Failure {
        Failure::own(StatusCode::TOO_MANY_REQUESTS, "over a limit")
    }

    /// The origin is left alone after a failure.
    pub(super) fn origin_rests() -> Failure {
        let reason = "origin failed lately and is left alone";
        Failure::own(StatusCode::SERVICE_UNAVAILABLE, reason)
    }

    /// The origin is asked again after a failure.
    pub(super) fn origin_is_tried() -> Failure {
        let reason = "origin failed lately and is asked again";
        Failure::own(StatusCode::SERVICE_UNAVAILABLE, reason)
    }

    /// Whether the origin has failed, and not the edge or the client: no connection, no answer in
    /// time, nothing that is HTTP, or a status that says so.
    pub(super) fn is_of_origin(self) -> bool {
        match self.next_hop {
            Some(reply) => is_failure_of_origin(reply.status),
            None => matches!(
                self.status,
                StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT
            ),
        }
    }

    /// The edge is going down.
    pub(super) fn shutting_down() -> Failure {
        Failure::own(StatusCode::SERVICE_UNAVAILABLE, "the edge is shutting down")
    }

    /// As many tunnels as `max_tunnels` allows are open.
    pub(super) fn too_many_tunnels() -> Failure {
        Failure::own(StatusCode::SERVICE_UNAVAILABLE, "too many tunnels")
    }

    /// An extended CONNECT for a protocol that the site does not pass on (RFC 8441 §4).
    pub(super) fn protocol_not_offered() -> Failure {
        Failure::own(StatusCode::NOT_IMPLEMENTED, "the protocol is not offered")
    }

    /// The next hop has taken up another protocol than the one that was asked for.
    pub(super) fn of_upgrade() -> Failure {
        Failure {
            status: StatusCode::BAD_GATEWAY,
            reason: "origin switched to another protocol",
            next_hop: Some(NextHopReply::bare(StatusCode::SWITCHING_PROTOCOLS)),
        }
    }

    /// The next hop has switched to WebSocket without having understood the key.
    pub(super) fn of_websocket() -> Failure {
        Failure {
            reason: "origin did not answer the key of the WebSocket",
            ..Failure::of_upgrade()
        }
    }

    /// The next hop has answered 304 to a request that had no condition for it (RFC 9110 §15.4.5).
    pub(super) fn unasked_not_modified() -> Failure {
        Failure {
            status: StatusCode::BAD_GATEWAY,
            reason: "origin answered 304 to a request without a condition",
            next_hop: Some(NextHopReply::bare(StatusCode::NOT_MODIFIED)),
        }
    }

    /// An answer of the next hop that is itself an error (RFC 5861 §4).
    pub(super) fn status(reply: NextHopReply) -> Failure {
        Failure {
            status: reply.status,
            reason: "origin answered with an error",
            next_hop: Some(reply),
        }
    }
}

/// Whether a status says that the origin can't answer now. A 500 is an answer of the application.
pub(super) fn is_failure_of_origin(status: StatusCode) -> bool {
    matches!(status.as_u16(), 502..=504)
}

/// An error with its causes, for the log.
pub(super) struct ErrorChain<'e>(pub &'e dyn std::error::Error);

impl std::fmt::Display for ErrorChain<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
