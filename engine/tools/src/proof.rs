//! Shows that a file and the policy made of it decide alike, over the requests of an access log.
//!
//! The file is read here once more, by other means than the import: patterns by a library of
//! regular expressions, opening hours by the calendar. The two have in common how the syntax of a
//! pattern is told.

mod old;

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use crate::replay::diff::{self, LoggedDecision, LoggedSites};
use crate::replay::record::LogRecord;
use old::{OldDecision, OldFile, OldLifetime, OldRule};
use tero_config::Config;
use tero_policy_host::device::Device;
use tero_policy_host::{Chain, Host};
use tero_semantics::decision::{LookupDecision, ResponseDecision, StoringDecision};

/// How long the policy may take for one decision.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest number of differences that is kept.
pub const MAX_PROOF_SAMPLES: usize = 20;

/// How a file and its policy decide about the requests of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// The requests of the log.
    pub requests: u64,
    /// Those about which the two decide differently.
    pub different: u64,
    /// Lines that are too long or in no known format.
    pub unreadable: u64,
    /// The first differences, at most [`MAX_PROOF_SAMPLES`].
    pub samples: Vec<ProofDifference>,
}

/// A request about which the file and its policy decide differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofDifference {
    /// Method and target.
    pub request: String,
    /// What the file says.
    pub file: String,
    /// What the policy says.
    pub policy: String,
}

/// Why nothing could be shown.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The file can't be read a second time.
    #[error("the file can't be read again: {0}")]
    File(String),
    /// The policy can't be loaded.
    #[error("the policy can't be loaded: {0}")]
    Policy(String),
    /// The log can't be read.
    #[error("the log can't be read: {0}")]
    Log(#[from] io::Error),
}

/// Compares what the file with the text `json` says about the requests of a log with what the
/// policy of the configuration `toml` decides. `host` is for lines without a host.
///
/// # Errors
/// [`ProofError`]
pub fn prove(json: &str, toml: &str, log: impl Read, host: &str) -> Result<Proof, ProofError> {
    let config = Config::parse(toml, "tero.toml", Path::new(""))
        .map_err(|errors| ProofError::Policy(errors.to_string()))?;
    let chain = chain(&config)?;
    let calendar = config
        .policies
        .first()
        .and_then(|policy| policy.calendar.as_ref());
    let file = OldFile::read(json, calendar).map_err(ProofError::File)?;
    let mut proof = Proof::default();
    proof.unreadable = diff::each_request(log, |logged| {
        proof.requests += 1;
        let sites = LoggedSites { host, config: None };
        let decided = diff::decide(&chain, logged, sites);
        let device = if chain.needs_device() {
            diff::device_of(logged)
        } else {
            Device::Unknown
        };
        let told = file.decide(logged, device);
        if !is_alike(&told, &decided) {
            proof.different += 1;
            if proof.samples.len() < MAX_PROOF_SAMPLES {
                proof.samples.push(sample(logged, &told, &decided));
            }
        }
    })?;
    Ok(proof)
}

fn chain(config: &Config) -> Result<Chain, ProofError> {
    let failed = |error: &dyn std::error::Error| ProofError::Policy(error.to_string());
    let host = Host::new(&config.policy_host).map_err(|error| failed(&error))?;
    // A slow machine must not look like another decision.
    let patient = |policy: &tero_config::Policy| {
        let mut policy = policy.clone();
        policy.limits.deadline = PATIENCE;
        policy
    };
    let policies = config
        .policies
        .iter()
        .map(|policy| host.load(&patient(policy)))
        .collect::<Result<_, _>>()
        .map_err(|error| failed(&error))?;
    Chain::new(&host, policies, usize::MAX).map_err(|error| failed(&error))
}

fn is_alike(told: &OldDecision<'_>, decided: &LoggedDecision) -> bool {
    let is_pass = decided.request.lookup == LookupDecision::Pass;
    if told.variant != decided.request.variant.as_deref() {
        return false;
    }
    let response = &decided.response;
    match told.rule {
        None => {
            !is_pass && response.storing == StoringDecision::ByHeaders && response.tags.is_empty()
        }
        Some(rule) if rule.never => is_pass && response.storing == StoringDecision::Never,
        Some(rule) => !is_pass && is_same_lifetime(rule, told, response),
    }
}

fn is_same_lifetime(rule: &OldRule, told: &OldDecision<'_>, response: &ResponseDecision) -> bool {
    let tags = response.tags.iter().map(|tag| &**tag);
    if !tags.eq(rule.tags.iter().map(String::as_str)) {
        return false;
    }
    let ttl = response.ttl.map(|ttl| ttl.as_secs());
    match told.lifetime {
        OldLifetime::ByFields => response.storing == StoringDecision::ByHeaders && ttl.is_none(),
        OldLifetime::Secs { least, most } => {
            response.storing == StoringDecision::Always
                && ttl.is_some_and(|ttl| (least..=most).contains(&ttl))
        }
    }
}

fn sample(logged: &LogRecord, told: &OldDecision<'_>, decided: &LoggedDecision) -> ProofDifference {
    let response = &decided.response;
    let ttl = response
        .ttl
        .map_or_else(String::new, |ttl| format!(" {} s", ttl.as_secs()));
    let variant = |variant: Option<&str>| {
        variant.map_or_else(String::new, |variant| format!(", variant {variant}"))
    };
    let policy = if decided.request.lookup == LookupDecision::Pass {
        "never".to_owned()
    } else {
        match response.storing {
            StoringDecision::ByHeaders => "origin".to_owned(),
            StoringDecision::Never => "not stored".to_owned(),
            StoringDecision::Always => format!("ttl{ttl}"),
        }
    };
    ProofDifference {
        request: format!("{} {}", logged.method, logged.target.escape_debug()),
        file: format!("{}{}", told.describe(), variant(told.variant)),
        policy: format!("{policy}{}", variant(decided.request.variant.as_deref())),
    }
}

#[cfg(test)]
mod tests;
