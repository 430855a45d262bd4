//! The request path of a rehearsal, as warming sees it: fetches end when the rehearsal's clock has come
//! to the end of an assumed answer.

use std::sync::Arc;

use super::path::{
    BoxFuture, FetchPurpose, Page, PageDecision, PageReadError, RequestPath, SiteFacts,
    TrafficCounts, WarmLookup, WarmOutcome,
};
use super::request_path::{EdgeRequestPath, PlanFetch, failed, outcome_by, trouble_by};
use tero_edge::request::Visit;
use tero_edge::request::rehearsal::{PlanAnswer, Rehearsal};
use tero_edge::run_id::RunId;
use tero_edge::telemetry::popularity::Hours;
use tero_edge::telemetry::warm_use::UsedResponses;
use tero_policy_host::device::Device;
use tero_policy_host::{PopularPage, WarmUrl};
use tero_time::clock::Clock;

/// The request path of a rehearsal.
pub(super) struct RehearsedPath {
    path: EdgeRequestPath,
    rehearsal: Arc<Rehearsal>,
}

impl RehearsedPath {
    /// The path of this rehearsal.
    pub(super) fn new(rehearsal: &Arc<Rehearsal>) -> RehearsedPath {
        RehearsedPath {
            path: EdgeRequestPath::new(rehearsal.edge()),
            rehearsal: Arc::clone(rehearsal),
        }
    }
}

impl RequestPath for RehearsedPath {
    fn clock(&self) -> &Clock {
        self.path.clock()
    }

    fn site(&self, name: &str) -> Option<SiteFacts> {
        self.path.site(name)
    }

    fn is_shielded(&self, site: &str) -> bool {
        self.path.is_shielded(site)
    }

    fn decide(&self, page: &Page, device: Device) -> Option<PageDecision> {
        self.path.decide(page, device)
    }

    fn fetch(
        &self,
        page: &Page,
        device: Device,
        purpose: FetchPurpose,
    ) -> BoxFuture<'_, WarmOutcome> {
        let prepared = self.path.prepare(page, device, purpose);
        Box::pin(async move {
            let PlanFetch {
                exchange,
                found,
                stored,
            } = match prepared {
                Ok(fetch) => fetch,
                Err(outcome) => return outcome,
            };
            let visit = Visit {
                edge: self.path.edge(),
                exchange: &exchange,
            };
            let wanting = (found, stored);
            let answer = self.rehearsal.fetch_for_plan(visit, wanting, purpose.run);
            let Ok(PlanAnswer {
                provenance,
                status,
                bytes,
            }) = answer.await
            else {
                return failed("the rehearsal has ended");
            };
            trouble_by(&provenance, status, || None).unwrap_or_else(|| {
                outcome_by(&provenance, Ok(bytes), || self.path.is_kept(&exchange))
            })
        })
    }

    fn look(&self, page: &Page, device: Device, purpose: FetchPurpose) -> WarmLookup {
        self.path.look(page, device, purpose)
    }

    /// An assumed origin takes all that it is asked.
    fn has_room(&self, _: usize, _: &Page) -> bool {
        true
    }

    fn read(&self, _: &Page, _: RunId, _: usize) -> BoxFuture<'_, Result<Vec<u8>, PageReadError>> {
        let error = PageReadError::lasting("has content that a rehearsal does not know");
        Box::pin(async { Err(error) })
    }

    fn popular(&self, site: usize, hours: Hours, n: usize) -> Vec<PopularPage> {
        self.path.popular(site, hours, n)
    }

    fn plan_warm(&self, site: usize, plan: &str, popular: &[PopularPage]) -> Vec<WarmUrl> {
        self.path.plan_warm(site, plan, popular)
    }

    fn used(&self, run: RunId) -> UsedResponses {
        self.path.used(run)
    }

    fn count(&self) {
        self.path.count();
    }

    fn traffic(&self, site: usize) -> TrafficCounts {
        self.path.traffic(site)
    }

    fn release(&self, is_over: &dyn Fn(RunId) -> bool) {
        self.path.release(is_over);
    }
}
