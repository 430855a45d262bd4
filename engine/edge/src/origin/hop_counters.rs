//! What became of the requests to one next hop.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use super::error::OriginError;
use super::health::HopState;
use crate::validity::Validity;

/// What became of a request to a next hop.
const RESULTS: [&str; 11] = [
    "1xx",
    "2xx",
    "3xx",
    "4xx",
    "5xx",
    "refused",
    "tls",
    "timeout",
    "broken",
    "malformed",
    "not_sent",
];

/// Counts of the requests to one next hop.
#[derive(Debug, Default)]
pub(super) struct HopCounters {
    results: [AtomicU64; RESULTS.len()],
    micros: AtomicU64,
    connections: AtomicU64,
}

/// The figures of a next hop.
#[derive(Clone, Debug, PartialEq)]
pub struct HopFigures {
    /// Its name in the configuration, or host and port.
    pub name: String,
    /// Its addresses, as far as they are known.
    pub addresses: Vec<String>,
    /// From when until when its certificate holds, as of the latest connection.
    pub certificate: Option<Validity>,
    /// Requests by their result, all that there are.
    pub results: Vec<(&'static str, u64)>,
    /// Time from the requests to the heads of their responses, in seconds.
    pub seconds: f64,
    /// Connections that were opened.
    pub connections: u64,
    /// How it does.
    pub state: HopState,
    /// Whether it is a shield in front of the site's origins.
    pub is_shield: bool,
}

impl HopCounters {
    /// Counts a request that took `took` to the head of its response, or to its failure.
    pub(super) fn record(&self, result: Result<StatusCode, &OriginError>, took: Duration) {
        let name = match result {
            Ok(status) => return self.add(usize::from(status.as_u16() / 100 - 1).min(4), took),
            Err(OriginError::Connect { .. }) => "refused",
            Err(OriginError::Tls { .. }) => "tls",
            Err(error) if error.is_timeout() => "timeout",
            Err(
                OriginError::Malformed { .. }
                | OriginError::TooManyFields { .. }
                | OriginError::Switched { .. },
            ) => "malformed",
            Err(OriginError::Broken { .. }) => "broken",
            Err(_) => "not_sent",
        };
        let place = RESULTS.iter().position(|result| *result == name);
        self.add(place.unwrap_or(RESULTS.len() - 1), took);
    }

    fn add(&self, place: usize, took: Duration) {
        self.results[place].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Counts a connection.
    pub(super) fn opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// The figures of the next hop with this name.
    #[allow(clippy::cast_precision_loss)] // Seconds with six digits.
    pub(super) fn figures(&self, name: &str, state: HopState) -> HopFigures {
        let counts = self
            .results
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        HopFigures {
            name: name.to_owned(),
            addresses: Vec::new(),
            certificate: None,
            results: RESULTS.into_iter().zip(counts).collect(),
            seconds: self.micros.load(Ordering::Relaxed) as f64 / 1e6,
            connections: self.connections.load(Ordering::Relaxed),
            state,
            is_shield: false,
        }
    }
}
