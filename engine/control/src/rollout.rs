//! Which version of each policy decides: pushed, activated, rolled back, asked in shadow, tried as
//! a canary.
//!
//! The configuration's module is version zero. A pushed version decides in its place until it is
//! rolled back; it is kept in the state directory, and so is who is active. Every change makes a
//! new set of sites and swaps it in as a whole: a request works with the set that it found when it
//! came, from its beginning to its end. Nothing here runs on a thread that serves requests.

pub mod guard;
pub mod record;
mod sites;
mod state;
mod thread;
mod version_store;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;

use record::{CanaryRecord, GuardSettings, PushedRecord, RollbackRecord, ShadowRecord, Version};
use sites::{SiteBuilder, SiteChange};
use state::{CanaryRun, RolloutSettings, ShadowRun, VersionLoader};
use tero_config as config;
use tero_config::{Config, ConfigErrors};
use tero_edge::request::Edge;
use tero_edge::request::shadow_question::{ShadowQuestion, ShadowQueue};
use tero_edge::request::share::Share;
use tero_edge::request::site::Sites;
use tero_policy_host::cases::{CaseOutcome, Cases};
use tero_policy_host::{Host, Package, Policy, PolicyError};
use tero_state::dir::StateDir;
use tero_time::clock::Clock;
use version_store::VersionStore;

pub use state::{PolicyVersions, VersionSet};
pub use version_store::VersionStoreError;

/// How often a change is begun anew because another one came first.
const MAX_TRIES: usize = 16;
/// Cases that are run when a version is pushed: each takes up to a few deadlines.
const MAX_CASES: usize = 1_000;
/// The largest share of keys that a canary may answer for: what is left is what it is compared
/// with.
const MAX_CANARY_SHARE: &str = "50%";

/// Why a change was refused.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// The configuration has no such policy.
    #[error("there is no policy `{name}`; there are {known}")]
    UnknownPolicy {
        /// The unknown name.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// The policy has no such version.
    #[error("`{version}` {problem} of `{policy}`; there are {known}")]
    UnknownVersion {
        /// The policy.
        policy: String,
        /// What was asked for.
        version: String,
        /// None, or several.
        problem: &'static str,
        /// What there is.
        known: String,
    },
    /// No version was active before.
    #[error(
        "`{0}` has no version to roll back to: the one of the configuration has been active all along"
    )]
    NothingBefore(String),
    /// It is what it should become.
    #[error("{version} of `{policy}` is active already")]
    IsActive {
        /// The policy.
        policy: String,
        /// The version.
        version: Version,
    },
    /// No trial is running.
    #[error("`{policy}` has no version {what}")]
    NoTrial {
        /// The policy.
        policy: String,
        /// `in shadow` or `as a canary`.
        what: &'static str,
    },
    /// Another policy of a site has a canary.
    #[error("the site `{site}` has a canary of `{policy}` already; one after the other")]
    OtherCanary {
        /// The site.
        site: String,
        /// The other policy.
        policy: String,
    },
    /// The share is too large for a canary.
    #[error(
        "a canary of {0} leaves too little to compare it with; at most {MAX_CANARY_SHARE}, then activate it"
    )]
    LargeCanary(String),
    /// A number of the guard is out of range.
    #[error("`{key}` of the guard is out of range; write {range}")]
    BadGuard {
        /// Which.
        key: &'static str,
        /// What may be written.
        range: &'static str,
    },
    /// Nothing can be kept.
    #[error(
        "nothing can be pushed: write `state_dir` in [policies] of the configuration, and start tero again"
    )]
    NoStateDir,
    /// The module, its settings or its manifest can't be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The cases that came along are none.
    #[error("{0}")]
    BadCases(ConfigErrors),
    /// More cases came along than an edge has time for.
    #[error("{count} cases came along; at most {MAX_CASES} are run on an edge")]
    TooManyCases {
        /// How many.
        count: usize,
    },
    /// The version does not pass a case that came along.
    #[error("`{policy}` does not pass its case `{case}` (line {line}): {problem}", case = outcome.case, line = outcome.line,
        problem = outcome.problems.first().map(|problem| format!("{}: expected {}, got {}", problem.field, problem.expected, problem.got)).unwrap_or_default())]
    FailedCase {
        /// The policy.
        policy: String,
        /// What came of it.
        outcome: Box<CaseOutcome>,
    },
    /// Something can't be kept, or was not kept well.
    #[error(transparent)]
    Shelf(#[from] VersionStoreError),
    /// Others changed the same at the same time, again and again.
    #[error("too many changes at the same time; try again")]
    Busy,
}

/// The versions of all policies, and the way to change them.
#[derive(Debug)]
pub struct Rollout {
    host: Arc<Host>,
    edge: Arc<Edge>,
    store: Option<VersionStore>,
    max_versions: usize,
    workers: usize,
    state: Mutex<Arc<VersionSet>>,
    thread: OnceLock<Thread>,
    stop: AtomicBool,
}

/// What is loaded before there is an edge.
#[derive(Debug)]
pub struct LoadedVersions {
    host: Arc<Host>,
    store: Option<VersionStore>,
    max_versions: usize,
    workers: usize,
    shadows: (ShadowQueue, Receiver<ShadowQuestion>),
    state: VersionSet,
}

/// What a version that was pushed turned out to be.
#[derive(Clone, Debug)]
pub struct PushedVersion {
    /// What is remembered of it.
    pub pushed: PushedRecord,
    /// Whether it was there already.
    pub was_known: bool,
}

/// What a rollback came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RollbackResult {
    /// The canary is over; the active version stays.
    Canary(Version),
    /// This version decides again.
    To(Version),
}

impl LoadedVersions {
    /// Loads the policies of a configuration, each in the version that was active last.
    ///
    /// # Errors
    /// [`RolloutError`] when the configuration's own version of a policy can't be used, or the
    /// state directory can't.
    pub fn new(
        config: &Config,
        host: &Arc<Host>,
        state_dir: Option<&Arc<StateDir>>,
        clock: &Clock,
    ) -> Result<LoadedVersions, RolloutError> {
        let store = state_dir.map(VersionStore::open).transpose()?;
        let source = VersionLoader {
            host,
            store: store.as_ref(),
            now: clock.now(),
        };
        let state = source.state(RolloutSettings::of(config), None)?;
        Ok(LoadedVersions {
            host: Arc::clone(host),
            store,
            max_versions: config.policy_host.max_versions,
            workers: config.server.workers,
            shadows: ShadowQueue::new(config.policy_host.shadow_queue),
            state,
        })
    }

    /// The sites with these policies.
    ///
    /// # Errors
    /// [`PolicyError::TooManyVariants`]
    pub fn sites(&self, clock: &Clock) -> Result<Sites, PolicyError> {
        let maker = SiteBuilder {
            host: &self.host,
            clock,
            workers: self.workers,
        };
        maker.sites(&self.state, &Sites::default(), SiteChange::Configuration)
    }

    /// The way of questions to the thread that asks shadows.
    pub fn shadow_queue(&self) -> ShadowQueue {
        self.shadows.0.clone()
    }

    /// The versions of an edge that has these sites, and the thread that asks shadows and watches
    /// canaries.
    ///
    /// # Errors
    /// When the thread can't be had.
    pub fn start(
        self,
        edge: &Arc<Edge>,
    ) -> std::io::Result<(Arc<Rollout>, std::thread::JoinHandle<()>)> {
        let rollout = Arc::new(Rollout {
            host: self.host,
            edge: Arc::clone(edge),
            store: self.store,
            max_versions: self.max_versions,
            workers: self.workers,
            state: Mutex::new(Arc::new(self.state)),
            thread: OnceLock::new(),
            stop: AtomicBool::new(false),
        });
        let handle = thread::start(Arc::clone(&rollout), self.shadows.1)?;
        Ok((rollout, handle))
    }
}

impl Rollout {
    /// All policies with their versions, as of now.
    pub fn state(&self) -> Arc<VersionSet> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The largest version that may be pushed, in bytes.
    pub fn max_module(&self) -> u64 {
        self.host.max_module()
    }

    /// Takes over sites and policies of a new configuration; pushed versions stay. Returns whether
    /// the sites' zones may have changed.
    ///
    /// # Errors
    /// [`RolloutError`], and everything stays as it was.
    pub fn reload(&self, config: &Config) -> Result<(), RolloutError> {
        self.try_again(|| {
            let old = self.state();
            let new = self
                .source()
                .state(RolloutSettings::of(config), Some(&old))?;
            Ok(self
                .commit(&old, new, SiteChange::Configuration, None)?
                .then_some(()))
        })
    }

    /// Checks a version and keeps it; it decides nothing yet. `content` is a module, or a
    /// [`Package`]. Takes as long as compiling takes.
    ///
    /// # Errors
    /// [`RolloutError`], and nothing is kept.
    pub fn push(&self, name: &str, content: &[u8]) -> Result<PushedVersion, RolloutError> {
        let config = self.state().policy(name)?.config.clone();
        let store = self.store.as_ref().ok_or(RolloutError::NoStateDir)?;
        let policy = self.host.load_module(&config, content)?;
        let package = Package::of(content).map_err(|error| {
            let policy = Arc::clone(policy.name());
            PolicyError::NotAModule {
                policy,
                reason: error.to_string(),
            }
        })?;
        let cases = package
            .cases
            .map(|cases| self_test(&config, &policy, &cases))
            .transpose()?;
        let pushed = PushedRecord {
            digest: policy.digest().to_owned(),
            pushed_unix_secs: self.edge.clock.now().unix_secs(),
            bytes: content.len() as u64,
            settings: package.settings.is_some(),
            cases,
        };
        store.keep_version(name, &pushed.digest, content)?;
        let was_known = self.change(name, |versions| {
            let was_known = versions.record.pushed(&pushed.digest).is_some();
            versions.record.push(pushed.clone());
            versions.record.thin_out(self.max_versions);
            Ok(was_known)
        })?;
        store.thin_out(name, &self.state().policy(name)?.record);
        tracing::info!(
            policy = name,
            version = pushed.digest,
            "a version was pushed"
        );
        Ok(PushedVersion { pushed, was_known })
    }

    /// Has a version decide from now on.
    ///
    /// # Errors
    /// [`RolloutError`], and everything stays as it was.
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

    /// Ends the canary, if there is one; else has the version before decide again.
    ///
    /// # Errors
    /// [`RolloutError`], and everything stays as it was.
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
            versions.active = self.source().version(&versions.config, &version, at_hand)?;
            versions.trouble = None;
            Ok(RollbackResult::To(version))
        })?;
        tracing::info!(policy = name, ?to, "rolled back");
        Ok(to)
    }

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
            let goes_on = versions
                .record
                .canary
                .as_ref()
                .is_some_and(|canary| canary.version == version);
            versions.canary = match versions.canary.take() {
                // A larger share of the same: its figures go on.
                Some(run) if goes_on => Some(run),
                _ => Some(CanaryRun::new(&versions.active, policy)),
            };
            let since_unix_secs = self.edge.clock.now().unix_secs();
            versions.record.canary = Some(CanaryRecord {
                version: version.clone(),
                share,
                guard,
                since_unix_secs,
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

    /// Looks at all canaries, and rolls back those that do worse than their guards allow.
    fn look_at_canaries(&self) {
        for (name, versions) in &self.state().policies {
            let (Some(run), Some(record)) = (&versions.canary, &versions.record.canary) else {
                continue;
            };
            let mut watch = run.window.lock().unwrap_or_else(PoisonError::into_inner);
            let verdict = watch.look(&record.guard, &versions.active, &run.policy, &run.counters);
            drop(watch);
            let Some(guard::Verdict { cause, reason }) = verdict else {
                continue;
            };
            let version = record.version.clone();
            let ended = self.change(name, |versions| {
                // Somebody may have ended it meanwhile, or begun another one.
                if versions
                    .record
                    .canary
                    .as_ref()
                    .is_none_or(|canary| canary.version != version)
                {
                    return Ok(false);
                }
                (versions.canary, versions.record.canary) = (None, None);
                let at_unix_secs = self.edge.clock.now().unix_secs();
                versions.record.rolled_back = Some(RollbackRecord {
                    version: version.clone(),
                    at_unix_secs,
                    reason: reason.clone(),
                });
                Ok(true)
            });
            match ended {
                Ok(true) => {
                    versions.rollbacks[cause as usize].fetch_add(1, Ordering::Relaxed);
                    tracing::error!(policy = &**name, %version, cause = cause.as_str(), "the canary was rolled back: {reason}");
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(policy = &**name, %version, "the canary can't be rolled back: {error}")
                }
            }
        }
    }

    /// Whether anything is on trial.
    fn is_on_trial(&self) -> bool {
        self.state()
            .policies
            .values()
            .any(|versions| versions.canary.is_some() || versions.shadow.is_some())
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn source(&self) -> VersionLoader<'_> {
        VersionLoader {
            host: &self.host,
            store: self.store.as_ref(),
            now: self.edge.clock.now(),
        }
    }

    /// A version of a policy, ready to be asked.
    fn ready(
        &self,
        versions: &PolicyVersions,
        version: &Version,
    ) -> Result<Arc<Policy>, RolloutError> {
        let at_hand = Some(&versions.configured).filter(|_| *version == Version::Configured);
        self.source().version(&versions.config, version, at_hand)
    }

    /// A site compares a canary with its control, so it has one at a time.
    fn check_alone(&self, name: &str) -> Result<(), RolloutError> {
        let state = self.state();
        for site in state
            .settings
            .sites
            .iter()
            .filter(|site| site.policies.iter().any(|policy| **policy == *name))
        {
            let other = site.policies.iter().filter(|policy| ***policy != *name);
            let has_canary = |policy: &&Arc<str>| {
                state
                    .policies
                    .get(*policy)
                    .is_some_and(|versions| versions.canary.is_some())
            };
            if let Some(policy) = other.into_iter().find(has_canary) {
                let (site, policy) = (site.name.to_string(), policy.to_string());
                return Err(RolloutError::OtherCanary { site, policy });
            }
        }
        Ok(())
    }

    /// Changes one policy.
    fn change<T>(
        &self,
        name: &str,
        edit: impl Fn(&mut PolicyVersions) -> Result<T, RolloutError>,
    ) -> Result<T, RolloutError> {
        self.try_again(|| {
            let old = self.state();
            let mut versions = old.policy(name)?.clone();
            let outcome = edit(&mut versions)?;
            let mut new = VersionSet::clone(&old);
            new.policies
                .insert(Arc::clone(&versions.config.name), versions);
            Ok(self
                .commit(&old, new, SiteChange::Versions, Some(name))?
                .then_some(outcome))
        })
    }

    /// Tries until no other change comes first.
    fn try_again<T>(
        &self,
        attempt: impl Fn() -> Result<Option<T>, RolloutError>,
    ) -> Result<T, RolloutError> {
        for _ in 0..MAX_TRIES {
            if let Some(done) = attempt()? {
                return Ok(done);
            }
        }
        Err(RolloutError::Busy)
    }

    /// Puts `new` in the place of `old`: on disk, for requests, and for the next change. Returns
    /// false, and does nothing, where `old` is not what there is any more.
    fn commit(
        &self,
        old: &Arc<VersionSet>,
        new: VersionSet,
        change: SiteChange,
        changed: Option<&str>,
    ) -> Result<bool, RolloutError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&state, old) {
            return Ok(false);
        }
        let before = self.edge.sites.load_full();
        let maker = SiteBuilder {
            host: &self.host,
            clock: &self.edge.clock,
            workers: self.workers,
        };
        let sites = Arc::new(maker.sites(&new, &before, change)?);
        // On disk first: what could not be kept does not decide.
        if let (Some(store), Some(name)) = (&self.store, changed) {
            store.keep_record(name, &new.policy(name)?.record)?;
        }
        self.edge.sites.store(Arc::clone(&sites));
        *state = Arc::new(new);
        drop(state);
        let now = sites::chains(&sites);
        for chain in sites::chains(&before)
            .into_iter()
            .filter(|chain| !now.iter().any(|other| other.is(chain)))
        {
            chain.forget();
        }
        self.wake();
        Ok(true)
    }
}

/// Has a version answer the cases that came along, as it will run here: with its own settings, and
/// the calendar and limits of the configuration.
fn self_test(
    config: &config::Policy,
    policy: &Arc<Policy>,
    text: &str,
) -> Result<u32, RolloutError> {
    let name = &config.name;
    let cases = Cases::for_policy(text, &format!("the cases of {name}"), config.clone())
        .map_err(RolloutError::BadCases)?;
    if cases.len() > MAX_CASES {
        return Err(RolloutError::TooManyCases { count: cases.len() });
    }
    match cases.pass(policy) {
        Ok(passed) => Ok(u32::try_from(passed).unwrap_or(u32::MAX)),
        Err(outcomes) => {
            let failed = outcomes
                .into_iter()
                .find(|outcome| !outcome.problems.is_empty());
            Err(RolloutError::FailedCase {
                policy: name.to_string(),
                outcome: Box::new(failed.expect("one has problems")),
            })
        }
    }
}
