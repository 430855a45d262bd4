//! Asks a policy the questions of its test cases.

use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Tz;

use super::case::{Case, CaseRequest, CaseResponse, Cases, Expectation};
use super::matching;
use super::matching::differences;
use super::report::{CaseOutcome, CasesReport, Mismatch};
use crate::check;
use crate::error::PolicyError;
use crate::facts::{ClientFacts, PolicyRequest, PolicyResponse};
use crate::host::Host;
use crate::manifest::Hook;
use crate::policy::Policy;
use crate::trial::{HookAnswer, HookQuestion, Trial, TrialAnswer, TrialPair};
use tero_config::{ConfigErrors, Mistakes};
use tero_semantics::cache_control::ResponseDirectives;
use tero_semantics::decision::QueryRule;
use tero_semantics::freshness::{browser_lifetime, header_lifetime};
use tero_semantics::key::{self, KeyParts};
use tero_semantics::timestamp::Timestamp;

/// The targeted fields of a site with default settings (RFC 9213).
const TARGETED_FIELDS: [&str; 2] = ["tero-cache-control", "cdn-cache-control"];

impl Cases {
    /// Asks a loaded policy every question, up to the first case that fails.
    ///
    /// # Errors
    /// The outcomes of the case that failed.
    pub fn pass(&self, policy: &Arc<Policy>) -> Result<usize, Vec<CaseOutcome>> {
        let mut trial = self.trial(policy);
        // Twice, so that the used instance has answered every question before.
        for case in self.cases.iter().chain(&self.cases) {
            let outcomes = self.ask(case, policy, &mut trial);
            if outcomes.iter().any(|outcome| !outcome.problems.is_empty()) {
                return Err(outcomes);
            }
        }
        Ok(self.cases.len())
    }

    /// Loads the policy and asks it every question. Answers that take more than `max_fuel` fail.
    ///
    /// # Errors
    /// The policy cannot be used: a mistake at the key that names it.
    pub fn run(&self, host: &Host, max_fuel: Option<u64>) -> Result<CasesReport, ConfigErrors> {
        let policy = self.load_policy(host)?;
        let mut trial = self.trial(&policy);
        // One pass without looking, so that the used instance has answered every question before.
        let ask_all = |trial: &mut Trial| {
            self.cases
                .iter()
                .flat_map(|case| self.ask(case, &policy, trial))
                .collect::<Vec<_>>()
        };
        ask_all(&mut trial);
        let mut outcomes = ask_all(&mut trial);
        for outcome in &mut outcomes {
            if let Some(most) = max_fuel.filter(|most| outcome.fuel > *most) {
                outcome.problems.push(Mismatch {
                    field: "fuel".to_owned(),
                    expected: format!("at most {most}"),
                    got: outcome.fuel.to_string(),
                });
            }
        }
        Ok(CasesReport {
            file: self.file.to_string(),
            digest: policy.digest().to_owned(),
            outcomes,
        })
    }

    pub(super) fn unusable(&self, error: &PolicyError) -> ConfigErrors {
        let mistakes = Mistakes::of(&self.file, &self.text);
        let key = check::key_of(error).trim_start_matches("policy.");
        let line_with = |line: &&str| {
            line.trim_start()
                .strip_prefix(key)
                .is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        let line = self
            .text
            .split_inclusive('\n')
            .find(line_with)
            .unwrap_or_default();
        let start = if line.is_empty() {
            0
        } else {
            line.as_ptr() as usize - self.text.as_ptr() as usize
        };
        mistakes.add(
            &(start..start + line.trim_end().len()),
            key,
            check::mistake_of(error),
        );
        mistakes
            .into_result()
            .expect_err("a mistake was just added")
    }

    /// Asks the questions of a case in the order of the edge: `on-response` is told the decision of
    /// `on-request`.
    fn ask(&self, case: &Case, policy: &Policy, trial: &mut Trial) -> Vec<CaseOutcome> {
        let now = case
            .at
            .in_zone(self.zone.or(policy.manifest().zone).unwrap_or(Tz::UTC));
        let mut request = case.request.facts();
        let on_request = trial.ask(&HookQuestion::Request(&request), now);
        let (decided, rule) = decision(on_request.as_ref());
        request.variant = case.request.variant.as_deref().or(decided.as_deref());
        let key = storage_key(&request, &rule);
        let mut outcomes = Vec::new();
        for (hook, expected) in &case.expected {
            let tried = match hook {
                Hook::OnRequest => on_request.clone(),
                Hook::OnResponse => {
                    let response = case.response.clone().unwrap_or_default();
                    let response = response.facts(&key, now);
                    trial.ask(&HookQuestion::Response(&request, &response), now)
                }
                Hook::PlanWarm => {
                    let question = HookQuestion::Warm {
                        plan: &case.plan,
                        popular: &case.popular,
                    };
                    trial.ask(&question, now)
                }
            };
            outcomes.push(outcome(case, *hook, expected, tried));
        }
        outcomes
    }
}

/// The variant and the rule for the query that `on-request` decided.
fn decision(tried: Option<&TrialPair>) -> (Option<Arc<str>>, QueryRule) {
    match tried.map(|tried| &tried.fresh.answer) {
        Some(Ok(HookAnswer::Request(answer))) => (
            answer.variant.clone(),
            answer.query.clone().unwrap_or_default(),
        ),
        _ => Default::default(),
    }
}

/// The key under which a response to this request would be stored.
fn storage_key(request: &PolicyRequest<'_>, rule: &QueryRule) -> Vec<u8> {
    let query = key::canonical_query(request.query, rule);
    let mut written = Vec::new();
    let parts = KeyParts {
        scheme: request.scheme,
        authority: request.host,
        path: request.path,
        query: query.as_deref(),
        variant: request.variant,
    };
    key::write_key(&mut written, &parts);
    written
}

impl CaseRequest {
    /// The request as the edge would tell it, without a variant.
    fn facts(&self) -> PolicyRequest<'_> {
        PolicyRequest {
            method: &self.method,
            scheme: &self.scheme,
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
            device: self.device,
            device_source: self.device_source,
            client: ClientFacts {
                address: self.client,
                country: self.country.as_deref(),
                region: self.region.as_deref(),
                bucket: self.bucket,
            },
            route: self.route.as_deref(),
            variant: None,
        }
    }
}

impl CaseResponse {
    /// The response as the edge would tell it.
    pub(super) fn facts<'a>(&'a self, key: &'a [u8], now: Timestamp) -> PolicyResponse<'a> {
        let directives = ResponseDirectives::governing(
            &self.headers,
            &TARGETED_FIELDS.map(http::HeaderName::from_static),
        );
        let length = self
            .headers
            .get(http::header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        PolicyResponse {
            status: self.status,
            headers: &self.headers,
            length,
            header_ttl: header_lifetime(&self.headers, &directives, now),
            header_browser_ttl: browser_lifetime(&self.headers, &directives, now),
            key,
        }
    }
}

fn outcome(
    case: &Case,
    hook: Hook,
    expected: &[Expectation],
    tried: Option<TrialPair>,
) -> CaseOutcome {
    let mut outcome = CaseOutcome {
        case: case.name.clone(),
        line: case.line,
        hook,
        answer: serde_json::Value::Null,
        problems: Vec::new(),
        fuel: 0,
        micros: 0.0,
    };
    let Some(TrialPair { fresh, used }) = tried else {
        outcome.problems.push(Mismatch {
            field: "hook".to_owned(),
            expected: hook.as_str().to_owned(),
            got: "the manifest does not name it".to_owned(),
        });
        return outcome;
    };
    outcome.fuel = fresh.fuel.max(used.fuel);
    outcome.micros = micros(used.time);
    match (&fresh.answer, &used.answer) {
        (Ok(answer), Ok(again)) => {
            outcome.answer = matching::fields(answer);
            outcome.problems = differences(expected, &outcome.answer);
            outcome
                .problems
                .extend(matching::changes(&outcome.answer, &matching::fields(again)));
        }
        _ => {
            outcome.problems.extend(failure(&fresh, "fresh"));
            outcome.problems.extend(failure(&used, "used"));
        }
    }
    outcome
}

/// The failure of an instance; `None` if it answered.
fn failure(tried: &TrialAnswer, instance: &str) -> Option<Mismatch> {
    let failure = tried.answer.as_ref().err()?;
    Some(Mismatch {
        field: format!("answer of a {instance} instance"),
        expected: "an answer that the contract allows".to_owned(),
        got: format!("{}: {}", failure.kind.as_str(), failure.reason),
    })
}

/// Microseconds with one decimal.
fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000_000.0).round() / 10.0
}
