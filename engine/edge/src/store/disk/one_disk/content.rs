//! Content that is read from the disk piece by piece, as its client takes it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::super::read_ahead::PieceRoom;
use super::Disk;
use super::read_job::ReadJob;
use crate::store::stored::{ContentError, ContentReply, OutsideContent};
use tero_state::segments::{ReadError, ReadMode, RecordFate, RecordPlace, StoredRecord};

/// A reader waits so many times longer for a piece in the middle than a request for the first one: its
/// answer has begun, and would be cut off.
const PATIENCE: u32 = 20;

/// The content of a record.
#[derive(Debug)]
pub(in crate::store::disk) struct DiskContent {
    disk: Arc<Disk>,
    record: StoredRecord,
    /// By which the record is found.
    hash: u64,
    place: RecordPlace,
}

impl DiskContent {
    pub(super) fn new(
        disk: Arc<Disk>,
        record: StoredRecord,
        hash: u64,
        place: RecordPlace,
    ) -> DiskContent {
        DiskContent {
            disk,
            record,
            hash,
            place,
        }
    }

    /// Looks whether the first piece is sound, before an answer begins with it.
    pub(super) fn check_first_piece(&self, mode: ReadMode) -> Result<(), ReadError> {
        self.record.piece(0, mode).map(drop)
    }

    /// The bytes from an offset to the end of their piece, and of some pieces more: as many as there is room
    /// for.
    fn read_pieces(
        &self,
        mut offset: u64,
        rooms: Vec<PieceRoom>,
    ) -> Result<Vec<Bytes>, ContentError> {
        let mut read = Vec::new();
        for room in rooms {
            if offset >= self.length() {
                break;
            }
            let piece = self.read_from(offset, ReadMode::Wait);
            let piece = piece.map_err(|error| self.lost(&error))?;
            offset += piece.len() as u64;
            read.push(room.hold(piece));
        }
        Ok(read)
    }

    fn read_from(&self, offset: u64, mode: ReadMode) -> Result<Bytes, ReadError> {
        let (piece, within) = self.record.piece_at(offset).ok_or(ReadError::Damaged)?;
        let bytes = Bytes::from(self.record.piece(piece, mode)?);
        Ok(bytes.slice(within..))
    }

    /// A piece can't be had: the next request is a miss.
    #[cold]
    fn lost(&self, error: &ReadError) -> ContentError {
        match error {
            ReadError::Io(error) => {
                self.disk.fail(error);
                ContentError::Failed
            }
            ReadError::WouldWait => ContentError::Late,
            ReadError::Damaged | ReadError::Gone => {
                self.disk.drop_record(self.hash, self.place);
                ContentError::Lost
            }
        }
    }
}

impl OutsideContent for DiskContent {
    fn length(&self) -> u64 {
        self.record.content_len()
    }

    fn read_at_once(&self, offset: u64) -> Result<Option<Bytes>, ContentError> {
        match self.read_from(offset, ReadMode::NoWait) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(ReadError::WouldWait) => Ok(None),
            Err(error) => Err(self.lost(&error)),
        }
    }

    fn read_ahead(self: Arc<DiskContent>, offset: u64, pieces: usize) -> ContentReply {
        let (reply, answer) = oneshot::channel();
        let disk = Arc::clone(&self.disk);
        let rooms = disk.shared.read_ahead.take(pieces);
        let read = move || {
            // The client may have gone.
            if !reply.is_closed() {
                let _ = reply.send(self.read_pieces(offset, rooms));
            }
        };
        disk.load(ReadJob::Content(Box::new(read)));
        answer
    }

    fn has_room_ahead(&self) -> bool {
        self.disk.shared.read_ahead.has_room()
    }

    fn patience(&self) -> Duration {
        self.disk.read_timeout().saturating_mul(PATIENCE)
    }

    fn is_found(&self) -> bool {
        self.disk.records.has(self.hash, self.place)
            && self.disk.may_keep(&self.record) == RecordFate::Stays
    }
}
