//! The manifest of a policy: the hooks that it answers, the inputs that its decisions depend on,
//! the finite set of its variants, and what it may do. A [`Manifest`] is always checked.

use std::sync::Arc;

use chrono_tz::Tz;
use http::HeaderName;

use tero_semantics::decision::QueryRule;
use tero_semantics::path::PathPattern;

/// A question that a policy answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// Before the look-up.
    OnRequest,
    /// After the next hop has answered, before storing.
    OnResponse,
    /// When a warming plan is made.
    PlanWarm,
}

impl Hook {
    /// Every hook.
    pub const ALL: [Hook; 3] = [Hook::OnRequest, Hook::OnResponse, Hook::PlanWarm];

    /// The name in the contract, in logs and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Hook::OnRequest => "on-request",
            Hook::OnResponse => "on-response",
            Hook::PlanWarm => "plan-warm",
        }
    }
}

/// How much of a client's address is told: so many bits of an IPv4 or of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NetworkPrefix {
    /// 0 to 32.
    pub ipv4: u8,
    /// 0 to 128.
    pub ipv6: u8,
}

/// How visitors are divided into buckets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BucketRule {
    /// The experiment: 1 to 64 bytes of visible ASCII.
    pub experiment: Box<str>,
    /// The number of buckets: 2 to 10,000.
    pub buckets: u16,
    /// A cookie that stays with a visitor.
    pub cookie: Option<Box<str>>,
    /// The network, for visitors without the cookie.
    pub network: NetworkPrefix,
}

/// What else a policy may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Give the path and the query that the origin is asked for.
    pub rewrite: bool,
    /// Answer by itself.
    pub answer: bool,
    /// Give a word for the access log.
    pub log_tag: bool,
    /// Refuse a place in the store.
    pub admission: bool,
    /// Give errors a lifetime.
    pub error_ttl: bool,
    /// Give an instant at which the stored response ends.
    pub expiry: bool,
}

/// The patterns by which decisions depend on the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPatterns {
    /// Each once; at most 256.
    pub patterns: Vec<PathPattern>,
    /// Whether `on-response` depends on the length and the key of a response too.
    pub each_response: bool,
}

/// A policy's manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The hooks that are called, each once, in the order of [`Hook::ALL`].
    pub hooks: Vec<Hook>,
    /// Request fields that it reads; at most 32.
    pub headers: Vec<HeaderName>,
    /// Cookies that it reads; at most 32. A name that ends in `*` stands for all that begin so.
    pub cookies: Vec<Box<str>>,
    /// Response fields that it reads; at most 32.
    pub response_headers: Vec<HeaderName>,
    /// Whether decisions depend on the query.
    pub query: bool,
    /// Whether decisions depend on the device class.
    pub device: bool,
    /// Whether decisions depend on how the device class was found.
    pub device_source: bool,
    /// The zone whose local time decisions depend on.
    pub zone: Option<Tz>,
    /// How much of the client's address decisions depend on.
    pub network: Option<NetworkPrefix>,
    /// Whether decisions depend on the client's country.
    pub country: bool,
    /// Whether decisions depend on the client's region.
    pub region: bool,
    /// How decisions depend on the visitor's bucket.
    pub bucket: Option<BucketRule>,
    /// Whether decisions depend on the route that matched.
    pub route: bool,
    /// The data tables that it looks things up in; at most 16.
    pub tables: Vec<Arc<str>>,
    /// Every variant that it may choose; at most 32. A policy may always choose no variant.
    pub variants: Vec<Arc<str>>,
    /// Rules for the query that it may choose by their places; at most 32.
    pub query_rules: Vec<QueryRule>,
    /// The names of the parts that it may add to the key; at most 8.
    pub key_parts: Vec<Arc<str>>,
    /// The origins that it may choose; at most 32.
    pub origins: Vec<Arc<str>>,
    /// The classes of rate limits that it may choose; at most 32.
    pub rate_classes: Vec<Arc<str>>,
    /// Fields that it may set and remove in the request to the origin; at most 32.
    pub request_edits: Vec<HeaderName>,
    /// Fields that it may set and remove in every response to a client; at most 32.
    pub response_edits: Vec<HeaderName>,
    /// Fields that it may set and remove in a response before it is stored; at most 32.
    pub stored_edits: Vec<HeaderName>,
    /// What else it may do.
    pub abilities: Abilities,
    /// How decisions depend on the path; `None` if they depend on all of it.
    pub path_patterns: Option<PathPatterns>,
}

impl Manifest {
    /// The class of a path: those with the same are decided alike. `None` if it has none, or decisions
    /// depend on the whole path.
    pub fn path_class(&self, path: &str) -> Option<Vec<u8>> {
        let paths = self.path_patterns.as_ref()?;
        let mut class = Vec::new();
        PathPattern::write_class(&paths.patterns, path, &mut class).then_some(class)
    }

    /// Whether `on-response` is told the length and the key's hash: not where its decisions are
    /// remembered by the class of the path.
    pub fn tells_each_response(&self) -> bool {
        let patterns = self.path_patterns.as_ref();
        patterns.is_none_or(|patterns| patterns.each_response)
    }

    /// Whether the policy answers this hook.
    pub fn has(&self, hook: Hook) -> bool {
        self.hooks.contains(&hook)
    }
}
