//! Loading the versions of policies: from the configuration, the state directory, or what is at hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::RolloutError;
use super::record::{PolicyRecord, Version};
use super::version_set::{CanaryRun, PolicyVersions, RolloutSettings, ShadowRun, VersionSet};
use super::version_store::VersionStore;
use tero_config as config;
use tero_policy_host::{Host, Policy, PolicyStatus};
use tero_semantics::timestamp::Timestamp;

/// What a state is loaded with.
#[derive(Clone, Copy)]
pub(super) struct VersionLoader<'a> {
    pub(super) host: &'a Host,
    pub(super) store: Option<&'a VersionStore>,
    pub(super) now: Timestamp,
}

impl VersionLoader<'_> {
    /// A version, ready to be asked. One that is at hand is taken, unless it was switched off.
    pub(super) fn version(
        &self,
        config: &config::Policy,
        version: &Version,
        at_hand: Option<&Arc<Policy>>,
    ) -> Result<Arc<Policy>, RolloutError> {
        if let Some(policy) = at_hand.filter(|policy| policy.status() == PolicyStatus::Active) {
            return Ok(Arc::clone(policy));
        }
        match version {
            Version::Configured => Ok(self.host.load(config)?),
            Version::Pushed(digest) => {
                let store = self.store.ok_or(RolloutError::NoStateDir)?;
                let content = store.version(&config.name, digest, self.host.max_module())?;
                Ok(self.host.load_module(config, &content)?)
            }
        }
    }

    /// A policy with all versions that are in use. At the start of an edge, a pushed version that
    /// can't be used any more gives way to the configuration's; on a reload it is an error.
    fn policy(
        &self,
        config: &config::Policy,
        old: Option<&VersionSet>,
    ) -> Result<PolicyVersions, RolloutError> {
        let before = old.and_then(|state| state.policies.get(&config.name));
        let record = match (before, self.store) {
            (Some(versions), _) => versions.record.clone(),
            (None, Some(store)) => store.record(&config.name)?,
            (None, None) => PolicyRecord::default(),
        };
        let configured = self.host.load(config)?;
        let load = |version: &Version| {
            self.version(
                config,
                version,
                Some(&configured).filter(|_| *version == Version::Configured),
            )
        };
        let (active, trouble) = match load(&record.active) {
            Ok(policy) => (policy, None),
            Err(error) if old.is_none() => (Arc::clone(&configured), Some(error.to_string())),
            Err(error) => return Err(error),
        };
        if let Some(trouble) = &trouble {
            tracing::error!(policy = %config.name, version = %record.active, "the configuration's version decides: {trouble}");
        }
        let optional = |version: Option<&Version>, what: &str| {
            let loaded = load(version?);
            loaded.inspect_err(|error| tracing::error!(policy = %config.name, "the {what} can't be loaded: {error}")).ok()
        };
        let canary = optional(
            record.canary.as_ref().map(|canary| &canary.version),
            "canary",
        );
        let shadow = optional(
            record.shadow.as_ref().map(|shadow| &shadow.version),
            "version in shadow",
        );
        let run = |policy: Arc<Policy>| match before.and_then(|versions| versions.canary.as_ref()) {
            Some(run) => CanaryRun {
                policy,
                ..run.clone()
            },
            None => CanaryRun::new(&active, policy),
        };
        let tally = before
            .and_then(|versions| versions.shadow.as_ref())
            .map(|shadow| Arc::clone(&shadow.tally))
            .unwrap_or_default();
        Ok(PolicyVersions {
            previous: optional(record.previous.last(), "version before"),
            canary: canary.map(run),
            shadow: shadow.map(|policy| ShadowRun { policy, tally }),
            rollbacks: before
                .map(|versions| Arc::clone(&versions.rollbacks))
                .unwrap_or_default(),
            config: config.clone(),
            loaded_at: self.now,
            configured,
            record,
            active,
            trouble,
        })
    }

    /// All policies of a configuration, loaded on several threads: compiling one takes a while.
    pub(super) fn state(
        &self,
        settings: RolloutSettings,
        old: Option<&VersionSet>,
    ) -> Result<VersionSet, RolloutError> {
        let policies = std::thread::scope(|scope| {
            let loading: Vec<_> = settings
                .policies
                .iter()
                .map(|config| scope.spawn(move || self.policy(config, old)))
                .collect();
            let joined = loading.into_iter().map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            joined
                .map(|versions| {
                    versions.map(|versions| (Arc::clone(&versions.config.name), versions))
                })
                .collect::<Result<BTreeMap<_, _>, _>>()
        })?;
        if let Some(store) = self.store.filter(|_| old.is_none()) {
            policies
                .iter()
                .for_each(|(name, versions): (&Arc<str>, &PolicyVersions)| {
                    store.thin_out(name, &versions.record)
                });
        }
        Ok(VersionSet {
            settings: Arc::new(settings),
            policies,
        })
    }
}
