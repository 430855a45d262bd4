//! Policies that were added by a push: the configuration doesn't have them.
//!
//! An added policy is like one at the end of the configuration, whose module is the version that it
//! was added with. If the configuration gets a policy of its name, that one counts.

use std::path::PathBuf;
use std::sync::Arc;

use super::record::AddedRecord;
use tero_config as config;
use tero_config::FilePosition;

/// A policy that was added.
#[derive(Clone, Debug)]
pub(super) struct AddedPolicy {
    pub(super) name: Arc<str>,
    /// The file of the version that it was added with.
    pub(super) module: PathBuf,
    pub(super) record: AddedRecord,
}

/// The entry that an added policy would have in the configuration.
pub(super) fn entry(name: &Arc<str>, module: PathBuf) -> config::Policy {
    config::Policy {
        place: FilePosition::default(),
        name: Arc::clone(name),
        module: config::ModuleSource::File(module),
        settings: "{}".to_owned(),
        calendar: None,
        limits: config::PolicyLimits::default(),
    }
}

impl AddedPolicy {
    /// Puts the policy behind those of the configuration, and on its sites. What the configuration
    /// has no place for is left out, with a line in the log.
    pub(super) fn place(&self, policies: &mut Vec<config::Policy>, sites: &mut [config::Site]) {
        let name = &self.name;
        if policies.iter().any(|policy| policy.name == *name) {
            tracing::warn!(policy = %name, "the configuration has a policy of this name: the one that was added is left out");
            return;
        }
        policies.push(entry(name, self.module.clone()));
        for placement in &self.record.placements {
            let site = sites.iter_mut().find(|site| *site.name == *placement.site);
            let Some(site) = site else {
                tracing::warn!(policy = %name, site = placement.site, "the policy was put on a site that there is not");
                continue;
            };
            let before = placement.after.as_deref();
            let before =
                before.and_then(|after| site.policies.iter().position(|it| **it == *after));
            let place = before.map_or(site.policies.len(), |before| before + 1);
            site.policies.insert(place, Arc::clone(name));
        }
    }
}
