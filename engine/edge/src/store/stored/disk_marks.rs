//! What a stored response knows of its disk.

use std::sync::atomic::{AtomicU8, Ordering};

/// It is on a disk, or on its way there.
const CLAIMED: u8 = 1;
/// Its content is on the disk, perhaps under an older head.
const CONTENT: u8 = 2;
/// Another one has replaced it, or it was withdrawn: it must not be found there any more.
const REPLACED: u8 = 4;
/// It is there with this head and its content: nothing of it is on its way.
const WRITTEN: u8 = 8;
/// A copy has taken its place in memory: it isn't written any more, but may be found there.
const SUPERSEDED: u8 = 16;

/// The marks.
#[derive(Debug, Default)]
pub struct DiskMarks(AtomicU8);

impl DiskMarks {
    /// Marks a response as on a disk, or on its way there. Returns whether it was already.
    pub(in crate::store) fn claim(&self) -> bool {
        self.0.fetch_or(CLAIMED, Ordering::SeqCst) & CLAIMED != 0
    }

    /// It isn't on its way any more, and isn't there with this head.
    pub(in crate::store) fn give_up(&self) {
        self.0.fetch_and(!(CLAIMED | WRITTEN), Ordering::SeqCst);
    }

    /// Whether it is on a disk, or on its way there.
    pub(in crate::store) fn is_claimed(&self) -> bool {
        self.has(CLAIMED)
    }

    /// A copy of the same response takes the place of `old` in memory: `old` isn't written any more, and
    /// what it has written is its own. Returns whether `old` was on its way, so that the copy has to be
    /// offered.
    pub(in crate::store) fn take_over(&self, old: &DiskMarks) -> bool {
        let marks = old.0.fetch_or(SUPERSEDED, Ordering::SeqCst);
        let mut kept = 0;
        if marks & REPLACED == 0 {
            kept = marks & CONTENT;
            if marks & WRITTEN != 0 {
                kept |= marks & (CLAIMED | WRITTEN);
            }
        }
        self.0.store(kept, Ordering::SeqCst);
        marks & CLAIMED != 0 && kept & CLAIMED == 0
    }

    /// As [`DiskMarks::take_over`], under a new head, which isn't written yet.
    pub(in crate::store) fn follow(&self, old: &DiskMarks) -> bool {
        let was_on_its_way = self.take_over(old);
        self.give_up();
        was_on_its_way
    }

    /// It is on the disk with its content. Returns whether it was replaced or withdrawn meanwhile.
    pub(in crate::store) fn wrote_content(&self) -> bool {
        self.0.fetch_or(CONTENT | WRITTEN, Ordering::SeqCst) & REPLACED != 0
    }

    /// Whether its content is on the disk, perhaps under an older head.
    pub(in crate::store) fn has_content(&self) -> bool {
        self.has(CONTENT)
    }

    /// It must not be found on a disk any more.
    pub(in crate::store) fn replace(&self) {
        self.0.fetch_or(REPLACED, Ordering::SeqCst);
    }

    /// Whether it must not be found on a disk any more.
    pub(in crate::store) fn is_replaced(&self) -> bool {
        self.has(REPLACED)
    }

    /// Whether a copy of it is written in its place.
    pub(in crate::store) fn is_superseded(&self) -> bool {
        self.has(SUPERSEDED)
    }

    /// The marks of the same content under a new head.
    pub(super) fn for_new_head(&self) -> DiskMarks {
        let marks = self.0.load(Ordering::SeqCst);
        DiskMarks(AtomicU8::new(match marks & REPLACED {
            0 => marks & CONTENT,
            _ => 0,
        }))
    }

    /// The marks of the same response.
    pub(super) fn copied(&self) -> DiskMarks {
        DiskMarks(AtomicU8::new(self.0.load(Ordering::SeqCst)))
    }

    fn has(&self, mark: u8) -> bool {
        self.0.load(Ordering::SeqCst) & mark != 0
    }
}
