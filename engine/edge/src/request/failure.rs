//! A fetch that brought nothing to serve, and errors with their causes as the log tells them.

use std::time::Duration;

use http::StatusCode;

use crate::origin::OriginError;

/// A fetch that brought nothing to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What the client is told.
    pub status: StatusCode,
    /// What the next hop said, where it said something.
    pub origin_status: Option<StatusCode>,
    /// The reason, for people.
    pub reason: &'static str,
    /// How long the next hop wants to be left alone.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// An error of the next hop: 504 where time ran out, 503 where we hold back, else 502 (RFC 9110
    /// §15.6).
    pub(super) fn of(error: &OriginError) -> Failure {
        let status = match error {
            _ if error.is_timeout() => StatusCode::GATEWAY_TIMEOUT,
            OriginError::Busy => StatusCode::SERVICE_UNAVAILABLE,
            OriginError::RequestBody { .. } => StatusCode::BAD_REQUEST,
            _ => StatusCode::BAD_GATEWAY,
        };
        Failure {
            status,
            origin_status: None,
            reason: error.as_str(),
            retry_after: None,
        }
    }

    /// The edge is going down.
    pub(super) fn shutting_down() -> Failure {
        let (status, reason) = (StatusCode::SERVICE_UNAVAILABLE, "the edge is shutting down");
        Failure {
            status,
            origin_status: None,
            reason,
            retry_after: None,
        }
    }

    /// As many tunnels as `max_tunnels` allows are open.
    pub(super) fn too_many_tunnels() -> Failure {
        let (status, reason) = (StatusCode::SERVICE_UNAVAILABLE, "too many tunnels");
        Failure {
            status,
            origin_status: None,
            reason,
            retry_after: None,
        }
    }

    /// The next hop has taken up another protocol than the one that was asked for.
    pub(super) fn of_upgrade() -> Failure {
        let origin_status = Some(StatusCode::SWITCHING_PROTOCOLS);
        let (status, reason) = (
            StatusCode::BAD_GATEWAY,
            "origin switched to another protocol",
        );
        Failure {
            status,
            origin_status,
            reason,
            retry_after: None,
        }
    }

    /// An answer of the next hop that is itself an error (RFC 5861 §4).
    pub(super) fn status(status: StatusCode, retry_after: Option<Duration>) -> Failure {
        Failure {
            status,
            origin_status: Some(status),
            reason: "origin answered with an error",
            retry_after,
        }
    }
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
