//! A site's policies in their order: asks them, combines what they answer, and remembers what they decided about requests.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;
use http::{HeaderMap, StatusCode};

use crate::policy::{Host, Policy, PolicyError};
use crate::semantics::decision::{Device, PopularPage, RequestDecision, ResponseDecision, WarmUrl};
use crate::semantics::timestamp::Timestamp;

/// A request, as policies may see it. Each is told only what its manifest asks for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The method.
    pub method: &'a http::Method,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Lower case, without port.
    pub host: &'a str,
    /// As it came, percent-encoded.
    pub path: &'a str,
    /// Without the question mark.
    pub query: Option<&'a str>,
    /// The client's fields, hop-by-hop ones removed.
    pub headers: &'a HeaderMap,
    /// The class of the device; anything where [`Chain::needs_device`] says no.
    pub device: Device,
    /// What `on_request` decided; only looked at in `on_response`.
    pub variant: Option<&'a str>,
}

/// A response, as policies may see it.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The status.
    pub status: StatusCode,
    /// The next hop's fields.
    pub headers: &'a HeaderMap,
    /// From `Content-Length`, in bytes.
    pub length: Option<u64>,
    /// The freshness lifetime that the fields give a shared cache.
    pub header_ttl: Option<Duration>,
}

/// A site's policies in the order in which they are asked.
#[derive(Debug)]
pub struct Chain {
    policies: Vec<Arc<Policy>>,
    variants: Vec<Arc<str>>,
}

impl Chain {
    /// A chain of these policies. It has its own decisions: those of an earlier chain are not used.
    ///
    /// # Errors
    /// [`PolicyError::TooManyVariants`] when the variants that the policies declare combine to more than `max_policy_variants`.
    pub fn new(host: &Host, policies: Vec<Arc<Policy>>, max_policy_variants: usize) -> Result<Chain, PolicyError> {
        let _ = (host, max_policy_variants);
        Ok(Chain { policies, variants: Vec::new() })
    }

    /// What the policies decide about a request: remembered, or asked. A policy that fails decides nothing.
    pub fn on_request(&self, ask: &Ask<'_>, now: Timestamp) -> Arc<RequestDecision> {
        let _ = (ask, now);
        Arc::default()
    }

    /// What the policies decide about a response. A policy that fails decides nothing.
    pub fn on_response(&self, ask: &Ask<'_>, answered: &Answered<'_>, now: Timestamp) -> ResponseDecision {
        let _ = (ask, answered, now);
        ResponseDecision::default()
    }

    /// What the policies want to be fetched ahead of demand, in the chain's order. May take as long as twenty deadlines of each policy:
    /// not for a thread that serves requests.
    pub fn plan_warm(&self, plan: &str, popular: &[PopularPage], now: Timestamp) -> Vec<WarmUrl> {
        let _ = (plan, popular, now);
        Vec::new()
    }

    /// Whether any policy wants to know the class of the device.
    pub fn needs_device(&self) -> bool {
        self.policies.iter().any(|policy| policy.manifest().device)
    }

    /// Every variant that the policies can decide together, beside none; sorted.
    pub fn variants(&self) -> &[Arc<str>] {
        &self.variants
    }

    /// The zone of the first policy that has one.
    pub fn zone(&self) -> Option<Tz> {
        self.policies.iter().find_map(|policy| policy.manifest().zone)
    }

    /// The policies, in order.
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.policies
    }

    /// Whether there is no policy.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }
}
