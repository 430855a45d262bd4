//! Pushes versions: checks a version, runs the test cases that come with it, and keeps it. It does
//! not decide yet.

use std::sync::Arc;

use super::Rollout;
use super::error::RolloutError;
use super::forecast;
use super::limits::MAX_CASES;
use super::record::PushedRecord;
use tero_config as config;
use tero_policy_host::cases::{Cases, GivenCasesError};
use tero_policy_host::{Package, Policy, PolicyError};

/// The result of pushing a version.
#[derive(Clone, Debug)]
pub struct PushedVersion {
    /// Its record.
    pub pushed: PushedRecord,
    /// Whether the same version had been pushed before.
    pub was_known: bool,
}

impl Rollout {
    /// Checks a version and keeps it; it does not decide yet. `content` is a module or a
    /// [`Package`], and `signature` that of a key that is trusted. This takes as long as compiling does.
    ///
    /// # Errors
    /// [`RolloutError`]; the version is not kept then.
    pub fn push(
        &self,
        name: &str,
        content: &[u8],
        signature: Option<&str>,
    ) -> Result<PushedVersion, RolloutError> {
        let config = self.state().policy(name)?.config.clone();
        let store = self.store.as_ref().ok_or(RolloutError::NoStateDir)?;
        self.host.trust().check(content, signature)?;
        let mut pushed = self.check(&config, content)?;
        store.keep_version(name, &pushed.digest, content, signature)?;
        let (was_known, number) = self.change(name, |versions| {
            let was_known = versions.record.pushed(&pushed.digest).is_some();
            let number = versions.record.push(pushed.clone());
            versions.record.thin_out(self.max_versions);
            Ok((was_known, number))
        })?;
        pushed.number = number;
        store.thin_out(name, &self.state().policy(name)?.record);
        tracing::info!(
            policy = name,
            version = pushed.digest,
            "a version was pushed"
        );
        Ok(PushedVersion { pushed, was_known })
    }

    /// The content of a pushed version, with its signature if it has one.
    ///
    /// # Errors
    /// [`RolloutError`]
    pub fn pushed_content(
        &self,
        name: &str,
        digest: &str,
    ) -> Result<(Vec<u8>, Option<String>), RolloutError> {
        let store = self.store.as_ref().ok_or(RolloutError::NoStateDir)?;
        let content = store.version(name, digest, self.host.max_module())?;
        Ok((content, store.signature(name, digest)?))
    }

    /// Loads a version and runs the test cases that come with it.
    pub(super) fn check(
        &self,
        config: &config::Policy,
        content: &[u8],
    ) -> Result<PushedRecord, RolloutError> {
        let policy = self.host.load_module(config, content)?;
        self.check_tables(&policy)?;
        let package = Package::of(content).map_err(|error| PolicyError::NotAModule {
            policy: Arc::clone(policy.name()),
            reason: error.to_string(),
        })?;
        let cases = package
            .cases
            .map(|cases| self_test(config, &policy, &cases))
            .transpose()?;
        Ok(PushedRecord {
            number: 0,
            digest: policy.digest().to_owned(),
            pushed_unix_secs: self.edge.clock.wall().unix_secs(),
            bytes: content.len() as u64,
            settings: package.settings.is_some(),
            cases,
            forecast: forecast::of_version(content).map_err(|_| RolloutError::BadForecast)?,
        })
    }
}

/// Runs the test cases of a version as it will run here: with its own settings, and the calendar
/// and limits of the configuration. Returns how many cases passed.
fn self_test(
    config: &config::Policy,
    policy: &Arc<Policy>,
    text: &str,
) -> Result<u32, RolloutError> {
    let name = &config.name;
    let file = format!("the cases of {name}");
    let cases =
        Cases::for_policy(text, &file, config.clone(), MAX_CASES).map_err(|error| match error {
            GivenCasesError::TooMany(count) => RolloutError::TooManyCases { count },
            GivenCasesError::TooLong(bytes) => RolloutError::LongCases { bytes },
            GivenCasesError::Mistakes(errors) => RolloutError::BadCases(errors),
        })?;
    match cases.pass(policy) {
        Ok(passed) => Ok(u32::try_from(passed).unwrap_or(u32::MAX)),
        Err(outcomes) => {
            let failed = outcomes
                .into_iter()
                .find(|outcome| !outcome.problems.is_empty());
            Err(RolloutError::FailedCase {
                policy: name.to_string(),
                outcome: Box::new(failed.expect("one has problems")),
            })
        }
    }
}
