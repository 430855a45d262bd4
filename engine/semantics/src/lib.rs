#![doc = include_str!("../README.md")]

// The modules stand in the order of the RFC's sections.

// RFC 9111 §2: the cache key.
pub mod key;

// RFC 9111 §3: storing responses.
pub mod storability;

pub mod partial;

// RFC 9111 §4: constructing responses from caches.
pub mod disposition;

pub mod reuse;

pub mod vary;

pub mod freshness;

pub mod default_ttl;

pub mod validation;

pub mod precondition;

pub mod invalidation;

// RFC 9111 §5: the fields.
pub mod cache_control;

// RFC 9110, in its order: lists and dates (§5.6), forwarding (§7.6), upgrades (§7.8), media types and
// content codings (§8.3, §8.4), `Retry-After` (§10.2.3), weights (§12.4.2), ranges (§14).
mod list;

mod weights;

pub mod http_date;

pub mod content_coding;

pub mod coding_rules;

pub mod media_type;

pub mod forwarding;

// Who asks, and for what (§7.2, RFC 7239).
pub mod authority;

pub mod host_pattern;

pub mod forwarded;

pub mod request_id;

pub mod request_fields;

pub mod field_edits;

pub mod redirect;

pub mod upgrade;

// RFC 9440.
pub mod client_cert;

pub mod retry_after;

pub mod rate_limit;

pub mod range;

// RFC 9211.
pub mod cache_status;

// RFC 6265.
pub mod cookies;
pub mod country;

// RFC 3986.
pub mod path;

// What stands beside the RFCs: decisions of policies and of the operator, and instants.
pub mod decision;

pub mod operator_floor;

pub mod cache_control_rule;

pub mod surrogate_keys;

pub mod purge_request;

pub mod browser_lifetime;

pub mod stale_age;

pub mod tier;

pub mod timestamp;
pub mod trace_context;
pub mod trailers;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod testing;
