//! Why a next hop gave no response.

use std::io;

use tero_wire::Fault;

/// Why the next hop gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// No connection came about.
    #[error("could not connect to {origin}")]
    Connect {
        /// The next hop.
        origin: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// `connect_timeout` passed.
    #[error("{origin} did not accept a connection in time")]
    ConnectTimeout {
        /// The next hop.
        origin: String,
    },
    /// As many requests as `max_fetches` allows were under way, and none ended within
    /// `connect_timeout`.
    #[error("too many requests to the origin are under way")]
    Busy,
    /// `response_timeout` passed.
    #[error("{origin} did not answer in time")]
    ResponseTimeout {
        /// The next hop.
        origin: String,
    },
    /// The connection ended before the head of the response was complete, or what came is not HTTP.
    #[error("{origin} broke off or did not speak HTTP")]
    Broken {
        /// The next hop.
        origin: String,
        /// What went wrong.
        #[source]
        source: hyper::Error,
    },
    /// What came could be read in two ways, so it was not read at all.
    #[error("{origin} sent a malformed response: {fault}")]
    Malformed {
        /// The next hop.
        origin: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// It switched to another protocol, and nobody had asked for one.
    #[error("{origin} switched protocols unasked")]
    Switched {
        /// The next hop.
        origin: String,
    },
    /// The client's own request body failed.
    #[error("the request body ended early")]
    RequestBody {
        /// What went wrong.
        #[source]
        source: hyper::Error,
    },
}

impl OriginError {
    /// Whether time ran out: a 504 rather than a 502 (RFC 9110 §15.6.5).
    pub fn is_timeout(&self) -> bool {
        matches!(
            self,
            OriginError::ConnectTimeout { .. } | OriginError::ResponseTimeout { .. }
        )
    }

    /// The reason in a word, for `Cache-Status`.
    pub fn as_str(&self) -> &'static str {
        match self {
            OriginError::Connect { .. } => "origin refused the connection",
            OriginError::ConnectTimeout { .. } => "origin did not accept a connection in time",
            OriginError::Busy => "too many requests to the origin",
            OriginError::ResponseTimeout { .. } => "origin did not answer in time",
            OriginError::Broken { .. } => "origin broke off",
            OriginError::Malformed { .. } => "origin sent a malformed response",
            OriginError::Switched { .. } => "origin switched protocols unasked",
            OriginError::RequestBody { .. } => "request body ended early",
        }
    }
}

/// What our own look at the bytes found, behind what hyper says of it.
pub(super) fn fault_in(error: &hyper::Error) -> Option<Fault> {
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
