//! Why a next hop gave no response.

use std::io;

use http::Request;
use rustix::io::Errno;

use super::RequestBody;
use crate::client_rate::SlowClientError;
use tero_wire::Fault;

/// Why the next hop gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// The connection was refused, or failed otherwise.
    #[error("could not connect to {origin}")]
    Connect {
        /// The next hop.
        origin: String,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// TLS failed: the next hop doesn't speak it, or its certificate was refused.
    #[error("{origin} could not be trusted, or does not speak TLS")]
    Tls {
        /// The next hop.
        origin: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The edge itself could not open a connection.
    #[error("could not open a connection to {origin}: the edge is out of descriptors or ports")]
    Exhausted {
        /// The next hop.
        origin: String,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// `connect_timeout` passed without a connection.
    #[error("{origin} did not accept a connection in time")]
    ConnectTimeout {
        /// The next hop.
        origin: String,
    },
    /// `max_fetches` requests were under way, and none of them ended within `connect_timeout`.
    #[error("too many requests to the origin are under way")]
    Busy,
    /// The site has no next hop of the name that a policy has chosen.
    #[error("the site has no origin of the name that a policy has chosen")]
    Unknown,
    /// `response_timeout` passed without the head of a response.
    #[error("{origin} did not answer in time")]
    ResponseTimeout {
        /// The next hop.
        origin: String,
    },
    /// The connection ended before the head of the response was complete, or the response is not
    /// HTTP.
    #[error("{origin} broke off or did not speak HTTP")]
    Broken {
        /// The next hop.
        origin: String,
        /// What went wrong.
        #[source]
        source: hyper::Error,
    },
    /// The response could be read in two ways, so it was not used.
    #[error("{origin} sent a malformed response: {fault}")]
    Malformed {
        /// The next hop.
        origin: String,
        /// The fault in it.
        fault: Fault,
    },
    /// The head of the response has more fields than `max_headers`.
    #[error("{origin} sent too many header fields")]
    TooManyFields {
        /// The next hop.
        origin: String,
    },
    /// It switched to another protocol without being asked to.
    #[error("{origin} switched protocols unasked")]
    Switched {
        /// The next hop.
        origin: String,
    },
    /// The client sent its request body too slowly.
    #[error("the client sent the request body too slowly")]
    SlowRequestBody,
    /// The client's own request body failed.
    #[error("the request body ended early")]
    RequestBody {
        /// What went wrong.
        #[source]
        source: hyper::Error,
    },
}

impl OriginError {
    /// The error of the system that a connection could not be opened.
    pub(super) fn connect(origin: String, source: io::Error) -> OriginError {
        if is_own(&source) {
            OriginError::Exhausted { origin, source }
        } else {
            OriginError::Connect { origin, source }
        }
    }

    /// Whether it is a timeout, which is a 504 and not a 502 (RFC 9110 §15.6.5).
    pub fn is_timeout(&self) -> bool {
        matches!(
            self,
            OriginError::ConnectTimeout { .. } | OriginError::ResponseTimeout { .. }
        )
    }

    /// The reason for `Cache-Status`, without the name of the next hop.
    pub fn as_str(&self) -> &'static str {
        match self {
            OriginError::Connect { source, .. } if is_of_look_up(source) => {
                "origin's name could not be looked up"
            }
            OriginError::Connect { source, .. } => match source.kind() {
                io::ErrorKind::ConnectionRefused => "origin refused the connection",
                _ => "origin could not be reached",
            },
            OriginError::Tls { .. } => "TLS to the origin failed",
            OriginError::Exhausted { .. } => "edge is out of descriptors or ports",
            OriginError::ConnectTimeout { .. } => "origin did not accept a connection in time",
            OriginError::Busy => "too many requests to the origin",
            OriginError::Unknown => "no origin of the chosen name",
            OriginError::ResponseTimeout { .. } => "origin did not answer in time",
            OriginError::Broken { source, .. } if source.is_parse_too_large() => {
                "origin sent too large a head"
            }
            OriginError::Broken { source, .. } if source.is_parse() => {
                "origin sent a malformed response"
            }
            OriginError::Broken { .. } => "origin broke off",
            OriginError::Malformed { .. } => "origin sent a malformed response",
            OriginError::TooManyFields { .. } => "origin sent too many header fields",
            OriginError::Switched { .. } => "origin switched protocols unasked",
            OriginError::SlowRequestBody => "request body came too slowly",
            OriginError::RequestBody { .. } => "request body ended early",
        }
    }
}

/// Why there is no address for the name of a next hop.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookUpError {
    /// The system could not look it up.
    #[error("the name could not be looked up")]
    Failed(#[source] io::Error),
    /// That was so a moment ago, and is not asked again yet.
    #[error("the name could not be looked up a moment ago")]
    FailedLately,
    /// There is none.
    #[error("the name has no address")]
    NoAddress,
}

impl From<LookUpError> for io::Error {
    fn from(error: LookUpError) -> io::Error {
        io::Error::other(error)
    }
}

fn is_of_look_up(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<LookUpError>())
}

/// Whether the edge lacks something, so that the next hop is not to blame.
pub(super) fn is_own(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        code,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL)
    )
}

/// Why a request got no response.
pub(super) struct SendError {
    pub(super) error: OriginError,
    /// The request, if nothing of it was sent.
    pub(super) unsent: Option<Request<RequestBody>>,
    /// The connection ended in order, without a byte of a response.
    pub(super) was_silent: bool,
}

impl SendError {
    /// The error of a request that was not sent.
    pub(super) fn unsent(error: OriginError, request: Request<RequestBody>) -> SendError {
        SendError {
            error,
            unsent: Some(request),
            was_silent: true,
        }
    }

    /// The error of a request that was sent, at least in part.
    pub(super) fn sent(error: OriginError) -> SendError {
        SendError {
            error,
            unsent: None,
            was_silent: false,
        }
    }

    /// The error of a request on whose connection hyper failed.
    pub(super) fn broken(origin: String, source: hyper::Error, was_silent: bool) -> SendError {
        if source.is_user() {
            return SendError::sent(if is_slow_client(&source) {
                OriginError::SlowRequestBody
            } else {
                OriginError::RequestBody { source }
            });
        }
        match fault_in(&source) {
            Some(fault) => SendError::sent(OriginError::Malformed { origin, fault }),
            None => SendError {
                was_silent,
                ..SendError::sent(OriginError::Broken { origin, source })
            },
        }
    }
}

/// Whether a request body failed because the client was too slow.
pub(crate) fn is_slow_client(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<SlowClientError>() || error.source().is_some_and(is_slow_client)
}

/// The fault that our own check of the bytes found, among the sources of hyper's error.
fn fault_in(error: &hyper::Error) -> Option<Fault> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(fault) = inner.and_then(|inner| inner.downcast_ref::<Fault>()) {
            return Some(*fault);
        }
        source = error.source();
    }
    None
}
