//! The bytes of a fill, and who waits for more or for room.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::{BufMut, Bytes, BytesMut};

use super::super::stored::StoredBody;
use super::{FillBudget, FillError};

/// Pieces smaller than this are joined as they come, so that an origin that sends single bytes does
/// not cost a structure for each.
const JOIN_BELOW: usize = 16 * 1024;
#[derive(Debug)]
pub(super) struct FillState {
    pub(super) pieces: VecDeque<Bytes>,
    /// How many of the first pieces are as large as they are to be; counted while retaining.
    pub(super) joined: usize,
    /// The offset of the first byte of `pieces`: 0 while retaining.
    pub(super) base: u64,
    pub(super) received: u64,
    pub(super) reserved: u64,
    pub(super) retains: bool,
    pub(super) end: Option<Result<(), FillError>>,
    pub(super) readers: Vec<Option<ReaderSlot>>,
    pub(super) writer: Option<Waker>,
}

#[derive(Debug)]
pub(super) struct ReaderSlot {
    pub(super) offset: u64,
    pub(super) waker: Option<Waker>,
}

impl FillState {
    /// Copies: a piece of the read buffer would keep all of it alive.
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
        self.drop_read();
    }

    /// Bytes of the pieces that have come since they were last joined.
    fn loose_bytes(&self) -> usize {
        self.pieces.range(self.joined..).map(Bytes::len).sum()
    }

    /// Makes one piece of them: the fewer there are, the fewer system calls send them.
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

    pub(super) fn kept(&mut self) -> Option<Vec<Bytes>> {
        if !self.retains {
            return None;
        }
        self.join();
        Some(self.pieces.iter().cloned().collect())
    }

    pub(super) fn let_go(&mut self, budget: &FillBudget) {
        self.retains = false;
        self.joined = 0;
        budget.give_back(std::mem::take(&mut self.reserved));
        self.drop_read();
    }

    /// Without the duty to retain, what every reader has had can go.
    pub(super) fn drop_read(&mut self) {
        if self.retains || self.end.is_some() {
            return;
        }
        let slowest = self
            .readers
            .iter()
            .flatten()
            .map(|reader| reader.offset)
            .min()
            .unwrap_or(self.received);
        while let Some(first) = self.pieces.front()
            && self.base + first.len() as u64 <= slowest
        {
            self.base += first.len() as u64;
            self.pieces.pop_front();
        }
    }

    pub(super) fn wake_readers(&mut self) {
        for reader in self.readers.iter_mut().flatten() {
            if let Some(waker) = reader.waker.take() {
                waker.wake();
            }
        }
    }

    pub(super) fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// The bytes that are there from `offset` on, up to the end of their piece.
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
