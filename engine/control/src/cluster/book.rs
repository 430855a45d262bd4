//! The purges that a node knows of, by whichever way they came: the last 4,096 of them.
//!
//! Two nodes compare digests of their books, and exchange what one of them lacks. Only this finds a
//! purge that the log took and lost.

use std::collections::{HashSet, VecDeque};

use sha2::{Digest as _, Sha256};

use super::purge_log::{PurgeId, PurgeOrder, hex};

/// Purges that a book holds.
pub const BOOK_SIZE: usize = 4_096;

/// The last purges that a node knows of.
#[derive(Debug, Default)]
pub struct PurgeBook {
    /// The oldest first.
    orders: VecDeque<PurgeOrder>,
    known: HashSet<PurgeId>,
    /// What is older is not compared, in milliseconds since 1970: it may have been forgotten here.
    floor_ms: u64,
    /// The digests of all ids, combined in a way that their order doesn't matter for.
    digest: u128,
}

/// What a book says of itself, for a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookSummary {
    /// How many purges there are.
    pub count: u64,
    /// The digest of their ids, as 32 hexadecimal digits.
    pub digest: String,
    /// From when on it knows them all, in milliseconds since 1970.
    pub floor_ms: u64,
}

impl PurgeBook {
    /// An empty book, whose node knows nothing of purges before this time.
    pub fn since(floor_ms: u64) -> PurgeBook {
        PurgeBook {
            floor_ms,
            ..PurgeBook::default()
        }
    }

    /// Notes a purge, at a time in milliseconds since 1970. Returns whether it is new here.
    pub fn note(&mut self, order: &PurgeOrder, now_ms: u64) -> bool {
        if self.knows(&order.id) {
            return false;
        }
        if self.orders.len() == BOOK_SIZE
            && let Some(oldest) = self.orders.pop_front()
        {
            self.known.remove(&oldest.id);
            self.digest ^= digest_of(&oldest.id);
            // One that says that it was taken in the future must not hide all until then.
            let at_ms = oldest.at_ms.min(now_ms);
            self.floor_ms = self.floor_ms.max(at_ms.saturating_add(1));
        }
        self.digest ^= digest_of(&order.id);
        self.known.insert(order.id.clone());
        self.orders.push_back(order.clone());
        true
    }

    /// Whether it has this purge.
    pub fn knows(&self, id: &PurgeId) -> bool {
        self.known.contains(id)
    }

    /// What it says of itself.
    pub fn summary(&self) -> BookSummary {
        BookSummary {
            count: self.orders.len() as u64,
            digest: hex(&self.digest.to_be_bytes()),
            floor_ms: self.floor_ms,
        }
    }

    /// The ids and times of all.
    pub fn ids(&self) -> impl Iterator<Item = (&PurgeId, u64)> {
        self.orders.iter().map(|order| (&order.id, order.at_ms))
    }

    /// The purges with these ids, as far as they are here.
    pub fn orders(&self, ids: &[PurgeId]) -> Vec<PurgeOrder> {
        let wanted = |order: &&PurgeOrder| ids.contains(&order.id);
        self.orders.iter().filter(wanted).cloned().collect()
    }

    /// The ids that another book has and this one lacks, as far as both should have them.
    pub fn missing_here<'o>(
        &self,
        other: impl Iterator<Item = (&'o PurgeId, u64)>,
        other_floor_ms: u64,
    ) -> Vec<PurgeId> {
        let floor = self.floor_ms.max(other_floor_ms);
        let is_missing = |(id, at): &(&PurgeId, u64)| *at >= floor && !self.knows(id);
        let missing = other.filter(is_missing);
        missing.map(|(id, _)| id.clone()).take(BOOK_SIZE).collect()
    }

    /// The purges that a book with these ids lacks, as far as both should have them.
    pub fn missing_there(&self, ids: &[PurgeId], other_floor_ms: u64) -> Vec<PurgeOrder> {
        let theirs: HashSet<&PurgeId> = ids.iter().collect();
        let floor = self.floor_ms.max(other_floor_ms);
        let orders = self.orders.iter();
        let missing = orders.filter(|order| order.at_ms >= floor && !theirs.contains(&order.id));
        missing.cloned().collect()
    }
}

fn digest_of(id: &PurgeId) -> u128 {
    let digest = Sha256::digest(id.as_str());
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    u128::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::super::purge_log::OrderTarget;
    use super::*;

    /// Later than all purges.
    const NOW: u64 = 1 << 20;

    fn order(number: u64) -> PurgeOrder {
        PurgeOrder {
            id: PurgeId::parse(&format!("p{number}")).unwrap(),
            at_ms: number,
            target: OrderTarget::Tag("t".to_owned()),
            soft: false,
        }
    }

    fn book(numbers: impl IntoIterator<Item = u64>) -> PurgeBook {
        let mut book = PurgeBook::default();
        for number in numbers {
            book.note(&order(number), NOW);
        }
        book
    }

    #[test]
    fn books_with_the_same_purges_have_the_same_digest_in_any_order() {
        let (one, other) = (book([1, 2, 3]), book([3, 1, 2, 1]));
        assert_eq!(one.summary(), other.summary());
        assert_ne!(one.summary(), book([1, 2]).summary());
        assert_ne!(one.summary(), book([1, 2, 4]).summary());
    }

    #[test]
    fn the_oldest_purges_make_room_and_are_not_missed() {
        let size = BOOK_SIZE as u64;
        let full = book(1..=size + 10);
        assert_eq!(full.summary().count, size);
        assert_eq!(full.summary().floor_ms, 11);
        assert_eq!(full.summary().digest, book(11..=size + 10).summary().digest);
        // The other one has them still.
        let other = book(1..=20);
        let ids: Vec<_> = other.ids().collect();
        assert!(full.missing_here(ids.into_iter(), 0).is_empty());
    }

    #[test]
    fn each_book_gets_what_it_lacks() {
        let (one, other) = (book([1, 2, 4]), book([2, 3]));
        let lacking = one.missing_here(other.ids(), 0);
        assert_eq!(other.orders(&lacking), [order(3)]);
        let ids: Vec<PurgeId> = other.ids().map(|(id, _)| id.clone()).collect();
        assert_eq!(one.missing_there(&ids, 0), [order(1), order(4)]);
        // What was before the other began is not missing there.
        assert_eq!(one.missing_there(&ids, 2), [order(4)]);
    }

    #[test]
    fn a_purge_is_new_once() {
        let mut book = PurgeBook::since(0);
        assert!(book.note(&order(1), NOW) && book.knows(&order(1).id));
        assert!(!book.note(&order(1), NOW));
    }

    #[test]
    fn a_purge_of_the_future_hides_nothing_when_it_makes_room() {
        for (at_ms, floor_ms) in [(NOW - 1, NOW), (NOW, NOW + 1), (u64::MAX, NOW + 1)] {
            let mut book = PurgeBook::default();
            let first = PurgeOrder { at_ms, ..order(0) };
            book.note(&first, NOW);
            for number in 1..=BOOK_SIZE as u64 {
                book.note(&order(number), NOW);
            }
            assert!(!book.knows(&first.id));
            assert_eq!(book.summary().floor_ms, floor_ms);
        }
    }
}
