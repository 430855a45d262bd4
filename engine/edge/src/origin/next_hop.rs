//! A next hop: where it listens, how it is spoken to, how it does.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::addresses::Addresses;
use super::connection::SpokenProtocol;
use super::health::HopHealth;
use super::hop_counters::{HopCounters, HopFigures};
use super::socket::{HopSocket, PlainSocket};
use super::tls::{OriginTls, OriginTlsError};
use crate::validity::Validity;
use tero_config::{self as config, OriginEndpoint, OriginHttp2};
use tero_semantics::authority::Scheme;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// A certificate of an origin that ends within this time is told, or within this part of its lifetime if that is less.
const CERTIFICATE_ENDS_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);
const CERTIFICATE_ENDS_SOON_PART: u32 = 6;
/// It is told again after this time.
const TELL_AGAIN: Duration = Duration::from_secs(24 * 60 * 60);
/// The end of a certificate was not told yet.
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
    /// Its share of the requests, in relation to those of the others.
    pub(super) weight: u32,
    /// Whether it is asked only while all others rest.
    pub(super) is_backup: bool,
    pub(super) counters: Arc<HopCounters>,
    pub(super) health: Arc<HopHealth>,
    settings: config::Origin,
    target: Arc<HopTarget>,
    tls: Option<OriginTls>,
    http2: OriginHttp2,
    /// Whether its TLS handshake has shown that it doesn't speak HTTP/2.
    declined_http2: AtomicBool,
    /// When its certificate ends, in seconds since 1970.
    certificate: Mutex<Option<Validity>>,
    /// When that was last told, in milliseconds since 1970.
    end_told_at: AtomicI64,
    /// When it is checked next, in milliseconds since 1970.
    check_due: AtomicI64,
}

/// A request that is under way at a hop, until its response has ended.
#[derive(Debug)]
pub(super) struct HopPlace(Arc<NextHop>);

impl HopPlace {
    /// Counts a request at `hop`.
    pub(super) fn enter(hop: &Arc<NextHop>) -> HopPlace {
        hop.health.enter();
        HopPlace(Arc::clone(hop))
    }
}

impl Drop for HopPlace {
    fn drop(&mut self) {
        self.0.health.leave();
    }
}

/// The one request that tries whether a hop is back.
#[derive(Debug)]
pub(super) struct HopTrial(Arc<HopHealth>);

impl Drop for HopTrial {
    fn drop(&mut self) {
        self.0.end_trial();
    }
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
    /// The next hop that `origin` describes. Its name is looked up at this interval. What is known
    /// of the hop of that name that was there `before` stays, as far as its settings have.
    ///
    /// # Errors
    /// [`OriginTlsError`]
    pub(super) fn new(
        origin: &config::Origin,
        health: &config::Health,
        look_up_every: Duration,
        before: Option<&NextHop>,
    ) -> Result<NextHop, OriginTlsError> {
        static NEXT_ID: AtomicUsize = AtomicUsize::new(0);
        let tls = match origin.url.scheme {
            Scheme::Https => Some(OriginTls::new(origin)?),
            Scheme::Http => None,
        };
        let before = before.filter(|before| before.settings == *origin);
        let health = match before.filter(|before| before.health.is_by(health)) {
            Some(before) => Arc::clone(&before.health),
            None => Arc::new(HopHealth::new(health)),
        };
        // With TLS, its files may have changed.
        let same = before.filter(|_| tls.is_none());
        Ok(NextHop {
            id: same.map_or_else(|| NEXT_ID.fetch_add(1, Ordering::Relaxed), |same| same.id),
            name: origin.shown_name(),
            scheme: origin.url.scheme,
            max_streams: origin.max_streams,
            weight: origin.weight,
            is_backup: origin.backup,
            counters: before.map_or_else(Arc::default, |before| Arc::clone(&before.counters)),
            health,
            target: match (&origin.url.endpoint, same) {
                (_, Some(same)) => Arc::clone(&same.target),
                (OriginEndpoint::Tcp { host, port }, None) => {
                    let addresses = Addresses::new(host, *port, look_up_every);
                    Arc::new(HopTarget::Tcp(Arc::new(addresses)))
                }
                (OriginEndpoint::Unix(path), None) => Arc::new(HopTarget::Unix(path.clone())),
            },
            tls,
            http2: origin.http2,
            declined_http2: AtomicBool::new(false),
            certificate: Mutex::default(),
            end_told_at: AtomicI64::new(UNKNOWN),
            check_due: AtomicI64::new(0),
            settings: origin.clone(),
        })
    }

    /// What the configuration says of it.
    pub(super) fn settings(&self) -> &config::Origin {
        &self.settings
    }

    /// Takes the place of the one request that tries a hop after its rest; `None` if no trial is
    /// due, or one is under way.
    pub(super) fn begin_trial(&self, now: Timestamp) -> Option<HopTrial> {
        let health = &self.health;
        health
            .begin_trial(now)
            .then(|| HopTrial(Arc::clone(health)))
    }

    /// When it is checked next.
    pub(super) fn check_due(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.check_due.load(Ordering::Relaxed))
    }

    /// Says when it is checked next.
    pub(super) fn set_check_due(&self, due: Timestamp) {
        self.check_due.store(due.unix_millis(), Ordering::Relaxed);
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
        match (&*self.target, peer) {
            (HopTarget::Tcp(addresses), Some(peer)) => addresses.has(peer),
            _ => true,
        }
    }

    /// Connects to it. The caller bounds the time.
    ///
    /// # Errors
    /// The system's error.
    pub(super) async fn connect(&self, clock: &Clock) -> io::Result<PlainSocket> {
        match &*self.target {
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
        if let Some(validity) = secured.certificate {
            *self.certificate() = Some(validity);
            self.tell_end(validity, clock);
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
    fn tell_end(&self, validity: Validity, clock: &Clock) {
        let (now, wall) = (clock.now(), clock.wall());
        if !validity.ends_soon(wall, CERTIFICATE_ENDS_SOON, CERTIFICATE_ENDS_SOON_PART) {
            return;
        }
        let told_at = self.end_told_at.load(Ordering::Relaxed);
        let is_due =
            told_at == UNKNOWN || now.since(Timestamp::from_unix_millis(told_at)) >= TELL_AGAIN;
        if is_due {
            self.end_told_at.store(now.unix_millis(), Ordering::Relaxed);
            let days = validity.not_after.since(wall).as_secs() / (24 * 60 * 60);
            tracing::warn!(
                origin = self.name,
                days,
                "the certificate of an origin ends soon"
            );
        }
    }

    fn certificate(&self) -> MutexGuard<'_, Option<Validity>> {
        self.certificate
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Its figures.
    pub(super) fn figures(&self, now: Timestamp) -> HopFigures {
        HopFigures {
            addresses: match &*self.target {
                HopTarget::Tcp(addresses) => {
                    addresses.list().iter().map(ToString::to_string).collect()
                }
                HopTarget::Unix(path) => vec![path.display().to_string()],
            },
            certificate: *self.certificate(),
            ..self.counters.figures(&self.name, self.health.shown(now))
        }
    }
}

#[cfg(test)]
impl NextHop {
    /// A hop of that name and weight; it is never connected to.
    pub(super) fn for_test(name: &str, weight: u32) -> NextHop {
        let address = config::OriginAddress::parse("http://127.0.0.1:1").expect("it is an address");
        let origin = config::Origin {
            name: Some(name.into()),
            weight,
            ..config::Origin::at(address)
        };
        NextHop::new(&origin, &config::Health::default(), Duration::ZERO, None)
            .expect("it has no TLS")
    }
}
