//! How many values the parts of keys take that policies choose: a bound for each site, so that a
//! visitor who makes values up fills neither the memory nor the store.
//!
//! A value is admitted when something of it is fetched for the first time, as long as there is room.
//! One of which nothing was fetched, and that no counted hit had, for [`KEPT_FOR`] makes room. Beyond
//! the bound requests with new values pass; those with admitted values go on as before.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tero_semantics::decision::KeyPart;
use tero_semantics::timestamp::Timestamp;

/// How long a value is kept without a request.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The values of a site.
#[derive(Debug, Default)]
pub struct KeyValues {
    admitted: Mutex<AdmittedValues>,
    /// Seeded by chance: a client can't make up values that fall on each other.
    hasher: RandomState,
    passed: AtomicU64,
}

#[derive(Debug, Default)]
struct AdmittedValues {
    /// When each was last asked for, by its hash: so a long value takes no more memory.
    last_request: HashMap<u64, Timestamp>,
    /// Before this time there is none to forget.
    next_sweep: Option<Timestamp>,
}

impl KeyValues {
    /// Whether a request with these parts may be stored: its value is admitted, or there are less
    /// than `most`, so that it is admitted now. A request that may not is counted.
    pub(super) fn admit(&self, parts: &[KeyPart], most: usize, now: Timestamp) -> bool {
        let is_admitted = self.touch(parts, most, now);
        if !is_admitted {
            self.passed.fetch_add(1, Ordering::Relaxed);
        }
        is_admitted
    }

    /// Notes a request with these parts, and whether its value is admitted.
    pub(super) fn touch(&self, parts: &[KeyPart], most: usize, now: Timestamp) -> bool {
        let value = self.hasher.hash_one(parts);
        let mut admitted = self.lock();
        if let Some(last) = admitted.last_request.get_mut(&value) {
            *last = now.max(*last);
            return true;
        }
        if admitted.last_request.len() >= most {
            admitted.forget_idle(now);
        }
        let has_room = admitted.last_request.len() < most;
        if has_room {
            admitted.last_request.insert(value, now);
        }
        has_room
    }

    /// Whether a request with these parts would be admitted. Notes nothing.
    pub(super) fn would_admit(&self, parts: &[KeyPart], most: usize, now: Timestamp) -> bool {
        let value = self.hasher.hash_one(parts);
        let admitted = self.lock();
        let values = &admitted.last_request;
        if values.contains_key(&value) || values.len() < most {
            return true;
        }
        let is_kept = |last: &&Timestamp| last.saturating_add(KEPT_FOR) > now;
        !admitted.has_none_to_forget(now) && values.values().filter(is_kept).count() < most
    }

    /// The number of values that are admitted, and of requests that passed because theirs was not.
    pub fn figures(&self) -> (usize, u64) {
        let passed = self.passed.load(Ordering::Relaxed);
        (self.lock().last_request.len(), passed)
    }

    fn lock(&self) -> MutexGuard<'_, AdmittedValues> {
        self.admitted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AdmittedValues {
    fn has_none_to_forget(&self, now: Timestamp) -> bool {
        self.next_sweep.is_some_and(|next| now < next)
    }

    /// Forgets the values without a recent request. Goes through all of them, but no more
    /// often than one can have become idle.
    fn forget_idle(&mut self, now: Timestamp) {
        if self.has_none_to_forget(now) {
            return;
        }
        self.last_request
            .retain(|_, last| last.saturating_add(KEPT_FOR) > now);
        let oldest = self.last_request.values().min();
        self.next_sweep = oldest.map(|oldest| oldest.saturating_add(KEPT_FOR));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn market(value: impl Into<String>) -> Vec<KeyPart> {
        vec![KeyPart {
            name: "market".into(),
            value: value.into().into(),
        }]
    }

    fn after(secs: u64) -> Timestamp {
        Timestamp::from_unix_secs(1_000).saturating_add(Duration::from_secs(secs))
    }

    #[test]
    fn new_values_pass_beyond_the_bound_and_admitted_ones_go_on() {
        let values = KeyValues::default();
        for number in 0..3 {
            assert!(values.would_admit(&market(number.to_string()), 3, after(0)));
            assert!(values.admit(&market(number.to_string()), 3, after(number)));
        }
        for made_up in 0..1_000 {
            let made_up = market(format!("made-up-{made_up}"));
            assert!(!values.would_admit(&made_up, 3, after(10)));
            assert!(!values.admit(&made_up, 3, after(10)));
        }
        assert!((0..3).all(|number| values.admit(&market(number.to_string()), 3, after(20))));
        assert_eq!(values.figures(), (3, 1_000));
        // A greater bound, after a reload, has room at once.
        assert!(values.admit(&market("new"), 4, after(20)));
    }

    #[test]
    fn a_value_makes_room_after_a_day_without_a_request() {
        let (values, day) = (KeyValues::default(), 86_400);
        assert!(values.admit(&market("a"), 2, after(0)));
        assert!(values.admit(&market("b"), 2, after(0)));
        assert!(values.admit(&market("b"), 2, after(day - 10)));
        assert!(!values.admit(&market("c"), 2, after(day - 1)));
        assert!(values.would_admit(&market("c"), 2, after(day)));
        assert!(values.admit(&market("c"), 2, after(day)));
        // `b` was asked for a moment ago, and stays.
        assert!(!values.admit(&market("a"), 2, after(day)));
        assert!(!values.admit(&market("a"), 2, after(2 * day - 11)));
        assert!(values.admit(&market("a"), 2, after(2 * day - 10)));
        assert_eq!(values.figures(), (2, 3));
    }

    #[test]
    fn parts_of_other_names_are_other_values() {
        let values = KeyValues::default();
        let part = |name: &str, value: &str| KeyPart {
            name: name.into(),
            value: value.into(),
        };
        for parts in [
            vec![part("a", "bc")],
            vec![part("ab", "c")],
            vec![part("a", "b"), part("c", "")],
            vec![part("c", ""), part("a", "b")],
        ] {
            values.admit(&parts, 10, after(0));
        }
        assert_eq!(values.figures().0, 4);
    }
}
