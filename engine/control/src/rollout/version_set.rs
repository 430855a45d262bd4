//! The loaded versions of all policies, and what each is used for. The value never changes; it is
//! replaced as a whole.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use super::added::AddedPolicy;
use super::error::RolloutError;
use super::guard::{self, GuardWindow};
use super::record::{AddedRecord, PolicyRecord, Version};
use super::repeated_error::RepeatedError;
use super::version_name::version_named;
use tero_config as config;
use tero_config::{Config, OriginAddress, ShieldSource};
use tero_edge::request::shadow::ShadowTally;
use tero_edge::telemetry::trial_counters::TrialCounters;
use tero_policy_host::Policy;
use tero_policy_host::device::DeviceModels;
use tero_semantics::timestamp::Timestamp;

/// The parts of a configuration from which sites and their policies are made.
#[derive(Debug)]
pub(super) struct RolloutSettings {
    pub(super) policies: Vec<config::Policy>,
    pub(super) sites: Vec<config::Site>,
    pub(super) max_policy_variants: usize,
    pub(super) server: config::Server,
    pub(super) limits: Vec<config::Limit>,
    pub(super) limit_memory: config::LimitMemory,
    pub(super) device_models: Arc<DeviceModels>,
    /// The configuration as it was written, without the policies that were added.
    config: Arc<Config>,
    /// The policies that were added, in their order.
    pub(super) added: Vec<AddedPolicy>,
    /// The shields of the fleet.
    pub(super) shields: Arc<FleetShields>,
}

/// The shields of a fleet, for the sites that take them from there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FleetShields {
    /// All of them, this node included if it is one.
    pub nodes: Vec<OriginAddress>,
    /// This node.
    pub own: Option<OriginAddress>,
}

impl FleetShields {
    /// Puts them where a site takes its shields from the fleet.
    fn place(&self, sites: &mut [config::Site]) {
        let shields = sites.iter_mut().filter_map(|site| site.shield.as_mut());
        let of_fleet = shields.filter(|shield| shield.from == Some(ShieldSource::Cluster));
        for shield in of_fleet {
            shield.nodes.clone_from(&self.nodes);
            shield.this_node.clone_from(&self.own);
        }
    }
}

impl RolloutSettings {
    /// # Errors
    /// [`RolloutError::DeviceModels`]
    pub(super) fn of(
        config: &Arc<Config>,
        added: Vec<AddedPolicy>,
        shields: &Arc<FleetShields>,
    ) -> Result<RolloutSettings, RolloutError> {
        let (mut policies, mut sites) = (config.policies.clone(), config.sites.clone());
        for policy in &added {
            policy.place(&mut policies, &mut sites);
        }
        shields.place(&mut sites);
        Ok(RolloutSettings {
            config: Arc::clone(config),
            added,
            shields: Arc::clone(shields),
            policies,
            sites,
            max_policy_variants: config.cache.max_policy_variants,
            server: config.server.clone(),
            limits: config.limits.clone(),
            limit_memory: config.limit_memory.clone(),
            device_models: DeviceModels::load(config.server.device_models.as_deref())?,
        })
    }
}

impl RolloutSettings {
    /// The same with these added policies.
    ///
    /// # Errors
    /// [`RolloutError::DeviceModels`]
    pub(super) fn with_added(
        &self,
        added: Vec<AddedPolicy>,
    ) -> Result<RolloutSettings, RolloutError> {
        RolloutSettings::of(&self.config, added, &self.shields)
    }

    /// The same with these shields of the fleet.
    ///
    /// # Errors
    /// [`RolloutError::DeviceModels`]
    pub(super) fn with_shields(
        &self,
        shields: FleetShields,
    ) -> Result<RolloutSettings, RolloutError> {
        RolloutSettings::of(&self.config, self.added.clone(), &Arc::new(shields))
    }

    /// Whether the configuration has a policy of this name.
    pub(super) fn is_configured(&self, policy: &str) -> bool {
        let mut policies = self.config.policies.iter();
        policies.any(|it| *it.name == *policy)
    }

    /// How a policy was added that the configuration doesn't have.
    pub(super) fn added(&self, policy: &str) -> Option<&AddedRecord> {
        let mut added = self.added.iter();
        let added = added.find(|it| *it.name == *policy);
        added
            .filter(|_| !self.is_configured(policy))
            .map(|it| &it.record)
    }
}

/// The policies of a configuration with their versions.
#[derive(Clone, Debug)]
pub struct VersionSet {
    pub(super) settings: Arc<RolloutSettings>,
    pub(super) policies: BTreeMap<Arc<str>, PolicyVersions>,
    /// Added policies that could not be loaded when the edge started, and why.
    pub(super) left_out: Vec<(Arc<str>, String)>,
}

/// A policy of the configuration with its versions.
#[derive(Clone, Debug)]
pub struct PolicyVersions {
    pub(super) config: config::Policy,
    pub(super) configured: Arc<Policy>,
    pub(super) record: PolicyRecord,
    pub(super) active: Arc<Policy>,
    /// The version to roll back to, already loaded so that a rollback takes no time.
    pub(super) previous: Option<Arc<Policy>>,
    pub(super) canary: Option<CanaryRun>,
    pub(super) shadow: Option<ShadowRun>,
    /// Why the recorded active version could not be loaded.
    pub(super) trouble: Option<String>,
    /// When the configuration was read.
    pub(super) loaded_at: Timestamp,
    /// How many canaries their guard has rolled back, by cause.
    pub(super) rollbacks: Arc<[AtomicU64; guard::RollbackCause::ALL.len()]>,
    /// Why the record can't be written.
    pub(super) save_error: Arc<RepeatedError>,
    /// Why the guard can't roll the canary back.
    pub(super) guard_error: Arc<RepeatedError>,
}

/// A running canary.
#[derive(Clone, Debug)]
pub(super) struct CanaryRun {
    pub(super) policy: Arc<Policy>,
    pub(super) counters: Arc<TrialCounters>,
    pub(super) window: Arc<Mutex<GuardWindow>>,
}

impl CanaryRun {
    /// A new canary beside the version `active`.
    pub(super) fn new(active: &Policy, policy: Arc<Policy>) -> CanaryRun {
        let watch = Arc::new(Mutex::new(GuardWindow::new(active, &policy)));
        CanaryRun {
            policy,
            counters: Arc::default(),
            window: watch,
        }
    }
}

/// A running shadow.
#[derive(Clone, Debug)]
pub(super) struct ShadowRun {
    pub(super) policy: Arc<Policy>,
    pub(super) tally: Arc<ShadowTally>,
}

impl VersionSet {
    /// The policies, in the order of their names.
    pub fn policies(&self) -> impl Iterator<Item = (&Arc<str>, &PolicyVersions)> {
        self.policies.iter()
    }

    /// The policy of that name.
    ///
    /// # Errors
    /// [`RolloutError::UnknownPolicy`]
    pub fn policy(&self, name: &str) -> Result<&PolicyVersions, RolloutError> {
        self.policies
            .get(name)
            .ok_or_else(|| RolloutError::UnknownPolicy {
                name: name.escape_debug().to_string(),
                known: self
                    .policies
                    .keys()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }

    /// Added policies that could not be loaded when the edge started, and why.
    pub fn left_out(&self) -> impl Iterator<Item = (&str, &str)> {
        self.left_out.iter().map(|(name, why)| (&**name, &**why))
    }

    /// How a policy was added; `None` if it is of the configuration.
    pub fn added(&self, policy: &str) -> Option<&AddedRecord> {
        self.settings.added(policy)
    }

    /// Whether a policy has a canary.
    pub(super) fn has_canary(&self, policy: &str) -> bool {
        let versions = self.policies.get(policy);
        versions.is_some_and(|versions| versions.canary.is_some())
    }

    /// The names of the sites that use a policy.
    pub fn sites_of(&self, policy: &str) -> Vec<&str> {
        let sites = self
            .settings
            .sites
            .iter()
            .filter(|site| site.policies.iter().any(|name| **name == *policy));
        sites.map(|site| &*site.name).collect()
    }
}

impl PolicyVersions {
    /// A policy without trials, whose version zero decides.
    pub(super) fn new(
        config: config::Policy,
        configured: Arc<Policy>,
        record: PolicyRecord,
        now: Timestamp,
    ) -> PolicyVersions {
        PolicyVersions {
            config,
            active: Arc::clone(&configured),
            configured,
            record,
            previous: None,
            canary: None,
            shadow: None,
            trouble: None,
            loaded_at: now,
            rollbacks: Arc::default(),
            save_error: Arc::default(),
            guard_error: Arc::default(),
        }
    }

    /// Its record.
    pub fn record(&self) -> &PolicyRecord {
        &self.record
    }

    /// The module that decides.
    pub fn active(&self) -> &Arc<Policy> {
        &self.active
    }

    /// The version that decides: the one of the record, or the configuration's if that could not be
    /// loaded.
    pub fn active_version(&self) -> Version {
        if self.trouble.is_some() {
            Version::Configured
        } else {
            self.record.active.clone()
        }
    }

    /// The time since when that version has decided.
    pub fn since(&self) -> Timestamp {
        match self.record.since_unix_secs {
            Some(secs) if self.trouble.is_none() => Timestamp::from_unix_secs(secs),
            _ => self.loaded_at,
        }
    }

    /// The configuration's own version.
    pub fn configured(&self) -> &Arc<Policy> {
        &self.configured
    }

    /// Why the recorded active version could not be loaded; `None` if it was.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Why the last change is not on disk; `None` if it is. A restart would forget the change.
    pub fn unsaved(&self) -> Option<String> {
        self.save_error.latest()
    }

    /// How often the record could not be written, and how often the guard could not roll a canary
    /// back.
    pub fn errors(&self) -> [(&'static str, u64); 2] {
        [
            ("record", self.save_error.count()),
            ("guard", self.guard_error.count()),
        ]
    }

    /// Whether a version that is asked reads this data table: the active one, the canary or the
    /// shadow.
    pub fn reads_table(&self, table: &str) -> bool {
        let canary = self.canary.as_ref().map(|run| &run.policy);
        let shadow = self.shadow.as_ref().map(|run| &run.policy);
        let asked = [Some(&self.active), canary, shadow];
        let mut tables = asked
            .into_iter()
            .flatten()
            .flat_map(|policy| tables_of(policy));
        tables.any(|name| **name == *table)
    }

    /// The version that a rollback leads to.
    pub fn leads_back_to(&self) -> Option<&Version> {
        self.record.leads_back_to(&self.active_version())
    }

    /// The canary's module and counters.
    pub fn canary(&self) -> Option<(&Arc<Policy>, &Arc<TrialCounters>)> {
        self.canary.as_ref().map(|run| (&run.policy, &run.counters))
    }

    /// What this node has counted since its canary began; `None` if it has none.
    pub fn trial_figures(&self) -> Option<guard::TrialSnapshot> {
        let run = self.canary.as_ref()?;
        let window = run.window.lock().unwrap_or_else(PoisonError::into_inner);
        Some(window.figures(&self.active, &run.policy, &run.counters))
    }

    /// Has the guard judge the canary by the sums of this node and of others.
    pub fn set_figures_of_others(&self, others: guard::TrialSnapshot) {
        if let Some(run) = &self.canary {
            let mut window = run.window.lock().unwrap_or_else(PoisonError::into_inner);
            window.set_others(others);
        }
    }

    /// The shadow's module and the tally of its answers.
    pub fn shadow(&self) -> Option<(&Arc<Policy>, &Arc<ShadowTally>)> {
        self.shadow.as_ref().map(|run| (&run.policy, &run.tally))
    }

    /// How many canaries their guard has rolled back, by cause.
    pub fn rollbacks(&self) -> impl Iterator<Item = (guard::RollbackCause, u64)> {
        let counts = self
            .rollbacks
            .iter()
            .map(|count| count.load(std::sync::atomic::Ordering::Relaxed));
        guard::RollbackCause::ALL.into_iter().zip(counts)
    }

    /// The version that `text` names: `configuration`, a number, or the beginning of one digest only.
    /// A number of a version goes before a digest.
    ///
    /// # Errors
    /// [`RolloutError::UnknownVersion`]
    pub fn version(&self, text: &str) -> Result<Version, RolloutError> {
        version_named(&self.record, &self.config.name, text)
    }
}

/// The data tables that a policy reads.
pub(super) fn tables_of(policy: &Policy) -> &[Arc<str>] {
    &policy.manifest().tables
}
