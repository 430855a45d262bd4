//! Adds policies that the configuration doesn't have, and takes them off again.

use std::sync::Arc;

use super::added::{AddedPolicy, entry};
use super::error::RolloutError;
use super::limits::MAX_ADDED;
use super::record::{AddedRecord, PlacementRecord, PolicyRecord};
use super::sites::SiteChange;
use super::version_set::{PolicyVersions, VersionSet};
use super::{PushedVersion, Rollout, Saving};
use tero_config::forms;

impl Rollout {
    /// Adds a policy: checks the version as a push does, keeps it, and puts it on sites. It decides
    /// from now on.
    ///
    /// # Errors
    /// [`RolloutError`]; nothing changes then.
    pub fn add(
        &self,
        name: &str,
        content: &[u8],
        signature: Option<&str>,
        placements: &[PlacementRecord],
    ) -> Result<PushedVersion, RolloutError> {
        let store = self.store.as_ref().ok_or(RolloutError::NoStateDir)?;
        forms::name(name).map_err(|_| RolloutError::Name(name.escape_debug().to_string()))?;
        self.state().check_addition(name, placements)?;
        self.host.trust().check(content, signature)?;
        let name: Arc<str> = name.into();
        let digest = tero_policy_host::digest(content);
        let entry = entry(&name, store.version_path(&name, &digest));
        let mut pushed = self.check(&entry, content)?;
        let policy = self.host.load_module(&entry, content)?;
        store.keep_version(&name, &digest, content, signature)?;
        let result = self.try_again(|| {
            let old = self.state();
            old.check_addition(&name, placements)?;
            let now = self.edge.clock.wall();
            let last = old.settings.added.last();
            let added = AddedRecord {
                digest: digest.clone(),
                placements: placements.to_vec(),
                added_unix_secs: now.unix_secs(),
                order: last.map_or(1, |last| last.record.order + 1),
            };
            let mut record = PolicyRecord {
                added: Some(added.clone()),
                ..PolicyRecord::default()
            };
            pushed.number = record.push(pushed.clone());
            let mut all = old.settings.added.clone();
            all.push(AddedPolicy {
                name: Arc::clone(&name),
                module: store.version_path(&name, &digest),
                record: added,
            });
            let mut new = VersionSet::clone(&old);
            new.settings = Arc::new(old.settings.with_added(all)?);
            let versions = PolicyVersions::new(entry.clone(), Arc::clone(&policy), record, now);
            new.policies.insert(Arc::clone(&name), versions);
            let changed = Some((&*name, Saving::First));
            let is_done = self.commit(&old, new, SiteChange::Versions, changed, |_| Ok(()))?;
            Ok(is_done.then_some(()))
        });
        if let Err(error) = result {
            if self.state().policy(&name).is_err() {
                store.thin_out(&name, &PolicyRecord::default());
            }
            return Err(error);
        }
        tracing::info!(policy = %name, version = digest, "a policy was added");
        Ok(PushedVersion {
            pushed,
            was_known: false,
        })
    }

    /// Takes an added policy off its sites, and forgets it with all its versions. Gives the sites
    /// that it was on.
    ///
    /// # Errors
    /// [`RolloutError`]; nothing changes then.
    pub fn remove(&self, name: &str) -> Result<Vec<String>, RolloutError> {
        let store = self.store.as_ref().ok_or(RolloutError::NoStateDir)?;
        let sites = self.try_again(|| {
            let old = self.state();
            let is_added = old.settings.added.iter().any(|it| *it.name == *name);
            if !is_added {
                old.policy(name)?;
                return Err(RolloutError::OfConfiguration(name.to_owned()));
            }
            let mut all = old.settings.added.clone();
            all.retain(|it| *it.name != *name);
            let mut new = VersionSet::clone(&old);
            new.settings = Arc::new(old.settings.with_added(all)?);
            new.left_out.retain(|(it, _)| **it != *name);
            let is_alone = !old.settings.is_configured(name);
            let sites = match is_alone {
                true => old.sites_of(name).into_iter().map(str::to_owned).collect(),
                false => Vec::new(),
            };
            if is_alone {
                new.policies.remove(name);
                store.remove(name)?;
            } else if let Some(versions) = new.policies.get_mut(name) {
                versions.record.added = None;
                store.keep_record(name, &versions.record)?;
            }
            let is_done = self.commit(&old, new, SiteChange::Versions, None, |_| Ok(()))?;
            Ok(is_done.then_some(sites))
        })?;
        tracing::info!(policy = name, "a policy was removed");
        Ok(sites)
    }
}

impl VersionSet {
    /// Whether a policy may be added: its name is new, its sites exist, and they have the policies
    /// that it comes after.
    fn check_addition(
        &self,
        name: &str,
        placements: &[PlacementRecord],
    ) -> Result<(), RolloutError> {
        let is_added = self.settings.added.iter().any(|it| *it.name == *name);
        if is_added || self.policies.contains_key(name) {
            return Err(RolloutError::PolicyExists(name.to_owned()));
        }
        if self.settings.added.len() >= MAX_ADDED {
            return Err(RolloutError::ManyAdded);
        }
        for PlacementRecord { site, after } in placements {
            let mut sites = self.settings.sites.iter();
            let Some(found) = sites.find(|it| *it.name == **site) else {
                let sites = self.settings.sites.iter();
                let known: Vec<&str> = sites.map(|site| &*site.name).collect();
                return Err(RolloutError::UnknownSite {
                    site: site.escape_debug().to_string(),
                    known: known.join(", "),
                });
            };
            if let Some(after) = after
                && !found.policies.iter().any(|it| **it == **after)
            {
                let known: Vec<&str> = found.policies.iter().map(|it| &**it).collect();
                return Err(RolloutError::NotOfSite {
                    site: site.clone(),
                    policy: after.escape_debug().to_string(),
                    known: known.join(", "),
                });
            }
        }
        Ok(())
    }
}
