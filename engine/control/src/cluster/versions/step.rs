//! What is to be done about a policy, by what this node has, what the fleet has, and what both had when
//! they last agreed.

use std::collections::BTreeSet;

use super::super::shared_versions::SharedPolicy;
use crate::rollout::record::{GuardSettings, PlacementRecord, Version};
use tero_config::units::Share;

/// What this node has of a policy.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LocalPolicy {
    pub(super) active: Version,
    pub(super) canary: Option<LocalCanary>,
    pub(super) versions: BTreeSet<String>,
    pub(super) added: Option<(String, Vec<PlacementRecord>)>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct LocalCanary {
    pub(super) version: Version,
    pub(super) share: Share,
    pub(super) guard: GuardSettings,
    /// The nodes that have it; `None` means all.
    pub(super) nodes: Option<Vec<String>>,
}

impl LocalPolicy {
    /// Whether it is as the configuration says, and nothing was ever pushed.
    pub(super) fn is_untouched(&self) -> bool {
        self.active == Version::Configured
            && self.canary.is_none()
            && self.versions.is_empty()
            && self.added.is_none()
    }
}

/// What this node and the fleet had when they last agreed on a policy.
#[derive(Clone, Debug)]
pub(super) struct PolicyBase {
    /// The fleet's change; 0 if it had none.
    pub(super) change: u64,
    /// `None` if this node had no such policy.
    pub(super) local: Option<LocalPolicy>,
}

/// What is to be done about a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncStep {
    /// Nothing.
    Rest,
    /// This node does what the fleet has done.
    Follow,
    /// The fleet is told what was done here.
    Share,
    /// The two agree; that is noted.
    Agree,
}

/// What is to be done, by what this node and the fleet had when they last agreed.
pub(super) fn step(
    base: Option<&PolicyBase>,
    local: Option<&LocalPolicy>,
    shared: Option<&SharedPolicy>,
) -> SyncStep {
    let shared_change = shared.map_or(0, |shared| shared.mark.change);
    match base {
        None if shared.is_some() => SyncStep::Follow,
        None if local.is_none_or(LocalPolicy::is_untouched) => SyncStep::Agree,
        None => SyncStep::Share,
        Some(base) if base.change != shared_change && shared.is_some() => SyncStep::Follow,
        Some(base) if base.local.as_ref() == local => SyncStep::Rest,
        // A policy that a reload has taken off is the configuration's business.
        Some(base) if is_only_of_configuration(base, local) => SyncStep::Agree,
        Some(_) => SyncStep::Share,
    }
}

pub(super) fn is_only_of_configuration(base: &PolicyBase, local: Option<&LocalPolicy>) -> bool {
    match (&base.local, local) {
        (Some(before), None) => before.added.is_none(),
        (None, Some(local)) => local.is_untouched(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::shared_versions::ChangeMark;
    use super::*;

    fn local(active: &str, versions: &[&str]) -> LocalPolicy {
        LocalPolicy {
            active: match active {
                "" => Version::Configured,
                digest => Version::Pushed(digest.to_owned()),
            },
            canary: None,
            versions: versions.iter().map(|&digest| digest.to_owned()).collect(),
            added: None,
        }
    }

    fn shared(change: u64) -> SharedPolicy {
        SharedPolicy {
            mark: ChangeMark {
                change,
                ..ChangeMark::default()
            },
            ..SharedPolicy::default()
        }
    }

    fn base(change: u64, local: LocalPolicy) -> PolicyBase {
        PolicyBase {
            change,
            local: Some(local),
        }
    }

    #[test]
    fn a_node_follows_the_fleet_shares_its_own_changes_and_else_rests() {
        let (old, new) = (local("", &[]), local("a", &["a"]));
        let agreed = base(3, old.clone());
        assert_eq!(
            step(Some(&agreed), Some(&old), Some(&shared(3))),
            SyncStep::Rest
        );
        assert_eq!(
            step(Some(&agreed), Some(&new), Some(&shared(3))),
            SyncStep::Share
        );
        assert_eq!(
            step(Some(&agreed), Some(&old), Some(&shared(4))),
            SyncStep::Follow
        );
        // Both have changed: the fleet's wins.
        assert_eq!(
            step(Some(&agreed), Some(&new), Some(&shared(4))),
            SyncStep::Follow
        );
    }

    #[test]
    fn other_nodes_for_a_running_canary_are_told() {
        let on = |nodes: Option<&[&str]>| LocalPolicy {
            canary: Some(LocalCanary {
                version: Version::Pushed("a".to_owned()),
                share: Share::parse("10%").unwrap(),
                guard: GuardSettings::default(),
                nodes: nodes.map(|nodes| nodes.iter().map(|&node| node.to_owned()).collect()),
            }),
            ..local("", &["a"])
        };
        let agreed = base(3, on(Some(&["one"])));
        let with = |nodes| step(Some(&agreed), Some(&on(nodes)), Some(&shared(3)));
        assert_eq!(with(Some(&["one"][..])), SyncStep::Rest);
        assert_eq!(with(Some(&["one", "two"][..])), SyncStep::Share);
        assert_eq!(with(None), SyncStep::Share);
    }

    #[test]
    fn a_node_that_joins_follows_and_the_first_one_shares_what_it_has() {
        let (old, new) = (local("", &[]), local("a", &["a"]));
        assert_eq!(step(None, Some(&new), Some(&shared(1))), SyncStep::Follow);
        assert_eq!(step(None, None, Some(&shared(1))), SyncStep::Follow);
        assert_eq!(step(None, Some(&new), None), SyncStep::Share);
        assert_eq!(step(None, Some(&old), None), SyncStep::Agree);
    }

    #[test]
    fn what_a_fleet_has_forgotten_is_not_undone() {
        let new = local("a", &["a"]);
        assert_eq!(
            step(Some(&base(3, new.clone())), Some(&new), None),
            SyncStep::Rest
        );
    }

    #[test]
    fn a_policy_that_a_reload_takes_off_stays_in_the_fleet() {
        let agreed = base(3, local("a", &["a"]));
        assert_eq!(step(Some(&agreed), None, Some(&shared(3))), SyncStep::Agree);
        let mut added = local("a", &["a"]);
        added.added = Some(("a".to_owned(), Vec::new()));
        let agreed = base(3, added);
        assert_eq!(step(Some(&agreed), None, Some(&shared(3))), SyncStep::Share);
    }
}
