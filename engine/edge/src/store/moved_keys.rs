//! Keys that move from one map to another while a purge reads through the maps.
//!
//! Such a purge might read the new place before a key comes, and the old one after it has gone. So the thread
//! that moves a key notes it in between: after it has come, and before it goes. If no purge reads by then, a
//! later one finds the key in its new place. If one has ended by then, it has seen the key in its old
//! place.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Key;

/// The keys that have moved since a purge began to read.
#[derive(Debug, Default)]
pub(super) struct MovedKeys {
    is_read: AtomicBool,
    keys: Mutex<Vec<Key>>,
    /// Purges read one after the other.
    reading: Mutex<()>,
}

/// A purge that reads through the maps.
#[derive(Debug)]
pub(super) struct MapReading<'m> {
    moved: &'m MovedKeys,
    _only: MutexGuard<'m, ()>,
}

impl MovedKeys {
    /// Begins to read through the maps. Waits until no other purge does.
    pub(super) fn begin(&self) -> MapReading<'_> {
        let only = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_read.store(true, Ordering::SeqCst);
        MapReading {
            moved: self,
            _only: only,
        }
    }

    /// Notes a key that has come to its new place, and is about to leave its old one.
    pub(super) fn note(&self, key: &Key) {
        if self.is_read.load(Ordering::SeqCst) {
            self.lock().push(key.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MapReading<'_> {
    /// The keys that have moved since it began. Call it after all maps were read.
    pub(super) fn moved(&self) -> Vec<Key> {
        self.moved.lock().clone()
    }
}

impl Drop for MapReading<'_> {
    fn drop(&mut self) {
        self.moved.is_read.store(false, Ordering::SeqCst);
        self.moved.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::store::tests::key;

    /// What the thread that moves the key does, in this order.
    const MOVE: usize = 3;
    /// What the purge does: it begins, reads two maps, and asks what has moved.
    const READ: usize = 4;

    /// Runs the steps of both in an order: `true` is a step of the move. Returns whether the purge
    /// finds the key.
    fn finds(order: &[bool], reads_old_first: bool) -> bool {
        let (moved, page) = (MovedKeys::default(), key("/", None));
        // The maps: the old place and the new one.
        let mut maps = [HashSet::from([page.clone()]), HashSet::new()];
        let (mut reading, mut found, mut steps) = (None, false, (0, 0));
        for is_move in order {
            match (is_move, steps) {
                (true, (0, _)) => drop(maps[1].insert(page.clone())),
                (true, (1, _)) => moved.note(&page),
                (true, _) => drop(maps[0].remove(&page)),
                (false, (_, 0)) => reading = Some(moved.begin()),
                (false, (_, step @ (1 | 2))) => {
                    let map = (step == 1) != reads_old_first;
                    found |= maps[usize::from(map)].contains(&page);
                }
                (false, _) => {
                    found |= reading.take().unwrap().moved().contains(&page);
                }
            }
            match is_move {
                true => steps.0 += 1,
                false => steps.1 += 1,
            }
        }
        found
    }

    #[test]
    fn a_purge_finds_a_key_that_moves_however_their_steps_interleave() {
        let mut orders = 0;
        for bits in 0_u32..1 << (MOVE + READ) {
            let order: Vec<bool> = (0..MOVE + READ).map(|bit| bits >> bit & 1 == 1).collect();
            if order.iter().filter(|is_move| **is_move).count() == MOVE {
                orders += 1;
                assert!(finds(&order, true) && finds(&order, false), "{order:?}");
            }
        }
        assert_eq!(orders, 35);
    }
}
