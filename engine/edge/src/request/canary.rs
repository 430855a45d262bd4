//! A candidate version of a policy that answers for a share of the keys.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::quality::FixedState;

use crate::telemetry::Outcome;
use crate::telemetry::trial_counters::{TrialCounters, TrialGroup};
use tero_config::units::Share;
use tero_policy_host::Chain;

/// A version that answers for a share of a site's keys in the place of the active one.
#[derive(Clone, Debug)]
pub struct Canary {
    /// The policy.
    pub policy: Arc<str>,
    /// The site's policies with the candidate among them.
    pub chain: Chain,
    /// Of the keys.
    pub share: Share,
    /// Says which keys: the same for one version on every edge, and more of them when the share
    /// grows.
    pub seed: u64,
    /// What happened, all sites of the policy together.
    pub counters: Arc<TrialCounters>,
}

impl Canary {
    /// Whether the candidate answers for a request for this host, path and query, of which only
    /// what counts is given.
    pub(super) fn takes(&self, host: &str, path: &str, query: Option<&str>) -> bool {
        let mut hasher = FixedState::with_seed(self.seed).build_hasher();
        for part in [
            host.as_bytes(),
            path.as_bytes(),
            query.unwrap_or_default().as_bytes(),
        ] {
            hasher.write(part);
            hasher.write_u8(0xff);
        }
        self.share.holds(hasher.finish())
    }

    /// Counts a request that was answered, by the canary or not.
    pub(super) fn record(&self, is_canary: bool, outcome: Outcome) {
        self.counters.record(group(is_canary), outcome);
    }

    /// Counts a request to the origin.
    pub(super) fn record_origin(&self, is_canary: bool) {
        self.counters.record_origin(group(is_canary));
    }
}

fn group(is_canary: bool) -> TrialGroup {
    if is_canary {
        TrialGroup::Canary
    } else {
        TrialGroup::Control
    }
}
