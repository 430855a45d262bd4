//! The metrics of the disks below the memory.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::context::AdminContext;
use super::samples::{Sample, counters, gauges};
use tero_edge::store::disk::DiskFigures;

/// The disks below the memory, if there are any.
pub(super) fn disks(context: &AdminContext, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let disk = context.edge.store.disk();
    let figures = disk.map_or_else(Vec::new, |disk| disk.figures());
    let of = |value: fn(&DiskFigures) -> u64| -> Vec<Sample<u64>> {
        let label = |disk: &DiskFigures| vec![("disk", disk.path.display().to_string())];
        figures
            .iter()
            .map(|disk| (label(disk), value(disk)))
            .collect()
    };
    for (name, help, value) in [
        (
            "tero_disk_responses",
            "Responses on a disk",
            (|disk| disk.records) as fn(&DiskFigures) -> u64,
        ),
        ("tero_disk_bytes", "Bytes on a disk", |disk| disk.bytes),
        (
            "tero_disk_index_bytes",
            "Memory of the index of a disk",
            |disk| disk.index_bytes,
        ),
        (
            "tero_disk_failed",
            "Whether a disk is left out because it failed",
            |disk| u64::from(disk.has_failed),
        ),
        (
            "tero_disk_slow",
            "Whether requests don't wait for a disk, since it is too slow",
            |disk| u64::from(disk.is_slow),
        ),
    ] {
        gauges(encoder, name, help, of(value))?;
    }
    for (name, help, value) in [
        (
            "tero_disk_hits",
            "Look-ups that a disk answered",
            (|disk| disk.hits) as fn(&DiskFigures) -> u64,
        ),
        (
            "tero_disk_unusable",
            "Records that were purged, damaged or of another key when they were looked up",
            |disk| disk.unusable,
        ),
        (
            "tero_disk_skipped",
            "Look-ups that gave up waiting for a disk",
            |disk| disk.skipped,
        ),
        ("tero_disk_written", "Responses written to a disk", |disk| {
            disk.written
        }),
        (
            "tero_disk_dropped",
            "Responses that were not written, since too many waited",
            |disk| disk.dropped,
        ),
        (
            "tero_disk_written_heads",
            "Responses of which only the head was written to a disk",
            |disk| disk.written_heads,
        ),
        (
            "tero_disk_failures",
            "Reads and writes of a disk that failed",
            |disk| disk.failures,
        ),
        (
            "tero_disk_erased",
            "Purged records that were erased from a disk",
            |disk| disk.erased,
        ),
        (
            "tero_disk_removed_early",
            "Segments that were removed since the file system was full",
            |disk| disk.removed_for_full_disk,
        ),
    ] {
        counters(encoder, name, help, of(value))?;
    }
    Ok(())
}
