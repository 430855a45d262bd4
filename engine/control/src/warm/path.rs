//! What warming needs of the request path: a seam, so that plans run in tests without a network.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;

use tero_edge::telemetry::popularity::Hours;
use tero_edge::telemetry::warm_use::UsedResponses;
use tero_policy_host::device::Device;
use tero_policy_host::{PopularPage, WarmUrl};
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

pub use tero_edge::request::warm_lookup::WarmLookup;

/// A future that a plan's tasks wait for.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a plan has to know of its site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteFacts {
    /// Its index.
    pub index: usize,
    /// Its hosts, lower case, without port; `*` is any.
    pub hosts: Vec<String>,
    /// The one under which its pages are fetched: that which visitors ask for most, else the first
    /// by name. None while a site that takes any host has had no visitor.
    pub host: Option<Arc<str>>,
    /// Whether answers can depend on the class of the device at all.
    pub by_device: bool,
    /// The zone whose clock its visitors live by.
    pub zone: Tz,
}

/// A page of a site, as a visitor would ask for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Page {
    /// Lower case, without port.
    pub host: Arc<str>,
    /// Path and query.
    pub target: String,
}

/// What the site's policies say to a visitor with some device who asks for a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageDecision {
    /// Looked up, or passed by.
    pub looked_up: bool,
    /// The variant.
    pub variant: Option<Arc<str>>,
    /// The key under which visitors will look for it.
    pub key: Vec<u8>,
}

/// What a fetch is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchPurpose {
    /// The run that wants it.
    pub run: u64,
    /// How long what is stored has to stay fresh, to be left alone.
    pub until: Timestamp,
    /// When the page changed, as far as its sitemap knows.
    pub changed: Option<Timestamp>,
}

/// Visitors' requests so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCounts {
    /// Answered without the origin, or by somebody else's fetch.
    pub hits: u64,
}

/// What came of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WarmOutcome {
    /// It is stored now.
    Fetched {
        /// Of content.
        bytes: u64,
        /// Whether it is kept until it is used or the window ends; else there was no room, and it
        /// may have to make room.
        kept: bool,
    },
    /// It was stored and fresh to the end of the window, or another request was fetching it: left
    /// alone.
    Fresh,
    /// It was answered, and may not be stored.
    NotStored {
        /// Why.
        reason: String,
        /// Of content.
        bytes: u64,
    },
    /// It was not answered, or with an error.
    Failed {
        /// Why.
        reason: String,
        /// Whether the next hop has too much to do, or is down: then the plan slows down.
        overloaded: bool,
        /// How long the next hop wants to be left alone.
        retry_after: Option<Duration>,
    },
}

/// The request path, as warming sees it.
pub trait RequestPath: Send + Sync + 'static {
    /// The time.
    fn clock(&self) -> &Clock;

    /// The serving site of that name.
    fn site(&self, name: &str) -> Option<SiteFacts>;

    /// What the policies decide for a visitor with that device; none where the page can't be asked
    /// for.
    fn decide(&self, page: &Page, device: Device) -> Option<PageDecision>;

    /// Sends a visitor's request down the path, if what is stored will not do.
    fn fetch(
        &self,
        page: &Page,
        device: Device,
        purpose: FetchPurpose,
    ) -> BoxFuture<'_, WarmOutcome>;

    /// What is stored already.
    fn look(&self, page: &Page, device: Device, purpose: FetchPurpose) -> WarmLookup;

    /// Whether visitors leave room at the site's origin.
    fn has_room(&self, site: usize) -> bool;

    /// Reads a page of at most `max_bytes` for what it says, in the name of `run`.
    ///
    /// # Errors
    /// Why there is nothing to read, for people.
    fn read(
        &self,
        page: &Page,
        run: u64,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<Vec<u8>, String>>;

    /// The `n` pages of a site that are wanted most in these hours.
    fn popular(&self, site: usize, hours: Hours, n: usize) -> Vec<PopularPage>;

    /// What the site's policies want to be fetched. Takes its time.
    fn plan_warm(&self, site: usize, plan: &str, popular: &[PopularPage]) -> Vec<WarmUrl>;

    /// What has been used of what `run` fetched, as far as it is counted.
    fn used(&self, run: u64) -> UsedResponses;

    /// Counts what has not been counted yet, before figures are read.
    fn count(&self);

    /// The requests of a site's visitors so far.
    fn traffic(&self, site: usize) -> TrafficCounts;

    /// Lets go of what is kept for runs whose window is over.
    fn release(&self, is_over: &dyn Fn(u64) -> bool);
}

impl std::fmt::Debug for dyn RequestPath {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("RequestPath")
    }
}
