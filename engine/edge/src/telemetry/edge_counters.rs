//! Figures of the edge as a whole, which belong to no site.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::connection_faults::FaultCounts;
use super::handshake_counters::HandshakeCounters;
use super::purge_counters::PurgeCounters;
use super::repeats::RepeatLimits;
use super::status_counts::StatusCounts;

/// Figures of the edge as a whole.
#[derive(Debug, Default)]
pub struct EdgeCounters {
    /// Requests that were refused before a site was found, by status.
    refusals: StatusCounts,
    /// Requests to the admin interface that were denied access, by status.
    admin_refusals: StatusCounts,
    opened: AtomicU64,
    closed: AtomicU64,
    turned_away: AtomicU64,
    proxy_headers: [AtomicU64; ProxyHeaderRefusal::ALL.len()],
    /// Connections of HTTP/2 that were ended for a fault of their client.
    pub http2_faults: FaultCounts,
    /// Purges.
    pub purges: PurgeCounters,
    /// TLS handshakes.
    pub handshakes: HandshakeCounters,
    /// Bounds messages of the log that are not about one site.
    pub repeats: RepeatLimits,
}

/// Why a connection was closed for its PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeaderRefusal {
    /// The listener wants one, and the connection begins without.
    Missing,
    /// It is not one of version 1 or 2.
    Malformed,
    /// It is longer than its version allows, or than we take.
    TooLong,
    /// It did not arrive in time.
    Late,
    /// The connection ended within it.
    CutShort,
    /// There is one that the listener does not want, or a second one.
    Unexpected,
}

impl ProxyHeaderRefusal {
    /// Every reason.
    pub const ALL: [ProxyHeaderRefusal; 6] = [
        ProxyHeaderRefusal::Missing,
        ProxyHeaderRefusal::Malformed,
        ProxyHeaderRefusal::TooLong,
        ProxyHeaderRefusal::Late,
        ProxyHeaderRefusal::CutShort,
        ProxyHeaderRefusal::Unexpected,
    ];

    /// Its name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            ProxyHeaderRefusal::Missing => "missing",
            ProxyHeaderRefusal::Malformed => "malformed",
            ProxyHeaderRefusal::TooLong => "too_long",
            ProxyHeaderRefusal::Late => "late",
            ProxyHeaderRefusal::CutShort => "cut_short",
            ProxyHeaderRefusal::Unexpected => "unexpected",
        }
    }
}

impl EdgeCounters {
    /// Counts a connection that is closed for its PROXY header.
    pub fn proxy_header_refused(&self, why: ProxyHeaderRefusal) {
        self.proxy_headers[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Connections that were closed for their PROXY header, by reason.
    pub fn proxy_headers_refused(&self) -> [(ProxyHeaderRefusal, u64); 6] {
        ProxyHeaderRefusal::ALL.map(|why| {
            (
                why,
                self.proxy_headers[why as usize].load(Ordering::Relaxed),
            )
        })
    }

    /// Counts a request that belongs to no site.
    pub fn refused(&self, status: http::StatusCode) {
        self.refusals.record(status);
    }

    /// Refused requests by status; see [`StatusCounts::add_to`] for the names.
    pub fn refusals(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        self.refusals.add_to(&mut sums);
        sums
    }

    /// Counts a request that the admin interface denied access.
    pub fn admin_refused(&self, status: http::StatusCode) {
        self.admin_refusals.record(status);
    }

    /// Requests that the admin interface denied access, by status.
    pub fn admin_refusals(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        self.admin_refusals.add_to(&mut sums);
        sums
    }

    /// Counts a client's connection.
    pub fn connection_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the end of a client's connection.
    pub fn connection_closed(&self) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that is closed at once, since its client has too many.
    pub fn connection_turned_away(&self) {
        self.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    /// Connections that were closed at once.
    pub fn connections_turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// Client connections that were accepted.
    pub fn connections(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Client connections that are open.
    pub fn open_connections(&self) -> u64 {
        // In this order: the difference is never negative.
        let closed = self.closed.load(Ordering::Relaxed);
        self.opened.load(Ordering::Relaxed).saturating_sub(closed)
    }
}
