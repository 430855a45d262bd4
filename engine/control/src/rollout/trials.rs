//! Versions on trial: asked in shadow, or answering for a share of the keys as a canary.

use std::sync::Arc;

use super::Rollout;
use super::error::RolloutError;
use super::limits::MAX_CANARY_SHARE;
use super::record::{CanaryRecord, GuardSettings, ShadowRecord, Version};
use super::version_set::{CanaryRun, ShadowRun};
use tero_config::units::Share;

impl Rollout {
    /// Has a version be asked about a sample of the requests after they were answered.
    ///
    /// # Errors
    /// [`RolloutError`], and everything stays as it was.
    pub fn start_shadow(
        &self,
        name: &str,
        version: &str,
        sample: Share,
    ) -> Result<Version, RolloutError> {
        let version = self.change(name, |versions| {
            let version = versions.version(version)?;
            let policy = self.ready(versions, &version)?;
            versions.shadow = Some(ShadowRun {
                policy,
                tally: Arc::default(),
            });
            let since_unix_secs = self.edge.clock.now().unix_secs();
            versions.record.shadow = Some(ShadowRecord {
                version: version.clone(),
                sample,
                since_unix_secs,
            });
            Ok(version)
        })?;
        tracing::info!(policy = name, %version, sample = sample.show(), "in shadow");
        Ok(version)
    }

    /// Ends the shadow.
    ///
    /// # Errors
    /// [`RolloutError`], also where there is none.
    pub fn stop_shadow(&self, name: &str) -> Result<Version, RolloutError> {
        self.change(name, |versions| {
            versions.shadow = None;
            let ended = versions.record.shadow.take().map(|shadow| shadow.version);
            ended.ok_or_else(|| RolloutError::NoTrial {
                policy: name.to_owned(),
                what: "in shadow",
            })
        })
    }

    /// Has a version answer for a share of the keys, until it is activated or rolled back: by an
    /// operator, or by the guard.
    ///
    /// # Errors
    /// [`RolloutError`], and everything stays as it was.
    pub fn start_canary(
        &self,
        name: &str,
        version: &str,
        share: Share,
        guard: GuardSettings,
    ) -> Result<Version, RolloutError> {
        if let Some((key, range)) = guard.out_of_range() {
            return Err(RolloutError::BadGuard { key, range });
        }
        if Share::parse(MAX_CANARY_SHARE).is_some_and(|most| share > most) {
            return Err(RolloutError::LargeCanary(share.show()));
        }
        let version = self.change(name, |versions| {
            self.check_alone(name)?;
            let version = versions.version(version)?;
            if versions.active_version() == version {
                return Err(RolloutError::IsActive {
                    policy: name.to_owned(),
                    version,
                });
            }
            let policy = self.ready(versions, &version)?;
            let record = versions.record.canary.as_ref();
            // A larger share of the same: its figures go on.
            if versions.canary.is_none() || record.is_none_or(|canary| canary.version != version) {
                versions.canary = Some(CanaryRun::new(&versions.active, policy));
            }
            versions.record.canary = Some(CanaryRecord {
                version: version.clone(),
                share,
                guard,
                since_unix_secs: self.edge.clock.now().unix_secs(),
            });
            Ok(version)
        })?;
        tracing::info!(policy = name, %version, share = share.show(), "as a canary");
        Ok(version)
    }

    /// Ends the canary.
    ///
    /// # Errors
    /// [`RolloutError`], also where there is none.
    pub fn stop_canary(&self, name: &str) -> Result<Version, RolloutError> {
        self.change(name, |versions| {
            versions.canary = None;
            let ended = versions.record.canary.take().map(|canary| canary.version);
            ended.ok_or_else(|| RolloutError::NoTrial {
                policy: name.to_owned(),
                what: "as a canary",
            })
        })
    }

    /// A site compares a canary with its control, so it has one at a time.
    fn check_alone(&self, name: &str) -> Result<(), RolloutError> {
        let state = self.state();
        let sites = state.settings.sites.iter();
        for site in sites.filter(|site| site.policies.iter().any(|policy| **policy == *name)) {
            let mut others = site.policies.iter().filter(|policy| ***policy != *name);
            if let Some(policy) = others.find(|policy| state.has_canary(policy)) {
                let (site, policy) = (site.name.to_string(), policy.to_string());
                return Err(RolloutError::OtherCanary { site, policy });
            }
        }
        Ok(())
    }
}
