//! Asks a policy many made-up questions, and reports what no answer may be: traps, bad answers,
//! answers that a second look changes, and slow ones.
//!
//! The questions are made from the manifest, the settings, the cases and an access log
//! ([`questions`]). The same seed makes the same questions.

mod case_text;
pub mod coverage;
mod questions;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

pub use self::questions::QuestionSource;
use self::questions::{MadeQuestion, QuestionMaker};
use tero_policy_host::{
    ClientFacts, Hook, HookAnswer, HookQuestion, Manifest, Policy, PolicyRequest, PolicyResponse,
    Trial, TrialPair,
};

/// Every question of this number is asked again, after [`LATER`] others.
const AGAIN_EVERY: u64 = 16;
/// Of so many questions one is asked about another page of the same class of paths too.
const SIBLING_EVERY: u64 = 4;
/// How many questions lie between a question and its repetition.
const LATER: usize = 64;
/// How many defects of a kind are shown with a question each.
const MAX_SHOWN: usize = 20;

/// How a policy is fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct FuzzSettings {
    /// How many questions are asked.
    pub questions: u64,
    /// The seed of the questions.
    pub seed: u64,
    /// The most fuel that an answer may take.
    pub max_fuel: Option<u64>,
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DefectKind {
    /// The policy trapped.
    Trap,
    /// It missed its deadline.
    Deadline,
    /// It was denied memory.
    Memory,
    /// The contract does not allow the answer.
    BadAnswer,
    /// Another instance, or the same one later, answers otherwise.
    Impure,
    /// A page gets another answer than one that the same `path-patterns` match.
    Class,
    /// The answer took more fuel than it may.
    Slow,
}

impl DefectKind {
    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            DefectKind::Trap => "trap",
            DefectKind::Deadline => "deadline",
            DefectKind::Memory => "memory",
            DefectKind::BadAnswer => "bad answer",
            DefectKind::Impure => "impure",
            DefectKind::Class => "class",
            DefectKind::Slow => "slow",
        }
    }
}

/// A defect, with the first question that showed it.
#[derive(Clone, Debug, Serialize)]
pub struct Defect {
    /// What is wrong.
    pub kind: DefectKind,
    /// The hook.
    pub hook: &'static str,
    /// The details, as of the first question.
    pub reason: String,
    /// How many questions showed it.
    pub count: u64,
    /// The first question as a test case (TOML).
    pub case: String,
}

/// The fuel that the answers of a hook took, in units of about one instruction.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct HookFuel {
    /// How many questions were asked.
    pub questions: u64,
    /// The fuel of the middle answer.
    pub median: u64,
    /// The fuel that 99 of 100 answers did not exceed.
    pub p99: u64,
    /// The fuel of the dearest answer.
    pub max: u64,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct FuzzReport {
    /// The SHA-256 of the module.
    pub digest: String,
    /// The seed of the questions.
    pub seed: u64,
    /// How many questions were asked.
    pub questions: u64,
    /// The defects, in the order of their kinds.
    pub defects: Vec<Defect>,
    /// The fuel by hook.
    pub fuel: BTreeMap<&'static str, HookFuel>,
}

/// Fuzzes a policy of a host that counts fuel. `trial` is one of this policy. `progress` is told now
/// and then how many questions were asked.
pub fn fuzz(
    policy: &Policy,
    trial: Trial,
    source: QuestionSource,
    settings: FuzzSettings,
    mut progress: impl FnMut(u64),
) -> FuzzReport {
    let mut maker = QuestionMaker::new(policy.manifest(), source, settings.seed);
    let mut run = FuzzRun {
        trial,
        settings,
        asked: 0,
        made: 0,
        defects: BTreeMap::new(),
        fuel: BTreeMap::new(),
        waiting: std::collections::VecDeque::new(),
    };
    let can_answer = !policy.manifest().hooks.is_empty();
    while can_answer && run.asked < settings.questions {
        let question = maker.make();
        let answered = run.put(&question);
        if run.made.is_multiple_of(SIBLING_EVERY)
            && let Some(sibling) = maker.make_sibling(&question)
        {
            run.compare(&answered, &sibling, policy.manifest());
        }
        run.made += 1;
        if run.asked.is_multiple_of(AGAIN_EVERY) {
            run.waiting.push_back(question);
        }
        if run.waiting.len() > LATER
            && let Some(again) = run.waiting.pop_front()
        {
            run.put(&again);
        }
        progress(run.asked);
    }
    run.report(policy)
}

/// Asks one question of each hook, and returns the answers of the fresh instance.
fn answers(trial: &mut Trial, question: &MadeQuestion) -> Vec<(Hook, TrialPair)> {
    let mut answers = Vec::new();
    let mut request = question.request.facts();
    let on_request = trial.ask(&HookQuestion::Request(&request), question.at);
    let variant = on_request.as_ref().and_then(variant_of);
    answers.extend(on_request.map(|pair| (Hook::OnRequest, pair)));
    request.variant = variant.as_deref();
    let key = format!(
        "{}{}\n{}",
        request.host,
        request.path,
        variant.as_deref().unwrap_or("")
    );
    let response = question.response.facts(key.as_bytes());
    let on_response = trial.ask(&HookQuestion::Response(&request, &response), question.at);
    answers.extend(on_response.map(|pair| (Hook::OnResponse, pair)));
    if let Some((plan, popular)) = &question.plan {
        let warm = HookQuestion::Warm { plan, popular };
        let plan_warm = trial.ask(&warm, question.at);
        answers.extend(plan_warm.map(|pair| (Hook::PlanWarm, pair)));
    }
    answers
}

fn variant_of(pair: &TrialPair) -> Option<Arc<str>> {
    match &pair.fresh.answer {
        Ok(HookAnswer::Request(answer)) => answer.variant.clone(),
        _ => None,
    }
}

struct FuzzRun {
    trial: Trial,
    settings: FuzzSettings,
    asked: u64,
    /// Questions that were made, each for all hooks.
    made: u64,
    /// By kind, hook and reason without its numbers.
    defects: BTreeMap<(DefectKind, &'static str, String), Defect>,
    fuel: BTreeMap<&'static str, Vec<u64>>,
    /// Questions that are asked again.
    waiting: std::collections::VecDeque<MadeQuestion>,
}

impl FuzzRun {
    /// Asks a question, and returns the answers.
    fn put(&mut self, question: &MadeQuestion) -> Vec<(Hook, TrialPair)> {
        let answered = answers(&mut self.trial, question);
        for (hook, pair) in &answered {
            self.asked += 1;
            self.judge(question, *hook, pair);
        }
        answered
    }

    /// Asks about another page of the same class, whose answers must be the same.
    fn compare(
        &mut self,
        answered: &[(Hook, TrialPair)],
        sibling: &MadeQuestion,
        manifest: &Manifest,
    ) {
        let others = self.put(sibling);
        for ((hook, one), (_, other)) in answered.iter().zip(&others) {
            // A response may be told apart by its key.
            let is_of_class = *hook == Hook::OnRequest || !manifest.tells_each_response();
            let (one, other) = (&one.fresh.answer, &other.fresh.answer);
            if is_of_class && one.is_ok() && other.is_ok() && one != other {
                let reason = "a page that the same `path-patterns` of the manifest match is answered otherwise";
                self.found(sibling, *hook, DefectKind::Class, reason);
            }
        }
    }

    fn judge(&mut self, question: &MadeQuestion, hook: Hook, pair: &TrialPair) {
        let TrialPair { fresh, used } = pair;
        for answer in [fresh, used] {
            if let Err(failure) = &answer.answer {
                self.found(question, hook, kind_of(failure.kind), &failure.reason);
            }
        }
        if fresh.answer.is_ok() && used.answer.is_ok() && fresh.answer != used.answer {
            let reason =
                "an instance that has answered other questions answers otherwise than a fresh one";
            self.found(question, hook, DefectKind::Impure, reason);
        }
        let fuel = fresh.fuel.max(used.fuel);
        self.fuel.entry(hook.as_str()).or_default().push(fuel);
        if self.settings.max_fuel.is_some_and(|most| fuel > most) {
            self.found(question, hook, DefectKind::Slow, &format!("{fuel} of fuel"));
        }
    }

    fn found(&mut self, question: &MadeQuestion, hook: Hook, kind: DefectKind, reason: &str) {
        let key = (kind, hook.as_str(), without_numbers(reason));
        let known = self.defects.len();
        match self.defects.get_mut(&key) {
            Some(defect) => defect.count += 1,
            None if known < MAX_SHOWN * 6 => {
                let defect = Defect {
                    kind,
                    hook: hook.as_str(),
                    reason: reason.to_owned(),
                    count: 1,
                    case: case_text::case_of(question, hook, kind.as_str()),
                };
                self.defects.insert(key, defect);
            }
            None => {}
        }
    }

    fn report(self, policy: &Policy) -> FuzzReport {
        let fuel = self
            .fuel
            .into_iter()
            .map(|(hook, fuel)| (hook, hook_fuel(fuel)));
        FuzzReport {
            digest: policy.digest().to_owned(),
            seed: self.settings.seed,
            questions: self.asked,
            defects: self.defects.into_values().collect(),
            fuel: fuel.collect(),
        }
    }
}

fn kind_of(kind: tero_policy_host::FailureKind) -> DefectKind {
    use tero_policy_host::FailureKind;
    match kind {
        FailureKind::Trap => DefectKind::Trap,
        FailureKind::Deadline => DefectKind::Deadline,
        FailureKind::Memory => DefectKind::Memory,
        FailureKind::BadAnswer => DefectKind::BadAnswer,
    }
}

fn hook_fuel(mut fuel: Vec<u64>) -> HookFuel {
    fuel.sort_unstable();
    let at = |percent: usize| {
        let index = (fuel.len() * percent / 100).min(fuel.len().saturating_sub(1));
        fuel.get(index).copied().unwrap_or_default()
    };
    HookFuel {
        questions: fuel.len() as u64,
        median: at(50),
        p99: at(99),
        max: at(100),
    }
}

/// A text with `0` in place of each number, so that texts that differ in numbers are one.
fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if !char.is_ascii_digit() {
            out.push(char);
        } else if !out.ends_with('0') {
            out.push('0');
        }
    }
    out
}

/// Adds the requests of an access log to what questions are made of. Returns how many lines are too
/// long or in no known format.
///
/// # Errors
/// If the log can't be read.
pub fn add_log(source: &mut QuestionSource, log: impl Read) -> io::Result<u64> {
    crate::replay::diff::each_request(log, |logged| source.add_request(logged))
}

impl questions::MadeRequest {
    fn facts(&self) -> PolicyRequest<'_> {
        PolicyRequest {
            method: &self.method,
            scheme: self.scheme,
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
            device: self.device,
            device_source: self.device_source,
            client: ClientFacts {
                address: Some(self.client),
                country: self.country,
                region: self.region,
                bucket: self.bucket,
            },
            route: self.route.as_deref(),
            variant: None,
        }
    }
}

impl questions::MadeResponse {
    fn facts<'a>(&'a self, key: &'a [u8]) -> PolicyResponse<'a> {
        PolicyResponse {
            status: self.status,
            headers: &self.headers,
            length: self.length,
            header_ttl: self.header_ttl.map(Duration::from_secs),
            header_browser_ttl: self.header_ttl.map(Duration::from_secs),
            key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_differ_in_numbers_are_one() {
        assert_eq!(
            without_numbers("fresh for 90 s of 3600"),
            "fresh for 0 s of 0"
        );
    }

    #[test]
    fn fuel_is_ranked() {
        let fuel = hook_fuel((1..=200).rev().collect());
        assert_eq!((fuel.median, fuel.p99, fuel.max), (101, 199, 200));
        assert_eq!(hook_fuel(Vec::new()).max, 0);
    }
}
