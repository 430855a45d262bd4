//! A record that is to be appended.

use super::layout::{Extent, RecordKind};

/// A record to append.
#[derive(Clone, Copy, Debug)]
pub struct NewRecord<'a> {
    /// What it is for.
    pub kind: RecordKind,
    /// Its key; empty for an extent.
    pub key: &'a [u8],
    /// Its head; empty for an extent.
    pub head: &'a [u8],
    /// As in [`RecordHeader::mark`](super::layout::RecordHeader::mark).
    pub mark: [u8; 16],
    /// Its content, in pieces of any length. There is none if it has extents.
    pub content: &'a [&'a [u8]],
    /// Where its content lies, if it is with other records.
    pub extents: &'a [Extent],
}
