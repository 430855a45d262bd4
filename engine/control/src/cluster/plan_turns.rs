//! Turns of warming plans: a lease for each time that a plan comes due. Its holder plans, and shares the
//! pages ([`plan_pages`](super::plan_pages)). Where that is not possible, it runs the plan first, and renews
//! the lease meanwhile. Who dies loses it within 15 seconds, and the next node goes on: what was fetched
//! before lies at the shields.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bus::{BusError, FleetBus, FleetQuestion};
use super::plan_pages::PlanPages;
use crate::warm::shared::{PageSharing, SharedRunName};
use crate::warm::turns::{RunTurn, RunTurns};
use tero_edge::telemetry::popularity::Hours;
use tero_policy_host::PopularPage;
use tero_semantics::timestamp::Timestamp;
use tero_time::clock::Clock;

/// How often a node looks whether its turn has come.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the holder of a lease renews it: three times before it ends.
const RENEW_EVERY: Duration = Duration::from_secs(4);
/// How long the other nodes have to say what is popular.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pages that a node tells, at most: they fit into one message.
const MOST_PAGES: usize = 4_000;
/// What the lease says once the first run has ended.
const DONE: &str = "done";

/// Turns by leases.
#[derive(Debug)]
pub struct PlanTurns {
    node: String,
    bus: Arc<dyn FleetBus>,
    /// The leases that this node has.
    held: Arc<Mutex<HashSet<String>>>,
    pages: Arc<PlanPages>,
    look_every: Duration,
}

impl PlanTurns {
    /// The turns of this node.
    pub fn new(node: &str, bus: &Arc<dyn FleetBus>, clock: &Clock) -> PlanTurns {
        PlanTurns {
            node: node.to_owned(),
            bus: Arc::clone(bus),
            held: Arc::default(),
            pages: Arc::new(PlanPages::new(node, bus, clock)),
            look_every: LOOK_EVERY,
        }
    }

    /// Renews a lease as long as this node has it.
    fn renew(&self, lease: &str) {
        let (bus, held) = (Arc::clone(&self.bus), Arc::clone(&self.held));
        let (node, name) = (self.node.clone(), lease.to_owned());
        let started = std::thread::Builder::new()
            .name("fleet-lease".to_owned())
            .spawn(move || {
                loop {
                    std::thread::park_timeout(RENEW_EVERY);
                    if !lock(&held).contains(&name) {
                        return;
                    }
                    // Without an answer it may end: then another node runs the plan beside this one.
                    let _ = bus.hold_lease(&name, &node);
                }
            });
        if let Err(error) = started {
            tracing::warn!(lease, %error, "the turn of this node may end early");
        }
    }
}

impl RunTurns for PlanTurns {
    fn wait(&self, plan: &str, due: Timestamp) -> RunTurn {
        let lease = lease_of(plan, due);
        let run = SharedRunName {
            plan: plan.to_owned(),
            due,
        };
        loop {
            // Streams of an earlier version have no reports of runs: then none is shared.
            if let Ok(Some(_)) = self.pages.look(&run) {
                return RunTurn::Joined;
            }
            match self.bus.hold_lease(&lease, &self.node) {
                Ok(true) => {
                    lock(&self.held).insert(lease.clone());
                    self.renew(&lease);
                    return RunTurn::First;
                }
                Ok(false) => {}
                // What can't be agreed on is done by each node.
                Err(_) => return RunTurn::Alone,
            }
            match self.bus.lease_holder(&lease) {
                Ok(Some(holder)) if holder == DONE => return RunTurn::Later,
                Ok(_) => {}
                Err(_) => return RunTurn::Alone,
            }
            std::thread::park_timeout(self.look_every);
        }
    }

    fn pages(&self) -> Option<Arc<dyn PageSharing>> {
        Some(Arc::clone(&self.pages) as _)
    }

    fn ended(&self, plan: &str, due: Timestamp) {
        let lease = lease_of(plan, due);
        if !lock(&self.held).remove(&lease) {
            return;
        }
        let (bus, node) = (Arc::clone(&self.bus), self.node.clone());
        // The caller may not wait for an answer.
        let told = std::thread::Builder::new()
            .name("fleet-lease".to_owned())
            .spawn(move || match bus.pass_lease(&lease, &node, DONE) {
                // It has ended already: the others didn't wait for it.
                Ok(()) | Err(BusError::Missing(_) | BusError::Conflict) => {}
                Err(error) => tracing::warn!(lease, %error, "the others wait until the turn of this node ends by itself"),
            });
        drop(told);
    }

    fn popular(&self, site: &str, hours: Hours, n: usize) -> Option<Vec<PopularPage>> {
        let question = FleetQuestion::Popular {
            site: site.to_owned(),
            hours: hours.to_bits(),
            limit: n.min(MOST_PAGES),
        };
        let answers = self.bus.ask(&question, usize::MAX, PATIENCE).ok()?;
        (!answers.is_empty()).then(|| merged(&answers, n))
    }
}

/// A page that visitors of a node request, as it travels.
#[derive(Debug, Serialize, Deserialize)]
struct ToldPage {
    url: String,
    requests: u64,
    variant: Option<String>,
}

/// The answer of a node to [`FleetQuestion::Popular`].
pub(crate) fn told_pages(pages: &[PopularPage]) -> Option<Vec<u8>> {
    let pages = pages.iter().map(|page| ToldPage {
        url: page.url.clone(),
        requests: page.requests,
        variant: page.variant.as_deref().map(str::to_owned),
    });
    serde_json::to_vec(&pages.collect::<Vec<_>>()).ok()
}

/// The `n` pages with the most requests over all answers.
fn merged(answers: &[Vec<u8>], n: usize) -> Vec<PopularPage> {
    let mut requests: BTreeMap<(String, Option<String>), u64> = BTreeMap::new();
    for answer in answers {
        let pages: Vec<ToldPage> = serde_json::from_slice(answer).unwrap_or_default();
        for page in pages {
            let sum = requests.entry((page.url, page.variant)).or_default();
            *sum = sum.saturating_add(page.requests);
        }
    }
    let pages = requests
        .into_iter()
        .map(|((url, variant), requests)| PopularPage {
            url,
            requests,
            variant: variant.map(Into::into),
        });
    let mut pages: Vec<PopularPage> = pages.collect();
    // Stable: pages with as many requests stay in the order of their names.
    pages.sort_by_key(|page| Reverse(page.requests));
    pages.truncate(n);
    pages
}

fn lease_of(plan: &str, due: Timestamp) -> String {
    format!("warm.{plan}.{}", due.unix_secs())
}

fn lock<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::twin_bus::TwinBus;
    use super::*;

    const DUE: Timestamp = Timestamp::from_unix_secs(1_000);

    fn turns(node: &str, bus: &Arc<TwinBus>) -> PlanTurns {
        let bus: Arc<dyn FleetBus> = Arc::clone(bus) as _;
        PlanTurns {
            look_every: Duration::from_millis(1),
            ..PlanTurns::new(node, &bus, &Clock::by_hand(DUE))
        }
    }

    #[test]
    fn one_node_is_first_and_the_others_wait_until_it_has_ended() {
        let bus = Arc::new(TwinBus::default());
        let (one, two) = (turns("one", &bus), turns("two", &bus));
        assert_eq!(one.wait("plan", DUE), RunTurn::First);
        let waiting = std::thread::spawn(move || two.wait("plan", DUE));
        assert_eq!(one.wait("other", DUE), RunTurn::First, "of another plan");
        assert!(!waiting.is_finished());
        one.ended("plan", DUE);
        assert_eq!(waiting.join().unwrap(), RunTurn::Later);
        let three = turns("three", &bus);
        three.ended("plan", DUE);
        assert_eq!(three.wait("plan", DUE), RunTurn::Later);
    }

    #[test]
    fn the_turn_of_a_node_that_dies_goes_to_the_next() {
        let bus = Arc::new(TwinBus::default());
        let (one, two) = (turns("one", &bus), turns("two", &bus));
        assert_eq!(one.wait("plan", DUE), RunTurn::First);
        let waiting = std::thread::spawn(move || two.wait("plan", DUE));
        bus.end_leases();
        assert_eq!(waiting.join().unwrap(), RunTurn::First);
    }

    #[test]
    fn without_a_connection_each_node_runs_its_plans() {
        let bus = Arc::new(TwinBus::default());
        bus.cut_off(true);
        assert_eq!(turns("one", &bus).wait("plan", DUE), RunTurn::Alone);
    }

    #[test]
    fn requests_for_a_page_are_summed_over_the_nodes() {
        let page = |url: &str, requests, variant: Option<&str>| PopularPage {
            url: url.to_owned(),
            requests,
            variant: variant.map(Into::into),
        };
        let one = told_pages(&[page("/a", 5, None), page("/b", 4, None)]).unwrap();
        let two = told_pages(&[page("/b", 4, None), page("/a", 1, Some("mobile"))]).unwrap();
        let answers = [one, two, b"not JSON".to_vec()];
        assert_eq!(
            merged(&answers, 2),
            [page("/b", 8, None), page("/a", 5, None)]
        );
        assert_eq!(merged(&answers, 9).len(), 3);
    }
}
