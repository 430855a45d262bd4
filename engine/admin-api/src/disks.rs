//! `GET /disks`.

use serde::{Deserialize, Serialize};

/// The disks of `[[cache.disk]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DisksResponse {
    /// In the order of the configuration. Empty without disks, and until a process that succeeds
    /// another one has opened them.
    pub disks: Vec<DiskStats>,
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiskStats {
    /// Its folder.
    pub path: String,
    /// How it is.
    pub state: DiskState,
    /// The bytes that its files may have.
    pub size: u64,
    /// The bytes that they have.
    pub bytes: u64,
    /// Its segments.
    pub segments: u64,
    /// Responses that can be found.
    pub responses: u64,
    /// Bytes of memory for the index of these.
    pub index_bytes: u64,
    /// Look-ups that it answered.
    pub hits: u64,
    /// Records that were purged, damaged or of another key when they were looked up.
    pub unusable: u64,
    /// Look-ups that gave up waiting for it.
    pub skipped: u64,
    /// Responses that were written.
    pub written: u64,
    /// Those of them of which only the head was written.
    pub written_heads: u64,
    /// Responses that were not written, since too many waited.
    pub dropped: u64,
    /// How often it failed.
    pub failures: u64,
    /// Records that were erased, since they were purged.
    pub erased: u64,
    /// Segments that were removed early, since the file system was full.
    pub removed_for_full_disk: u64,
}

/// How a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum DiskState {
    /// It is in use.
    InUse,
    /// It failed, and is left out until it works again.
    Failed,
    /// It is too slow, and requests don't wait for it for a while.
    Slow,
}
