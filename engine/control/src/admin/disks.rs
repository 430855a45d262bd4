//! `GET /disks`: the disks of the cache.

use super::call::Call;
use super::context::AdminContext;
use super::reply::AdminRefusal;
use tero_admin_api::endpoints::Disks;
use tero_admin_api::{DiskState, DiskStats, DisksResponse};
use tero_edge::store::disk::DiskFigures;

/// All disks.
pub(super) fn disks(
    context: &AdminContext,
    _: Call<'_, Disks>,
) -> Result<DisksResponse, AdminRefusal> {
    let disk = context.edge.store.disk();
    let figures = disk.map_or_else(Vec::new, |disk| disk.figures());
    Ok(DisksResponse {
        disks: figures.into_iter().map(of_disk).collect(),
    })
}

fn of_disk(figures: DiskFigures) -> DiskStats {
    DiskStats {
        path: figures.path.display().to_string(),
        state: match (figures.has_failed, figures.is_slow) {
            (true, _) => DiskState::Failed,
            (false, true) => DiskState::Slow,
            (false, false) => DiskState::InUse,
        },
        size: figures.size,
        bytes: figures.bytes,
        segments: figures.segments,
        responses: figures.records,
        index_bytes: figures.index_bytes,
        hits: figures.hits,
        unusable: figures.unusable,
        skipped: figures.skipped,
        written: figures.written,
        written_heads: figures.written_heads,
        dropped: figures.dropped,
        failures: figures.failures,
        erased: figures.erased,
        removed_for_full_disk: figures.removed_for_full_disk,
    }
}
