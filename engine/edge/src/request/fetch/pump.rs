//! The content of a fetch, from the next hop into its fill and the store.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{freshen, partial};
use crate::origin::FetchPermit;
use crate::request::coding;
use crate::request::failure::ErrorChain;
use crate::request::news::ResponseInFlight;
use crate::request::visit::Visit;
use crate::store::disk::DiskSpool;
use crate::store::fill::{BudgetShare, Fill, FillError, Retention};
use crate::store::stored::{StoredBody, StoredHead, StoredResponse};
use crate::store::{Key, PurgeWatch};
use tero_semantics::range::Partial;
use tero_time::clock::TimeoutError;

/// Content that is to be stored.
pub(super) struct BodyToStore {
    pub(super) body: Incoming,
    /// The place among the site's fetches, until the content has come.
    pub(super) permit: FetchPermit,
    /// Bytes that were there already, before those of `body`.
    pub(super) beginning: Vec<Bytes>,
    pub(super) fill: Arc<Fill>,
    /// Where content goes that is too large for memory.
    pub(super) spool: Option<DiskSpool>,
    /// Whether content of unknown length goes there once it is too large for memory.
    pub(super) may_outgrow_memory: bool,
    pub(super) goal: StoreGoal,
}

/// As what content is stored.
pub(super) enum StoreGoal {
    /// As the whole of a response.
    Whole(Arc<ResponseInFlight>),
    /// As a part of one.
    Part(Box<PartGoal>),
}

/// A part that is to be stored.
pub(super) struct PartGoal {
    pub(super) head: StoredHead,
    /// Where it lies in the whole.
    pub(super) place: Partial,
    /// The purges since before it was asked for.
    pub(super) purges: Arc<PurgeWatch>,
}

/// Why content ended before its end.
#[derive(Debug, thiserror::Error)]
enum BodyReadError {
    #[error(transparent)]
    Fill(#[from] FillError),
    #[error("the origin broke off, or sent something that is not content")]
    Unread(#[from] hyper::Error),
    #[error("the origin fell silent")]
    Silent(#[from] TimeoutError),
}

/// Takes the content, and stores it, a whole in the place of `old`.
pub(super) async fn store(
    visit: Visit<'_>,
    mut body: BodyToStore,
    old: Option<&Arc<StoredResponse>>,
) {
    let pieces = pump(visit, &mut body).await;
    let spool = body.spool.take();
    match &body.goal {
        StoreGoal::Whole(filling) => match (pieces, spool) {
            (Ok(None), Some(spool)) => store_on_disk(visit, filling, spool, old),
            (pieces, _) => store_whole(visit, filling, pieces, old),
        },
        StoreGoal::Part(part) => store_part(visit, part, &body.fill, pieces),
    }
}

/// Stores a whole response, or the beginning of it. `None` was too large to be kept.
fn store_whole(
    visit: Visit<'_>,
    filling: &ResponseInFlight,
    pieces: Result<Option<Vec<Bytes>>, FillError>,
    old: Option<&Arc<StoredResponse>>,
) {
    let (Visit { edge, exchange }, fill) = (visit, &filling.fill);
    match pieces {
        Err(error) => {
            if let (FillError::CutShort, Some(old)) = (error, old) {
                old.successor_broke_off.store(true, Ordering::Relaxed);
            }
            partial::keep_beginning(visit, filling);
            fill.fail(error);
        }
        Ok(None) => {
            edge.hit_for_miss.remember(&exchange.key, visit.now());
            if let Some(old) = old {
                freshen::withdraw_stored(visit, old, filling.head.status, false);
            }
            fill.complete(None);
        }
        Ok(Some(pieces)) => {
            let stored = keep(visit, filling, visit.edge.store.body(pieces), old);
            fill.complete(Some(stored.body.pieces()));
        }
    }
}

/// Stores a whole response with this content in the place of `old`. Returns it, also where a purge has
/// meant it since it was asked for.
pub(super) fn keep(
    visit: Visit<'_>,
    filling: &ResponseInFlight,
    body: StoredBody,
    old: Option<&Arc<StoredResponse>>,
) -> Arc<StoredResponse> {
    let Visit { edge, exchange } = visit;
    let stored = coding::stored_with_coding(visit, filling.head.clone(), body);
    let stored = Arc::new(stored);
    let (key, old) = (Key::new(&exchange.key), old.map(|old| old.id));
    let (new, purges) = (Arc::clone(&stored), &filling.purges);
    if edge.store.insert_in_place_of(&key, old, new, purges) {
        edge.watchlist
            .watch_expiry(visit.site(), &stored, visit.now());
        coding::make_after_storing(visit, &stored);
    }
    stored
}

/// Stores a response whose content has streamed to a disk, unless it was purged meanwhile or the disk
/// could not follow.
fn store_on_disk(
    visit: Visit<'_>,
    filling: &ResponseInFlight,
    spool: DiskSpool,
    old: Option<&Arc<StoredResponse>>,
) {
    let (Visit { edge, exchange }, key) = (visit, Key::new(&visit.exchange.key));
    let (head, purges) = (&filling.head, &filling.purges);
    if let Some(old) = old {
        edge.store.drop_response(&key, old.id);
    }
    let is_stored = !purges.is_purged(head) && spool.finish(&key, head.clone(), purges.mark());
    if !is_stored {
        edge.hit_for_miss.remember(&exchange.key, visit.now());
    }
    filling.fill.complete(None);
}

/// Stores a part of a response.
fn store_part(
    visit: Visit<'_>,
    part: &PartGoal,
    fill: &Fill,
    pieces: Result<Option<Vec<Bytes>>, FillError>,
) {
    match pieces {
        Err(error) => fill.fail(error),
        Ok(None) => fill.complete(None),
        Ok(Some(pieces)) => {
            let body = visit.edge.store.body(pieces);
            if let Some(stored) = partial::part_of(&part.place, &part.head, body.clone()) {
                let key = &visit.exchange.key;
                visit.edge.store.insert_part(key, stored, &part.purges);
            }
            fill.complete(Some(body.pieces()));
        }
    }
}

/// Takes the content; says why where it ends early.
async fn pump(visit: Visit<'_>, body: &mut BodyToStore) -> Result<Option<Vec<Bytes>>, FillError> {
    pump_all(visit, body).await.map_err(|broken| {
        let limits = &visit.site().counters.repeats;
        if let Some(left_out) = limits.due("fill ended early", "", visit.now()) {
            tracing::warn!(url = Key::new(&visit.exchange.key).url(), request_id = %visit.exchange.request_id(), error = %ErrorChain(&broken), left_out, "fill ended early");
        }
        match broken {
            BodyReadError::Fill(error) => error,
            BodyReadError::Unread(_) | BodyReadError::Silent(_) => FillError::CutShort,
        }
    })
}

async fn pump_all(
    visit: Visit<'_>,
    body: &mut BodyToStore,
) -> Result<Option<Vec<Bytes>>, BodyReadError> {
    for piece in std::mem::take(&mut body.beginning) {
        push(visit, body, piece).await?;
    }
    let limit = visit.body_timeout();
    loop {
        let next = visit.edge.clock.timeout(limit, body.body.frame());
        let next = tokio::select! {
            biased;
            next = next => next,
            // A next hop that sends nothing would keep the fetch for the rest of its time.
            () = body.fill.abandoned() => return Err(FillError::Abandoned.into()),
        };
        match next?.transpose()?.map(hyper::body::Frame::into_data) {
            None => return Ok(body.fill.finish()?),
            Some(Ok(data)) => push(visit, body, data).await?,
            // Trailers are not stored: no field of a trailer decides over a cached response (RFC
            // 9110 §6.5.1).
            Some(Err(_trailers)) => {}
        }
    }
}

/// Adds a piece to the fill. From the first one that only its readers get, they decide how long the
/// fetch takes: it is lent.
async fn push(visit: Visit<'_>, body: &mut BodyToStore, piece: Bytes) -> Result<(), FillError> {
    if let Some(spool) = &mut body.spool {
        spool.push(&piece);
    }
    match body.fill.push(piece).await? {
        Retention::Whole => return Ok(()),
        Retention::Window => {}
        Retention::Outgrown(pieces) => {
            if body.may_outgrow_memory {
                body.spool = spool_with(visit, body, pieces);
            }
        }
    }
    body.permit.lend(visit.now());
    Ok(())
}

/// Takes content to a disk that has become too large for memory; `None` if the disk can't take it.
fn spool_with(visit: Visit<'_>, body: &BodyToStore, pieces: Vec<Bytes>) -> Option<DiskSpool> {
    let mut spool = visit.edge.store.disk()?.spool(&visit.exchange.key, None)?;
    let length = pieces.iter().map(|piece| piece.len() as u64).sum();
    let memory = BudgetShare::keep(body.fill.budget(), length);
    spool.begin_with(pieces, memory);
    Some(spool)
}
