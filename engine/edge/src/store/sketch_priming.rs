//! The size of the frequency sketch of the main cache.
//!
//! moka sizes the sketch once, when half of the memory is in use. Where entries have weights, 0.12.16
//! takes a quarter of the entries that a full cache will have (`docs/upstream/moka-sketch.md`), and
//! the sketch forgets four times too fast. So until then, each entry gets a placeholder of no weight
//! beside it, and shortly before that a ballast fills the rest of the memory for a moment: moka finds
//! as many entries as a full cache will have, in a full cache. Its formula and the one that was meant
//! give the same then, so an update of moka does no harm. The placeholders leave again with the next
//! entries that come.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::response_map::ResponseMap;
use super::{Key, Variants};

/// The ballast comes when this share of the memory is in use, in percent: before moka's half.
const SIZED_AT: u64 = 45;
/// The share of the memory that is in use with the ballast, in percent. The rest is for what comes
/// meanwhile.
const FILLED_TO: u64 = 95;
/// Placeholders for four entries: with them, there are as many as a full cache has.
const PLACEHOLDERS_FOR_FOUR: u64 = 5;
/// How many placeholders come or leave with an entry, at most.
const AT_ONCE: u64 = 2;

/// Makes moka size its sketch for a full cache.
#[derive(Debug)]
pub(super) struct SketchPriming {
    memory: u64,
    is_over: AtomicBool,
    step: Mutex<PrimingStep>,
    entries: PrimingEntries,
}

/// What the map has to know of entries without responses. Clones are of the same.
#[derive(Clone, Debug, Default)]
pub(super) struct PrimingEntries(Arc<EntryFigures>);

#[derive(Debug, Default)]
struct EntryFigures {
    /// The weight of ballast, in bytes.
    ballast: AtomicU32,
    /// Placeholders in the map.
    placeholders: AtomicU64,
}

/// What is to be done with the next entry.
#[derive(Debug)]
enum PrimingStep {
    /// Placeholders come; so many did.
    Add(u64),
    /// The sketch has its size. Placeholders leave, from this number on, up to that one.
    Remove(u64, u64),
}

impl PrimingEntries {
    /// The weight of an entry without responses: ballast or a placeholder.
    pub(super) fn weight(&self, key: &Key) -> u32 {
        if key.as_bytes().starts_with(BALLAST) {
            self.0.ballast.load(Ordering::Relaxed)
        } else {
            0
        }
    }

    /// An entry without responses has left the map.
    pub(super) fn note_departure(&self, key: &Key) {
        if key.as_bytes().starts_with(PLACEHOLDER) {
            self.0.placeholders.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// How keys begin that no request has: those have a scheme first.
const PLACEHOLDER: &[u8] = b"\nplaceholder\n";
const BALLAST: &[u8] = b"\nballast\n";

fn numbered(beginning: &[u8], number: u64) -> Key {
    Key::new(&[beginning, &number.to_be_bytes()].concat())
}

impl SketchPriming {
    /// For a map of this memory, in bytes, with these entries.
    pub(super) fn new(memory: u64, entries: PrimingEntries) -> SketchPriming {
        SketchPriming {
            memory,
            is_over: AtomicBool::new(memory == 0),
            step: Mutex::new(PrimingStep::Add(0)),
            entries,
        }
    }

    /// Call it before an entry with a new key comes into `map`, which will then weigh `weight` with
    /// all that comes.
    #[inline]
    pub(super) fn before_entry(&self, map: &ResponseMap, weight: u64) {
        if !self.is_over.load(Ordering::Relaxed) {
            self.take_step(map, weight);
        }
    }

    /// The number of placeholders in the map, which `entry_count` counts too.
    pub(super) fn placeholders(&self) -> u64 {
        self.entries.0.placeholders.load(Ordering::Relaxed)
    }

    #[cold]
    fn take_step(&self, map: &ResponseMap, weight: u64) {
        // Where another thread is at it, it has done enough.
        let Ok(mut step) = self.step.try_lock() else {
            return;
        };
        match &mut *step {
            PrimingStep::Add(added) if weight >= self.memory / 100 * SIZED_AT => {
                self.have_sketch_sized(map);
                *step = PrimingStep::Remove(0, *added);
            }
            PrimingStep::Add(added) => {
                let entries = map.entry_count().saturating_sub(*added) + 1;
                let wanted = entries * PLACEHOLDERS_FOR_FOUR / 4;
                let more = wanted.saturating_sub(*added).min(AT_ONCE);
                self.entries
                    .0
                    .placeholders
                    .fetch_add(more, Ordering::Relaxed);
                for number in *added..*added + more {
                    map.insert(numbered(PLACEHOLDER, number), Variants::none());
                }
                *added += more;
            }
            PrimingStep::Remove(next, end) => {
                let until = (*next + AT_ONCE).min(*end);
                for number in *next..until {
                    map.invalidate(&numbered(PLACEHOLDER, number));
                }
                *next = until;
                self.is_over.store(until == *end, Ordering::Relaxed);
            }
        }
    }

    fn have_sketch_sized(&self, map: &ResponseMap) {
        map.run_pending_tasks();
        let rest = (self.memory / 100 * FILLED_TO).saturating_sub(map.weighted_size());
        let count = rest.div_ceil(u64::from(u32::MAX)).max(1);
        let weight = u32::try_from(rest / count).unwrap_or(u32::MAX);
        self.entries.0.ballast.store(weight, Ordering::Relaxed);
        (0..count).for_each(|number| map.insert(numbered(BALLAST, number), Variants::none()));
        map.run_pending_tasks();
        (0..count).for_each(|number| map.invalidate(&numbered(BALLAST, number)));
        map.run_pending_tasks();
    }
}
