//! The look-up on disk after memory has missed: what is there goes back into memory, where the request
//! is looked up again.

use tokio::sync::oneshot;

use super::visit::Visit;
use crate::store::disk::LoadedResponse;
use crate::store::{Key, Variants};

/// Whether a disk may have what memory has not. Asks memory alone.
pub(super) fn may_answer(visit: Visit<'_>) -> bool {
    let disk = visit.edge.store.disk();
    disk.is_some_and(|disk| disk.may_have(&visit.exchange.key))
}

/// Puts what the disk has of the key back into memory, and returns it, since memory may have no room.
/// The disk is waited for at most as long as its settings say.
pub(super) async fn restore(visit: Visit<'_>) -> Option<Variants> {
    let disk = visit.edge.store.disk()?;
    // What is purged from now on must not come back.
    let purges = visit.watch_purges();
    let key = &visit.exchange.key;
    let loaded = match disk.load_at_once(key) {
        Some(loaded) => loaded,
        None => {
            let (reply, answer) = oneshot::channel();
            disk.load(key, reply);
            let waited = visit.edge.clock.timeout(disk.read_timeout(key), answer);
            match waited.await {
                Ok(Ok(loaded)) => loaded,
                late => {
                    disk.count_skipped(key, late.is_err());
                    return None;
                }
            }
        }
    };
    let mut restored = Vec::new();
    for LoadedResponse { mut response, site } in loaded {
        // The key's host may belong to another site by now, which has rules of its own.
        if *site != *visit.settings().name {
            continue;
        }
        response.head.site = visit.site().index as u32;
        let key = Key::new(key);
        restored.extend(visit.edge.store.restore(&key, response, &purges));
    }
    (!restored.is_empty()).then(|| Variants::new(restored))
}
