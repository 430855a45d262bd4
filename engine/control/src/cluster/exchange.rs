//! How a node compares what it knows with its peers, and answers them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::counters::PurgeWay;
use super::exchanged::{to_exchanged, to_order};
use super::node::ClusterNode;
use super::pause::{chance, shortened};
use super::peers::Peer;
use super::purge_log::{PurgeId, PurgeOrder};
use tero_admin_api::{
    AnsweredPurge, DifferingPurges, ExchangeRequest, ExchangeResponse, KnownPurges,
};
use tero_edge::request::store_purge::sync_purges;
use tero_time::clock::Clock;

/// Purges in one message, at most.
pub const MOST_EXCHANGED: usize = 4_096;
/// Ids that a node asks for at once, at most. What is missing beyond it comes with the next comparison.
const MOST_WANTED: usize = 1_024;
/// Bytes of the names of purges in one message, at most, beside one purge. An admin interface takes 4 MiB.
const MOST_BYTES: usize = 256 * 1024;
/// How often a node compares what it knows with a peer, at random.
const COMPARE_EVERY: Duration = Duration::from_secs(3);
/// How often the name of the peers is looked up.
const LOOK_UP_EVERY: Duration = Duration::from_secs(30);

/// The first purges, as far as they fit into a message.
pub(super) fn fitting(orders: Vec<PurgeOrder>) -> impl Iterator<Item = PurgeOrder> {
    let mut bytes = 0;
    orders.into_iter().take_while(move |order| {
        let fits = bytes <= MOST_BYTES;
        // JSON may write a byte as six.
        bytes += 6 * order.target.len() + 256;
        fits
    })
}

impl ClusterNode {
    /// Keeps the list of peers, for good.
    pub(super) async fn keep_peers(self: Arc<ClusterNode>) {
        let peers = &self.peers;
        let named = peers.named.iter();
        let named = named.map(|url| (Arc::from(url.as_str()), None)).collect();
        peers.set(named);
        let Some(from) = &peers.from else { return };
        let mut is_told = false;
        loop {
            match tokio::net::lookup_host(from.as_str()).await {
                Ok(found) => {
                    is_told = false;
                    let found =
                        found.map(|address| (Arc::from(address.to_string()), Some(address)));
                    peers.set(found.collect());
                }
                Err(error) if !is_told => {
                    is_told = true;
                    tracing::warn!(name = %from, %error, "the peers can't be looked up; those known before stay");
                }
                Err(_) => {}
            }
            Clock::real().sleep(LOOK_UP_EVERY).await;
        }
    }

    /// Compares what this node knows with a peer, now and then, for good.
    pub(super) async fn compare(self: Arc<ClusterNode>) {
        loop {
            Clock::real().sleep(shortened(COMPARE_EVERY)).await;
            let others: Vec<_> = self.peers.others().collect();
            let place = (chance() * others.len() as f64) as usize;
            if let Some((_, peer)) = others.get(place) {
                self.compare_with(peer).await;
            }
        }
    }

    async fn compare_with(self: &Arc<ClusterNode>, peer: &Peer) {
        let request = ExchangeRequest {
            known: Some(self.known()),
            ..ExchangeRequest::default()
        };
        let Ok(answer) = peer.exchange(&request).await else {
            return;
        };
        self.counters.comparisons.fetch_add(1, Relaxed);
        let Some(differing) = answer.differing else {
            return;
        };
        let request = self.to_even_out(&differing);
        if request.purges.is_empty() && request.wanted.is_empty() {
            return;
        }
        if let Ok(answer) = peer.exchange(&request).await {
            let purges = answer.purges.into_iter().map(|AnsweredPurge(purge)| purge);
            let orders: Vec<_> = purges.filter_map(to_order).collect();
            let node = Arc::clone(self);
            let _ = tokio::task::spawn_blocking(move || node.apply_of_peer(&orders)).await;
        }
    }

    fn known(&self) -> KnownPurges {
        let summary = self.book().summary();
        KnownPurges {
            count: summary.count,
            digest: summary.digest,
            floor_ms: summary.floor_ms,
        }
    }

    /// What has to be told and asked so that both know the same.
    fn to_even_out(&self, differing: &DifferingPurges) -> ExchangeRequest {
        let ids = differing.ids.iter();
        let theirs: Vec<(PurgeId, u64)> = ids
            .filter_map(|(id, at)| Some((PurgeId::parse(id)?, *at)))
            .collect();
        let book = self.book();
        let floor = differing.floor_ms;
        let missing_here = book.missing_here(theirs.iter().map(|(id, at)| (id, *at)), floor);
        let theirs: Vec<PurgeId> = theirs.into_iter().map(|(id, _)| id).collect();
        let missing_there = book.missing_there(&theirs, floor);
        ExchangeRequest {
            purges: fitting(missing_there).map(to_exchanged).collect(),
            known: None,
            wanted: missing_here
                .into_iter()
                .take(MOST_WANTED)
                .map(String::from)
                .collect(),
        }
    }

    /// Applies purges that a peer tells. Returns how many were new.
    fn apply_of_peer(&self, orders: &[PurgeOrder]) -> usize {
        let mut new = 0;
        for order in orders {
            // Noted before it is applied: what is fetched in between is purged, what comes after the
            // second is not.
            if self.note(order) {
                new += 1;
                self.apply_in_memory(order);
                self.counters.purged(PurgeWay::Peer);
                tracing::debug!(id = ?order.id, target = ?order.target, "purged by a peer");
            }
        }
        if new > 0 {
            sync_purges(&self.edge);
        }
        new
    }

    /// Answers a peer. Not for a thread that serves requests.
    pub fn answer_peer(&self, request: ExchangeRequest) -> ExchangeResponse {
        let orders: Vec<_> = request.purges.into_iter().filter_map(to_order).collect();
        self.apply_of_peer(&orders);
        let book = self.book();
        let own = book.summary();
        let differs = request
            .known
            .filter(|known| (own.count, &own.digest) != (known.count, &known.digest));
        let differing = differs.map(|known| {
            // What one of them may have forgotten is not compared.
            let floor_ms = own.floor_ms.max(known.floor_ms);
            let ids = book.ids().filter(|(_, at)| *at >= floor_ms);
            DifferingPurges {
                floor_ms: own.floor_ms,
                ids: ids.map(|(id, at)| (id.as_str().to_owned(), at)).collect(),
            }
        });
        let wanted = request.wanted.iter().take(MOST_EXCHANGED);
        let wanted: Vec<_> = wanted.filter_map(|id| PurgeId::parse(id)).collect();
        let purges = fitting(book.orders(&wanted)).map(to_exchanged);
        let purges = purges.map(AnsweredPurge).collect();
        drop(book);
        let position = self.progress().position;
        ExchangeResponse {
            node: self.name.to_string(),
            instance: self.peers.instance.to_string(),
            log: position
                .as_ref()
                .map(|position| position.identity.as_str().to_owned()),
            number: position.map(|position| position.number),
            differing,
            purges,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::book::BOOK_SIZE;
    use super::super::peer_connection::MAX_ANSWER;
    use super::super::purge_log::{LogIdentity, MAX_ID, MAX_TARGET, OrderTarget};
    use super::*;

    #[test]
    fn the_longest_answer_of_a_peer_is_read() {
        let id = "x".repeat(MAX_ID);
        let order = PurgeOrder {
            id: PurgeId::parse(&id).unwrap(),
            at_ms: u64::MAX,
            // JSON writes it as six bytes each.
            target: OrderTarget::Url("\u{1}".repeat(MAX_TARGET)),
            soft: false,
        };
        let purges: Vec<_> = fitting(vec![order; BOOK_SIZE]).map(to_exchanged).collect();
        assert!(!purges.is_empty());
        let answer = ExchangeResponse {
            node: "n".repeat(255),
            instance: id.clone(),
            log: Some(LogIdentity::of("TERO_PURGES", 1).as_str().to_owned()),
            number: Some(u64::MAX),
            differing: Some(DifferingPurges {
                floor_ms: u64::MAX,
                ids: vec![(id, u64::MAX); BOOK_SIZE],
            }),
            purges: purges.into_iter().map(AnsweredPurge).collect(),
        };
        let length = serde_json::to_vec(&answer).unwrap().len();
        assert!(length < MAX_ANSWER / 2, "{length} bytes");
    }
}
