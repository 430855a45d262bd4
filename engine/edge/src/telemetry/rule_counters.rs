//! Answers that a site's rules gave, by the kind of the rule.

use std::sync::atomic::{AtomicU64, Ordering};

/// The kind of a rule of a site that answers requests by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// The client's network may not use it.
    Network,
    /// It is used over https only.
    Https,
    /// It has moved.
    Redirect,
    /// The client has to say who it is.
    Auth,
    /// The client has failed to say who it is too often.
    AuthLimit,
    /// Too many credentials are being verified.
    AuthBusy,
    /// The site is being worked on.
    Maintenance,
    /// The configuration has the content.
    Respond,
    /// A policy has answered.
    Policy,
}

impl RuleKind {
    /// Every kind, in the order of the request path.
    pub const ALL: [RuleKind; 9] = [
        RuleKind::Network,
        RuleKind::Https,
        RuleKind::Redirect,
        RuleKind::Auth,
        RuleKind::AuthLimit,
        RuleKind::AuthBusy,
        RuleKind::Maintenance,
        RuleKind::Respond,
        RuleKind::Policy,
    ];

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            RuleKind::Network => "network",
            RuleKind::Https => "https",
            RuleKind::Redirect => "redirect",
            RuleKind::Auth => "auth",
            RuleKind::AuthLimit => "auth_limit",
            RuleKind::AuthBusy => "auth_busy",
            RuleKind::Maintenance => "maintenance",
            RuleKind::Respond => "respond",
            RuleKind::Policy => "policy",
        }
    }

    /// What `Cache-Status` and the client are told.
    pub fn reason(self) -> &'static str {
        match self {
            RuleKind::Network => "not for this network",
            RuleKind::Https => "https only",
            RuleKind::Redirect => "moved",
            RuleKind::Auth => "credentials are needed",
            RuleKind::AuthLimit => "too many wrong credentials",
            RuleKind::AuthBusy => "too many credentials to verify",
            RuleKind::Maintenance => "maintenance",
            RuleKind::Respond => "own content",
            RuleKind::Policy => "answered by a policy",
        }
    }
}

/// The answers of a site's rules.
#[derive(Debug, Default)]
pub struct RuleCounters([AtomicU64; RuleKind::ALL.len()]);

impl RuleCounters {
    /// Counts an answer.
    pub fn record(&self, rule: RuleKind) {
        self.0[rule as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The answers by kind.
    pub fn counts(&self) -> [(RuleKind, u64); RuleKind::ALL.len()] {
        RuleKind::ALL.map(|rule| (rule, self.0[rule as usize].load(Ordering::Relaxed)))
    }
}
