//! The failures of one policy: which questions failed a moment ago, and when the policy is switched
//! off for a rest.
//!
//! A failed question is remembered, so that it isn't asked again at once. A policy is switched off
//! if failed questions are too large a share of its questions, or take too large a share of a
//! thread's time. A question that fails again counts once, so that one crafted URL switches nothing
//! off. Nor does one client with many of them: it is held back by itself ([`clients`]). After a rest
//! the policy is asked again; if it fails again soon, the next rest is longer.

pub(crate) mod clients;

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use self::clients::{Askers, ClientNetwork, CountedFailure, FailingClients};
use crate::guest::failure::GuestFailure;
use crate::manifest::Hook;
use crate::real_time::real_time;
use tero_config::PolicyLimits;
use tero_semantics::timestamp::Timestamp;

/// The span over which failures and time are counted. Two of them overlap, so that the last 10 to
/// 20 seconds count.
const WINDOW: Duration = Duration::from_secs(10);
/// A question that fails again within this time is the same failure.
const DISTINCT_FOR: Duration = Duration::from_secs(20);
/// How many failed questions are remembered; the oldest are forgotten first.
const MAX_QUESTIONS: usize = 1024;
/// So many failed questions switch off a policy that has just had a rest.
const FAILURES_AFTER_REST: u32 = 2;

/// The inputs of a question, but for its time, as one number that a client cannot foresee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QuestionId(u64);

/// A rest of a policy that was switched off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    /// What it was switched off for.
    pub(crate) reason: String,
    length: Duration,
}

/// A failed question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FailedQuestion {
    pub(crate) hook: Hook,
    pub(crate) id: QuestionId,
    /// Who asked; `None` for a plan, and at a desk.
    pub(crate) client: Option<ClientNetwork>,
    /// The time that the question took.
    pub(crate) spent: Duration,
    /// Good answers of this hook since the policy was loaded.
    pub(crate) answered: u64,
}

/// What failed, and the rests of a policy.
#[derive(Debug)]
pub(crate) struct FailureHistory {
    limits: PolicyLimits,
    hasher: RandomState,
    /// The end of the last rest; `i64::MIN` if there has been none.
    rest_until_millis: AtomicI64,
    rest_since_millis: AtomicI64,
    /// When the policy was loaded, by the machine's own time.
    loaded: Instant,
    /// How many failed questions are remembered. While there is none, a question pays nothing.
    remembered: AtomicUsize,
    /// How many clients are held back.
    held_back: AtomicUsize,
    askers: Askers,
    rests: AtomicU64,
    state: Mutex<FailureState>,
}

#[derive(Debug)]
struct FailureState {
    /// The latest last.
    questions: VecDeque<(QuestionId, Timestamp)>,
    clients: FailingClients,
    counts: [CountWindow; Hook::ALL.len()],
    time: TimeWindow,
    last_rest: Option<Rest>,
}

/// Questions of one hook.
#[derive(Clone, Copy, Debug, Default)]
struct CountWindow {
    began: Option<Timestamp>,
    /// The hook's good answers when the window began.
    answered_at_start: u64,
    failed: FailureCount,
    before: (FailureCount, f64),
}

/// Failed questions.
#[derive(Clone, Copy, Debug, Default)]
struct FailureCount {
    /// Those that count, of each client its part.
    counted: u32,
    all: u32,
}

/// The time that failed questions took.
#[derive(Clone, Copy, Debug, Default)]
struct TimeWindow {
    began: Option<Timestamp>,
    /// Of each client its part.
    counted: Duration,
    all: Duration,
}

impl FailureHistory {
    pub(crate) fn new(limits: PolicyLimits) -> FailureHistory {
        FailureHistory {
            limits,
            hasher: RandomState::new(),
            rest_until_millis: AtomicI64::new(i64::MIN),
            rest_since_millis: AtomicI64::new(i64::MAX),
            loaded: real_time(),
            remembered: AtomicUsize::new(0),
            held_back: AtomicUsize::new(0),
            askers: Askers::default(),
            rests: AtomicU64::new(0),
            state: Mutex::new(FailureState {
                questions: VecDeque::new(),
                clients: FailingClients::default(),
                counts: Default::default(),
                time: TimeWindow::default(),
                last_rest: None,
            }),
        }
    }

    /// Whether the policy has a rest.
    #[inline]
    pub(crate) fn rests(&self, now: Timestamp) -> bool {
        // A clock that was set back to before the rest began ends it.
        self.rest_until_millis.load(Ordering::Relaxed) > now.unix_millis()
            && self.rest_since_millis.load(Ordering::Relaxed) <= now.unix_millis()
    }

    /// The rest at this moment.
    pub(crate) fn current_rest(&self, now: Timestamp) -> Option<Rest> {
        self.last_rest()
            .filter(|rest| rest.since <= now && now < rest.until)
    }

    /// The last rest, which may be over.
    pub(crate) fn last_rest(&self) -> Option<Rest> {
        self.state().last_rest.clone()
    }

    /// How many rests there have been.
    pub(crate) fn rest_count(&self) -> u64 {
        self.rests.load(Ordering::Relaxed)
    }

    /// Whether any failed question is remembered.
    #[inline]
    pub(crate) fn remembers_any(&self) -> bool {
        self.remembered.load(Ordering::Relaxed) != 0
    }

    /// The number of a question with these inputs.
    pub(crate) fn id(&self, hook: Hook, inputs: &[u8]) -> QuestionId {
        QuestionId(self.hasher.hash_one((hook as u8, inputs)))
    }

    /// Whether this question failed so lately that it isn't asked again.
    pub(crate) fn is_remembered(&self, id: QuestionId, now: Timestamp) -> bool {
        let mut state = self.state();
        state.forget(now.saturating_sub(self.kept_for()), now);
        self.remembered
            .store(state.questions.len(), Ordering::Relaxed);
        let memory = self.limits.failure_memory;
        let failed = state.questions.iter().rev().find(|(other, _)| *other == id);
        failed.is_some_and(|(_, at)| now.since(*at) < memory)
    }

    /// Notes that a question of this client is asked.
    #[inline]
    pub(crate) fn note_asker(&self, client: Option<ClientNetwork>, now: Timestamp) {
        if let Some(client) = client {
            self.askers.note(self.hasher.hash_one(client), now);
        }
    }

    /// Whether nothing is asked for this client, since too many of its own questions failed.
    #[inline]
    pub(crate) fn is_held_back(&self, client: Option<ClientNetwork>, now: Timestamp) -> bool {
        self.held_back.load(Ordering::Relaxed) != 0
            && client.is_some_and(|client| self.looks_held_back(client, now))
    }

    #[cold]
    fn looks_held_back(&self, client: ClientNetwork, now: Timestamp) -> bool {
        let state = self.state();
        self.held_back
            .store(state.clients.held_back(now), Ordering::Relaxed);
        state.clients.is_held_back(client, now)
    }

    /// Notes a failure. If the policy is switched off for it, returns the rest.
    #[cold]
    pub(crate) fn failed(
        &self,
        question: &FailedQuestion,
        failure: &GuestFailure,
        now: Timestamp,
    ) -> Option<Rest> {
        let mut state = self.state();
        state.forget(now.saturating_sub(self.kept_for()), now);
        let is_new = state.remember(question.id, now);
        self.remembered
            .store(state.questions.len(), Ordering::Relaxed);
        let running = match &state.last_rest {
            Some(rest) => now.since(rest.since),
            None => self.loaded.elapsed(),
        };
        state.counts[question.hook as usize].begin(question.answered, running, now);
        // A client that is alone takes nothing from others.
        let question = &FailedQuestion {
            client: question.client.filter(|_| self.askers.are_several(now)),
            ..*question
        };
        let reason = state.judge(question, is_new, &self.limits, now);
        self.held_back
            .store(state.clients.held_back(now), Ordering::Relaxed);
        let reason = reason?;
        // Another thread may have switched it off while this question was asked.
        if state.is_resting(now) {
            return None;
        }
        let reason = format!(
            "{reason}, the last in {}: {}: {}",
            question.hook.as_str(),
            failure.kind.as_str(),
            failure.reason
        );
        let rest = state.rest(question, reason, &self.limits, now);
        self.rests.fetch_add(1, Ordering::Relaxed);
        self.rest_since_millis
            .store(rest.since.unix_millis(), Ordering::Relaxed);
        self.rest_until_millis
            .store(rest.until.unix_millis(), Ordering::Release);
        Some(rest)
    }

    fn kept_for(&self) -> Duration {
        self.limits.failure_memory.max(DISTINCT_FOR)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, FailureState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FailureState {
    /// Forgets the questions that failed before `oldest`, and, if the clock was set back, those
    /// that fail after `now`.
    fn forget(&mut self, oldest: Timestamp, now: Timestamp) {
        while let Some((_, at)) = self.questions.front()
            && (*at <= oldest || *at > now)
        {
            self.questions.pop_front();
        }
    }

    /// Remembers a failed question; false if it failed a while ago already.
    fn remember(&mut self, id: QuestionId, now: Timestamp) -> bool {
        let place = self.questions.iter().rposition(|(other, _)| *other == id);
        let known = place.and_then(|place| self.questions.remove(place));
        if self.questions.len() == MAX_QUESTIONS {
            self.questions.pop_front();
        }
        self.questions.push_back((id, now));
        known.is_none()
    }

    /// Why the policy must be switched off, if it must.
    fn judge(
        &mut self,
        question: &FailedQuestion,
        is_new: bool,
        limits: &PolicyLimits,
        now: Timestamp,
    ) -> Option<String> {
        let enough = match self.is_after_rest(now) {
            true => limits.max_failures.min(FAILURES_AFTER_REST),
            false => limits.max_failures,
        };
        // A plan is asked for on a thread that serves no requests.
        let spent = match question.hook {
            Hook::OnRequest | Hook::OnResponse => question.spent,
            Hook::PlanWarm => Duration::ZERO,
        };
        let most = limits.max_failure_share.fraction();
        let counted = match question.client {
            None => CountedFailure {
                counts: is_new,
                spent,
                is_beyond: false,
            },
            Some(client) => {
                let most = WINDOW.mul_f64(most.clamp(0.0, 1.0));
                self.clients
                    .note(client, (is_new, spent), (enough, most), now)
            }
        };
        let window = &mut self.counts[question.hook as usize];
        window.turn(question.answered, now);
        window.failed.add(counted.counts, is_new);
        let (failed, answered) = window.totals(question.answered);
        self.time.add((counted.spent, spent), now);
        if limits.max_failure_share.is_whole() {
            return None;
        }
        let trouble = trouble(failed.counted, answered, self.time.counted, (enough, most));
        if trouble.is_some() {
            return trouble;
        }
        // Only this client's own questions are too many.
        let is_trouble =
            self::trouble(failed.all, answered, self.time.all, (enough, most)).is_some();
        if let Some(client) = question.client.filter(|_| counted.is_beyond && is_trouble) {
            let until = now.saturating_add(limits.rest);
            self.clients.hold_back(client, until, now);
        }
        None
    }

    /// Begins a rest: twice as long as the last one if that ended a while ago only.
    fn rest(
        &mut self,
        question: &FailedQuestion,
        reason: String,
        limits: &PolicyLimits,
        now: Timestamp,
    ) -> Rest {
        let last = self.last_rest.as_ref().filter(|_| self.is_after_rest(now));
        let length = last.map_or(limits.rest, |last| {
            last.length
                .saturating_mul(2)
                .min(limits.max_rest.max(limits.rest))
        });
        let rest = Rest {
            since: now,
            until: now.saturating_add(length),
            reason,
            length,
        };
        self.counts = Default::default();
        // What was answered before does not count for the time after the rest.
        self.counts[question.hook as usize].answered_at_start = question.answered;
        self.time = TimeWindow::default();
        self.last_rest.insert(rest).clone()
    }

    fn is_resting(&self, now: Timestamp) -> bool {
        let last = self.last_rest.as_ref();
        last.is_some_and(|rest| rest.since <= now && now < rest.until)
    }

    /// Whether the last rest ended so lately that a failure belongs to the same trouble: as long
    /// ago as it lasted, and a window at least.
    fn is_after_rest(&self, now: Timestamp) -> bool {
        self.last_rest.as_ref().is_some_and(|rest| {
            now >= rest.since && now.since(rest.until) < rest.length.max(WINDOW)
        })
    }
}

/// Why a policy must be switched off for so many failures, or for the time that they took.
fn trouble(
    failed: u32,
    answered: f64,
    spent: Duration,
    (enough, most): (u32, f64),
) -> Option<String> {
    let asked = f64::from(failed) + answered;
    if failed >= enough && f64::from(failed) / asked > most {
        return Some(format!("{failed} of {asked:.0} questions failed"));
    }
    let share = spent.as_secs_f64() / WINDOW.as_secs_f64();
    (share > most).then(|| {
        format!(
            "failed questions took {:.0} % of a thread's time",
            100.0 * share
        )
    })
}

impl FailureCount {
    fn add(&mut self, counts: bool, is_new: bool) {
        self.counted = self.counted.saturating_add(u32::from(counts));
        self.all = self.all.saturating_add(u32::from(is_new));
    }
}

impl CountWindow {
    /// Begins the first window, at the first failure, `running` after the policy was loaded.
    fn begin(&mut self, answered: u64, running: Duration, now: Timestamp) {
        if self.began.is_none() {
            let answers = answered.saturating_sub(self.answered_at_start);
            *self = CountWindow {
                began: Some(now),
                answered_at_start: answered,
                failed: FailureCount::default(),
                before: (FailureCount::default(), of_one_window(answers, running)),
            };
        }
    }

    /// Begins the next window if this one is over. Without a good answer it goes on, so that a
    /// policy that is asked rarely and always fails is noticed.
    fn turn(&mut self, answered: u64, now: Timestamp) {
        let elapsed = self.began.map_or(Duration::ZERO, |began| now.since(began));
        let answers = answered.saturating_sub(self.answered_at_start);
        if elapsed < WINDOW || answers == 0 {
            return;
        }
        let failed = match elapsed < 2 * WINDOW {
            true => self.failed,
            false => FailureCount::default(),
        };
        *self = CountWindow {
            began: Some(now),
            answered_at_start: answered,
            failed: FailureCount::default(),
            before: (failed, of_one_window(answers, elapsed)),
        };
    }

    /// Failed questions and good answers of this window and the one before.
    fn totals(&self, answered: u64) -> (FailureCount, f64) {
        let (failed_before, answered_before) = self.before;
        let answers = answered.saturating_sub(self.answered_at_start);
        (
            FailureCount {
                counted: self.failed.counted.saturating_add(failed_before.counted),
                all: self.failed.all.saturating_add(failed_before.all),
            },
            answers as f64 + answered_before,
        )
    }
}

/// Of the answers of a long time, those that belong to one window.
fn of_one_window(answers: u64, elapsed: Duration) -> f64 {
    answers as f64 * (WINDOW.as_secs_f64() / elapsed.as_secs_f64()).min(1.0)
}

impl TimeWindow {
    /// Adds the time of a failed question: what of it counts, and all of it.
    fn add(&mut self, (counted, all): (Duration, Duration), now: Timestamp) {
        if self
            .began
            .is_none_or(|began| now.since(began) >= WINDOW || now < began)
        {
            *self = TimeWindow {
                began: Some(now),
                ..TimeWindow::default()
            };
        }
        self.counted = self.counted.saturating_add(counted);
        self.all = self.all.saturating_add(all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_questions_are_bounded_and_the_oldest_are_forgotten() {
        let history = FailureHistory::new(PolicyLimits {
            failure_memory: Duration::from_secs(60),
            max_failure_share: tero_config::units::Share::parse("100%").unwrap(),
            ..PolicyLimits::default()
        });
        let at = |number: u64| Timestamp::from_unix_millis(i64::try_from(number).unwrap());
        let id = |number: u64| history.id(Hook::OnRequest, &number.to_le_bytes());
        let many = 2 * MAX_QUESTIONS as u64;
        assert!(!history.remembers_any());
        for number in 0..many {
            let question = FailedQuestion {
                hook: Hook::OnRequest,
                id: id(number),
                client: None,
                spent: Duration::from_secs(1),
                answered: 0,
            };
            let failure = GuestFailure::bad_answer("x");
            assert_eq!(history.failed(&question, &failure, at(number)), None);
        }
        assert_eq!(history.state().questions.len(), MAX_QUESTIONS);
        assert!(history.is_remembered(id(many - 1), at(many)));
        assert!(!history.is_remembered(id(0), at(many)));
        assert!(!history.is_remembered(id(many - 1), at(many + 60_000)));
        assert!(!history.remembers_any());
    }
}
