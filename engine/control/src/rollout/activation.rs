//! Activates versions, and rolls back to the version before.

use std::sync::Arc;

use super::Rollout;
use super::error::RolloutError;
use super::record::Version;

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
                .activate(version.clone(), self.edge.clock.now());
            if versions.record.shadow.is_none() {
                versions.shadow = None;
            }
            Ok(version)
        })?;
        tracing::info!(policy = name, %version, "activated");
        Ok(version)
    }

    /// Ends the canary if there is one; otherwise activates the version before.
    ///
    /// # Errors
    /// [`RolloutError`]; nothing changes then.
    pub fn roll_back(&self, name: &str) -> Result<RollbackResult, RolloutError> {
        let to = self.change(name, |versions| {
            if let Some(canary) = versions.record.canary.take() {
                versions.canary = None;
                return Ok(RollbackResult::Canary(canary.version));
            }
            let at_hand = versions.previous.take();
            let version = versions.record.roll_back(self.edge.clock.now());
            let version = version.ok_or_else(|| RolloutError::NothingBefore(name.to_owned()))?;
            let at_hand = at_hand
                .as_ref()
                .or(Some(&versions.configured).filter(|_| version == Version::Configured));
            versions.active = self.loader().version(&versions.config, &version, at_hand)?;
            versions.trouble = None;
            Ok(RollbackResult::To(version))
        })?;
        tracing::info!(policy = name, ?to, "rolled back");
        Ok(to)
    }
}
