//! The look-up on disk after memory has missed. What is there goes back into memory, where the request
//! is looked up again; in a full memory, that takes a second request, and the first one is answered
//! from what was read.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::visit::Visit;
use crate::store::disk::LoadedResponse;
use crate::store::stored::StoredResponse;
use crate::store::{Key, PurgeWatch, Variants};
use tero_semantics::disposition::Disposition;

/// What a disk has of a request's key.
pub(super) struct FoundOnDisk {
    responses: Vec<StoredResponse>,
    /// What is purged since it was looked for must not be served.
    purges: PurgeWatch,
}

/// Whether a disk may have what memory has not. Asks memory alone.
pub(super) fn may_answer(visit: Visit<'_>) -> bool {
    let disk = visit.edge.store.disk();
    disk.is_some_and(|disk| disk.may_have(&visit.exchange.key))
}

/// What the disk has of the key, without waiting; `None` if it has to be waited for.
pub(super) fn find_at_once(visit: Visit<'_>) -> Option<FoundOnDisk> {
    let disk = visit.edge.store.disk()?;
    let purges = visit.watch_purges();
    let loaded = disk.load_at_once(&visit.exchange.key)?;
    Some(FoundOnDisk::new(visit, loaded, purges))
}

/// The same, waiting for the disk at most as long as its settings say; `None` if it is late.
pub(super) async fn find(visit: Visit<'_>) -> Option<FoundOnDisk> {
    let disk = visit.edge.store.disk()?;
    let purges = visit.watch_purges();
    let key = &visit.exchange.key;
    let (reply, answer) = oneshot::channel();
    disk.load(key, reply);
    let waited = visit.edge.clock.timeout(disk.read_timeout(key), answer);
    match waited.await {
        Ok(Ok(loaded)) => Some(FoundOnDisk::new(visit, loaded, purges)),
        late => {
            disk.count_skipped(key, late.is_err());
            None
        }
    }
}

impl FoundOnDisk {
    fn new(visit: Visit<'_>, loaded: Vec<LoadedResponse>, purges: PurgeWatch) -> FoundOnDisk {
        let of_site = loaded.into_iter().filter_map(|loaded| {
            let LoadedResponse { mut response, site } = loaded;
            // The key's host may belong to another site by now, which has rules of its own.
            if *site != *visit.settings().name {
                return None;
            }
            response.head.site = visit.site().index as u32;
            Some(response)
        });
        FoundOnDisk {
            responses: of_site.collect(),
            purges,
        }
    }

    /// The response that answers the request as it is and stays on the disk alone; `None` if there is
    /// more to be done, or they are to go back into memory.
    pub(super) fn answer(&mut self, visit: Visit<'_>) -> Option<Arc<StoredResponse>> {
        if self.are_for_memory(visit) {
            return None;
        }
        let all = std::mem::take(&mut self.responses).into_iter();
        let all = all.filter_map(|stored| visit.edge.store.passing(stored, &self.purges));
        let all: Vec<Arc<StoredResponse>> = all.collect();
        let found = (!all.is_empty()).then(|| Variants::new(all.clone()));
        match visit.disposition_of(|| visit.selected(found)) {
            Disposition::Serve(stored) => {
                drop(all);
                return Some(visit.edge.store.count_passing(stored));
            }
            other => drop(other),
        }
        self.responses = all.into_iter().filter_map(Arc::into_inner).collect();
        None
    }

    fn are_for_memory(&self, visit: Visit<'_>) -> bool {
        let Visit { edge, exchange } = visit;
        // What may be coded is coded there, and a plan wants its pages there. Content outside stays there
        // anyway.
        let is_for_memory =
            |stored: &StoredResponse| stored.head.may_be_coded || stored.body.is_outside();
        let weight = || self.responses.iter().map(StoredResponse::weight).sum();
        exchange.requester.is_plan()
            || self.responses.iter().any(is_for_memory)
            || edge.store.wants_back(&exchange.key, weight())
    }

    /// Puts the responses back into memory, and returns them, since memory may have no room.
    pub(super) fn keep(self, visit: Visit<'_>) -> Option<Variants> {
        let key = Key::new(&visit.exchange.key);
        let all = self.responses.into_iter();
        let kept = all.filter_map(|stored| visit.edge.store.restore(&key, stored, &self.purges));
        let kept: Vec<Arc<StoredResponse>> = kept.collect();
        (!kept.is_empty()).then(|| Variants::new(kept))
    }
}
