//! What policies decided about a request and its response.
//!
//! A policy is the operator's own code. The other modules weigh its decisions against the fields of
//! the response and the safety floor. Without policies, the `Default` of each type leaves every
//! decision to the fields, as RFC 9111 has it.

use std::sync::Arc;
use std::time::Duration;

/// Whether the cache takes part in a request at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LookupDecision {
    /// Look up and store.
    #[default]
    Cache,
    /// Forward: nothing is looked up and nothing is stored.
    Pass,
}

/// Which query parameters are part of the key. A pattern is a name, or a prefix followed by `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum QueryParameters {
    /// All of them.
    #[default]
    All,
    /// All except those that one of these patterns names.
    Ignore(Vec<String>),
    /// Only those that one of these patterns names.
    Only(Vec<String>),
}

/// How the query becomes part of the key, and what of it is sent to the next hop. Applied by
/// [`canonical_query`](crate::key::canonical_query).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct QueryRule {
    /// Which parameters count.
    pub parameters: QueryParameters,
    /// Whether parameters are sorted by name, because their order means nothing.
    pub sort: bool,
}

/// What the policies of a site decided about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestDecision {
    /// Look up or pass.
    pub lookup: LookupDecision,
    /// The policies' variants joined with `+`; `None` if no policy named one.
    pub variant: Option<Arc<str>>,
    /// Which query parameters count.
    pub query: QueryRule,
    /// `policy: reason` of each policy that gave one, joined with `; `: printable ASCII, at most
    /// 512 bytes.
    pub reason: Option<Arc<str>>,
}

/// Whether to store a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StoringDecision {
    /// As the fields of the response say.
    #[default]
    ByHeaders,
    /// No, whatever the fields say.
    Never,
    /// Yes, even if the fields give no lifetime; the safety floor still holds.
    Always,
}

/// What the policies of a site decided about a response. Whatever is `None` is left to the fields
/// of the response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDecision {
    /// Whether to store.
    pub storing: StoringDecision,
    /// The TTL: how long the response is fresh at the edge, from its arrival on.
    pub ttl: Option<Duration>,
    /// How long a browser may keep the response.
    pub browser_ttl: Option<Duration>,
    /// The `stale-while-revalidate` window (RFC 5861 §3).
    pub stale_while_revalidate: Option<Duration>,
    /// The `stale-if-error` window (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
    /// Surrogate keys, sorted, without duplicates.
    pub tags: Vec<Box<str>>,
    /// As in [`RequestDecision::reason`].
    pub reason: Option<Arc<str>>,
}
