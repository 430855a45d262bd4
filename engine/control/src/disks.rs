//! The disks below the store, between the start and the end of a process, and from one process to the
//! next.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tero_config::Config;
use tero_edge::request::Edge;
use tero_edge::store::disk::{DiskError, DiskReport, DiskTier};
use tero_state::segments::files::SystemFiles;
use tero_time::clock::Clock;

/// How long an edge that stops gives its disks what they don't have yet.
const SAVE_AT_STOP: Duration = Duration::from_secs(10);
/// How often it is looked whether the process before has left the disks.
const TRY_EVERY: Duration = Duration::from_millis(20);
/// After so long, the disks are left out: the process before hangs, or another one has them.
const TRY_FOR: Duration = Duration::from_secs(60);

/// Opens the disks of a configuration, and tells what was found on them. A process that succeeds
/// another one opens them when that one leaves them.
///
/// # Errors
/// [`DiskError`] if one can't be used.
pub(crate) fn open(
    config: &Config,
    clock: &Clock,
    is_successor: bool,
) -> Result<Option<Arc<DiskTier>>, DiskError> {
    let files = Arc::new(SystemFiles);
    let Some(tier) = DiskTier::to_be_opened(&config.cache, clock, files) else {
        return Ok(None);
    };
    if !is_successor {
        tell(tier.open_now()?);
    }
    Ok(Some(Arc::new(tier)))
}

/// Has a thread open the disks when the process before leaves them.
///
/// # Errors
/// If there can be no thread.
pub(crate) fn open_after_predecessor(edge: &Arc<Edge>) -> io::Result<()> {
    if edge.store.disk().is_none() {
        return Ok(());
    }
    let edge = Arc::clone(edge);
    let thread = std::thread::Builder::new().name("disk-opener".to_owned());
    thread.spawn(move || open_patiently(&edge)).map(drop)
}

fn open_patiently(edge: &Edge) {
    let Some(disk) = edge.store.disk() else {
        return;
    };
    let mut tries = TRY_FOR.as_millis() / TRY_EVERY.as_millis();
    let error = loop {
        match disk.open_now() {
            Ok(reports) => return tell(reports),
            Err(error) if error.is_taken() && tries > 0 => {
                tries -= 1;
                std::thread::park_timeout(TRY_EVERY);
            }
            Err(error) => break error,
        }
    };
    disk.give_up();
    tracing::error!(%error, "the disks are left out until the next start; the edge goes on from memory");
}

/// Has a thread leave the disks to the process that has taken over.
pub(crate) fn hand_over(edge: &Arc<Edge>) {
    if edge.store.disk().is_none() {
        return;
    }
    let edge = Arc::clone(edge);
    let leave = move || {
        save(&edge);
        if let Some(disk) = edge.store.disk() {
            disk.hand_over();
        }
    };
    let thread = std::thread::Builder::new().name("disk-handover".to_owned());
    if let Err(error) = thread.spawn(leave) {
        tracing::warn!(%error, "the new process gets the disks when this one has ended");
    }
}

/// Gives the disks what was used and isn't on them yet, and closes them.
pub(crate) fn close(edge: &Edge) {
    save(edge);
    if let Some(disk) = edge.store.disk() {
        disk.close();
    }
}

fn save(edge: &Edge) {
    let clock = &edge.clock;
    let until = clock.now().saturating_add(SAVE_AT_STOP);
    edge.store.save_to_disk(|| clock.now() < until);
}

fn tell(reports: Vec<DiskReport>) {
    for DiskReport { path, found } in reports {
        let path = path.display();
        let (records, segments, searched) = (found.records, found.segments, found.searched);
        tracing::info!(%path, records, segments, searched, "opened a disk of the cache");
        for foreign in found.foreign {
            let file = foreign.display();
            tracing::warn!(%path, %file, "this is not a segment of this version and store, and is left alone: move it away, or remove it");
        }
    }
}
