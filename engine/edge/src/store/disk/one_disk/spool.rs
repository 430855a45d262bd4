//! Content that is too large for memory, on its way from the next hop to the disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::queue::{SpooledParts, WriteJob};
use super::{Disk, LARGEST_SHARE, lock};
use crate::store::Key;
use crate::store::stored::{StoredBody, StoredHead, StoredResponse};
use tero_state::segments::layout::{MAX_EXTENTS, PIECE_BYTES};

/// The shortest and the longest part that is written at once.
const SHORTEST_PART: u64 = 256 << 10;
const LONGEST_PART: u64 = 4 << 20;

/// Content on its way to a disk, in parts. Nothing waits for it: if the disk is slower than the next
/// hop, it gives up.
#[derive(Debug)]
pub struct DiskSpool {
    disk: Arc<Disk>,
    parts: Arc<SpooledParts>,
    buffer: Vec<u8>,
    /// The bytes of a part.
    part_bytes: usize,
    /// The announced length of all content, and what has come of it.
    length: u64,
    received: u64,
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
    }

    /// Takes content of this length as it comes; `None` if it is too long, or the disk has no room
    /// for a buffer of it.
    pub(in crate::store::disk) fn spool(self: &Arc<Disk>, length: u64) -> Option<DiskSpool> {
        if length > self.max_object() {
            return None;
        }
        let part = part_bytes(length)
            .min(self.queue.max_bytes() / 4)
            .min(u64::from(self.records.segment_bytes()) / 4);
        let part = part - part % PIECE_BYTES as u64;
        if length.div_ceil(part) > MAX_EXTENTS as u64 || !self.queue.reserve(part) {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let parts = Arc::default();
        let mut spools = lock(&self.spools);
        spools.retain(|spool| spool.strong_count() > 0);
        spools.push(Arc::downgrade(&parts));
        drop(spools);
        Some(DiskSpool {
            disk: Arc::clone(self),
            parts,
            buffer: Vec::new(),
            part_bytes: part as usize,
            length,
            received: 0,
            has_given_up: false,
        })
    }
}

impl DiskSpool {
    /// Takes bytes.
    pub fn push(&mut self, mut bytes: &[u8]) {
        self.received += bytes.len() as u64;
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
    /// takes it: it is found once that is written.
    pub fn finish(mut self, key: &Key, head: StoredHead, purge_mark: u64) -> bool {
        if !self.buffer.is_empty() {
            self.write_part();
        }
        if self.has_given_up || self.received != self.length {
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
            length: self.length,
        })
    }

    fn write_part(&mut self) {
        let bytes = std::mem::take(&mut self.buffer);
        let has_room = self.disk.enqueue(WriteJob::Part {
            spool: Arc::clone(&self.parts),
            bytes,
        });
        self.has_given_up = !has_room || self.parts.has_failed.load(Ordering::Relaxed);
    }
}

impl Drop for DiskSpool {
    fn drop(&mut self) {
        self.disk.queue.give_back(self.part_bytes as u64);
    }
}

/// How long the parts of content are: as short as their number allows.
fn part_bytes(length: u64) -> u64 {
    let fewest = length.div_ceil(MAX_EXTENTS as u64);
    let part = fewest.next_multiple_of(PIECE_BYTES as u64);
    part.clamp(SHORTEST_PART, LONGEST_PART)
}
