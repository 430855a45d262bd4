//! The manifest of a policy: the hooks that it answers, the inputs that its decisions depend on,
//! and the finite set of its variants. A [`Manifest`] is always checked.

use std::sync::Arc;

use chrono_tz::Tz;
use http::HeaderName;

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
    /// The zone whose local time decisions depend on.
    pub zone: Option<Tz>,
    /// Every variant that it may choose; at most 32. A policy may always choose no variant.
    pub variants: Vec<Arc<str>>,
}

impl Manifest {
    /// Whether the policy answers this hook.
    pub fn has(&self, hook: Hook) -> bool {
        self.hooks.contains(&hook)
    }
}
