//! A candidate version of a policy that is asked about a share of the requests after they were
//! answered; its decisions are compared, and not used.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tero_config::units::Share;
use tero_policy_host::Chain;
use tero_policy_host::compare::Comparison;

/// A version that is asked about a share of a site's requests after they were answered.
#[derive(Debug)]
pub struct Shadow {
    /// The policy.
    pub policy: Arc<str>,
    /// The site's policies with the candidate among them.
    pub chain: Chain,
    /// Of the requests.
    pub share: Share,
    /// What came of it, all sites of the policy together.
    pub tally: Arc<ShadowTally>,
}

/// What came of asking a shadow.
#[derive(Debug, Default)]
pub struct ShadowTally {
    comparison: Mutex<Comparison>,
    left_out: AtomicU64,
}

impl ShadowTally {
    /// Has `count` add to the comparison.
    pub(super) fn compare(&self, count: impl FnOnce(&mut Comparison)) {
        count(
            &mut self
                .comparison
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// Counts a question that found the queue full.
    pub(super) fn leave_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Agreements and differences so far.
    pub fn comparison(&self) -> Comparison {
        self.comparison
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Questions that found the queue full.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }
}
