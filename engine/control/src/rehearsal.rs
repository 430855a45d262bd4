//! A rehearsed edge: the parts of an edge without sockets, files and threads, with its warming plans,
//! on a clock that its caller turns.
//!
//! Versions and tables of a state directory, disks, canaries and shadows have no part in it: what the
//! configuration says decides.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};

use crate::data::DataTables;
use crate::rollout::{LoadedVersions, tell_sites};
use crate::serve::ServeError;
use crate::warm::Warmer;
use tero_config::Config;
use tero_edge::acme::AcmeResponder;
use tero_edge::request::admit::RequestSource;
use tero_edge::request::rehearsal::{
    LONGEST_QUIET, PlanFigures, Rehearsal, RehearsalStage, RehearsalWorld, SentAnswer,
};
use tero_edge::request::{Edge, EdgeParts};
use tero_edge::server::ShutdownStage;
use tero_edge::store::StoreUsage;
use tero_policy_host::{Compiler, Host};
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// What happens every second on a running edge: responses that expire soon are marked, the windows of
/// runs are closed, the store makes room.
const TICK: Duration = Duration::from_secs(1);

/// A rehearsed edge.
#[derive(Debug)]
pub struct EdgeRehearsal {
    rehearsal: Arc<Rehearsal>,
    clock: Clock,
    /// `None` at the end of time.
    next_tick: Option<Timestamp>,
    /// Whether anything has happened since the last tick for which the store may have to make room.
    is_touched: bool,
    /// `None` where no plan is rehearsed.
    warming: Option<RehearsedWarming>,
}

/// The warming plans, which follow the clock on a runtime of their own.
#[derive(Debug)]
struct RehearsedWarming {
    warmer: Arc<Warmer>,
    runtime: Runtime,
    /// Told whenever the runtime has nothing more to do.
    parked: Arc<Notify>,
    /// Held, since the plans end with it.
    _stage: watch::Sender<ShutdownStage>,
}

impl EdgeRehearsal {
    /// The edge of a configuration in this world, at `begin`. `with_plans` rehearses its warming plans,
    /// too.
    ///
    /// # Errors
    /// [`ServeError`], as when an edge is started.
    pub fn new(
        config: &Config,
        compiler: &Compiler,
        begin: Timestamp,
        world: Box<dyn RehearsalWorld>,
        with_plans: bool,
    ) -> Result<EdgeRehearsal, ServeError> {
        let clock = Clock::by_hand(begin);
        let host = Host::with_compiler(&config.policy_host, compiler)?;
        DataTables::open(config, &host, None, &clock)?;
        let loaded = LoadedVersions::new(config, &host, None, &clock)?;
        let parts = EdgeParts {
            access_log: None,
            tracer: None,
            sites: loaded.sites(&clock)?,
            ports: Box::default(),
            acme: Arc::new(AcmeResponder::default()),
            shadows: loaded.shadow_queue(),
            disk: None,
            clock: clock.clone(),
        };
        // The same log always has the same forecast.
        let edge = Arc::new(Edge::for_replay(config, parts));
        tell_sites(&edge);
        let rehearsal = Arc::new(Rehearsal::new(edge, world));
        let warming = match with_plans && !config.plans.is_empty() {
            true => Some(RehearsedWarming::new(config, &rehearsal)?),
            false => None,
        };
        Ok(EdgeRehearsal {
            rehearsal,
            next_tick: tick_after(begin),
            is_touched: true,
            warming,
            clock,
        })
    }

    /// The same as a stage.
    ///
    /// # Errors
    /// [`ServeError`], as [`EdgeRehearsal::new`].
    pub fn boxed(
        config: &Config,
        compiler: &Compiler,
        begin: Timestamp,
        world: Box<dyn RehearsalWorld>,
        with_plans: bool,
    ) -> Result<Box<dyn RehearsalStage>, ServeError> {
        let rehearsal = EdgeRehearsal::new(config, compiler, begin, world, with_plans)?;
        Ok(Box::new(rehearsal))
    }

    /// Lets happen what is due by `at`, in its order. Returns false if nothing was.
    fn step(&mut self, at: Timestamp) -> bool {
        let fetch = self.rehearsal.next_due();
        let wake = match &self.warming {
            Some(_) => self.clock.next_wake(),
            None => None,
        };
        let due = fetch.into_iter().chain(wake).chain(self.next_tick).min();
        let Some(due) = due.filter(|due| *due <= at) else {
            return false;
        };
        if due > self.clock.now() {
            self.clock.turn_to(due);
        }
        self.is_touched |= fetch.is_some_and(|fetch| fetch <= due);
        self.rehearsal.run_due();
        if self.next_tick.is_some_and(|tick| tick <= due) {
            self.tick();
        }
        if let Some(warming) = &self.warming
            && (wake.is_some_and(|wake| wake <= due) || warming.is_running())
        {
            warming.settle();
        }
        true
    }

    fn tick(&mut self) {
        let (edge, now) = (self.rehearsal.edge(), self.clock.now());
        edge.watchlist.mark_expiring(&edge.sites.load(), now);
        if std::mem::take(&mut self.is_touched) {
            edge.store.usage();
        }
        if let Some(warming) = &self.warming {
            warming.warmer.close_windows(self.clock.wall());
        }
        self.next_tick = tick_after(now);
    }

    /// Lets happen at `at`, once, what was due until then.
    fn jump_to(&mut self, at: Timestamp) {
        self.clock.turn_to(at);
        self.rehearsal.run_due();
        if let Some(warming) = &self.warming {
            warming.settle();
        }
    }
}

/// The time of the next tick; `None` if time ends before.
fn tick_after(now: Timestamp) -> Option<Timestamp> {
    Some(now.saturating_add(TICK)).filter(|next| *next > now)
}

impl RehearsalStage for EdgeRehearsal {
    fn turn_to(&mut self, at: Timestamp) {
        let quiet_until = self.clock.now().saturating_add(LONGEST_QUIET);
        while self.step(at.min(quiet_until)) {}
        if at > quiet_until {
            self.jump_to(at);
            while self.step(at) {}
        }
        if at > self.clock.now() {
            self.clock.turn_to(at);
        }
    }

    fn send(&mut self, head: Parts, source: RequestSource, sent: SentAnswer) {
        self.is_touched = true;
        self.rehearsal.send(head, source, sent);
    }

    fn finish(&mut self) {
        while let Some(due) = self.rehearsal.next_due() {
            self.turn_to(due);
        }
        tero_edge::request::count_hits(self.rehearsal.edge());
    }

    fn usage(&self) -> StoreUsage {
        self.rehearsal.edge().store.usage()
    }

    fn plans(&self) -> Vec<PlanFigures> {
        let Some(warming) = &self.warming else {
            return Vec::new();
        };
        let totals = warming.warmer.totals().into_iter();
        let ran = totals.filter(|(_, totals)| totals.runs > 0);
        let figures = ran.map(|(name, totals)| PlanFigures {
            name: name.to_string(),
            runs: totals.runs,
            fetched: totals.fetched,
            not_stored: totals.not_stored,
            failed: totals.failed,
            bytes: totals.bytes,
            used: totals.used,
            hits_given: totals.hits_given,
            wasted_bytes: totals.wasted_bytes,
        });
        figures.collect()
    }
}

impl RehearsedWarming {
    fn new(config: &Config, rehearsal: &Arc<Rehearsal>) -> Result<RehearsedWarming, ServeError> {
        let warmer = Warmer::rehearsed(rehearsal, config.plans.clone())
            .map_err(|error| ServeError::Plan(error.to_string()))?;
        let parked = Arc::new(Notify::new());
        let told = Arc::clone(&parked);
        // One thread that may wait for policies, so that one more piece of work for it shows that all
        // before are done.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .on_thread_park(move || told.notify_one())
            .build()
            .map_err(|source| ServeError::Start {
                what: "the rehearsal of warming plans",
                source,
            })?;
        let (stage, stages) = watch::channel(ShutdownStage::Running);
        let follower = Arc::clone(&warmer);
        runtime.spawn(async move { follower.follow(stages).await });
        let warming = RehearsedWarming {
            warmer,
            runtime,
            parked,
            _stage: stage,
        };
        warming.settle();
        Ok(warming)
    }

    /// Whether a run of a plan is under way: beside the task that follows the schedules.
    fn is_running(&self) -> bool {
        self.runtime.metrics().num_alive_tasks() > 1
    }

    /// Waits until the plans have nothing more to do at this time.
    fn settle(&self) {
        self.runtime.block_on(async {
            self.idle().await;
            if self.is_running() {
                // What was asked of policies meanwhile.
                let _ = tokio::task::spawn_blocking(|| ()).await;
                self.idle().await;
            }
        });
    }

    /// Waits until the runtime has nothing to do. The first word may be an old one.
    async fn idle(&self) {
        self.parked.notified().await;
        self.parked.notified().await;
    }
}
