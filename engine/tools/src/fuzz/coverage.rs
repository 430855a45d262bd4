//! Which rules of a policy its cases don't reach.
//!
//! A rule is known by the reason that it gives: the reasons of the answers to made-up questions are
//! compared with the reasons of the answers to the cases. Numbers in reasons don't count. So a rule
//! without a reason of its own isn't told apart from others, and one that no made-up question
//! reaches isn't found.

use std::collections::BTreeMap;

use serde::Serialize;

use super::questions::{QuestionMaker, QuestionSource};
use super::{answers, case_text, without_numbers};
use tero_policy_host::cases::CasesReport;
use tero_policy_host::{HookAnswer, Policy, Trial};

/// A rule of a policy, known by its reason.
#[derive(Clone, Debug, Serialize)]
pub struct CoveredRule {
    /// The hook.
    pub hook: &'static str,
    /// The reason, as it was first seen.
    pub reason: String,
    /// How many cases reach it.
    pub cases: u64,
    /// How many made-up questions reached it.
    pub questions: u64,
    /// A case that reaches it (TOML), if none does.
    pub case: Option<String>,
}

/// The rules of a policy: first those that no case reaches.
#[derive(Clone, Debug, Serialize)]
pub struct CoverageReport {
    /// How many questions were made up.
    pub questions: u64,
    /// The seed of the questions.
    pub seed: u64,
    /// The rules.
    pub rules: Vec<CoveredRule>,
    /// How many of the answers to made-up questions gave no reason.
    pub without_reason: u64,
}

/// Compares the rules that cases reach with those that made-up questions reach. `trial` is one of this
/// policy.
pub fn coverage(
    policy: &Policy,
    mut trial: Trial,
    report: &CasesReport,
    source: QuestionSource,
    questions: u64,
    seed: u64,
) -> CoverageReport {
    let mut rules: BTreeMap<(&'static str, String), CoveredRule> = BTreeMap::new();
    let rule = |hook, reason: &str| CoveredRule {
        hook,
        reason: reason.to_owned(),
        cases: 0,
        questions: 0,
        case: None,
    };
    for outcome in &report.outcomes {
        if let Some(reason) = outcome.answer["reason"].as_str() {
            let hook = outcome.hook.as_str();
            let key = (hook, without_numbers(reason));
            rules.entry(key).or_insert_with(|| rule(hook, reason)).cases += 1;
        }
    }
    let mut maker = QuestionMaker::new(policy.manifest(), source, seed);
    let (mut asked, mut without_reason) = (0, 0);
    while asked < questions && !policy.manifest().hooks.is_empty() {
        let question = maker.make();
        for (hook, pair) in answers(&mut trial, &question) {
            asked += 1;
            let Some(reason) = reason_of(pair.fresh.answer.as_ref().ok()) else {
                without_reason += 1;
                continue;
            };
            let key = (hook.as_str(), without_numbers(reason));
            let rule = rules.entry(key).or_insert_with(|| CoveredRule {
                case: Some(case_text::case_of(&question, hook, reason)),
                ..rule(hook.as_str(), reason)
            });
            rule.questions += 1;
        }
    }
    let mut rules: Vec<CoveredRule> = rules.into_values().collect();
    rules.sort_by_key(|rule| rule.cases > 0);
    CoverageReport {
        questions: asked,
        seed,
        rules,
        without_reason,
    }
}

fn reason_of(answer: Option<&HookAnswer>) -> Option<&str> {
    match answer? {
        HookAnswer::Request(answer) => answer.reason.as_deref(),
        HookAnswer::Response(answer) => answer.reason.as_deref(),
        HookAnswer::Warm(_) => None,
    }
}
