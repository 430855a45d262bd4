//! Activates versions, and rolls back to the version before.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::error::RolloutError;
use super::record::Version;
use super::{PolicyVersions, Rollout};
use tero_policy_host::Policy;

/// The result of a rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RollbackResult {
    /// The canary, which was this version, has ended; the active version stays.
    Canary(Version),
    /// This version, which was active before, decides again.
    To(Version),
}

impl Rollout {
    /// Activates a version: it decides from now on. Ends the policy's canary, and its shadow if
    /// that is the same version.
    ///
    /// # Errors
    /// [`RolloutError`]; nothing changes then.
    pub fn activate(&self, name: &str, version: &str) -> Result<Version, RolloutError> {
        let version = self.change(name, |versions| {
            let version = versions.version(version)?;
            if versions.active_version() == version && versions.trouble.is_none() {
                return Err(RolloutError::IsActive {
                    policy: name.to_owned(),
                    version,
                });
            }
            let policy = self.ready(versions, &version)?;
            versions.previous = versions
                .trouble
                .is_none()
                .then(|| Arc::clone(&versions.active));
            versions.active = policy;
            versions.trouble = None;
            versions.canary = None;
            versions
                .record
                .activate(version.clone(), self.edge.clock.wall());
            if versions.record.shadow.is_none() {
                versions.shadow = None;
            }
            Ok(version)
        })?;
        tracing::info!(policy = name, %version, "activated");
        Ok(version)
    }

    /// Ends the canary if there is one; otherwise activates the version before. It takes effect even
    /// if it can't be written to disk; [`PolicyVersions::unsaved`] says so then. A version that
    /// can't be loaded is left out.
    ///
    /// # Errors
    /// [`RolloutError`]; nothing changes then.
    pub fn roll_back(&self, name: &str) -> Result<RollbackResult, RolloutError> {
        let to = self.go_back(name, |versions| {
            if let Some(canary) = versions.record.canary.take() {
                versions.canary = None;
                return Ok(RollbackResult::Canary(canary.version));
            }
            let (version, policy) = self.version_before(versions)?;
            versions
                .record
                .roll_back_to(version.clone(), self.edge.clock.wall());
            versions.active = policy;
            versions.trouble = None;
            Ok(RollbackResult::To(version))
        })?;
        tracing::info!(policy = name, ?to, "rolled back");
        // The next rollback must not wait for a compiler either.
        self.wants_previous.store(true, Ordering::SeqCst);
        self.wake();
        Ok(to)
    }

    /// The version that a rollback leads to, loaded: the latest earlier one that can be used, at
    /// last the configuration's.
    fn version_before(
        &self,
        versions: &mut PolicyVersions,
    ) -> Result<(Version, Arc<Policy>), RolloutError> {
        let deciding = versions.active_version();
        let mut at_hand = versions.previous.take();
        while let Some(version) = versions.record.step_back(&deciding) {
            let at_hand = at_hand.take();
            let at_hand = at_hand
                .as_ref()
                .or(Some(&versions.configured).filter(|_| version == Version::Configured));
            match self.loader().version(&versions.config, &version, at_hand) {
                Ok(policy) => return Ok((version, policy)),
                Err(error) => {
                    tracing::error!(policy = %versions.config.name, %version, "the version is left out of the rollback: {error}");
                }
            }
        }
        if deciding == Version::Configured {
            return Err(RolloutError::NothingBefore(
                versions.config.name.to_string(),
            ));
        }
        let configured = Some(&versions.configured);
        let policy = self
            .loader()
            .version(&versions.config, &Version::Configured, configured)?;
        Ok((Version::Configured, policy))
    }
}
