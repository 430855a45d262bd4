//! What a policy says about itself when it is configured: which hooks it answers, which inputs its
//! decisions depend on, and the finite set of its variants. A manifest that exists here is checked.

use std::sync::Arc;

use chrono_tz::Tz;
use http::HeaderName;

/// What a policy can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// Before the look-up.
    OnRequest,
    /// When the next hop has answered, before storing.
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
    /// Cookies that it reads; at most 32.
    pub cookies: Vec<Box<str>>,
    /// Response fields that it reads; at most 32.
    pub response_headers: Vec<HeaderName>,
    /// Whether decisions depend on the query.
    pub query: bool,
    /// Whether decisions depend on the device class.
    pub device: bool,
    /// The zone whose local time decisions depend on.
    pub zone: Option<Tz>,
    /// Every variant that it may name, beside none; at most 32.
    pub variants: Vec<Arc<str>>,
}

impl Manifest {
    /// Whether the policy is asked that.
    pub fn has(&self, hook: Hook) -> bool {
        self.hooks.contains(&hook)
    }
}
