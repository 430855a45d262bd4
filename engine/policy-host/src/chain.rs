//! A site's policies in their order: asks them, combines what they answer, and remembers what they
//! decided about requests.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono_tz::Tz;

use crate::answer::{RequestAnswer, ResponseAnswer, WarmUrl};
use crate::combine::{self, Rulings};
use crate::decisions::Decisions;
use crate::error::PolicyError;
use crate::facts::{PlanRequest, PolicyRequest, PolicyResponse, PopularPage};
use crate::host::Host;
use crate::manifest::{Hook, Manifest};
use crate::policy::{HookResult, Policy};
use crate::question::DecisionInputs;
use tero_semantics::decision::{RequestDecision, ResponseDecision};
use tero_semantics::timestamp::Timestamp;

/// A site's policies in the order in which they are asked. A clone shares the remembered decisions.
#[derive(Clone, Debug)]
pub struct Chain {
    id: u64,
    policies: Vec<Arc<Policy>>,
    variants: Vec<Arc<str>>,
    /// What decisions about requests depend on.
    inputs: DecisionInputs,
    decides_requests: bool,
    undecided: Arc<RequestDecision>,
    decisions: Arc<Decisions>,
}

impl Chain {
    /// A chain of these policies. It has its own decisions: those of an earlier chain are not used.
    ///
    /// # Errors
    /// [`PolicyError::TooManyVariants`] when the variants that the policies declare combine to more
    /// than `max_policy_variants`.
    pub fn new(
        host: &Host,
        policies: Vec<Arc<Policy>>,
        max_policy_variants: usize,
    ) -> Result<Chain, PolicyError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);

        let declared = asked_about_requests(&policies)
            .map(|manifest| &*manifest.variants)
            .collect::<Vec<_>>();
        Ok(Chain {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            variants: combine::variants(&declared, max_policy_variants)?,
            inputs: DecisionInputs::of(asked_about_requests(&policies)),
            decides_requests: policies
                .iter()
                .any(|policy| policy.manifest().has(Hook::OnRequest)),
            undecided: Arc::default(),
            decisions: Arc::clone(host.decision_cache()),
            policies,
        })
    }

    /// The same, for a version that decides nothing: what it says is remembered apart, and takes no
    /// room from what decides.
    pub fn for_shadow(self, host: &Host) -> Chain {
        Chain {
            decisions: Arc::clone(host.shadow_decisions()),
            ..self
        }
    }

    /// What the policies decide about a request: remembered, or asked. A policy that fails decides
    /// nothing.
    pub fn on_request(&self, ask: &PolicyRequest<'_>, now: Timestamp) -> Arc<RequestDecision> {
        if !self.decides_requests {
            return Arc::clone(&self.undecided);
        }
        thread_local! {
            static KEY: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        let mut key = KEY.take();
        key.clear();
        self.encode(ask, now, &mut key);
        let decision = self
            .decisions
            .recall(&key)
            .unwrap_or_else(|| self.decide(ask, now, &key));
        KEY.set(key);
        decision
    }

    fn encode(&self, ask: &PolicyRequest<'_>, now: Timestamp, key: &mut Vec<u8>) {
        key.extend_from_slice(&self.id.to_le_bytes());
        // A policy that was switched off no longer takes part, and stays off: their number says
        // which.
        let off = self
            .policies
            .iter()
            .filter(|policy| policy.is_off())
            .count();
        key.extend_from_slice(&u32::try_from(off).unwrap_or(u32::MAX).to_le_bytes());
        self.inputs.encode(ask, now, key);
    }

    #[cold]
    fn decide(&self, ask: &PolicyRequest<'_>, now: Timestamp, key: &[u8]) -> Arc<RequestDecision> {
        let mut answers = Vec::with_capacity(self.policies.len());
        let mut failed = false;
        for policy in &self.policies {
            match policy.on_request(ask, now) {
                HookResult::Answered(answer) => answers.push((&**policy.name(), answer)),
                HookResult::Failed => failed = true,
                HookResult::Skipped => {}
            }
        }
        let decision = Arc::new(self.combined(&answers, &mut ()));
        // What a policy could not say now it may say the next time.
        if !failed {
            self.decisions.remember(key, &decision);
        }
        decision
    }

    /// The decision that these answers make.
    pub(super) fn combined(
        &self,
        answers: &[(&str, RequestAnswer)],
        rulings: &mut impl Rulings,
    ) -> RequestDecision {
        combine::requests(answers, |joined| self.variant(joined), rulings)
    }

    /// The shared name of a combined variant.
    fn variant(&self, joined: &str) -> Arc<str> {
        match self
            .variants
            .binary_search_by(|variant| (**variant).cmp(joined))
        {
            Ok(place) => Arc::clone(&self.variants[place]),
            Err(_) => joined.into(),
        }
    }

    /// What the policies decide about a response. A policy that fails decides nothing.
    pub fn on_response(
        &self,
        ask: &PolicyRequest<'_>,
        answered: &PolicyResponse<'_>,
        now: Timestamp,
    ) -> ResponseDecision {
        let answers: Vec<(&str, ResponseAnswer)> = self
            .policies
            .iter()
            .filter_map(|policy| {
                Some((
                    &**policy.name(),
                    policy.on_response(ask, answered, now).answer()?,
                ))
            })
            .collect();
        combine::responses(answers, &mut ())
    }

    /// What the policies want to be fetched ahead of demand, in the chain's order. May take as long
    /// as twenty deadlines of each policy: not for a thread that serves requests.
    pub fn plan_warm(&self, plan: &str, popular: &[PopularPage], now: Timestamp) -> Vec<WarmUrl> {
        let ask = PlanRequest {
            plan,
            popular,
            variants: &self.variants,
        };
        self.policies
            .iter()
            .filter_map(|policy| policy.plan_warm(&ask, now).answer())
            .flatten()
            .collect()
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
        self.policies
            .iter()
            .find_map(|policy| policy.manifest().zone)
    }

    /// Drops what this chain and its clones have decided: they are not asked any more. Walks
    /// through all remembered decisions: not for a thread that serves requests.
    pub fn forget(&self) {
        self.decisions.forget(&self.id.to_le_bytes());
    }

    /// Whether `other` is a clone of this chain.
    pub fn is(&self, other: &Chain) -> bool {
        self.id == other.id
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

/// The manifests of the policies that answer `on-request`.
fn asked_about_requests(policies: &[Arc<Policy>]) -> impl Iterator<Item = &Manifest> {
    policies
        .iter()
        .map(|policy| policy.manifest())
        .filter(|manifest| manifest.has(Hook::OnRequest))
}
