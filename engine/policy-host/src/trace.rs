//! Asks a chain outside the request path, policy by policy. Nothing is counted or remembered,
//! failures have no consequences, and every answer comes from a fresh instance.

use std::sync::Arc;

use crate::answer::{RequestAnswer, ResponseAnswer};
use crate::chain::{Chain, FAILED, OFF, stand_in};
use crate::combine::{self, Ruling};
use crate::counters::{FailureKind, PolicyStatus};
use crate::facts::{PolicyRequest, PolicyResponse};
use crate::guest::Guest;
use crate::guest::failure::GuestFailure;
use crate::manifest::Hook;
use crate::policy::{Policy, StandIn};
use tero_semantics::decision::{RequestDecision, ResponseDecision};
use tero_semantics::timestamp::Timestamp;

/// The outcome of asking one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyAnswer<A> {
    /// Its answer, checked.
    Answer(A),
    /// It failed and decided nothing.
    Failed {
        /// The kind of failure.
        kind: FailureKind,
        /// The details.
        reason: String,
    },
    /// It does not answer this hook.
    NoHook,
    /// It is switched off, for this reason.
    Off(String),
}

/// The outcome of each policy of a chain, and the decision that they make together.
#[derive(Clone, Debug)]
pub struct ChainTrace<A, D> {
    /// The outcomes, in the order of the chain.
    pub answers: Vec<(Arc<Policy>, PolicyAnswer<A>)>,
    /// The combined decision.
    pub decision: D,
    /// The rules that decided between policies; places are those of `answers`.
    pub rulings: Vec<Ruling>,
}

impl Chain {
    /// Asks every policy about a request. This makes a fresh instance of each, so never call it on
    /// a thread that serves requests.
    pub fn consult_request(
        &self,
        request: &PolicyRequest<'_>,
        now: Timestamp,
    ) -> ChainTrace<RequestAnswer, RequestDecision> {
        let answers = self.consult(Hook::OnRequest, now, |policy, guest| {
            policy.request_answer(guest, request, now)
        });
        let (places, given) = given(&answers);
        let mut rulings = Vec::new();
        let decision = self.combined(&given, &mut rulings);
        ChainTrace {
            decision,
            rulings: placed(rulings, &places),
            answers,
        }
    }

    /// Asks every policy about a response; see [`Chain::consult_request`].
    pub fn consult_response(
        &self,
        request: &PolicyRequest<'_>,
        response: &PolicyResponse<'_>,
        now: Timestamp,
    ) -> ChainTrace<ResponseAnswer, ResponseDecision> {
        let answers = self.consult(Hook::OnResponse, now, |policy, guest| {
            policy.response_answer(guest, request, response, now)
        });
        let (places, given) = given(&answers);
        let mut rulings = Vec::new();
        let decision = combine::responses(given, &mut rulings);
        ChainTrace {
            decision,
            rulings: placed(rulings, &places),
            answers,
        }
    }

    fn consult<A>(
        &self,
        hook: Hook,
        now: Timestamp,
        question: impl Fn(&Policy, &mut Guest) -> Result<A, GuestFailure>,
    ) -> Vec<(Arc<Policy>, PolicyAnswer<A>)> {
        self.policies()
            .iter()
            .map(|policy| {
                let answer = consult_one(policy, hook, now, &question);
                (Arc::clone(policy), answer)
            })
            .collect()
    }
}

fn consult_one<A>(
    policy: &Policy,
    hook: Hook,
    now: Timestamp,
    question: impl Fn(&Policy, &mut Guest) -> Result<A, GuestFailure>,
) -> PolicyAnswer<A> {
    if !policy.manifest().has(hook) {
        return PolicyAnswer::NoHook;
    }
    if let PolicyStatus::SwitchedOff { reason, .. } = policy.status(now) {
        return PolicyAnswer::Off(reason);
    }
    match policy
        .fresh_guest()
        .and_then(|mut guest| question(policy, &mut guest))
    {
        Ok(answer) => PolicyAnswer::Answer(answer),
        Err(GuestFailure { kind, reason }) => PolicyAnswer::Failed { kind, reason },
    }
}

/// The answers that were given or stand in for one, and their places.
fn given<A: Clone + StandIn>(
    answers: &[(Arc<Policy>, PolicyAnswer<A>)],
) -> (Vec<usize>, Vec<(&str, A)>) {
    let given = answers.iter().enumerate();
    let given = given.filter_map(|(place, (policy, said))| match said {
        PolicyAnswer::Answer(answer) => Some((place, (&**policy.name(), answer.clone()))),
        PolicyAnswer::Failed { .. } => Some((place, stand_in(policy, FAILED)?)),
        PolicyAnswer::Off(_) => Some((place, stand_in(policy, OFF)?)),
        PolicyAnswer::NoHook => None,
    });
    given.unzip()
}

/// Rulings between the answers that were given, with the places of all.
fn placed(rulings: Vec<Ruling>, places: &[usize]) -> Vec<Ruling> {
    let placed = rulings.into_iter().map(|ruling| Ruling {
        by: places[ruling.by],
        over: ruling.over.iter().map(|place| places[*place]).collect(),
        ..ruling
    });
    placed.collect()
}
