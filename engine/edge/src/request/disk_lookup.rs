//! The look-up on disk after memory has missed. What is there goes back into memory, where the request
//! is looked up again; in a full memory, that takes a second request, and the first one is answered
//! from what was read.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::content::RequestContent;
use super::miss::Miss;
use super::provenance::{Answer, StoreTier};
use super::visit::Visit;
use super::{Progress, Route, carry_out_by, fetch, hit, pass_through, record};
use crate::store::disk::LoadedResponse;
use crate::store::stored::StoredResponse;
use crate::store::{Key, PurgeWatch, Variants};
use tero_semantics::cache_status::Forward;
use tero_semantics::disposition::{Disposition, StoredMatch};

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

/// Looks on the disk, as far as it needn't be waited for.
#[inline(never)]
pub(super) fn look(visit: Visit<'_>) -> Progress {
    match find_at_once(visit) {
        Some(found) => carry_out(visit, Some(found)),
        None => Progress::Onward(Route::Disk),
    }
}

/// Whether memory has nothing for a request that is looked up, and a disk may have it.
pub(super) fn is_for_disk(
    visit: Visit<'_>,
    disposition: &Disposition<Arc<StoredResponse>>,
) -> bool {
    let is_missing = matches!(
        disposition,
        Disposition::GatewayTimeout | Disposition::Fetch(_)
    );
    is_missing && may_answer(visit)
}

/// Waits for a disk, and decides anew about what it has of the key.
pub(super) async fn answer(visit: Visit<'_>, content: Option<RequestContent>) -> Answer {
    let found = find(visit).await;
    match carry_out(visit, found) {
        Progress::Answered(answer) => answer,
        Progress::Onward(Route::Fetch(stale, forward)) => {
            fetch(visit, Miss::new(visit, stale, forward)).await
        }
        Progress::Onward(Route::Pass(forward, storing)) => {
            pass_through(visit, content, forward, storing).await
        }
        // A request that was looked up once is looked up again; if not, it is a miss.
        Progress::Onward(Route::Disk | Route::Upgrade | Route::Purge) => {
            fetch(visit, Miss::new(visit, None, Forward::UriMiss)).await
        }
    }
}

/// Decides anew about what a disk has of the key.
fn carry_out(visit: Visit<'_>, found: Option<FoundOnDisk>) -> Progress {
    match decide(visit, found) {
        Ok(answer) => Progress::Answered(answer),
        Err(disposition) => carry_out_by(visit, disposition, StoreTier::Disk),
    }
}

/// The answer with what a disk has of the key, if that stays on the disk alone.
///
/// # Errors
/// The disposition, if there is more to be done. What was found is in memory then, as far as that has room.
pub(super) fn decide(
    visit: Visit<'_>,
    mut found: Option<FoundOnDisk>,
) -> Result<Answer, Disposition<Arc<StoredResponse>>> {
    if let Some(found) = &mut found
        && let Some(stored) = found.answer(visit)
    {
        return Ok(passing_hit(visit, &stored));
    }
    let kept = found.and_then(|found| found.keep(visit));
    let disposition = visit.disposition_of(|| match visit.stored(visit.look()) {
        StoredMatch::Selected(stored) => StoredMatch::Selected(stored),
        StoredMatch::Nothing | StoredMatch::OtherVariants => visit.selected(kept),
    });
    if let Disposition::Serve(stored) = &disposition
        && stored.body.is_outside()
    {
        return Ok(passing_hit(visit, stored));
    }
    Err(disposition)
}

/// A hit of a response that isn't kept in memory, nor are the uses that it counts.
fn passing_hit(visit: Visit<'_>, stored: &Arc<StoredResponse>) -> Answer {
    if !visit.exchange.requester.is_plan() {
        visit.note_key_value();
    }
    let answer = hit(visit, stored, StoreTier::Disk);
    record::flush_hits(visit.edge, &Key::new(&visit.exchange.key), stored);
    answer
}

/// What the disk has of the key, without waiting; `None` if it has to be waited for.
fn find_at_once(visit: Visit<'_>) -> Option<FoundOnDisk> {
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

/// The responses that the disk has of the key. Waits for it, and counts nothing.
pub(super) fn peek(visit: Visit<'_>) -> Vec<Arc<StoredResponse>> {
    let Some(disk) = visit.edge.store.disk() else {
        return Vec::new();
    };
    let purges = visit.watch_purges();
    FoundOnDisk::new(visit, disk.peek(&visit.exchange.key), purges).take(visit)
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
    fn answer(&mut self, visit: Visit<'_>) -> Option<Arc<StoredResponse>> {
        if self.are_for_memory(visit) {
            return None;
        }
        let all = self.take(visit);
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

    /// The responses, but for those that were purged since, for one answer.
    fn take(&mut self, visit: Visit<'_>) -> Vec<Arc<StoredResponse>> {
        let all = std::mem::take(&mut self.responses).into_iter();
        let all = all.filter_map(|stored| visit.edge.store.passing(stored, &self.purges));
        all.collect()
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
