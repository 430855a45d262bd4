//! A request's turn at the fetch of its key: it leads, follows another request's fetch, or goes by
//! itself.

use std::sync::Arc;

use super::edge::Edge;
use super::failure::Failure;
use super::news::{FlightNews, ResponseInFlight};
use super::visit::Visit;
use crate::collapse::{FlightResult, FlightRole, Lead};
use crate::store::PurgePoint;
use crate::store::fill::FillReader;
use tero_semantics::storability::Refusal;
use tero_semantics::timestamp::Timestamp;

/// How many fetches under way that are not for it a request may come upon before it goes by itself.
const MAX_OTHER_FLIGHTS: u32 = 4;

/// A request's turn.
pub(super) enum Turn {
    /// It fetches, for all that follow.
    Lead(Lead<FlightNews>),
    /// Another request's fetch answers it: the response, and a reader of its content.
    Follow(Arc<ResponseInFlight>, FillReader),
    /// Another request has stored the response.
    Stored,
    /// It fetches by itself.
    Alone,
    /// Another request's fetch has failed, and it would not do better.
    Failed(Failure),
}

/// How a request takes part in a fill.
enum Step {
    /// It reads along.
    Read(FillReader),
    /// Not in this one, but in one that it shares with all that find the same number.
    Other(u64),
    /// The fill no longer has its beginning.
    TooLate,
}

/// A request's place among those that want the same.
pub(super) struct Ticket {
    key: Vec<u8>,
    /// How many fetches it has come upon that are not for it.
    others: u32,
    /// Where the order of purges stood when it came.
    asked: PurgePoint,
    /// Until when it waits for another request.
    pub(super) deadline: Timestamp,
}

/// Waits for the request's turn: at most `collapse_timeout`.
pub(super) async fn take_turn(visit: Visit<'_>) -> Turn {
    let edge = visit.edge;
    let mut ticket = Ticket::new(visit);
    loop {
        let flight = match ticket.join(edge) {
            FlightRole::Leader(lead) => return Turn::Lead(lead),
            FlightRole::Follower(flight) => flight,
        };
        let patience = ticket.deadline.since(visit.now());
        match edge.clock.timeout(patience, flight.wait()).await {
            Err(_) => return Turn::Alone,
            Ok(FlightResult::Failed) => {}
            Ok(FlightResult::Answered(news)) => {
                if let Some(turn) = ticket.turn_at(visit, news) {
                    return turn;
                }
            }
        }
    }
}

impl Ticket {
    /// The place of a request that comes now.
    pub(super) fn new(visit: Visit<'_>) -> Ticket {
        let edge = visit.edge;
        Ticket {
            key: visit.exchange.key.clone(),
            others: 0,
            asked: edge.store.purge_point(),
            deadline: visit.now().saturating_add(edge.collapse_timeout()),
        }
    }

    /// What the fetch goes by that it takes part in.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Leads or follows the fetch of its key.
    pub(super) fn join(&self, edge: &Edge) -> FlightRole<FlightNews> {
        edge.collapse.join(&self.key)
    }

    /// The turn that a leader's news gives; `None` where another flight is to be joined.
    pub(super) fn turn_at(&mut self, visit: Visit<'_>, news: FlightNews) -> Option<Turn> {
        let filling = match news {
            FlightNews::Filling(filling) => filling,
            FlightNews::Stored => return Some(Turn::Stored),
            FlightNews::NotStorable => return Some(Turn::Alone),
            // The flight is over: the first of those who have no part in the reason leads the next.
            FlightNews::NotStorableFor(refusal)
                if self.others < MAX_OTHER_FLIGHTS && !shares(visit, refusal) =>
            {
                self.others += 1;
                return None;
            }
            FlightNews::NotStorableFor(_) => return Some(Turn::Alone),
            FlightNews::Failed(failure) => return Some(Turn::Failed(failure)),
        };
        match step(visit, &filling, self.asked) {
            Step::Read(reader) => Some(Turn::Follow(filling, reader)),
            // Those to whom the same applies share another fetch.
            Step::Other(which) if self.others < MAX_OTHER_FLIGHTS => {
                self.key.push(b'\n');
                self.key.extend(which.to_be_bytes());
                self.others += 1;
                None
            }
            Step::Other(_) | Step::TooLate => Some(Turn::Alone),
        }
    }
}

/// Whether the reason why a leader's answer is not stored, which lies in its request, lies in this
/// one too.
fn shares(visit: Visit<'_>, refusal: Refusal) -> bool {
    let exchange = visit.exchange;
    match refusal {
        Refusal::NoCacheToCookie | Refusal::DefaultTtlToCookie => exchange.fields.cookie,
        Refusal::Authorization => exchange.fields.authorization,
        Refusal::ShieldToRequest => exchange.fields.cookie || exchange.fields.authorization,
        Refusal::RequestNoStore => exchange.directives.no_store,
        // A policy said so of the leader, a crawler perhaps; of this one it hasn't been asked yet.
        Refusal::NotAdmitted => false,
        Refusal::Crawler => exchange.is_of_unkept_crawler(),
        _ => true,
    }
}

/// Whether a response that is being stored answers this request too (§4.1), which came when the
/// order of purges stood at `asked`: not if it was purged, or made invalid, after its fetch began
/// and before this request came.
fn step(visit: Visit<'_>, filling: &ResponseInFlight, asked: PurgePoint) -> Step {
    let (exchange, head) = (visit.exchange, &filling.head);
    if let Some(purge) = filling.purges.purge_before(head, asked) {
        return Step::Other(purge);
    }
    if !head.secondary_key.selects(&exchange.parts.headers) {
        return Step::Other(head.secondary_key.digest(&exchange.parts.headers));
    }
    filling.fill.reader().map_or(Step::TooLate, Step::Read)
}
