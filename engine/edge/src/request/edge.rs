//! What all requests share: the store, the sites, the clock, the counters.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use tokio::sync::Semaphore;

use super::basic_auth::PasswordCheckers;
use super::devices::Devices;
use super::failing_keys::FailingKeys;
use super::fleet::FleetState;
use super::hit_for_miss::HitForMiss;
use super::news::FlightNews;
use super::shadow_question::ShadowQueue;
use super::site::Sites;
use super::watchlist::Watchlist;
use crate::acme::AcmeResponder;
use crate::coding::Coder;
use crate::collapse::Collapse;
use crate::store::Store;
use crate::store::disk::DiskTier;
use crate::succession::Succession;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::edge_counters::EdgeCounters;
use crate::telemetry::live_requests::LiveRequests;
use crate::telemetry::popularity::Popularity;
use crate::telemetry::spans::Tracer;
use crate::telemetry::warm_use::WarmUse;
use tero_config::{self as config, Config};
use tero_semantics::decision::RequestDecision;
use tero_semantics::forwarding::LoopEntry;
use tero_semantics::validation::HeadLimits;
use tero_time::clock::Clock;

/// Memory for remembered device classes, in bytes.
const DEVICE_MEMORY: u64 = 8 * 1024 * 1024;

/// Requests for a purge that wait for their turn, at most. Further ones are refused.
const MAX_WAITING_PURGES: usize = 64;

/// All that requests need; shared by the workers.
#[derive(Debug)]
pub struct Edge {
    /// How the edge calls itself in `Via`, `Cache-Status` and `CDN-Loop`.
    pub name: String,
    /// What it adds to `CDN-Loop`, and knows its own requests by: drawn at each start, since edges
    /// may share a name.
    pub(super) loop_entry: LoopEntry,
    /// The time.
    pub clock: Clock,
    /// Stored responses.
    pub store: Store,
    /// The sites, with their policies and next hops.
    pub sites: ArcSwap<Sites>,
    /// Which pages visitors want.
    pub popularity: Popularity,
    /// Which warmed responses visitors used.
    pub warm_use: WarmUse,
    /// The responses that are revalidated before they expire.
    pub watchlist: Watchlist,
    /// The log of requests; `None` where the configuration has none.
    pub access_log: Option<AccessLog>,
    /// Makes spans of requests; `None` without `[telemetry.otlp]`.
    pub tracer: Option<Tracer>,
    /// Figures that belong to no site.
    pub counters: EdgeCounters,
    /// Those who look on while requests are answered.
    pub live: LiveRequests,
    /// Remembered device classes.
    pub devices: Devices,
    /// The queue before the threads that code stored content in the background.
    pub coder: Arc<Coder>,
    /// Bytes of a request's target and fields, at most.
    pub(super) max_header_bytes: AtomicUsize,
    /// Bytes per second that a client sends or accepts while it is waited for, at least.
    pub(super) min_rate: AtomicU64,
    /// The ports of its listeners. In an authority these count.
    ports: ArcSwap<Box<[u16]>>,
    /// Issued certificates, and answers to the challenges of ACME.
    pub acme: Arc<AcmeResponder>,
    /// The processes before and after this one.
    pub succession: Succession,
    /// What it knows of the nodes that it is one of.
    pub fleet: FleetState,
    pub(super) collapse: Arc<Collapse<FlightNews>>,
    pub(super) hit_for_miss: HitForMiss,
    /// Keys whose fetches have failed lately.
    pub(super) failing_keys: FailingKeys,
    /// In milliseconds.
    collapse_timeout: AtomicU64,
    /// To the thread that asks shadows.
    pub(super) shadows: ShadowQueue,
    pub(super) via: HeaderValue,
    pub(super) no_decision: Arc<RequestDecision>,
    /// Check passwords that clients send.
    pub(super) checkers: PasswordCheckers,
    /// Held while groups that a request has made invalid are purged, or what one asks to be purged.
    pub(super) purging_groups: tokio::sync::Mutex<()>,
    /// Places for requests that ask for a purge.
    pub(super) purge_places: Semaphore,
}

/// What an [`Edge`] is made of beside its configuration.
#[derive(Debug)]
pub struct EdgeParts {
    /// As [`Edge::clock`].
    pub clock: Clock,
    /// As [`Edge::sites`].
    pub sites: Sites,
    /// As [`Edge::access_log`].
    pub access_log: Option<AccessLog>,
    /// As [`Edge::tracer`].
    pub tracer: Option<Tracer>,
    /// As [`Edge::ports`].
    pub ports: Box<[u16]>,
    /// As [`Edge::acme`].
    pub acme: Arc<AcmeResponder>,
    /// To the thread that asks shadows.
    pub shadows: ShadowQueue,
    /// The disks below the store, if there are any.
    pub disk: Option<Arc<DiskTier>>,
}

impl Edge {
    /// An edge with this configuration, and an empty store.
    pub fn new(config: &Config, parts: EdgeParts) -> Edge {
        let Config { server, cache, .. } = config;
        let via = HeaderValue::try_from(format!("1.1 {}", server.name))
            .unwrap_or_else(|_| HeaderValue::from_static("1.1 tero"));
        Edge {
            loop_entry: LoopEntry::new(&server.name, &identity()),
            name: server.name.clone(),
            clock: parts.clock,
            store: Store::new(cache, head_limits(server), parts.disk),
            sites: ArcSwap::from_pointee(parts.sites),
            popularity: Popularity::new(),
            warm_use: WarmUse::default(),
            watchlist: Watchlist::default(),
            access_log: parts.access_log,
            tracer: parts.tracer,
            counters: EdgeCounters::default(),
            live: LiveRequests::default(),
            devices: Devices::new(DEVICE_MEMORY),
            coder: Arc::new(Coder::new(cache)),
            max_header_bytes: AtomicUsize::new(server.max_header_bytes),
            min_rate: AtomicU64::new(server.min_rate),
            ports: ArcSwap::from_pointee(parts.ports),
            acme: parts.acme,
            succession: Succession::default(),
            fleet: FleetState::default(),
            collapse: Arc::new(Collapse::new()),
            hit_for_miss: HitForMiss::new(cache.hit_for_miss),
            failing_keys: FailingKeys::new(),
            collapse_timeout: AtomicU64::new(millis(cache.collapse_timeout)),
            shadows: parts.shadows,
            via,
            no_decision: Arc::default(),
            checkers: PasswordCheckers::default(),
            purging_groups: tokio::sync::Mutex::default(),
            purge_places: Semaphore::new(MAX_WAITING_PURGES),
        }
    }

    /// As [`Edge::new`], for a replay without disks: the same requests always get the same answers. Not
    /// for clients ([`Store::for_replay`]).
    pub fn for_replay(config: &Config, parts: EdgeParts) -> Edge {
        Edge {
            store: Store::for_replay(&config.cache, head_limits(&config.server)),
            popularity: Popularity::for_replay(),
            ..Edge::new(config, parts)
        }
    }

    /// Whether more of a request is told than counters show: in a log, or to those who look on.
    #[inline]
    pub(super) fn is_looked_on(&self) -> bool {
        self.access_log.is_some() || self.live.is_wanted()
    }

    /// Sets what `[server]` says of requests. Those under way may end by what was said before.
    pub fn set_server_limits(&self, server: &config::Server) {
        self.max_header_bytes
            .store(server.max_header_bytes, Relaxed);
        self.min_rate.store(server.min_rate, Relaxed);
        self.store.set_max_head(head_limits(server));
    }

    /// Sets what of `[cache]` can be changed while there is a store.
    pub fn set_cache_limits(&self, cache: &config::Cache) {
        self.collapse_timeout
            .store(millis(cache.collapse_timeout), Relaxed);
        self.hit_for_miss.set_ttl(cache.hit_for_miss);
    }

    /// Sets the ports of the listeners.
    pub fn set_ports(&self, ports: Box<[u16]>) {
        self.ports.store(Arc::new(ports));
    }

    /// The ports of the listeners. In an authority these count.
    pub(super) fn ports(&self) -> Arc<Box<[u16]>> {
        self.ports.load_full()
    }

    pub(super) fn collapse_timeout(&self) -> Duration {
        Duration::from_millis(self.collapse_timeout.load(Relaxed))
    }

    /// Fetches under way that other requests may follow.
    pub fn fetches_under_way(&self) -> usize {
        self.collapse.len()
    }
}

fn head_limits(server: &config::Server) -> HeadLimits {
    HeadLimits {
        max_bytes: server.max_header_bytes,
        max_fields: server.max_headers,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A number of 128 bits that no other edge has, in hexadecimal digits. The standard library takes
/// the keys of its hashers from the system's source of random numbers.
fn identity() -> String {
    let random = || RandomState::new().hash_one(0_u8);
    format!("{:016x}{:016x}", random(), random())
}
