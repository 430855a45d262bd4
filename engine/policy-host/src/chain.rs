//! The policies of a site in their order. A chain asks them, combines their answers, and remembers
//! their decisions about requests.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono_tz::Tz;

use crate::answer::{RequestAnswer, WarmUrl};
use crate::combine::{self, Rulings};
use crate::decisions::Decisions;
use crate::error::PolicyError;
use crate::facts::{PlanRequest, PolicyRequest, PolicyResponse, PopularPage};
use crate::host::Host;
use crate::manifest::{Hook, Manifest};
use crate::path_classes::{self, PathClasses};
use crate::policy::{HookResult, Policy, StandIn};
use crate::question::{DecisionInputs, ResponseInputs};
use tero_semantics::decision::{RequestDecision, ResponseDecision};
use tero_semantics::timestamp::Timestamp;

/// The bit of [`Chain::off_mask`] that several policies share.
const SHARED_BIT: usize = 31;
/// The reasons of answers that stand in for a policy's own.
pub(super) const FAILED: &str = "failed";
pub(super) const OFF: &str = "switched off";

/// The policies of a site in the order in which they are asked. A clone shares the remembered
/// decisions.
#[derive(Clone, Debug)]
pub struct Chain {
    id: u64,
    policies: Vec<Arc<Policy>>,
    variants: Vec<Arc<str>>,
    /// The inputs that decisions about requests depend on.
    inputs: DecisionInputs,
    /// The inputs that decisions about responses depend on; `None` if each response is asked about.
    response_inputs: Option<ResponseInputs>,
    classes: Arc<PathClasses>,
    decides_requests: bool,
    undecided: Arc<RequestDecision>,
    decisions: Arc<Decisions>,
}

impl Chain {
    /// A chain of these policies. It does not use decisions that an earlier chain remembered.
    ///
    /// # Errors
    /// [`PolicyError::TooManyVariants`] if the variants of the policies combine to more than
    /// `max_policy_variants`.
    pub fn new(
        host: &Host,
        policies: Vec<Arc<Policy>>,
        max_policy_variants: usize,
    ) -> Result<Chain, PolicyError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);

        let declared = asked(&policies, Hook::OnRequest)
            .map(|manifest| &*manifest.variants)
            .collect::<Vec<_>>();
        let of_responses: Vec<&Manifest> = asked(&policies, Hook::OnResponse).collect();
        let decides_requests = asked(&policies, Hook::OnRequest).next().is_some();
        Ok(Chain {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            variants: combine::variants(&declared, max_policy_variants)?,
            inputs: DecisionInputs::of(asked(&policies, Hook::OnRequest), host.tables()),
            response_inputs: ResponseInputs::of(&of_responses, host.tables()),
            classes: Arc::default(),
            decides_requests,
            undecided: Arc::default(),
            decisions: Arc::clone(host.decision_cache()),
            policies,
        })
    }

    /// The same chain for a shadow. Its decisions are remembered in a cache of their own, so they
    /// take no room from those of the active version.
    pub fn for_shadow(self, host: &Host) -> Chain {
        Chain {
            decisions: Arc::clone(host.shadow_decisions()),
            ..self
        }
    }

    /// The decision of the policies about a request, remembered or asked. A policy that fails
    /// decides nothing.
    pub fn on_request(&self, request: &PolicyRequest<'_>, now: Timestamp) -> Arc<RequestDecision> {
        if !self.decides_requests {
            return Arc::clone(&self.undecided);
        }
        thread_local! {
            static KEY: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
        }
        let mut key = KEY.take();
        let off = self.off_mask(now);
        self.begin_key(off, &mut key);
        self.inputs.encode(request, now, &mut key);
        let is_of_class = self.inputs.has_classes() && self.classes.are_trusted();
        let remembered = match is_of_class {
            true => self.decisions.recall_kept(&key),
            false => self.decisions.recall(&key),
        };
        let decision = remembered.unwrap_or_else(|| match is_of_class {
            true => self.decide_by_class(request, now, &key, off),
            false => self.decide(request, now, &key, off).0,
        });
        KEY.set(key);
        decision
    }

    /// Begins a key: whose it is, which policies can't be asked, and whether they are taken at their
    /// word about paths.
    fn begin_key(&self, off: u32, key: &mut Vec<u8>) {
        key.clear();
        key.extend_from_slice(&self.id.to_le_bytes());
        key.extend_from_slice(&off.to_le_bytes());
        key.push(u8::from(self.classes.are_trusted()));
    }

    /// Writes the key of the class of the path; `false` if it has none.
    fn write_class(
        &self,
        request: &PolicyRequest<'_>,
        now: Timestamp,
        off: u32,
        key: &mut Vec<u8>,
    ) -> bool {
        self.begin_key(off, key);
        self.inputs.encode_class(request, now, key)
    }

    /// Which policies are switched off, each by its bit. Those beyond the 31st share the last bit.
    fn off_mask(&self, now: Timestamp) -> u32 {
        let mut mask = 0;
        for (place, policy) in self.policies.iter().enumerate() {
            if policy.is_off(now) {
                mask |= 1 << place.min(SHARED_BIT);
            }
        }
        mask
    }

    /// The decision about the class of the path. The thread keeps it under `key`, the key of the
    /// whole path, too.
    #[cold]
    fn decide_by_class(
        &self,
        request: &PolicyRequest<'_>,
        now: Timestamp,
        key: &[u8],
        off: u32,
    ) -> Arc<RequestDecision> {
        let mut class = Vec::with_capacity(key.len());
        if !self.write_class(request, now, off, &mut class) {
            let remembered = self.decisions.recall(key);
            return remembered.unwrap_or_else(|| self.decide(request, now, key, off).0);
        }
        let decision = match self.decisions.recall(&class) {
            Some(known) => {
                if self.classes.is_check_due() {
                    let (asked, is_lasting) = self.asked(request, now, off);
                    if is_lasting && asked != *known {
                        let is_settled = self.inputs.has_settled_tables();
                        let mut later = Vec::with_capacity(class.len());
                        self.write_class(request, now, off, &mut later);
                        self.differs(request.path, is_settled && later == class);
                        return Arc::new(asked);
                    }
                }
                known
            }
            None => {
                let (decision, is_lasting) = self.decide(request, now, &class, off);
                if !is_lasting {
                    return decision;
                }
                decision
            }
        };
        self.decisions.keep(key, &decision);
        decision
    }

    /// Asks the policies, and remembers what they decide if it lasts: then `true`.
    #[cold]
    fn decide(
        &self,
        request: &PolicyRequest<'_>,
        now: Timestamp,
        key: &[u8],
        off: u32,
    ) -> (Arc<RequestDecision>, bool) {
        self.decisions.count_miss();
        let (decision, is_lasting) = self.asked(request, now, off);
        let decision = Arc::new(decision);
        if is_lasting {
            self.decisions.remember(key, &decision);
        }
        (decision, is_lasting)
    }

    /// The decision of the policies, asked now, and whether it lasts.
    fn asked(
        &self,
        request: &PolicyRequest<'_>,
        now: Timestamp,
        off: u32,
    ) -> (RequestDecision, bool) {
        let (answers, is_lasting) = self.ask(off, |policy| policy.on_request(request, now));
        (self.combined(&answers, &mut ()), is_lasting)
    }

    /// The answers of the policies, with what stands in for those that can't be asked; and whether
    /// they hold the next time too.
    fn ask<A: StandIn>(
        &self,
        off: u32,
        question: impl Fn(&Policy) -> HookResult<A>,
    ) -> (Vec<(&str, A)>, bool) {
        let mut answers = Vec::with_capacity(self.policies.len());
        // A policy that failed now may answer the next time, and the last bit tells several apart.
        let mut is_lasting = off >> SHARED_BIT == 0;
        for (place, policy) in self.policies.iter().enumerate() {
            match question(policy) {
                HookResult::Answered(answer) => answers.push((&**policy.name(), answer)),
                HookResult::Failed => {
                    is_lasting = false;
                    answers.extend(stand_in(policy, FAILED));
                }
                HookResult::Off => {
                    // It may have been switched off since the key was made.
                    is_lasting &= off >> place.min(SHARED_BIT) & 1 == 1;
                    answers.extend(stand_in(policy, OFF));
                }
                HookResult::NoHook => {}
            }
        }
        (answers, is_lasting)
    }

    /// The answer about a page was not the one remembered for its class. If what the policies were told
    /// is still the same, so that their key is, they are no longer taken at their word about what of the
    /// path they depend on. Another key says that a table has changed in between.
    #[cold]
    fn differs(&self, path: &str, is_same_key: bool) {
        if !is_same_key {
            return;
        }
        let names: Vec<&str> = self
            .policies
            .iter()
            .map(|policy| &**policy.name())
            .collect();
        self.classes.distrust(&names, path);
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

    /// The decision of the policies about a response. A policy that fails decides nothing.
    ///
    /// Policies that decide by the class of the path are asked once a second for each class and each
    /// kind of response.
    pub fn on_response(
        &self,
        request: &PolicyRequest<'_>,
        response: &PolicyResponse<'_>,
        now: Timestamp,
    ) -> ResponseDecision {
        let off = self.off_mask(now);
        let Some(inputs) = &self.response_inputs else {
            return self.asked_about_response(request, response, now, off).0;
        };
        path_classes::with_key(|key| {
            self.begin_key(off, key);
            if !self.classes.are_trusted() || !inputs.encode_class(request, response, now, key) {
                return self.asked_about_response(request, response, now, off).0;
            }
            let known = path_classes::recall(key);
            if let Some(known) = known.as_ref().filter(|_| !self.classes.is_check_due()) {
                return known.clone();
            }
            let (asked, is_lasting) = self.asked_about_response(request, response, now, off);
            match known {
                Some(known) if is_lasting && known != asked => {
                    let is_settled = inputs.has_settled_tables();
                    let mut later = Vec::with_capacity(key.len());
                    self.begin_key(off, &mut later);
                    inputs.encode_class(request, response, now, &mut later);
                    self.differs(request.path, is_settled && later == *key);
                }
                _ if is_lasting => path_classes::remember(key, &asked),
                _ => {}
            }
            asked
        })
    }

    fn asked_about_response(
        &self,
        request: &PolicyRequest<'_>,
        response: &PolicyResponse<'_>,
        now: Timestamp,
        off: u32,
    ) -> (ResponseDecision, bool) {
        let (answers, is_lasting) =
            self.ask(off, |policy| policy.on_response(request, response, now));
        (combine::responses(answers, &mut ()), is_lasting)
    }

    /// The pages that the policies want to be fetched ahead of demand, in the order of the chain.
    /// This may take twenty deadlines of each policy, so never call it on a thread that serves
    /// requests.
    pub fn plan_warm(&self, plan: &str, popular: &[PopularPage], now: Timestamp) -> Vec<WarmUrl> {
        let request = PlanRequest {
            plan,
            popular,
            variants: &self.variants,
        };
        self.policies
            .iter()
            .filter_map(|policy| match policy.plan_warm(&request, now) {
                HookResult::Answered(pages) => Some(pages),
                HookResult::Failed | HookResult::Off | HookResult::NoHook => None,
            })
            .flatten()
            .collect()
    }

    /// Whether any policy depends on the device class, or on how it was found.
    pub fn needs_device(&self) -> bool {
        self.any_manifest(|manifest| manifest.device || manifest.device_source)
    }

    /// Whether any policy depends on the client's country or region.
    pub fn needs_country(&self) -> bool {
        self.any_manifest(|manifest| manifest.country || manifest.region)
    }

    fn any_manifest(&self, is_meant: impl Fn(&Manifest) -> bool) -> bool {
        let mut policies = self.policies.iter();
        policies.any(|policy| is_meant(policy.manifest()))
    }

    /// Every variant that the policies can choose together, sorted.
    pub fn variants(&self) -> &[Arc<str>] {
        &self.variants
    }

    /// The zone of the first policy that names one.
    pub fn zone(&self) -> Option<Tz> {
        self.policies
            .iter()
            .find_map(|policy| policy.manifest().zone)
    }

    /// Drops the decisions of this chain and its clones, which are no longer asked. This walks
    /// through all remembered decisions, so never call it on a thread that serves requests.
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

/// The answer in place of that of a policy that can't be asked, with its name.
pub(super) fn stand_in<'p, A: StandIn>(policy: &'p Policy, why: &str) -> Option<(&'p str, A)> {
    Some((&**policy.name(), policy.stand_in(why)?))
}

/// The manifests of the policies that answer this hook.
fn asked(policies: &[Arc<Policy>], hook: Hook) -> impl Iterator<Item = &Manifest> {
    let manifests = policies.iter().map(|policy| policy.manifest());
    manifests.filter(move |manifest| manifest.has(hook))
}
