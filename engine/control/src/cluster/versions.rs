//! Versions of policies and data tables for the whole fleet: what was changed at this node is told to
//! the others, and what they have changed is done here, by the [`Rollout`] and the [`DataTables`] that
//! do it for a node alone: digest and signature are checked, the version is compiled, its cases run.
//!
//! A node knows what it and the fleet had when they last agreed. If this node has changed since, the
//! fleet is told; if the fleet has, this node follows; if both have, the fleet's change wins. Without a
//! connection a node goes on with what it has, and changes that are made at it meanwhile are told later.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::bus::{BusError, FleetBus};
use super::shared_versions::{
    ChangeMark, SharedAddition, SharedCanary, SharedPolicy, SharedVersion, SharedVersions,
    SharedVersionsError,
};
use crate::data::{DataError, DataTables};
use crate::rollout::record::Version;
use crate::rollout::{Rollout, RolloutError};
use tero_time::clock::Clock;

mod failures;
mod step;
mod tables;

use failures::{FailedChanges, SyncAttempt, SyncWay};
use step::{LocalCanary, LocalPolicy, PolicyBase, SyncStep, is_only_of_configuration, step};
use tables::TableBase;

/// Versions that were pushed last and are fetched ahead, so that activating one takes no time.
const AHEAD: usize = 3;
/// Tries of a change that another node is faster than.
const MAX_TRIES: u32 = 8;
/// How long a copy of what the fleet agrees on may lag behind the others.
const COPY_LAG: Duration = Duration::from_millis(50);
/// Answers in a row that are behind what was seen, after which they count.
const MAX_BEHIND: u32 = 6 * MAX_TRIES;

/// Why this node and the fleet don't agree.
#[derive(Debug, thiserror::Error)]
pub enum FleetVersionsError {
    /// What connects the nodes.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// What the fleet agrees on can't be read.
    #[error(transparent)]
    Shared(#[from] SharedVersionsError),
    /// It can't be written.
    #[error("what the fleet agrees on can't be written: {0}")]
    Json(#[from] serde_json::Error),
    /// The version can't be used here.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    /// The table can't be used here.
    #[error(transparent)]
    Data(#[from] DataError),
    /// What was fetched is not what the digest names.
    #[error("what was fetched for {0} has another digest")]
    Digest(String),
    /// The fleet has the policy, and this node doesn't.
    #[error("the configuration of this node has no policy `{0}`")]
    NoPolicy(String),
    /// A version that decides in the fleet has no content.
    #[error("the fleet doesn't keep the version {version} of `{policy}`")]
    NotKept {
        /// The policy.
        policy: String,
        /// Its version.
        version: String,
    },
}

/// A policy or table of which this node and the fleet differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncTrouble {
    /// `policy` or `table`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
}

impl fmt::Display for SyncTrouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}: {}", self.kind, self.name, self.why)
    }
}

/// What came of a look at what the fleet agrees on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncReport {
    /// The revision of what the fleet agrees on; 0 if it has agreed on nothing.
    pub revision: u64,
    /// Changes of the fleet that this node can't follow.
    pub troubles: Vec<SyncTrouble>,
    /// Changes of this node that the fleet can't be told.
    pub untold: Vec<SyncTrouble>,
}

/// Keeps the versions of a node and those of the fleet the same.
#[derive(Debug)]
pub struct VersionSync {
    node: String,
    rollout: Arc<Rollout>,
    data: Arc<DataTables>,
    bus: Arc<dyn FleetBus>,
    clock: Clock,
    policies: BTreeMap<String, PolicyBase>,
    tables: BTreeMap<String, TableBase>,
    /// The latest revision that was seen.
    seen: u64,
    /// Answers in a row that were behind it.
    behind: u32,
    failed: FailedChanges,
    /// The nodes of the canaries that this node knows, by policy; `None` means all.
    canary_nodes: BTreeMap<String, (Version, Option<Vec<String>>)>,
}

impl VersionSync {
    /// A node that has agreed on nothing with its fleet.
    pub fn new(
        node: &str,
        (rollout, data): (&Arc<Rollout>, &Arc<DataTables>),
        bus: &Arc<dyn FleetBus>,
        clock: &Clock,
    ) -> VersionSync {
        VersionSync {
            node: node.to_owned(),
            rollout: Arc::clone(rollout),
            data: Arc::clone(data),
            bus: Arc::clone(bus),
            clock: clock.clone(),
            policies: BTreeMap::new(),
            tables: BTreeMap::new(),
            seen: 0,
            behind: 0,
            failed: FailedChanges::default(),
            canary_nodes: BTreeMap::new(),
        }
    }

    /// Says on which nodes a canary is that has just been started here; `None` means all.
    pub fn set_canary_nodes(&mut self, policy: &str, version: Version, nodes: Option<Vec<String>>) {
        self.canary_nodes
            .insert(policy.to_owned(), (version, nodes));
    }

    /// Has the next look tell at once what the fleet could not be told before.
    pub fn tell_at_once(&mut self) {
        self.failed.end_rests(SyncWay::Tell);
    }

    /// Tells the fleet what was changed here, and follows what was changed elsewhere.
    ///
    /// # Errors
    /// [`FleetVersionsError`]: what the fleet agrees on can't be read or written. Nothing changes here
    /// then, and what was changed here is told the next time.
    pub fn look(&mut self) -> Result<SyncReport, FleetVersionsError> {
        for _ in 0..MAX_TRIES {
            let entry = self.bus.shared()?;
            let revision = entry.as_ref().map(|entry| entry.revision);
            if self.is_old_news(revision.unwrap_or(0)) {
                std::thread::park_timeout(COPY_LAG);
                continue;
            }
            let shared = match &entry {
                Some(entry) => SharedVersions::parse(&entry.content)?,
                None => SharedVersions::default(),
            };
            let mut report = SyncReport {
                revision: revision.unwrap_or(0),
                ..SyncReport::default()
            };
            let mut changed = shared.clone();
            let policies = self.look_at_policies(&shared, &mut changed, &mut report)?;
            let tables = self.look_at_tables(&shared, &mut changed, &mut report)?;
            if changed == shared {
                return Ok(report);
            }
            match self.bus.replace_shared(changed.to_bytes()?, revision) {
                Ok(revision) => {
                    self.seen = revision;
                    self.policies.extend(policies);
                    self.tables.extend(tables);
                    tracing::info!(revision, "the fleet was told what was changed here");
                    return Ok(SyncReport { revision, ..report });
                }
                Err(BusError::Conflict) => std::thread::park_timeout(COPY_LAG),
                Err(error) => return Err(error.into()),
            }
        }
        Err(BusError::Conflict.into())
    }

    /// Whether a revision is behind one that was seen: a copy that lags has answered. If it stays so, the
    /// servers were set back, and it counts.
    fn is_old_news(&mut self, revision: u64) -> bool {
        let is_behind = revision < self.seen;
        self.behind = if is_behind { self.behind + 1 } else { 0 };
        if is_behind && self.behind < MAX_BEHIND {
            return true;
        }
        (self.seen, self.behind) = (revision, 0);
        false
    }

    /// Whether something was changed here that the fleet was not told.
    pub fn is_apart(&self) -> bool {
        let here = self.local_policies();
        let mut policies = self.policies.iter();
        let policies = policies.any(|(name, base)| {
            let local = here.get(name);
            base.local.as_ref() != local && !is_only_of_configuration(base, local)
        });
        policies || self.has_tables_apart()
    }

    /// Follows the fleet, and writes what was changed here into `changed`. Returns what is agreed on
    /// once that is told.
    fn look_at_policies(
        &mut self,
        shared: &SharedVersions,
        changed: &mut SharedVersions,
        report: &mut SyncReport,
    ) -> Result<BTreeMap<String, PolicyBase>, FleetVersionsError> {
        let here = self.local_policies();
        let mut names: BTreeSet<&String> = here.keys().collect();
        names.extend(shared.policies.keys());
        let bases = self.policies.clone();
        names.extend(bases.keys());
        let mut told = BTreeMap::new();
        for name in names {
            let (local, of_fleet) = (here.get(name), shared.policies.get(name));
            let base = bases.get(name);
            let change = of_fleet.map_or(0, |it| it.mark.change);
            match step(base, local, of_fleet) {
                SyncStep::Rest => {}
                SyncStep::Agree => self.agree(name, change),
                SyncStep::Follow => {
                    let of_fleet = of_fleet.expect("a node follows what the fleet has");
                    let follow = |sync: &VersionSync| sync.follow(name, local, of_fleet);
                    let attempt = SyncAttempt {
                        kind: "policy",
                        name,
                        change,
                        way: SyncWay::Follow,
                    };
                    if self.attempt(&attempt, report, follow)?.is_some() {
                        self.follow_canary_nodes(name, of_fleet);
                        self.agree(name, change);
                    }
                }
                SyncStep::Share => {
                    let before = base.and_then(|base| base.local.as_ref());
                    let tell = |sync: &VersionSync| sync.told(name, of_fleet, before, local);
                    let attempt = SyncAttempt {
                        kind: "policy",
                        name,
                        change,
                        way: SyncWay::Tell,
                    };
                    let Some(next) = self.attempt(&attempt, report, tell)? else {
                        continue;
                    };
                    let base = PolicyBase {
                        change: next.mark.change,
                        local: local.cloned(),
                    };
                    changed.policies.insert(name.clone(), next);
                    told.insert(name.clone(), base);
                }
            }
        }
        Ok(told)
    }

    /// Follows a change or prepares to tell one, unless that has just failed; `None` if it fails.
    fn attempt<T>(
        &mut self,
        attempt: &SyncAttempt<'_>,
        report: &mut SyncReport,
        act: impl FnOnce(&VersionSync) -> Result<T, FleetVersionsError>,
    ) -> Result<Option<T>, FleetVersionsError> {
        let now = self.clock.now();
        let mut failed = std::mem::take(&mut self.failed);
        let done = failed.attempt(attempt, now, report, || act(self));
        self.failed = failed;
        done
    }

    /// Notes that this node has what the fleet had at this change.
    fn agree(&mut self, name: &str, change: u64) {
        let local = self.local_policies().remove(name);
        self.policies
            .insert(name.to_owned(), PolicyBase { change, local });
    }

    /// What this node has.
    fn local_policies(&self) -> BTreeMap<String, LocalPolicy> {
        let state = self.rollout.state();
        let policies = state.policies().map(|(name, versions)| {
            let record = versions.record();
            let canary = record.canary.as_ref().map(|canary| LocalCanary {
                version: canary.version.clone(),
                share: canary.share,
                guard: canary.guard,
                nodes: self.nodes_of_canary(name, &canary.version),
            });
            let added = state
                .added(name)
                .map(|added| (added.digest.clone(), added.placements.clone()));
            let local = LocalPolicy {
                active: record.active.clone(),
                canary,
                versions: record.versions.iter().map(|it| it.digest.clone()).collect(),
                added,
            };
            (name.to_string(), local)
        });
        policies.collect()
    }

    /// What the fleet has of a policy once it is told what was changed here since `before`.
    fn told(
        &self,
        name: &str,
        of_fleet: Option<&SharedPolicy>,
        before: Option<&LocalPolicy>,
        local: Option<&LocalPolicy>,
    ) -> Result<SharedPolicy, FleetVersionsError> {
        let mut next = of_fleet.cloned().unwrap_or_default();
        next.mark = self.next_mark(&next.mark);
        let Some(local) = local else {
            return Ok(SharedPolicy {
                mark: next.mark,
                removed: true,
                ..SharedPolicy::default()
            });
        };
        next.removed = false;
        let known = before.map(|before| &before.versions);
        let state = self.rollout.state();
        let record = state.policy(name)?.record();
        let new = record.versions.iter().map(|version| &version.digest);
        let new = new.filter(|digest| known.is_none_or(|known| !known.contains(*digest)));
        for digest in new
            .filter(|digest| next.version(digest).is_none())
            .cloned()
            .collect::<Vec<_>>()
        {
            let (content, signature) = self.rollout.pushed_content(name, &digest)?;
            self.bus.keep_content(&digest, &content)?;
            next.push(SharedVersion { digest, signature });
        }
        if before.is_none_or(|before| before.active != local.active) {
            next.active = local.active.clone();
        }
        if before.is_none_or(|before| before.canary != local.canary) {
            next.canary = local.canary.as_ref().map(|canary| SharedCanary {
                version: canary.version.clone(),
                share: canary.share,
                guard: canary.guard,
                nodes: canary.nodes.clone(),
            });
        }
        next.added = local
            .added
            .as_ref()
            .map(|(digest, placements)| SharedAddition {
                digest: digest.clone(),
                placements: placements.clone(),
            });
        Ok(next)
    }

    /// The nodes of a canary that this node has; `None` means all.
    fn nodes_of_canary(&self, policy: &str, version: &Version) -> Option<Vec<String>> {
        let known = self.canary_nodes.get(policy);
        let known = known.filter(|(of_version, _)| of_version == version);
        known.and_then(|(_, nodes)| nodes.clone())
    }

    /// Notes the nodes of the canary that the fleet has.
    fn follow_canary_nodes(&mut self, policy: &str, of_fleet: &SharedPolicy) {
        match &of_fleet.canary {
            Some(canary) => {
                self.set_canary_nodes(policy, canary.version.clone(), canary.nodes.clone());
            }
            None => drop(self.canary_nodes.remove(policy)),
        }
    }

    fn next_mark(&self, before: &ChangeMark) -> ChangeMark {
        ChangeMark {
            change: before.change + 1,
            node: self.node.clone(),
            at_unix_secs: self.clock.wall().unix_secs(),
        }
    }

    /// Does here what was done elsewhere.
    fn follow(
        &self,
        name: &str,
        local: Option<&LocalPolicy>,
        of_fleet: &SharedPolicy,
    ) -> Result<(), FleetVersionsError> {
        if of_fleet.removed {
            if local.is_some_and(|local| local.added.is_some()) {
                self.rollout.remove(name)?;
            }
            return Ok(());
        }
        if local.is_none() {
            self.add(name, of_fleet)?;
        }
        let canary = of_fleet.canary.as_ref().filter(|it| it.is_on(&self.node));
        let needed = [Some(&of_fleet.active), canary.map(|canary| &canary.version)];
        for version in needed.into_iter().flatten() {
            self.fetch(name, version, of_fleet)?;
        }
        self.activate(name, of_fleet, canary)?;
        // One that is not needed yet is no reason to be behind.
        for ahead in of_fleet.versions.iter().rev().take(AHEAD) {
            let version = Version::Pushed(ahead.digest.clone());
            if let Err(error) = self.fetch(name, &version, of_fleet) {
                tracing::warn!(
                    policy = name,
                    version = ahead.digest,
                    "a version of the fleet can't be used here: {error}"
                );
            }
        }
        Ok(())
    }

    /// Puts a policy on sites of this node as it was elsewhere.
    fn add(&self, name: &str, of_fleet: &SharedPolicy) -> Result<(), FleetVersionsError> {
        let Some(added) = &of_fleet.added else {
            return Err(FleetVersionsError::NoPolicy(name.to_owned()));
        };
        let (content, signature) = self.kept(name, &added.digest, of_fleet)?;
        let placements = &added.placements;
        self.rollout
            .add(name, &content, signature.as_deref(), placements)?;
        Ok(())
    }

    /// Fetches a version that this node doesn't have, and pushes it here.
    fn fetch(
        &self,
        name: &str,
        version: &Version,
        of_fleet: &SharedPolicy,
    ) -> Result<(), FleetVersionsError> {
        let Version::Pushed(digest) = version else {
            return Ok(());
        };
        let state = self.rollout.state();
        if state.policy(name)?.record().pushed(digest).is_some() {
            return Ok(());
        }
        let (content, signature) = self.kept(name, digest, of_fleet)?;
        self.rollout.push(name, &content, signature.as_deref())?;
        Ok(())
    }

    /// The content that the fleet keeps of a version, and its signature.
    fn kept(
        &self,
        name: &str,
        digest: &str,
        of_fleet: &SharedPolicy,
    ) -> Result<(Vec<u8>, Option<String>), FleetVersionsError> {
        let not_kept = || FleetVersionsError::NotKept {
            policy: name.to_owned(),
            version: digest.to_owned(),
        };
        let version = of_fleet.version(digest).ok_or_else(not_kept)?;
        let content = self.content(digest)?;
        Ok((content, version.signature.clone()))
    }

    /// What the fleet keeps under a digest.
    fn content(&self, digest: &str) -> Result<Vec<u8>, FleetVersionsError> {
        let content = self.bus.content(digest)?;
        match tero_policy_host::digest(&content) == digest {
            true => Ok(content),
            false => Err(FleetVersionsError::Digest(digest.to_owned())),
        }
    }

    /// Has the version decide that decides in the fleet, beside the canary that this node has of it.
    fn activate(
        &self,
        name: &str,
        of_fleet: &SharedPolicy,
        canary: Option<&SharedCanary>,
    ) -> Result<(), FleetVersionsError> {
        let state = self.rollout.state();
        let versions = state.policy(name)?;
        let record = versions.record();
        let is_behind = versions.active_version() != of_fleet.active;
        if record.canary.is_some() && (is_behind || canary.is_none()) {
            self.rollout.stop_canary(name)?;
        }
        if is_behind {
            // So that the way back stays what it was before.
            if versions.leads_back_to() == Some(&of_fleet.active) {
                self.rollout.roll_back(name)?;
            } else {
                self.rollout.activate(name, of_fleet.active.as_str())?;
            }
        }
        let is_as_wanted = |canary: &SharedCanary| {
            let has = record.canary.as_ref();
            has.is_some_and(|has| {
                (&has.version, has.share, has.guard)
                    == (&canary.version, canary.share, canary.guard)
            })
        };
        if let Some(canary) = canary
            && (is_behind || !is_as_wanted(canary))
        {
            let version = canary.version.as_str();
            self.rollout
                .start_canary(name, version, canary.share, canary.guard)?;
        }
        Ok(())
    }
}
