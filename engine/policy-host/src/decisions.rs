//! The decision cache: one cache for all sites, limited by bytes.
//!
//! Eviction is plain least-recently-used. Admission by frequency would keep out every decision of a
//! new minute as long as the decisions of the old minute, which are never used again, were used
//! more often.
//!
//! In front of the cache each thread keeps the few decisions that it used last. A key holds all
//! that its decision depends on, so a kept decision is never wrong; it only stops being asked for.

use std::cell::RefCell;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use foldhash::quality::RandomState;
use http::{HeaderName, HeaderValue};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use tero_semantics::decision::{ExtendedDecision, QueryParameters, RequestDecision};
use tero_semantics::field_edits::FieldEdits;

/// The bytes that the cache needs for an entry beyond key and decision: its nodes and its share of
/// the tables.
const ENTRY_BYTES: usize = 200;
/// How many counters there are. Each lies on its own cache line, so that threads do not wait for
/// each other.
const STRIPES: usize = 16;

/// How many decisions each thread keeps.
const KEPT_BY_THREAD: usize = 256;
/// Keys of this many bytes or more are not kept by threads. So each thread keeps at most a quarter of a
/// mebibyte of keys.
const MAX_KEPT_KEY: usize = 1024;

/// The counters of the decision cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecisionCounters {
    /// Requests whose decision was remembered.
    pub hits: u64,
    /// Requests for which the policies were asked.
    pub misses: u64,
    /// Decisions that are remembered now.
    pub entries: u64,
    /// The bytes that they take.
    pub bytes: u64,
}

/// All inputs of a decision, as `question` encodes them.
type DecisionKey = Box<[u8]>;
type RememberedInputs = Option<(DecisionKey, Arc<RequestDecision>)>;

thread_local! {
    static KEPT: RefCell<Vec<RememberedInputs>> = RefCell::new((0..KEPT_BY_THREAD).map(|_| None).collect());
}

/// The decision cache.
#[derive(Debug)]
pub(super) struct Decisions {
    cache: Cache<DecisionKey, Arc<RequestDecision>, RandomState>,
    hasher: RandomState,
    stripes: [Stripe; STRIPES],
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Decisions {
    pub(super) fn new(bytes: u64) -> Decisions {
        let cache = Cache::builder()
            .name("decisions")
            .max_capacity(bytes)
            .weigher(|key: &DecisionKey, decision: &Arc<RequestDecision>| weight(key, decision))
            .eviction_policy(EvictionPolicy::lru())
            .build_with_hasher(RandomState::default());
        Decisions {
            cache,
            hasher: RandomState::default(),
            stripes: Default::default(),
        }
    }

    /// The decision remembered under this key.
    pub(super) fn recall(&self, key: &[u8]) -> Option<Arc<RequestDecision>> {
        let decision = match key.len() {
            MAX_KEPT_KEY.. => self.cache.get(key)?,
            _ => KEPT.with_borrow_mut(|kept| {
                let place = self.place_in(kept, key);
                kept_under(place, key).or_else(|| {
                    let decision = self.cache.get(key)?;
                    *place = Some((key.into(), Arc::clone(&decision)));
                    Some(decision)
                })
            })?,
        };
        self.count_hit();
        Some(decision)
    }

    /// The decision that this thread keeps under this key.
    pub(super) fn recall_kept(&self, key: &[u8]) -> Option<Arc<RequestDecision>> {
        let decision = KEPT.with_borrow_mut(|kept| kept_under(self.place_in(kept, key), key))?;
        self.count_hit();
        Some(decision)
    }

    /// Keeps a decision in this thread alone.
    pub(super) fn keep(&self, key: &[u8], decision: &Arc<RequestDecision>) {
        if key.len() < MAX_KEPT_KEY {
            KEPT.with_borrow_mut(|kept| {
                *self.place_in(kept, key) = Some((key.into(), Arc::clone(decision)));
            });
        }
    }

    fn place_in<'k>(
        &self,
        kept: &'k mut [RememberedInputs],
        key: &[u8],
    ) -> &'k mut RememberedInputs {
        &mut kept[self.hasher.hash_one(key) as usize % KEPT_BY_THREAD]
    }

    fn count_hit(&self) {
        self.stripes[stripe()].hits.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request for which the policies are asked.
    pub(super) fn count_miss(&self) {
        self.stripes[stripe()]
            .misses
            .fetch_add(1, Ordering::Relaxed);
    }

    /// Remembers a decision under this key.
    pub(super) fn remember(&self, key: &[u8], decision: &Arc<RequestDecision>) {
        self.cache.insert(key.into(), Arc::clone(decision));
    }

    /// Drops the decisions whose keys begin with these bytes. Copies that threads keep are not
    /// dropped, but they are no longer asked for and are overwritten in time.
    pub(super) fn forget(&self, beginning: &[u8]) {
        for (key, _) in self
            .cache
            .iter()
            .filter(|(key, _)| key.starts_with(beginning))
        {
            self.cache.invalidate(&**key);
        }
    }

    /// The counters now. moka's pending work is done first, so that they are exact.
    pub(super) fn counters(&self) -> DecisionCounters {
        self.cache.run_pending_tasks();
        let sum = |count: fn(&Stripe) -> &AtomicU64| {
            self.stripes
                .iter()
                .map(|stripe| count(stripe).load(Ordering::Relaxed))
                .sum()
        };
        DecisionCounters {
            hits: sum(|stripe| &stripe.hits),
            misses: sum(|stripe| &stripe.misses),
            entries: self.cache.entry_count(),
            bytes: self.cache.weighted_size(),
        }
    }
}

fn kept_under(place: &RememberedInputs, key: &[u8]) -> Option<Arc<RequestDecision>> {
    let (known, decision) = place.as_ref()?;
    (**known == *key).then(|| Arc::clone(decision))
}

fn weight(key: &[u8], decision: &RequestDecision) -> u32 {
    let patterns = match &decision.query.parameters {
        QueryParameters::All => 0,
        QueryParameters::Ignore(names) | QueryParameters::Only(names) => names
            .iter()
            .map(|name| name.capacity() + size_of::<String>())
            .sum(),
    };
    // The variant's name belongs to the chain and is shared.
    let decided = size_of::<RequestDecision>()
        + decision.reason.as_ref().map_or(0, |reason| reason.len())
        + decision.extended.as_deref().map_or(0, extended_weight)
        + patterns;
    u32::try_from(key.len() + decided + ENTRY_BYTES).unwrap_or(u32::MAX)
}

/// The bytes of what else was decided. Names of origins and classes belong to the policies and are
/// shared.
fn extended_weight(extended: &ExtendedDecision) -> usize {
    let parts: usize = extended
        .key_parts
        .iter()
        .map(|part| size_of_val(part) + part.name.len() + part.value.len())
        .sum();
    let origin = &extended.origin;
    let texts = [&origin.path, &origin.query].into_iter().flatten();
    let answer = extended.answer.as_deref().map_or(0, |answer| {
        size_of_val(answer) + fields_weight(&answer.fields) + answer.body.len()
    });
    size_of_val(extended)
        + parts
        + texts.map(|text| text.len()).sum::<usize>()
        + edits_weight(&origin.fields)
        + edits_weight(&extended.response_fields)
        + answer
        + extended.log_tag.as_ref().map_or(0, |tag| tag.len())
        + extended.sealed_suffix.as_ref().map_or(0, |it| it.len())
}

fn edits_weight(edits: &FieldEdits) -> usize {
    let removed = edits.remove.iter();
    fields_weight(&edits.set) + removed.map(size_of_val).sum::<usize>()
}

fn fields_weight(fields: &[(HeaderName, HeaderValue)]) -> usize {
    let names = |(name, value): &(HeaderName, HeaderValue)| name.as_str().len() + value.len();
    size_of_val(fields) + fields.iter().map(names).sum::<usize>()
}

/// The index of this thread's counters.
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static STRIPE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
    }
    STRIPE.with(|stripe| *stripe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_semantics::decision::PolicyAnswer;

    #[test]
    fn a_full_cache_takes_new_decisions_and_stays_within_its_bytes() {
        let decisions = Decisions::new(64 << 10);
        let decision = Arc::new(RequestDecision::default());
        for _ in 0..20 {
            for key in 0_u32..50 {
                decisions.remember(&key.to_le_bytes(), &decision);
                decisions.recall(&key.to_le_bytes());
            }
        }
        for key in 1_000_u32..3_000 {
            decisions.remember(&key.to_le_bytes(), &decision);
        }
        decisions.cache.run_pending_tasks();
        assert!(decisions.counters().bytes <= 64 << 10);
        assert!(decisions.recall(&2_999_u32.to_le_bytes()).is_some());
        assert!(!decisions.cache.contains_key(&0_u32.to_le_bytes()[..]));
    }

    #[test]
    fn a_decision_weighs_all_that_it_holds() {
        let plain = weight(b"k", &RequestDecision::default());
        let body: Arc<[u8]> = vec![b'x'; 60_000].into();
        let answering = RequestDecision {
            extended: Some(Box::new(ExtendedDecision {
                answer: Some(Arc::new(PolicyAnswer {
                    status: http::StatusCode::OK,
                    fields: Vec::new(),
                    body,
                })),
                sealed_suffix: Some(vec![b's'; 5_000].into()),
                ..ExtendedDecision::default()
            })),
            ..RequestDecision::default()
        };
        let weighed = weight(b"k", &answering);
        assert!((65_000..66_000).contains(&(weighed - plain)), "{weighed}");
    }

    #[test]
    fn hits_and_misses_are_counted() {
        let decisions = Decisions::new(64 << 10);
        assert!(decisions.recall(b"k").is_none());
        decisions.count_miss();
        decisions.remember(b"k", &Arc::default());
        assert!(decisions.recall(b"k").is_some());
        let DecisionCounters { hits, misses, .. } = decisions.counters();
        assert_eq!((hits, misses), (1, 1));
    }

    #[test]
    fn a_kept_decision_takes_no_room_of_others() {
        let decisions = Decisions::new(64 << 10);
        decisions.keep(b"k", &Arc::default());
        assert!(decisions.recall_kept(b"k").is_some() && decisions.recall_kept(b"other").is_none());
        assert_eq!(decisions.counters().entries, 0);
        assert_eq!(decisions.counters().hits, 1);
    }

    #[test]
    fn decisions_kept_by_a_thread_are_found_only_by_their_whole_key() {
        let decisions = Decisions::new(64 << 10);
        let decided = |variant: &str| {
            Arc::new(RequestDecision {
                variant: Some(variant.into()),
                ..RequestDecision::default()
            })
        };
        for number in 0_u32..2_000 {
            decisions.remember(&number.to_be_bytes(), &decided(&number.to_string()));
            let recalled = decisions.recall(&number.to_be_bytes()).unwrap();
            assert_eq!(recalled.variant.as_deref(), Some(&*number.to_string()));
        }
        let long = vec![b'k'; MAX_KEPT_KEY];
        decisions.remember(&long, &decided("long"));
        assert!(decisions.recall(&long).is_some());
        decisions.cache.invalidate(&*long);
        assert!(decisions.recall(&long).is_none(), "a long key is not kept");
    }
}
