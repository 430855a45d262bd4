//! The request path as warming sees it: a trait, so that plans run in tests without a network.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;

use tero_edge::run_id::RunId;
use tero_edge::telemetry::popularity::Hours;
use tero_edge::telemetry::warm_use::UsedResponses;
use tero_policy_host::device::Device;
use tero_policy_host::{PopularPage, WarmUrl};
use tero_semantics::authority::Scheme;
use tero_semantics::host_pattern::belongs;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

pub use tero_edge::request::warm_lookup::WarmLookup;

/// A boxed future of the request path.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The facts about a site that its plans need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteFacts {
    /// Its index.
    pub index: usize,
    /// Its hosts, lower case, with or without a port; `*.NAME` is any below a name, `*` is any.
    pub hosts: Vec<String>,
    /// Those of all other sites.
    pub hosts_of_others: Vec<String>,
    /// The scheme by which its pages are fetched: the one that most visitors use.
    pub scheme: Scheme,
    /// The host under which its pages are fetched unless the plan names one, with the port if that
    /// one counts: of the site's hosts, the one that visitors request most, or else the first.
    /// `None` for a site that names none without `*`.
    pub host: Option<Arc<str>>,
    /// Whether its policies may decide by device class.
    pub by_device: bool,
    /// Its time zone.
    pub zone: Tz,
}

impl SiteFacts {
    /// Whether a host is one of those below a name that the site answers for. `*` tells nothing of
    /// a host: anybody may be meant.
    pub fn is_below(&self, host: &str) -> bool {
        let named = self.hosts.iter().filter(|named| *named != "*");
        let named: Vec<&String> = named.collect();
        belongs(host, &named, &self.hosts_of_others)
    }
}

/// A page of a site, as a visitor requests it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Page {
    /// By which scheme.
    pub scheme: Scheme,
    /// Lower case, with the port if that one counts.
    pub host: Arc<str>,
    /// Path and query.
    pub target: String,
}

/// The decision of a site's policies about a page and a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageDecision {
    /// Whether the page is looked up in the store; otherwise its requests pass.
    pub looked_up: bool,
    /// The variant.
    pub variant: Option<Arc<str>>,
    /// The key under which visitors' requests look it up.
    pub key: Vec<u8>,
}

/// The purpose of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchPurpose {
    /// The run that fetches.
    pub run: RunId,
    /// A stored response that stays fresh until then is left alone.
    pub until: Timestamp,
    /// When the page changed last, if a sitemap says so.
    pub changed: Option<Timestamp>,
}

/// Counts of a site's requests from visitors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCounts {
    /// Requests answered from the store, or by the fetch of another request.
    pub hits: u64,
}

/// The outcome of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WarmOutcome {
    /// The response has been stored.
    Fetched {
        /// The length of its content, in bytes.
        bytes: u64,
        /// Whether it is kept until it is used or the window ends. If not, there was no room in
        /// `warm_memory`, and it may be evicted before.
        kept: bool,
    },
    /// The stored response stays fresh until the window ends, or another request was fetching it.
    Fresh,
    /// The response was not stored.
    NotStored {
        /// Why, for people.
        reason: String,
        /// The length of its content, in bytes.
        bytes: u64,
    },
    /// There was no response, or an error response.
    Failed {
        /// Why, for people.
        reason: String,
        /// Whether the next hop is overloaded or down, so that the run slows down.
        overloaded: bool,
        /// How long the next hop asks to be left alone.
        retry_after: Option<Duration>,
    },
}

/// Why the content of a page can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageReadError {
    /// Why, for people.
    pub reason: String,
    /// Whether it may pass: the next hop failed or is overloaded.
    pub may_pass: bool,
}

impl PageReadError {
    /// An error that stays.
    pub fn lasting(reason: impl Into<String>) -> PageReadError {
        PageReadError {
            reason: reason.into(),
            may_pass: false,
        }
    }
}

/// The request path, as warming sees it.
pub trait RequestPath: Send + Sync + 'static {
    /// The edge's clock.
    fn clock(&self) -> &Clock;

    /// The site with that name, if it is served.
    fn site(&self, name: &str) -> Option<SiteFacts>;

    /// What the policies decide about a page for a visitor with that device; `None` if the edge
    /// refuses such a request.
    fn decide(&self, page: &Page, device: Device) -> Option<PageDecision>;

    /// Sends a visitor's request down the path, unless the stored response is good enough for
    /// `purpose`.
    fn fetch(
        &self,
        page: &Page,
        device: Device,
        purpose: FetchPurpose,
    ) -> BoxFuture<'_, WarmOutcome>;

    /// Looks up the stored response, and fetches nothing.
    fn look(&self, page: &Page, device: Device, purpose: FetchPurpose) -> WarmLookup;

    /// Whether the requests of visitors leave room at the origins that a page of the site comes from.
    fn has_room(&self, site: usize, page: &Page) -> bool;

    /// Reads the content of a page, of at most `max_bytes`, for `run`. A stored response is
    /// revalidated first, whatever its lifetime.
    ///
    /// # Errors
    /// Why it can't be read.
    fn read(
        &self,
        page: &Page,
        run: RunId,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<Vec<u8>, PageReadError>>;

    /// The `n` pages of a site that visitors request most in these hours.
    fn popular(&self, site: usize, hours: Hours, n: usize) -> Vec<PopularPage>;

    /// The pages that the site's policies want to be fetched. Policies may take long to answer.
    fn plan_warm(&self, site: usize, plan: &str, popular: &[PopularPage]) -> Vec<WarmUrl>;

    /// The responses of `run` that visitors have used, as counted so far.
    fn used(&self, run: RunId) -> UsedResponses;

    /// Adds hits that workers have not counted yet to the counters. To be called before counters
    /// are read.
    fn count(&self);

    /// Whether shields stand between a site and its origins.
    fn is_shielded(&self, site: &str) -> bool;

    /// The traffic of a site's visitors so far.
    fn traffic(&self, site: usize) -> TrafficCounts;

    /// Releases the stored responses that are kept for the runs for which `is_over` holds.
    fn release(&self, is_over: &dyn Fn(RunId) -> bool);
}

impl std::fmt::Debug for dyn RequestPath {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("RequestPath")
    }
}
