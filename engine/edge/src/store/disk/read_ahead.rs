//! The memory of pieces that are read from disks before their clients take them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tero_state::segments::layout::PIECE_BYTES;

/// The bytes of all pieces that are read ahead, for all clients together. Beyond it, each client has one piece
/// read for it, when it has taken the one before.
pub(super) const READ_AHEAD_BYTES: u64 = 32 << 20;

/// The pieces that are in memory for clients of all disks.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    used: AtomicU64,
}

/// The room of a piece. It is given back when this is dropped.
#[derive(Debug)]
pub(super) struct PieceRoom(Arc<ReadAhead>);

/// A piece that is counted for as long as anyone has it.
struct PieceAhead {
    bytes: Bytes,
    _room: PieceRoom,
}

impl ReadAhead {
    /// Whether there is room for a piece.
    pub(super) fn has_room(&self) -> bool {
        self.used() + PIECE_BYTES as u64 <= READ_AHEAD_BYTES
    }

    /// Takes room for so many pieces, or for as many as there is room for: for one in any case.
    pub(super) fn take(self: &Arc<ReadAhead>, pieces: usize) -> Vec<PieceRoom> {
        self.used.fetch_add(PIECE_BYTES as u64, Ordering::Relaxed);
        let first = PieceRoom(Arc::clone(self));
        let more = std::iter::from_fn(|| self.take_one()).take(pieces.saturating_sub(1));
        std::iter::once(first).chain(more).collect()
    }

    fn take_one(self: &Arc<ReadAhead>) -> Option<PieceRoom> {
        let with_one = |used: u64| {
            let used = used + PIECE_BYTES as u64;
            (used <= READ_AHEAD_BYTES).then_some(used)
        };
        let order = Ordering::Relaxed;
        let taken = self.used.fetch_update(order, order, with_one);
        taken.is_ok().then(|| PieceRoom(Arc::clone(self)))
    }

    /// The bytes that are in use.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl PieceRoom {
    /// Has a piece take this room.
    pub(super) fn hold(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(PieceAhead { bytes, _room: self })
    }
}

impl Drop for PieceRoom {
    fn drop(&mut self) {
        self.0.used.fetch_sub(PIECE_BYTES as u64, Ordering::Relaxed);
    }
}

impl AsRef<[u8]> for PieceAhead {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
