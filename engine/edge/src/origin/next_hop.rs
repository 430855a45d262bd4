//! A next hop: where it listens, how it is spoken to, how it does.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use super::addresses::Addresses;
use super::connection::SpokenProtocol;
use super::hop_counters::{HopCounters, HopFigures};
use super::socket::{HopSocket, PlainSocket};
use super::tls::{OriginTls, OriginTlsError};
use tero_config::{self as config, OriginEndpoint, OriginHttp2};
use tero_semantics::authority::Scheme;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// A certificate of an origin that ends within this time is told.
const CERTIFICATE_ENDS_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// It is told again after this time.
const TELL_AGAIN: Duration = Duration::from_secs(24 * 60 * 60);
/// The end of a certificate that is not known.
const UNKNOWN: i64 = i64::MIN;

/// A next hop.
#[derive(Debug)]
pub(super) struct NextHop {
    /// Unique in the process, for the pools of the threads.
    pub(super) id: usize,
    /// Its name, for metrics and messages.
    pub(super) name: String,
    /// Whether TLS is spoken.
    scheme: Scheme,
    /// Maximum number of requests at a time on one connection of HTTP/2.
    pub(super) max_streams: usize,
    pub(super) counters: HopCounters,
    target: HopTarget,
    tls: Option<OriginTls>,
    http2: OriginHttp2,
    /// Whether its TLS handshake has shown that it doesn't speak HTTP/2.
    declined_http2: AtomicBool,
    /// The end of its rest after a failed connection, in milliseconds since 1970.
    rests_until: AtomicI64,
    /// When its certificate ends, in seconds since 1970.
    certificate_ends: AtomicI64,
    /// When that was last told, in milliseconds since 1970.
    end_told_at: AtomicI64,
}

/// Where a next hop listens.
#[derive(Debug)]
enum HopTarget {
    Tcp(Arc<Addresses>),
    Unix(PathBuf),
}

/// A socket to a next hop, ready for HTTP.
pub(super) struct HopConnected {
    pub(super) socket: HopSocket,
    pub(super) spoken: SpokenProtocol,
}

impl NextHop {
    /// The next hop that `origin` describes. Its name is looked up at this interval.
    ///
    /// # Errors
    /// [`OriginTlsError`]
    pub(super) fn new(
        origin: &config::Origin,
        look_up_every: Duration,
    ) -> Result<NextHop, OriginTlsError> {
        static NEXT_ID: AtomicUsize = AtomicUsize::new(0);
        let tls = match origin.url.scheme {
            Scheme::Https => Some(OriginTls::new(origin)?),
            Scheme::Http => None,
        };
        Ok(NextHop {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            name: origin.shown_name(),
            scheme: origin.url.scheme,
            max_streams: origin.max_streams,
            counters: HopCounters::default(),
            target: match &origin.url.endpoint {
                OriginEndpoint::Tcp { host, port } => {
                    HopTarget::Tcp(Arc::new(Addresses::new(host, *port, look_up_every)))
                }
                OriginEndpoint::Unix(path) => HopTarget::Unix(path.clone()),
            },
            tls,
            http2: origin.http2,
            declined_http2: AtomicBool::new(false),
            rests_until: AtomicI64::new(i64::MIN),
            certificate_ends: AtomicI64::new(UNKNOWN),
            end_told_at: AtomicI64::new(UNKNOWN),
        })
    }

    /// Whether it is tried after all others.
    pub(super) fn rests_at(&self, now: Timestamp) -> bool {
        Timestamp::from_unix_millis(self.rests_until.load(Ordering::Relaxed)) > now
    }

    pub(super) fn rest_until(&self, time: Timestamp) {
        let millis = time.unix_millis();
        self.rests_until.store(millis, Ordering::Relaxed);
    }

    /// Whether one connection may carry several requests at a time, as far as is known.
    pub(super) fn may_share(&self) -> bool {
        match self.http2 {
            OriginHttp2::Off => false,
            OriginHttp2::Negotiate => !self.declined_http2.load(Ordering::Relaxed),
            OriginHttp2::PriorKnowledge => true,
        }
    }

    /// Whether the other side of a connection is an address that the hop still has; `None` for a Unix
    /// socket.
    pub(super) fn has_address(&self, peer: Option<SocketAddr>) -> bool {
        match (&self.target, peer) {
            (HopTarget::Tcp(addresses), Some(peer)) => addresses.has(peer),
            _ => true,
        }
    }

    /// Connects to it. The caller bounds the time.
    ///
    /// # Errors
    /// The system's error.
    pub(super) async fn connect(&self, clock: &Clock) -> io::Result<PlainSocket> {
        match &self.target {
            HopTarget::Tcp(addresses) => addresses.connect(clock).await,
            HopTarget::Unix(path) => PlainSocket::unix(path).await,
        }
    }

    /// Speaks TLS on a new connection, if the hop does. The caller bounds the time.
    ///
    /// # Errors
    /// If the hop doesn't speak TLS, or its certificate is refused.
    pub(super) async fn secure(
        &self,
        socket: PlainSocket,
        only_http1: bool,
        clock: &Clock,
    ) -> io::Result<HopConnected> {
        let Some(tls) = &self.tls else {
            return Ok(HopConnected {
                socket: HopSocket::Plain(socket),
                spoken: self.protocol(self.http2 == OriginHttp2::PriorKnowledge && !only_http1),
            });
        };
        let secured = tls.secure(socket, only_http1).await?;
        if let Some(end) = secured.certificate_ends {
            self.certificate_ends.store(end, Ordering::Relaxed);
            self.tell_end(end, clock);
        }
        let is_http2 = secured.is_http2;
        if self.http2 == OriginHttp2::Negotiate && !only_http1 {
            self.declined_http2.store(!is_http2, Ordering::Relaxed);
        }
        if self.http2 == OriginHttp2::PriorKnowledge && !is_http2 && !only_http1 {
            return Err(io::Error::other("the origin does not speak HTTP/2"));
        }
        Ok(HopConnected {
            socket: HopSocket::Tls(Box::new(secured.stream)),
            spoken: self.protocol(is_http2),
        })
    }

    fn protocol(&self, is_http2: bool) -> SpokenProtocol {
        match is_http2 {
            true => SpokenProtocol::Http2(self.scheme),
            false => SpokenProtocol::Http1,
        }
    }

    /// Logs that the certificate ends soon, once a day.
    fn tell_end(&self, end: i64, clock: &Clock) {
        let left = end.saturating_sub(clock.wall().unix_millis() / 1_000);
        if left > i64::try_from(CERTIFICATE_ENDS_SOON.as_secs()).unwrap_or(i64::MAX) {
            return;
        }
        let now = clock.now();
        let told_at = self.end_told_at.load(Ordering::Relaxed);
        let is_due =
            told_at == UNKNOWN || now.since(Timestamp::from_unix_millis(told_at)) >= TELL_AGAIN;
        if is_due {
            self.end_told_at.store(now.unix_millis(), Ordering::Relaxed);
            let days = left / (24 * 60 * 60);
            tracing::warn!(
                origin = self.name,
                days,
                "the certificate of an origin ends soon"
            );
        }
    }

    /// Its figures.
    pub(super) fn figures(&self, now: Timestamp) -> HopFigures {
        let ends = self.certificate_ends.load(Ordering::Relaxed);
        HopFigures {
            addresses: match &self.target {
                HopTarget::Tcp(addresses) => {
                    addresses.list().iter().map(ToString::to_string).collect()
                }
                HopTarget::Unix(path) => vec![path.display().to_string()],
            },
            certificate_ends: (ends != UNKNOWN).then_some(ends),
            ..self.counters.figures(&self.name, self.rests_at(now))
        }
    }
}
