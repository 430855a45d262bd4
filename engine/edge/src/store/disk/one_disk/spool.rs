//! Content that is too large for memory, on its way from the next hop to the disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::super::queue::{SpooledParts, WriteJob};
use super::{Disk, LARGEST_SHARE, lock};
use crate::store::Key;
use crate::store::fill::BudgetShare;
use crate::store::stored::{StoredBody, StoredHead, StoredResponse};
use tero_state::segments::layout::{MAX_EXTENTS, PIECE_BYTES};

/// The shortest and the longest part that is written at once.
const SHORTEST_PART: u64 = 256 << 10;
const LONGEST_PART: u64 = 4 << 20;
/// The parts of content at most: one fewer than a record can name, since the beginning of content of
/// unknown length is in parts of its own.
const MOST_PARTS: u64 = MAX_EXTENTS as u64 - 1;

/// Content on its way to a disk, in parts. Nothing waits for it: if the disk is slower than the next
/// hop, it gives up. Of content of unknown length, memory keeps the beginning until that is too large.
#[derive(Debug)]
pub struct DiskSpool {
    disk: Arc<Disk>,
    parts: Arc<SpooledParts>,
    buffer: Vec<u8>,
    /// The bytes of a part.
    part_bytes: usize,
    /// The announced length of all content, if there is one, and what has come of it.
    length: Option<u64>,
    received: u64,
    /// The most that is taken.
    most: u64,
    has_given_up: bool,
}

impl Disk {
    /// The longest content that it takes, in bytes: none while it is left out.
    pub(in crate::store::disk) fn max_object(&self) -> u64 {
        if !self.health.is_in_use() {
            return 0;
        }
        self.settings
            .max_object
            .min(self.settings.size / LARGEST_SHARE)
            .min(self.longest_part() * MOST_PARTS)
    }

    /// The longest part that is written at once, in bytes: whole pieces, and several wait in the queue.
    fn longest_part(&self) -> u64 {
        let part = LONGEST_PART
            .min(self.queue.max_bytes() / 4)
            .min(u64::from(self.records.segment_bytes()) / 4);
        part - part % PIECE_BYTES as u64
    }

    /// Takes content of a key as it comes; `None` if it is too long, if other content of the key is on its
    /// way, or if the disk has no room for a buffer of it.
    pub(in crate::store::disk) fn spool(
        self: &Arc<Disk>,
        key: &[u8],
        length: Option<u64>,
    ) -> Option<DiskSpool> {
        let max_object = self.max_object();
        let most = length.unwrap_or(max_object);
        if most > max_object || most == 0 {
            return None;
        }
        let part = part_bytes(most).min(self.longest_part());
        let (hash, parts) = (self.records.hash(key), Arc::default());
        let mut spools = lock(&self.spools);
        spools.retain(|(_, spool)| spool.strong_count() > 0);
        if spools.iter().any(|(of, _)| *of == hash) {
            return None;
        }
        if !self.queue.reserve(part) {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        spools.push((hash, Arc::downgrade(&parts)));
        drop(spools);
        Some(DiskSpool {
            disk: Arc::clone(self),
            parts,
            buffer: Vec::new(),
            part_bytes: part as usize,
            length,
            received: 0,
            most,
            has_given_up: false,
        })
    }
}

impl DiskSpool {
    /// Takes the beginning of the content, which memory has kept until now. Call it before anything is
    /// pushed.
    pub fn begin_with(&mut self, pieces: Vec<Bytes>, memory: BudgetShare) {
        self.received = pieces.iter().map(|piece| piece.len() as u64).sum();
        self.has_given_up |= self.received > self.most;
        if self.has_given_up {
            return;
        }
        let has_room = self.disk.enqueue(WriteJob::Beginning {
            spool: Arc::clone(&self.parts),
            pieces,
            memory,
        });
        self.has_given_up |= !has_room;
    }

    /// Takes bytes.
    pub fn push(&mut self, mut bytes: &[u8]) {
        self.received += bytes.len() as u64;
        self.has_given_up |= self.received > self.most;
        while !self.has_given_up && !bytes.is_empty() {
            let room = self.part_bytes - self.buffer.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == self.part_bytes {
                self.write_part();
            }
        }
    }

    /// Stores the response, all of whose content has come, under a key. Returns whether the disk
    /// takes it: it is found once that is written. It doesn't if a part could not be written.
    pub fn finish(mut self, key: &Key, head: StoredHead, purge_mark: u64) -> bool {
        if !self.has_given_up && !self.buffer.is_empty() {
            self.write_part();
        }
        let is_whole = self.length.is_none_or(|length| self.received == length);
        let has_failed = self.has_given_up || self.parts.has_failed.load(Ordering::Relaxed);
        if has_failed || !is_whole {
            return false;
        }
        let head = StoredHead {
            may_be_coded: false,
            ..head
        };
        let stored = StoredResponse::new(head, StoredBody::new(Vec::new()));
        stored.disk.claim();
        stored.set_purge_mark(purge_mark);
        self.disk.enqueue(WriteJob::End {
            spool: Arc::clone(&self.parts),
            key: key.clone(),
            stored: Arc::new(stored),
            length: self.received,
        })
    }

    fn write_part(&mut self) {
        let bytes = std::mem::take(&mut self.buffer);
        let has_room = self.disk.enqueue(WriteJob::Part {
            spool: Arc::clone(&self.parts),
            bytes,
        });
        self.has_given_up |= !has_room || self.parts.has_failed.load(Ordering::Relaxed);
    }
}

impl Drop for DiskSpool {
    fn drop(&mut self) {
        self.disk.queue.give_back(self.part_bytes as u64);
    }
}

/// How long the parts of content are: as short as their number allows.
fn part_bytes(length: u64) -> u64 {
    let fewest = length.div_ceil(MOST_PARTS);
    let part = fewest.next_multiple_of(PIECE_BYTES as u64);
    part.clamp(SHORTEST_PART, LONGEST_PART)
}
