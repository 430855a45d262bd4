//! Questions to shadows: put to a queue by requests, asked by a thread of their own. A full queue
//! leaves questions out; requests never wait for it.

use std::cell::Cell;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::exchange::Exchange;
use super::shadow::Shadow;
use tero_policy_host::compare::{ComparedRequest, Comparison};
use tero_policy_host::device::{DeviceFields, class_of, source_of};
use tero_policy_host::{PolicyRequest, PolicyResponse};
use tero_semantics::decision::ResponseDecision;
use tero_semantics::timestamp::Timestamp;

/// The way of questions to the thread that asks shadows.
#[derive(Clone, Debug)]
pub struct ShadowQueue(SyncSender<ShadowQuestion>);

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
            let fields = DeviceFields::of(ask.headers);
            ask.device = class_of(fields, &exchange.site.device_models);
        }
        if shadow.chain.needs_device() && !exchange.site.needs_device_source {
            ask.device_source = source_of(ask.headers, ask.device);
        }
        let about = ComparedRequest {
            at: exchange.wall(),
            host: exchange.authority.host(),
            target: exchange
                .parts
                .uri
                .path_and_query()
                .map_or("/", |target| target.as_str()),
            device: ask.device.as_str(),
        };
        let count = |compare: &dyn Fn(&mut Comparison)| shadow.tally.compare(compare);
        let decision = shadow.chain.on_request(&ask, exchange.wall());
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

impl ShadowQueue {
    /// A queue that holds so many questions, and its end.
    pub fn new(bound: usize) -> (ShadowQueue, Receiver<ShadowQuestion>) {
        let (queue, questions) = sync_channel(bound);
        (ShadowQueue(queue), questions)
    }

    /// Puts a request that was answered to the shadows of its site that drew it.
    pub(super) fn offer_request(&self, exchange: &Arc<Exchange>) {
        self.offer(exchange, || None);
    }

    /// Puts an origin's response to the shadows that drew it.
    pub(super) fn offer_response(
        &self,
        exchange: &Arc<Exchange>,
        answered: &PolicyResponse<'_>,
        decision: &ResponseDecision,
        at: Timestamp,
    ) {
        self.offer(exchange, || {
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

    fn offer(&self, exchange: &Arc<Exchange>, response: impl Fn() -> Option<Box<JudgedResponse>>) {
        // A shadow is compared with the active version, and not with another candidate.
        if exchange.is_canary {
            return;
        }
        let shadows = exchange.site.shadows.iter();
        for shadow in shadows.filter(|shadow| shadow.share.holds(random())) {
            let question = ShadowQuestion {
                shadow: Arc::clone(shadow),
                exchange: Arc::clone(exchange),
                response: response(),
            };
            if self.0.try_send(question).is_err() {
                shadow.tally.leave_out();
            }
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
    use tero_config::units::Share;

    #[test]
    fn about_a_share_of_random_numbers_is_held() {
        let share = Share::parse("10%").unwrap();
        let held = (0..100_000).filter(|_| share.holds(random())).count();
        assert!(held.abs_diff(10_000) < 600, "{held}");
    }
}
