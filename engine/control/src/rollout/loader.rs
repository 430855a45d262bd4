//! Loads the versions of policies: from the configuration or from the state directory.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::Arc;

use super::error::RolloutError;
use super::record::{AddedRecord, PolicyRecord, Version};
use super::version_set::{CanaryRun, PolicyVersions, RolloutSettings, ShadowRun, VersionSet};
use super::version_store::VersionStore;
use tero_config as config;
use tero_policy_host::{Host, Policy};
use tero_semantics::timestamp::Timestamp;

/// Loads versions of policies.
#[derive(Clone, Copy)]
pub(super) struct VersionLoader<'a> {
    pub(super) host: &'a Host,
    pub(super) store: Option<&'a VersionStore>,
    pub(super) now: Timestamp,
}

impl VersionLoader<'_> {
    /// Loads a version. A module that is `at_hand` is used instead; it begins anew if it was switched
    /// off.
    pub(super) fn version(
        &self,
        config: &config::Policy,
        version: &Version,
        at_hand: Option<&Arc<Policy>>,
    ) -> Result<Arc<Policy>, RolloutError> {
        if let Some(policy) = at_hand {
            return Ok(match policy.last_trouble() {
                None => Arc::clone(policy),
                Some(_) => Arc::new(policy.renewed()),
            });
        }
        match version {
            Version::Configured => Ok(self.host.load(config)?),
            Version::Pushed(digest) => {
                let store = self.store.ok_or(RolloutError::NoStateDir)?;
                let content = store.trusted_version(
                    &config.name,
                    digest,
                    self.host.max_module(),
                    self.host.trust(),
                )?;
                Ok(self.host.load_module(config, &content)?)
            }
        }
    }

    /// Loads the versions of a policy that are in use. If the record or the active version can't be
    /// read, the configuration's version decides. A reload fails for that if the active version
    /// was there before.
    fn policy(
        &self,
        config: &config::Policy,
        added: Option<&AddedRecord>,
        old: Option<&VersionSet>,
    ) -> Result<PolicyVersions, RolloutError> {
        let before = old.and_then(|state| state.policies.get(&config.name));
        let (record, record_trouble) = self.record(config, before);
        let is_new_trouble = before.is_some_and(|before| before.trouble.is_none());
        let loading = LoadingPolicy {
            loader: *self,
            config,
            configured: self.version_zero(config, added)?,
        };
        let (active, trouble) = match loading.version(&record.active) {
            Ok(policy) => (policy, record_trouble),
            Err(error) if is_new_trouble => return Err(error),
            Err(error) => {
                tracing::error!(policy = %config.name, version = %record.active, "the configuration's version decides: {error}");
                (Arc::clone(&loading.configured), Some(error.to_string()))
            }
        };
        let deciding = match trouble {
            None => record.active.clone(),
            Some(_) => Version::Configured,
        };
        let canary = record.canary.as_ref().map(|canary| &canary.version);
        let canary = loading.optional(canary, "canary");
        let shadow = record.shadow.as_ref().map(|shadow| &shadow.version);
        let shadow = loading.optional(shadow, "version in shadow");
        Ok(PolicyVersions {
            previous: loading.optional(record.leads_back_to(&deciding), "version before"),
            canary: canary.map(|policy| canary_run(policy, &active, before)),
            shadow: shadow.map(|policy| shadow_run(policy, before)),
            rollbacks: shared(before, |versions| &versions.rollbacks),
            save_error: shared(before, |versions| &versions.save_error),
            guard_error: shared(before, |versions| &versions.guard_error),
            config: config.clone(),
            loaded_at: self.now,
            configured: loading.configured,
            record,
            active,
            trouble,
        })
    }

    /// The configuration's version, or the one that an added policy was added with.
    fn version_zero(
        &self,
        config: &config::Policy,
        added: Option<&AddedRecord>,
    ) -> Result<Arc<Policy>, RolloutError> {
        match added {
            None => Ok(self.host.load(config)?),
            Some(added) => self.version(config, &Version::Pushed(added.digest.clone()), None),
        }
    }

    /// The record of a policy: that of the versions before, or the one in the state directory. If
    /// that can't be read, says why.
    fn record(
        &self,
        config: &config::Policy,
        before: Option<&PolicyVersions>,
    ) -> (PolicyRecord, Option<String>) {
        let store = match (before, self.store) {
            (
                Some(PolicyVersions {
                    record, trouble, ..
                }),
                _,
            ) => {
                // The trouble of a version that is named is found again when it is loaded.
                let is_of_record = record.active == Version::Configured;
                return (record.clone(), trouble.clone().filter(|_| is_of_record));
            }
            (None, None) => return (PolicyRecord::default(), None),
            (None, Some(store)) => store,
        };
        match store.record(&config.name) {
            Ok(record) => (record, None),
            Err(error) => {
                tracing::error!(policy = %config.name, "the configuration's version decides: {error}");
                let record = store.recovered(&config.name, self.host.max_module());
                (record, Some(error.to_string()))
            }
        }
    }

    /// Loads all policies of a configuration. Each has a thread of its own, since compiling takes
    /// long.
    pub(super) fn load(
        &self,
        settings: RolloutSettings,
        old: Option<&VersionSet>,
    ) -> Result<VersionSet, RolloutError> {
        let loaded: Vec<_> = std::thread::scope(|scope| {
            let loading: Vec<_> = settings
                .policies
                .iter()
                .map(|config| {
                    let added = settings.added(&config.name);
                    scope.spawn(move || self.policy(config, added, old))
                })
                .collect();
            let joined = loading
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
            joined.collect()
        });
        let (mut policies, mut left_out) = (BTreeMap::new(), Vec::new());
        for (config, loaded) in settings.policies.iter().zip(loaded) {
            let name = &config.name;
            let was_there = old.is_some_and(|old| old.policies.contains_key(name));
            match loaded {
                Ok(versions) => {
                    policies.insert(Arc::clone(name), versions);
                }
                // The configuration must be able to start without what was added to it.
                Err(error) if settings.added(name).is_some() && !was_there => {
                    tracing::error!(policy = %name, "the policy that was added is left out: {error}");
                    left_out.push((Arc::clone(name), error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(store) = self.store.filter(|_| old.is_none()) {
            for (name, versions) in &policies {
                store.thin_out(name, &versions.record);
            }
        }
        Ok(VersionSet {
            settings: Arc::new(settings),
            policies,
            left_out,
        })
    }
}

/// A policy that is being loaded; its configured version is there.
struct LoadingPolicy<'a> {
    loader: VersionLoader<'a>,
    config: &'a config::Policy,
    configured: Arc<Policy>,
}

impl LoadingPolicy<'_> {
    fn version(&self, version: &Version) -> Result<Arc<Policy>, RolloutError> {
        let at_hand = Some(&self.configured).filter(|_| *version == Version::Configured);
        self.loader.version(self.config, version, at_hand)
    }

    /// Loads a version that the policy can do without; a failure is logged.
    fn optional(&self, version: Option<&Version>, what: &str) -> Option<Arc<Policy>> {
        self.version(version?)
            .inspect_err(|error| {
                tracing::error!(policy = %self.config.name, "the {what} can't be loaded: {error}")
            })
            .ok()
    }
}

/// The canary beside the version `active`. Figures of a canary that ran before go on.
fn canary_run(policy: Arc<Policy>, active: &Policy, before: Option<&PolicyVersions>) -> CanaryRun {
    match before.and_then(|versions| versions.canary.as_ref()) {
        Some(run) => CanaryRun {
            policy,
            ..run.clone()
        },
        None => CanaryRun::new(active, policy),
    }
}

/// The shadow. The tally of a shadow that ran before goes on.
fn shadow_run(policy: Arc<Policy>, before: Option<&PolicyVersions>) -> ShadowRun {
    let before = before.and_then(|versions| versions.shadow.as_ref());
    ShadowRun {
        policy,
        tally: before.map(|run| Arc::clone(&run.tally)).unwrap_or_default(),
    }
}

/// A part of the versions before that goes on; a new one if there were none.
fn shared<T: Default>(
    before: Option<&PolicyVersions>,
    part: impl Fn(&PolicyVersions) -> &Arc<T>,
) -> Arc<T> {
    before
        .map(|versions| Arc::clone(part(versions)))
        .unwrap_or_default()
}
