//! One policy, tried outside the edge. The code of the edge asks each question twice: an instance
//! that has answered before, and a fresh one. Fuel and time are measured.

use std::sync::Arc;
use std::time::Duration;

use crate::answer::{RequestAnswer, ResponseAnswer, WarmUrl};
use crate::counters::FailureKind;
use crate::facts::{PlanRequest, PolicyRequest, PolicyResponse, PopularPage};
use crate::guest::Guest;
use crate::guest::failure::GuestFailure;
use crate::guest::state::PolicyTables;
use crate::manifest::Hook;
use crate::policy::Policy;
use crate::real_time::real_time;
use crate::tables::TableSet;
use tero_semantics::timestamp::Timestamp;

/// How often a question is asked before a missed deadline counts. A desktop is busier than an edge.
const TRIES: usize = 3;

/// A question to a policy.
#[derive(Clone, Copy, Debug)]
pub enum HookQuestion<'a> {
    /// `on-request`
    Request(&'a PolicyRequest<'a>),
    /// `on-response`
    Response(&'a PolicyRequest<'a>, &'a PolicyResponse<'a>),
    /// `plan-warm`. The variants of the site are those of the policy.
    Warm {
        /// The name of the plan.
        plan: &'a str,
        /// The pages that visitors requested.
        popular: &'a [PopularPage],
    },
}

impl HookQuestion<'_> {
    /// The hook that answers it.
    pub fn hook(&self) -> Hook {
        match self {
            HookQuestion::Request(_) => Hook::OnRequest,
            HookQuestion::Response(..) => Hook::OnResponse,
            HookQuestion::Warm { .. } => Hook::PlanWarm,
        }
    }
}

/// An answer of a policy, checked against the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookAnswer {
    /// To `on-request`.
    Request(RequestAnswer),
    /// To `on-response`.
    Response(ResponseAnswer),
    /// To `plan-warm`.
    Warm(Vec<WarmUrl>),
}

/// The outcome of one question.
#[derive(Clone, Debug)]
pub struct TrialAnswer {
    /// The answer, or how the policy failed.
    pub answer: Result<HookAnswer, GuestFailure>,
    /// The fuel that it took, in units of about one WebAssembly instruction. It is the same each
    /// time; without [`Host::counting`](crate::Host::counting) it is 0.
    pub fuel: u64,
    /// The time that it took.
    pub time: Duration,
}

/// The outcome of the same question, asked twice.
#[derive(Clone, Debug)]
pub struct TrialPair {
    /// The outcome of a fresh instance.
    pub fresh: TrialAnswer,
    /// The outcome of an instance that has answered before.
    pub used: TrialAnswer,
}

/// A policy under trial.
pub struct Trial {
    policy: Arc<Policy>,
    used: Option<Box<Guest>>,
    /// The data tables that instances see in place of the policy's; `None` for those.
    tables: Option<Arc<PolicyTables>>,
}

impl Trial {
    /// Starts a trial of this policy.
    pub fn new(policy: Arc<Policy>) -> Trial {
        Trial {
            policy,
            used: None,
            tables: None,
        }
    }

    /// The same trial, in which the tables of `given` stand in for the policy's own of the same names.
    pub fn with_tables(self, given: &TableSet) -> Trial {
        let own = self.policy.tables().iter();
        let tables = own.map(|(name, slot)| {
            let slot = match given.table(name) {
                Some(_) => given.slot(name),
                None => Arc::clone(slot),
            };
            (Arc::clone(name), slot)
        });
        Trial {
            tables: Some(tables.collect()),
            ..self
        }
    }

    /// Asks a fresh instance and the used one; `None` if the policy does not answer this hook.
    pub fn ask(&mut self, question: &HookQuestion<'_>, now: Timestamp) -> Option<TrialPair> {
        if !self.policy.manifest().has(question.hook()) {
            return None;
        }
        let fresh = self.patiently(|trial| trial.fresh(), question, now).0;
        let (used, guest) = self.patiently(Trial::used, question, now);
        self.used = guest;
        Some(TrialPair { fresh, used })
    }

    /// The used instance: it has answered every earlier question of this trial. The first time, it
    /// is a fresh one.
    fn used(&mut self) -> Result<Box<Guest>, GuestFailure> {
        match self.used.take() {
            Some(guest) => Ok(guest),
            None => self.fresh(),
        }
    }

    fn fresh(&self) -> Result<Box<Guest>, GuestFailure> {
        let mut guest = self.policy.fresh_guest()?;
        if let Some(tables) = &self.tables {
            guest.see_tables(tables);
        }
        Ok(guest)
    }

    fn patiently(
        &mut self,
        guest: impl Fn(&mut Trial) -> Result<Box<Guest>, GuestFailure>,
        question: &HookQuestion<'_>,
        now: Timestamp,
    ) -> (TrialAnswer, Option<Box<Guest>>) {
        let mut tries = 1;
        loop {
            let (said, guest) = match guest(self) {
                Ok(guest) => self.once(guest, question, now),
                Err(failure) => (
                    TrialAnswer {
                        answer: Err(failure),
                        fuel: 0,
                        time: Duration::ZERO,
                    },
                    None,
                ),
            };
            let late =
                matches!(&said.answer, Err(failure) if failure.kind == FailureKind::Deadline);
            if !late || tries == TRIES {
                return (said, guest);
            }
            tries += 1;
        }
    }

    /// Asks one instance, and returns it unless it failed.
    fn once(
        &self,
        mut guest: Box<Guest>,
        question: &HookQuestion<'_>,
        now: Timestamp,
    ) -> (TrialAnswer, Option<Box<Guest>>) {
        let policy = &self.policy;
        let fuel_before = guest.fuel_used();
        let started = real_time();
        let answer = match *question {
            HookQuestion::Request(request) => policy
                .request_answer(&mut guest, request, now)
                .map(HookAnswer::Request),
            HookQuestion::Response(request, response) => policy
                .response_answer(&mut guest, request, response, now)
                .map(HookAnswer::Response),
            HookQuestion::Warm { plan, popular } => {
                let request = PlanRequest {
                    plan,
                    popular,
                    variants: &policy.manifest().variants,
                };
                policy
                    .plan_answer(&mut guest, &request, now)
                    .map(HookAnswer::Warm)
            }
        };
        let time = started.elapsed();
        let fuel = guest.fuel_used() - fuel_before;
        let guest = answer.is_ok().then_some(guest);
        (TrialAnswer { answer, fuel, time }, guest)
    }
}
