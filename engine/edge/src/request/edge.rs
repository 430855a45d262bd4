//! What all requests share: the store, the sites, the clock, the counters.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;

use super::devices::Devices;
use super::hit_for_miss::HitForMiss;
use super::news::FlightNews;
use super::shadow_question::ShadowQueue;
use super::site::Sites;
use super::watchlist::Watchlist;
use crate::collapse::Collapse;
use crate::store::Store;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::popularity::Popularity;
use crate::telemetry::warm_use::WarmUse;
use tero_semantics::decision::RequestDecision;
use tero_time::clock::Clock;

/// All that requests need; shared by the workers.
#[derive(Debug)]
pub struct Edge {
    /// How the edge calls itself in `Via`, `Cache-Status` and `CDN-Loop`.
    pub name: String,
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
    /// Remembered device classes.
    pub devices: Devices,
    /// Bytes of a request's target and fields, at most.
    pub max_header_bytes: usize,
    pub(super) collapse: Arc<Collapse<FlightNews>>,
    pub(super) hit_for_miss: HitForMiss,
    pub(super) collapse_timeout: Duration,
    /// To the thread that asks shadows.
    pub(super) shadows: ShadowQueue,
    pub(super) via: HeaderValue,
    pub(super) no_decision: Arc<RequestDecision>,
    /// Held while groups that a request has made invalid are purged.
    pub(super) purging_groups: tokio::sync::Mutex<()>,
}

/// The parts that an [`Edge`] is made of.
#[derive(Debug)]
pub struct EdgeParts {
    /// As [`Edge::name`]; a token.
    pub name: String,
    /// As [`Edge::clock`].
    pub clock: Clock,
    /// As [`Edge::store`].
    pub store: Store,
    /// As [`Edge::sites`].
    pub sites: Sites,
    /// As [`Edge::popularity`].
    pub popularity: Popularity,
    /// As [`Edge::access_log`].
    pub access_log: Option<AccessLog>,
    /// As [`Edge::devices`].
    pub devices: Devices,
    /// As [`Edge::max_header_bytes`].
    pub max_header_bytes: usize,
    /// How long a follower waits for its leader.
    pub collapse_timeout: Duration,
    /// How long "not storable" is remembered.
    pub hit_for_miss: Duration,
    /// To the thread that asks shadows.
    pub shadows: ShadowQueue,
}

impl Edge {
    /// An edge of these parts.
    pub fn new(parts: EdgeParts) -> Edge {
        let via = HeaderValue::try_from(format!("1.1 {}", parts.name))
            .unwrap_or_else(|_| HeaderValue::from_static("1.1 tero"));
        Edge {
            name: parts.name,
            clock: parts.clock,
            store: parts.store,
            sites: ArcSwap::from_pointee(parts.sites),
            popularity: parts.popularity,
            warm_use: WarmUse::default(),
            watchlist: Watchlist::default(),
            access_log: parts.access_log,
            devices: parts.devices,
            max_header_bytes: parts.max_header_bytes,
            collapse: Arc::new(Collapse::new()),
            hit_for_miss: HitForMiss::new(parts.hit_for_miss),
            collapse_timeout: parts.collapse_timeout,
            shadows: parts.shadows,
            via,
            no_decision: Arc::default(),
            purging_groups: tokio::sync::Mutex::default(),
        }
    }

    /// Fetches under way that other requests may follow.
    pub fn fetches_under_way(&self) -> usize {
        self.collapse.len()
    }
}
