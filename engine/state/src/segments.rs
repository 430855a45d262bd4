//! Records on disk that outlive a restart: segments that are only appended to.
//!
//! A folder holds segments, files of a bounded size with ascending numbers. A record goes to the end
//! of the newest segment and doesn't change until it is erased. When the folder is full, its oldest segment is removed
//! with all its records. Records prove themselves by checksums, so a damaged one is missing, never
//! wrong; the footer of a segment only makes opening fast. [`layout`] describes the bytes.
//!
//! What a record's key and head mean is its user's business. The index of all records is in memory:
//! whether a key may be there is known without reading.

mod appender;
mod buffers;
pub mod files;
mod folder;
mod index;
pub mod layout;
mod new_record;
mod open_report;
mod segment;
#[cfg(test)]
mod shim;
mod store;
mod upkeep;

pub use self::buffers::ReadBuffer;
pub use self::index::RecordPlace;
pub use self::new_record::NewRecord;
pub use self::open_report::{OpenError, OpenReport};
pub use self::segment::{ContentInBuffer, ReadError, ReadMode, StoredRecord};
pub use self::store::{AppendError, SegmentSettings, SegmentStore, StoreUsage};
pub use self::upkeep::{EraseReport, RecordFate, WalkProgress};
