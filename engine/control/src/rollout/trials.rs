//! Starts and stops trials of versions: shadows are asked and not heeded, canaries decide for a
//! share of the keys.

use std::sync::Arc;

use super::Rollout;
use super::error::RolloutError;
use super::limits::MAX_CANARY_SHARE;
use super::record::{CanaryRecord, GuardSettings, ShadowRecord, Version};
use super::version_set::{CanaryRun, ShadowRun};
use tero_config::units::Share;

impl Rollout {
    /// Starts shadowing: the version is asked about a sample of answered requests; its decisions
    /// are compared and not used.
    ///
    /// # Errors
    /// [`RolloutError`]; nothing changes then.
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
            let since_unix_secs = self.edge.clock.wall().unix_secs();
            versions.record.shadow = Some(ShadowRecord {
                version: version.clone(),
                sample,
                since_unix_secs,
            });
            Ok(version)
        })?;
        tracing::info!(policy = name, %version, sample = sample.show(), "the shadow has started");
        Ok(version)
    }

    /// Ends the shadow, and returns its version. It takes effect even if it can't be written to
    /// disk.
    ///
    /// # Errors
    /// [`RolloutError`], [`NoTrial`](RolloutError::NoTrial) if there is no shadow.
    pub fn stop_shadow(&self, name: &str) -> Result<Version, RolloutError> {
        self.go_back(name, |versions| {
            versions.shadow = None;
            let ended = versions.record.shadow.take().map(|shadow| shadow.version);
            ended.ok_or_else(|| RolloutError::NoTrial {
                policy: name.to_owned(),
                what: "in shadow",
            })
        })
    }

    /// Starts a canary: the version decides for a share of the keys, until an operator activates it
    /// or an operator or its guard rolls it back.
    ///
    /// # Errors
    /// [`RolloutError`]; nothing changes then.
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
            // If only the share or the guard changes, the figures go on.
            if versions.canary.is_none() || record.is_none_or(|canary| canary.version != version) {
                versions.canary = Some(CanaryRun::new(&versions.active, policy));
            }
            versions.record.canary = Some(CanaryRecord {
                version: version.clone(),
                share,
                guard,
                since_unix_secs: self.edge.clock.wall().unix_secs(),
            });
            Ok(version)
        })?;
        tracing::info!(policy = name, %version, share = share.show(), "the canary has started");
        Ok(version)
    }

    /// Ends the canary, and returns its version. It takes effect even if it can't be written to
    /// disk.
    ///
    /// # Errors
    /// [`RolloutError`], [`NoTrial`](RolloutError::NoTrial) if there is no canary.
    pub fn stop_canary(&self, name: &str) -> Result<Version, RolloutError> {
        self.go_back(name, |versions| {
            versions.canary = None;
            let ended = versions.record.canary.take().map(|canary| canary.version);
            ended.ok_or_else(|| RolloutError::NoTrial {
                policy: name.to_owned(),
                what: "as a canary",
            })
        })
    }

    /// Fails if another policy of a site has a canary: a site compares one canary with its control.
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
