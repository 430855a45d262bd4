//! What a site's policies decided together, in the words of the request path.
//!
//! `policy` makes these from the answers of guests, checked and combined; the other files of
//! `semantics` weigh them against the response's own fields and the safety floor.

use std::sync::Arc;
use std::time::Duration;

/// Whether the cache takes part in a request at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LookupDecision {
    /// Look up and store.
    #[default]
    Cache,
    /// To the origin and back, nothing looked up, nothing stored.
    Pass,
}

/// Which query parameters are part of the key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum QueryParameters {
    /// All of them.
    #[default]
    All,
    /// All but those that one of these patterns names. A pattern is a name, or a beginning followed
    /// by `*`.
    Ignore(Vec<String>),
    /// None but those that one of these patterns names.
    Only(Vec<String>),
}

/// How the query becomes part of the key, and what of it is sent to the next hop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct QueryRule {
    /// Which parameters count.
    pub parameters: QueryParameters,
    /// Whether the order of parameters is without meaning.
    pub sort: bool,
}

/// What the policies of a site decided about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestDecision {
    /// Look up or pass.
    pub lookup: LookupDecision,
    /// The policies' variants joined with `+`; none where no policy named one.
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
    /// As the response's own fields say.
    #[default]
    ByHeaders,
    /// Not, whatever they say.
    Never,
    /// Yes, also where they give no lifetime; the safety floor holds.
    Always,
}

/// What the policies of a site decided about a response. What is `None` is left to the response's
/// own fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseDecision {
    /// Whether to store.
    pub storing: StoringDecision,
    /// How long it is fresh at the edge.
    pub ttl: Option<Duration>,
    /// What the browser is told.
    pub browser_ttl: Option<Duration>,
    /// RFC 5861 §3.
    pub stale_while_revalidate: Option<Duration>,
    /// RFC 5861 §4.
    pub stale_if_error: Option<Duration>,
    /// Surrogate keys, sorted, without doubles.
    pub tags: Vec<Box<str>>,
    /// As in [`RequestDecision::reason`].
    pub reason: Option<Arc<str>>,
}
