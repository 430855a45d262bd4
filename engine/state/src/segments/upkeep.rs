//! What is done with a whole store now and then: its records are checked, and those that must go are
//! erased.

use std::collections::HashSet;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::index::RecordPlace;
use super::layout::{Extent, FooterEntry, HEADER_BYTES, RecordKind};
use super::segment::{ReadError, ReadMode, RecordReading, ScannedRecord, Segment, StoredRecord};
use super::store::SegmentStore;

/// How much is overwritten at once.
const ERASE_BYTES: usize = 1 << 20;
const WAITING: RecordReading = RecordReading {
    mode: ReadMode::Wait,
    at_once: 0,
};

/// How far a walk over a store has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkProgress {
    /// The number of the segment.
    pub segment: u32,
    /// Segments that are done.
    pub done: usize,
    /// All segments.
    pub of: usize,
}

/// What came of erasing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EraseReport {
    /// Records that were erased.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether all segments were gone through.
    pub is_complete: bool,
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFate {
    /// It stays.
    Stays,
    /// It is erased.
    Goes,
}

impl SegmentStore {
    /// Walks over all records that keys can find, the oldest first, those that newer ones have
    /// replaced among them. `each` hears of every record, or why it can't be read; `progress` before
    /// every segment. It takes as long as reading keys and heads from the disk.
    ///
    /// # Errors
    /// The system's first error, where a segment can't be searched. The others are gone through.
    pub fn walk(
        &self,
        mut progress: impl FnMut(WalkProgress),
        mut each: impl FnMut(RecordPlace, Result<&StoredRecord, ReadError>),
    ) -> io::Result<()> {
        let segments = self.all_segments();
        let mut failed = None;
        for (done, number) in segments.iter().enumerate() {
            progress(WalkProgress {
                segment: *number,
                done,
                of: segments.len(),
            });
            let Some(segment) = &self.segment(*number) else {
                continue;
            };
            let found = match self.records_of(segment) {
                Ok(found) => found,
                Err(_) if self.segment(*number).is_none() => continue,
                Err(error) => {
                    failed = failed.or(Some(error));
                    continue;
                }
            };
            for place in found.damaged.into_iter().chain(found.lost) {
                if !self.is_erased(segment, place) {
                    each(place, Err(ReadError::Damaged));
                }
            }
            for (_, place) in found.entries {
                match self.read_record(place, WAITING) {
                    Ok(record) => each(place, Ok(&record)),
                    Err(error) => each(place, Err(error)),
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// As [`SegmentStore::walk`], with all content: a record whose content is damaged isn't sound.
    ///
    /// # Errors
    /// As [`SegmentStore::walk`].
    pub fn verify(
        &self,
        progress: impl FnMut(WalkProgress),
        mut each: impl FnMut(RecordPlace, Result<&StoredRecord, ReadError>),
    ) -> io::Result<()> {
        self.walk(progress, |place, read| {
            let read = read.and_then(|record| whole(record).map(|()| record));
            each(place, read);
        })
    }

    /// Erases records for which `may_keep` says so, with their content, and parts of content that no
    /// record names, unless `loose` keeps those: the record that names them may be on its way. Their
    /// bytes are overwritten in place; their headers say that they were erased. `progress` hears
    /// before every segment, twice of each; it may rest there, or break off. When it is complete, a power
    /// failure brings nothing back: where it isn't known that what says so was erased on the disk, too, it is
    /// erased again.
    ///
    /// # Errors
    /// The system's error. What was erased may be on the disk still, until this is complete.
    pub fn erase(
        &self,
        mut may_keep: impl FnMut(&StoredRecord) -> RecordFate,
        loose: RecordFate,
        mut progress: impl FnMut(WalkProgress) -> ControlFlow<()>,
    ) -> io::Result<EraseReport> {
        let mut report = EraseReport::default();
        let segments = self.all_segments();
        let told = |done: usize, segment: &u32| WalkProgress {
            segment: *segment,
            done,
            of: segments.len(),
        };
        let (mut named, mut doomed) = (HashSet::new(), Vec::new());
        let mut unnamed: Vec<(u32, u32)> = Vec::new();
        for (done, number) in segments.iter().enumerate() {
            if progress(told(done, number)).is_break() {
                return Ok(report);
            }
            let Some(segment) = &self.segment(*number) else {
                continue;
            };
            let found = match self.records_of(segment) {
                // It was removed meanwhile, and cut off.
                Err(_) if self.segment(*number).is_none() => continue,
                found => found?,
            };
            if !segment.has_erased() {
                doomed.extend(found.erased);
            }
            unnamed.extend(found.extents);
            let damaged = found.damaged.iter();
            unnamed.extend(damaged.map(|place| (place.segment, place.offset)));
            for (hash, place) in found.entries {
                // A damaged record may be of anything.
                let Ok(record) = self.read_record(place, WAITING) else {
                    continue;
                };
                if may_keep(&record) == RecordFate::Stays {
                    named.extend(record.extents().iter().map(place_of));
                } else {
                    self.index.remove_if_oldest(hash, place);
                    doomed.push((place.segment, place.offset));
                    doomed.extend(record.extents().iter().map(place_of));
                }
            }
        }
        if loose == RecordFate::Goes {
            // The newest segments may have parts of a record that came meanwhile.
            let newest = segments.last().copied().unwrap_or_default();
            unnamed.retain(|(segment, _)| newest.saturating_sub(*segment) > 1);
            doomed.extend(unnamed);
        }
        doomed.retain(|place| !named.contains(place));
        doomed.sort_unstable();
        doomed.dedup();
        for (done, number) in segments.iter().enumerate() {
            if progress(told(done, number)).is_break() {
                return Ok(report);
            }
            let Some(segment) = &self.segment(*number) else {
                continue;
            };
            let own = doomed.iter().filter(|(of, _)| of == number);
            let own: Vec<u32> = own.map(|(_, offset)| *offset).collect();
            if !own.is_empty() {
                // Until it is on the disk: after a failure, all of it is written again.
                segment.set_erased(false);
                for offset in own {
                    if let Some(bytes) = self.erase_at(segment, offset.into())? {
                        report.bytes += bytes;
                        report.records += 1;
                    }
                }
                segment.sync()?;
            }
            segment.set_erased(true);
        }
        // A power failure must not bring a segment back that was removed with records of these.
        self.settings.files.sync_folder(&self.settings.path)?;
        report.is_complete = true;
        Ok(report)
    }

    fn records_of(&self, segment: &Segment) -> io::Result<FoundRecords> {
        let mut found = FoundRecords::default();
        let place_of = |entry: FooterEntry| RecordPlace {
            segment: segment.number,
            offset: entry.offset,
            length: entry.length,
        };
        segment.scan(&self.secret, |ScannedRecord { entry, is_sound }| {
            let place = place_of(entry);
            if !is_sound {
                found.damaged.push(place);
            } else if entry.kind.is_found() {
                found.entries.push((entry.hash, place));
            } else if entry.kind == RecordKind::Extent {
                found.extents.push((place.segment, place.offset));
            } else if entry.kind == RecordKind::Erased {
                found.erased.push((place.segment, place.offset));
            }
        })?;
        // Those whose headers are damaged are in the footer alone.
        let listed = segment.footer()?.unwrap_or_default().into_iter();
        let listed = listed.filter(|entry| entry.kind.is_found()).map(place_of);
        let known: HashSet<RecordPlace> = found.entries.iter().map(|(_, place)| *place).collect();
        found.lost = listed
            .filter(|place| !known.contains(place) && !found.damaged.contains(place))
            .collect();
        Ok(found)
    }

    fn is_erased(&self, segment: &Segment, place: RecordPlace) -> bool {
        let header = segment.header_at(&self.secret, place.offset.into(), ReadMode::Wait);
        header.is_ok_and(|(header, _)| header.kind == RecordKind::Erased)
    }

    /// Erases the record at a place. Returns its length in bytes; `None` if it was erased before.
    fn erase_at(&self, segment: &Arc<Segment>, offset: u64) -> io::Result<Option<u64>> {
        let header = match segment.header_at(&self.secret, offset, ReadMode::Wait) {
            Ok((header, _)) => header,
            Err(ReadError::Io(error)) => return Err(error),
            // A damaged header doesn't tell how long its record is.
            Err(_) => return Ok(Some(0)),
        };
        let (mut at, end) = (offset + HEADER_BYTES as u64, offset + header.record_len());
        let zeros = vec![0; ERASE_BYTES];
        while at < end {
            let length = (end - at).min(ERASE_BYTES as u64) as usize;
            segment.write_at(&zeros[..length], at)?;
            at += length as u64;
        }
        // Until it says so, it is damaged: without its text it is never taken for a sound one.
        let mut erased = header;
        erased.kind = RecordKind::Erased;
        segment.write_at(&erased.encode(&self.secret, offset), offset)?;
        let was_erased = header.kind == RecordKind::Erased;
        Ok((!was_erased).then(|| header.record_len()))
    }
}

/// The records of a segment.
#[derive(Default)]
struct FoundRecords {
    /// Those that keys find, with the hashes of their keys.
    entries: Vec<(u64, RecordPlace)>,
    /// The places of those that are content of others.
    extents: Vec<(u32, u32)>,
    /// The places of those that say that they were erased.
    erased: Vec<(u32, u32)>,
    /// Those whose keys or heads are damaged.
    damaged: Vec<RecordPlace>,
    /// Those that the footer has and the segment not: their headers are damaged, or they were erased.
    lost: Vec<RecordPlace>,
}

fn place_of(extent: &Extent) -> (u32, u32) {
    (extent.segment as u32, extent.offset as u32)
}

/// Whether all content of a record is sound.
fn whole(record: &StoredRecord) -> Result<(), ReadError> {
    (0..record.pieces()).try_for_each(|piece| record.piece(piece, ReadMode::Wait).map(drop))
}
