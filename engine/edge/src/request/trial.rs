//! Candidate versions of policies as requests meet them: a canary answers for a share of the keys,
//! a shadow is asked about a share of the requests after they were answered. Where there is
//! neither, a request pays for one branch.

mod share;

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::quality::FixedState;
use http::{HeaderMap, StatusCode};

use super::admit::Exchange;
use crate::telemetry::Outcome;
use crate::telemetry::trial_counters::{TrialCounters, TrialGroup};
use tero_policy_host::compare::{ComparedRequest, Comparison};
use tero_policy_host::device::classify;
use tero_policy_host::{Chain, PolicyRequest, PolicyResponse};
use tero_semantics::decision::ResponseDecision;
use tero_semantics::key;
use tero_semantics::timestamp::Timestamp;

pub use share::Share;

/// A version that answers for a share of a site's keys in the place of the active one.
#[derive(Clone, Debug)]
pub struct Canary {
    /// The policy.
    pub policy: Arc<str>,
    /// The site's policies with the candidate among them.
    pub chain: Chain,
    /// Of the keys.
    pub share: Share,
    /// Says which keys: the same for one version on every edge, and more of them when the share
    /// grows.
    pub seed: u64,
    /// What happened, all sites of the policy together.
    pub counters: Arc<TrialCounters>,
}

impl Canary {
    /// Whether the candidate answers for this request. It goes by the key before any variant: what
    /// of the query counts is what the active version says, which `exchange` holds by now.
    pub(super) fn takes(&self, exchange: &Exchange) -> bool {
        let uri = &exchange.parts.uri;
        let query = key::canonical_query(uri.query(), &exchange.decision.query);
        let mut hasher = FixedState::with_seed(self.seed).build_hasher();
        for part in [
            exchange.host.as_bytes(),
            uri.path().as_bytes(),
            query.as_deref().unwrap_or_default().as_bytes(),
        ] {
            hasher.write(part);
            hasher.write_u8(0xff);
        }
        self.share.holds(hasher.finish())
    }
}

/// A version that is asked about a share of a site's requests after they were answered.
#[derive(Debug)]
pub struct Shadow {
    /// The policy.
    pub policy: Arc<str>,
    /// The site's policies with the candidate among them.
    pub chain: Chain,
    /// Of the requests.
    pub share: Share,
    /// What came of it, all sites of the policy together.
    pub tally: Arc<ShadowTally>,
    /// To the thread that asks.
    pub queue: SyncSender<ShadowQuestion>,
}

/// What came of asking a shadow.
#[derive(Debug, Default)]
pub struct ShadowTally {
    comparison: Mutex<Comparison>,
    left_out: AtomicU64,
}

impl ShadowTally {
    /// Agreements and differences so far.
    pub fn comparison(&self) -> Comparison {
        self.comparison
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Questions that found the queue full.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }
}

/// A question that waits for a shadow.
#[derive(Debug)]
pub struct ShadowQuestion {
    shadow: Arc<Shadow>,
    exchange: Arc<Exchange>,
    /// About the response, where it came from the origin.
    response: Option<Box<JudgedResponse>>,
}

/// A response of the origin, and what was decided about it.
#[derive(Debug)]
struct JudgedResponse {
    at: Timestamp,
    status: StatusCode,
    headers: HeaderMap,
    length: Option<u64>,
    header_ttl: Option<Duration>,
    header_browser_ttl: Option<Duration>,
    decision: ResponseDecision,
}

impl ShadowQuestion {
    /// Asks the shadow, and counts whether it agrees.
    pub fn ask(self) {
        let ShadowQuestion {
            shadow,
            exchange,
            response,
        } = self;
        let mut ask = exchange.ask();
        if shadow.chain.needs_device() && !exchange.site.needs_device {
            ask.device = classify(ask.headers);
        }
        let about = ComparedRequest {
            at: exchange.at,
            host: &exchange.host,
            target: exchange
                .parts
                .uri
                .path_and_query()
                .map_or("/", |target| target.as_str()),
            device: ask.device.as_str(),
        };
        let count = |compare: &dyn Fn(&mut Comparison)| {
            compare(
                &mut shadow
                    .tally
                    .comparison
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
            );
        };
        let decision = shadow.chain.on_request(&ask, exchange.at);
        match response {
            None => count(&|comparison| comparison.request(&about, &exchange.decision, &decision)),
            Some(seen) => {
                let JudgedResponse {
                    at,
                    status,
                    headers,
                    ..
                } = &*seen;
                let answered = PolicyResponse {
                    status: *status,
                    headers,
                    length: seen.length,
                    header_ttl: seen.header_ttl,
                    header_browser_ttl: seen.header_browser_ttl,
                    key: &exchange.key,
                };
                let ask = PolicyRequest {
                    variant: decision.variant.as_deref(),
                    ..ask
                };
                let decision = shadow.chain.on_response(&ask, &answered, *at);
                count(&|comparison| comparison.response(&about, &seen.decision, &decision));
            }
        }
    }
}

/// Has a request that was answered count in the trials of its site, and puts it to shadows that
/// drew it.
pub(super) fn record(exchange: &Arc<Exchange>, outcome: Outcome) {
    if let Some(canary) = &exchange.site.canary {
        canary.counters.record(group_of(exchange), outcome);
    }
    offer_to_shadows(exchange, || None);
}

/// Puts an origin's response to shadows that drew it.
pub(super) fn record_response(
    exchange: &Arc<Exchange>,
    answered: &PolicyResponse<'_>,
    decision: &ResponseDecision,
    at: Timestamp,
) {
    offer_to_shadows(exchange, || {
        Some(Box::new(JudgedResponse {
            at,
            status: answered.status,
            headers: answered.headers.clone(),
            length: answered.length,
            header_ttl: answered.header_ttl,
            header_browser_ttl: answered.header_browser_ttl,
            decision: decision.clone(),
        }))
    });
}

/// Has a request to the origin count in the canary's trial.
pub(super) fn record_origin(exchange: &Exchange) {
    if let Some(canary) = &exchange.site.canary {
        canary.counters.record_origin(group_of(exchange));
    }
}

fn group_of(exchange: &Exchange) -> TrialGroup {
    if exchange.is_canary {
        TrialGroup::Canary
    } else {
        TrialGroup::Control
    }
}

fn offer_to_shadows(exchange: &Arc<Exchange>, response: impl Fn() -> Option<Box<JudgedResponse>>) {
    // A shadow is compared with the active version, and not with another candidate.
    if exchange.is_canary {
        return;
    }
    for shadow in exchange
        .site
        .shadows
        .iter()
        .filter(|shadow| shadow.share.holds(random()))
    {
        let question = ShadowQuestion {
            shadow: Arc::clone(shadow),
            exchange: Arc::clone(exchange),
            response: response(),
        };
        if shadow.queue.try_send(question).is_err() {
            shadow.tally.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A number of this thread's own sequence (splitmix64): which requests are asked about need not be
/// a secret, but must not go by turns.
fn random() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(foldhash::fast::RandomState::default().hash_one(0));
    }
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_a_share_of_random_numbers_is_held() {
        let share = Share::parse("10%").unwrap();
        let held = (0..100_000).filter(|_| share.holds(random())).count();
        assert!(held.abs_diff(10_000) < 600, "{held}");
    }
}
