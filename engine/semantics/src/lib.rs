//! Pure decisions over `http` types: no I/O, no async, no clock, no locks. `now` is always an
//! argument.
//!
//! One file per question, in the words and the order of RFC 9111; the request path branches on the
//! answers and computes nothing itself.

pub mod browser_lifetime;
pub mod cache_control;
pub mod cache_status;
pub mod decision;
pub mod disposition;
pub mod forwarding;
pub mod freshness;
pub mod http_date;
pub mod invalidation;
pub mod key;
mod list;
pub mod partial;
pub mod precondition;
pub mod range;
pub mod retry_after;
pub mod reuse;
pub mod storability;
pub mod timestamp;
pub mod upgrade;
pub mod validation;
pub mod vary;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod testing;
