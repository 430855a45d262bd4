//! The bytes of a fill, and the tasks that wait for more of them or for room.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::{BufMut, Bytes, BytesMut};

use super::super::stored::StoredBody;
use super::{FillError, FillLimits, LAG_BYTES};

/// Pieces smaller than this, in bytes, are joined as they come: an origin that sends single bytes
/// shouldn't cost a structure for each.
const JOIN_BELOW: usize = 16 * 1024;

/// The changing part of a fill.
#[derive(Debug)]
pub(super) struct FillState {
    pub(super) pieces: VecDeque<Bytes>,
    /// How many of the first pieces have their final size. Only while retaining.
    pub(super) joined: usize,
    /// The offset of the first byte in `pieces`: 0 while retaining. A reader whose next byte lies
    /// before it has fallen behind.
    pub(super) base: u64,
    /// Bytes received in all.
    pub(super) received: u64,
    /// Bytes taken from the budget: those of the head and of `pieces`, until the store has them.
    pub(super) reserved: u64,
    pub(super) retains: bool,
    pub(super) end: Option<Result<(), FillError>>,
    /// `None` is a free slot.
    pub(super) readers: Vec<Option<ReaderSlot>>,
    /// The writer, while it waits for room or for the last reader to leave.
    pub(super) writer: Option<Waker>,
}

/// A reader of the fill.
#[derive(Debug)]
pub(super) struct ReaderSlot {
    /// The offset of its next byte.
    pub(super) offset: u64,
    /// The reader's task, while it waits for more.
    pub(super) waker: Option<Waker>,
}

impl FillState {
    /// No byte received, no reader; `head_bytes` were taken from the budget.
    pub(super) fn new(retains: bool, head_bytes: u64) -> FillState {
        FillState {
            pieces: VecDeque::new(),
            joined: 0,
            base: 0,
            received: 0,
            reserved: head_bytes,
            retains,
            end: None,
            readers: Vec::new(),
            writer: None,
        }
    }

    /// Adds a reader at the first byte; returns its slot.
    pub(super) fn add_reader(&mut self) -> usize {
        let reader = Some(ReaderSlot {
            offset: 0,
            waker: None,
        });
        if let Some(free) = self.readers.iter().position(Option::is_none) {
            self.readers[free] = reader;
            return free;
        }
        self.readers.push(reader);
        self.readers.len() - 1
    }

    /// The offset of the quickest reader; `None` if all have left or fallen behind.
    pub(super) fn quickest_offset(&self) -> Option<u64> {
        self.offsets().max()
    }

    /// The offsets of the readers that have not fallen behind.
    fn offsets(&self) -> impl Iterator<Item = u64> {
        let readers = self.readers.iter().flatten();
        readers
            .map(|reader| reader.offset)
            .filter(|offset| *offset >= self.base)
    }

    /// Copies `piece` to the end: a slice of the read buffer would keep all of it alive.
    pub(super) fn append(&mut self, piece: &[u8]) {
        if self.retains && self.loose_bytes() + piece.len() > StoredBody::ONE_PIECE as usize {
            self.join();
        }
        let is_loose = self.pieces.len() > self.joined;
        match self.pieces.back_mut() {
            Some(last) if is_loose && last.len() < JOIN_BELOW => {
                let mut joined = BytesMut::with_capacity(last.len() + piece.len());
                joined.put_slice(last);
                joined.put_slice(piece);
                *last = joined.freeze();
            }
            _ => self.pieces.push_back(Bytes::copy_from_slice(piece)),
        }
    }

    /// Bytes of the pieces that came since pieces were last joined.
    fn loose_bytes(&self) -> usize {
        self.pieces.range(self.joined..).map(Bytes::len).sum()
    }

    /// Makes one piece of those. Fewer pieces take fewer system calls to send.
    fn join(&mut self) {
        if self.pieces.len() > self.joined + 1 {
            let mut joined = BytesMut::with_capacity(self.loose_bytes());
            self.pieces
                .drain(self.joined..)
                .for_each(|piece| joined.put_slice(&piece));
            self.pieces.push_back(joined.freeze());
        }
        self.joined = self.pieces.len();
    }

    /// All pieces, if they were retained.
    pub(super) fn kept(&mut self) -> Option<Vec<Bytes>> {
        if !self.retains {
            return None;
        }
        self.join();
        Some(self.pieces.iter().cloned().collect())
    }

    /// Drops the pieces that every reader has had, and those that are too far behind the latest
    /// byte; gives their bytes back. Does nothing while the fill retains.
    pub(super) fn drop_unneeded(&mut self, limits: &FillLimits) {
        if self.retains {
            return;
        }
        self.joined = 0;
        let slowest = self.offsets().min().unwrap_or(self.received);
        while let Some(first) = self.pieces.front() {
            let (length, end) = (first.len() as u64, self.base + first.len() as u64);
            let is_needed = end > slowest && self.received - end < self.lag(limits);
            if is_needed {
                return;
            }
            self.base = end;
            self.pieces.pop_front();
            // After `Fill::complete`, the bytes may be the store's.
            let counted = length.min(self.reserved);
            self.reserved -= counted;
            limits.budget.give_back(counted);
        }
    }

    /// How far a reader may be behind the latest byte.
    fn lag(&self, limits: &FillLimits) -> u64 {
        if limits.budget.is_half_free() {
            LAG_BYTES.max(limits.max_object)
        } else {
            LAG_BYTES
        }
    }

    /// Wakes the readers that wait for more.
    pub(super) fn wake_readers(&mut self) {
        for reader in self.readers.iter_mut().flatten() {
            if let Some(waker) = reader.waker.take() {
                waker.wake();
            }
        }
    }

    /// Wakes the writer, if it waits.
    pub(super) fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// The bytes from `offset` to the end of their piece; `None` if they were not received yet.
    pub(super) fn after(&self, offset: u64) -> Option<Bytes> {
        let mut start = self.base;
        for piece in &self.pieces {
            let end = start + piece.len() as u64;
            if offset < end {
                return Some(piece.slice((offset - start) as usize..));
            }
            start = end;
        }
        None
    }
}
