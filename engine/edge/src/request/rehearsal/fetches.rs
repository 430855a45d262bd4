//! The fetches of a rehearsal: each begins with a question to a next hop, and ends when the clock has
//! come to the end of its answer. Other requests for the key wait for it, as on the request path.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use http::{Response, StatusCode};

use super::*;
use crate::collapse::{FlightRole, Lead};
use crate::request::failure::NextHopReply;
use crate::request::fetch::rehearsed::{AssumedReply, RehearsedEnd, RehearsedResult};
use crate::request::fetch::{Extent, Fetch};
use crate::request::flight::{Ticket, Turn};
use crate::request::fresh_meanwhile;
use crate::request::news::FlightNews;
use crate::request::pass;
use crate::request::revalidate::BackgroundTurn;
use crate::request::visit::OwnedVisit;
use crate::request::watchlist::RevalidationResult;
use crate::store::PurgeWatch;
use tero_semantics::disposition::FetchPlan;

/// What is to happen, by time and in the order in which it was begun.
#[derive(Default)]
pub(super) struct FetchQueue {
    events: BTreeMap<(Timestamp, u64), FetchEvent>,
    /// Requests that wait for the fetch of a key.
    followers: HashMap<Box<[u8]>, Vec<CollapsedRequest>>,
    begun: u64,
}

/// Something that happens later.
pub(super) enum FetchEvent {
    /// A fetch ends.
    Fetched(Box<FetchUnderWay>),
    /// A revalidation ends that no client waits for.
    Revalidated(Box<RevalidationUnderWay>),
    /// The answer to a request that passes has come.
    Passed(Box<PassUnderWay>),
    /// A follower has waited long enough.
    Impatient { key: Box<[u8]>, number: u64 },
}

/// A fetch for a request that waits.
pub(super) struct FetchUnderWay {
    visit: OwnedVisit,
    fetch: Fetch,
    miss: Miss,
    waiting: WaitingClient,
    reply: AssumedReply,
    /// The key that its followers wait by; `None` without followers.
    flight: Option<Box<[u8]>>,
}

/// A revalidation that no client waits for.
pub(super) struct RevalidationUnderWay {
    visit: OwnedVisit,
    fetch: Fetch,
    reply: AssumedReply,
    key: Box<[u8]>,
    turn: RevalidationTurn,
}

/// What made it go out, held until it has ended.
pub(super) enum RevalidationTurn {
    Background {
        _breaker: crate::origin::BreakerPass,
    },
    Ahead(AheadTurn),
}

/// A request that passes.
pub(super) struct PassUnderWay {
    visit: OwnedVisit,
    why: Forward,
    outcome: Outcome,
    storing: Storing,
    reply: AssumedReply,
    waiting: WaitingClient,
    /// What a HEAD may use and update.
    head: Option<HeadUnderWay>,
}

/// A HEAD that nothing stored answers.
struct HeadUnderWay {
    miss: Miss,
    /// Where there is a stored response, which its answer may update.
    purges: Option<PurgeWatch>,
}

/// A request that waits for the fetch of another one.
struct CollapsedRequest {
    number: u64,
    visit: OwnedVisit,
    miss: Miss,
    ticket: Ticket,
    waiting: WaitingClient,
}

impl FetchQueue {
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the next event whose time has come.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<FetchEvent> {
        let first = self.events.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    fn add(&mut self, at: Timestamp, event: FetchEvent) {
        self.begun += 1;
        self.events.insert((at, self.begun), event);
    }
}

impl Rehearsal {
    /// Something happens whose time has come.
    pub(super) fn happen(&self, event: FetchEvent) {
        match event {
            FetchEvent::Fetched(fetching) => self.end_fetch(*fetching),
            FetchEvent::Revalidated(revalidating) => self.end_revalidation(*revalidating),
            FetchEvent::Passed(passing) => self.end_pass(*passing),
            FetchEvent::Impatient { key, number } => {
                let follower = {
                    let mut queue = self.queue();
                    queue.followers.get_mut(&key).and_then(|waiting| {
                        let place = waiting.iter().position(|one| one.number == number)?;
                        Some(waiting.remove(place))
                    })
                };
                if let Some(CollapsedRequest {
                    visit,
                    miss,
                    waiting,
                    ..
                }) = follower
                {
                    self.fetch_alone(visit.visit(), miss, waiting);
                }
            }
        }
    }

    /// Nothing stored answers the request as it is.
    pub(super) fn fetch(&self, visit: Visit<'_>, miss: Miss, waiting: WaitingClient) {
        let plan = miss.plan(visit);
        if miss.forward != Forward::Request
            && plan.shares_failures()
            && let Some(failure) = visit.remembered_failure()
        {
            return self.stale_or_error(visit, &miss, failure, waiting);
        }
        match plan {
            FetchPlan::Head => {
                let why = miss.forward;
                let head = HeadUnderWay {
                    purges: miss.stale.as_ref().map(|_| visit.watch_purges()),
                    miss,
                };
                let storing = Storing::NotTried;
                self.pass_as(visit, (why, Outcome::Miss), storing, waiting, Some(head));
            }
            FetchPlan::RangeOnly => {
                let why = miss.forward;
                let storing = Storing::NotTried;
                self.pass_as(visit, (why, Outcome::Miss), storing, waiting, None);
            }
            // Nothing is stored as a part.
            FetchPlan::FromPart | FetchPlan::Alone(_) => self.fetch_alone(visit, miss, waiting),
            FetchPlan::Collapse => self.take_turn(visit, miss, Ticket::new(visit), waiting),
        }
    }

    /// Leads the fetch of a key, or follows the one under way.
    fn take_turn(&self, visit: Visit<'_>, miss: Miss, ticket: Ticket, waiting: WaitingClient) {
        match ticket.join(&self.edge) {
            FlightRole::Leader(lead) => {
                if miss.forward != Forward::Request
                    && let Some(stored) = fresh_meanwhile(visit)
                {
                    lead.share(FlightNews::Stored);
                    let came = AnswerSource::from_store(&stored);
                    return self.answer(visit, waiting, Provenance::collapsed(), came);
                }
                let flight = Some((lead, ticket.key().into()));
                self.begin_fetch(visit, miss, flight, waiting);
            }
            FlightRole::Follower(_) => {
                let mut queue = self.queue();
                queue.begun += 1;
                let (number, key) = (queue.begun, Box::from(ticket.key()));
                let impatient = FetchEvent::Impatient {
                    key: Box::clone(&key),
                    number,
                };
                queue.add(ticket.deadline, impatient);
                queue
                    .followers
                    .entry(key)
                    .or_default()
                    .push(CollapsedRequest {
                        number,
                        visit: visit.to_owned(),
                        miss,
                        ticket,
                        waiting,
                    });
            }
        }
    }

    fn fetch_alone(&self, visit: Visit<'_>, miss: Miss, waiting: WaitingClient) {
        self.begin_fetch(visit, miss, None, waiting);
    }

    fn begin_fetch(
        &self,
        visit: Visit<'_>,
        miss: Miss,
        flight: Option<(Lead<FlightNews>, Box<[u8]>)>,
        waiting: WaitingClient,
    ) {
        let (lead, flight) = flight.unzip();
        let fetch = Fetch::new(visit, miss.stale.clone(), Extent::Whole).led_by(lead);
        let if_changed = fetch.begin_rehearsed();
        let asked = (waiting.asker(), waiting.sent());
        let (reply, until) = self.ask(visit, asked, if_changed.as_ref());
        let fetching = FetchUnderWay {
            visit: visit.to_owned(),
            fetch,
            miss,
            waiting,
            reply,
            flight,
        };
        let event = FetchEvent::Fetched(Box::new(fetching));
        self.queue().add(until, event);
    }

    /// Asks a next hop. Returns its answer, and when that has come.
    fn ask(
        &self,
        visit: Visit<'_>,
        (asker, sent): (OriginAsker, Option<SentAnswer>),
        if_changed: Option<&HeaderMap>,
    ) -> (AssumedReply, Timestamp) {
        let now = visit.now();
        let reply = self.world().ask_origin(&OriginQuestion {
            exchange: visit.exchange,
            asker,
            sent,
            if_changed,
            at: now,
        });
        let assumed = AssumedReply {
            status: reply.status,
            headers: reply.headers,
            length: reply.bytes,
            asked_at: now,
        };
        (assumed, now.saturating_add(reply.takes))
    }

    fn tell_origin_answered(
        &self,
        visit: Visit<'_>,
        asker: OriginAsker,
        bytes: u64,
        stored: Option<&Arc<StoredResponse>>,
    ) {
        self.world().origin_answered(&OriginAnswered {
            exchange: visit.exchange,
            asker,
            bytes,
            stored,
        });
    }

    fn end_fetch(&self, fetching: FetchUnderWay) {
        let FetchUnderWay {
            visit,
            fetch,
            miss,
            waiting,
            reply,
            flight,
        } = fetching;
        let bytes = reply.length;
        let RehearsedEnd {
            result,
            reply,
            news,
        } = fetch.end_rehearsed(reply);
        let (visit, why) = (visit.visit(), miss.forward);
        self.tell_origin_answered(visit, waiting.asker(), bytes, result.stored());
        match result {
            RehearsedResult::Stored(stored) => {
                let provenance = Provenance::forwarded(Outcome::Miss, why, reply, Storing::Stored);
                let came = AnswerSource {
                    bytes,
                    ..AnswerSource::from_store(&stored)
                };
                self.answer(visit, waiting, provenance, came);
            }
            RehearsedResult::Revalidated(stored, storing) => {
                let reply = NextHopReply::bare(StatusCode::NOT_MODIFIED);
                let provenance = Provenance::forwarded(Outcome::Revalidated, why, reply, storing);
                self.answer(
                    visit,
                    waiting,
                    provenance,
                    AnswerSource::from_store(&stored),
                );
            }
            RehearsedResult::NotStored(status, refusal) => {
                let storing = Storing::Refused(refusal);
                let provenance = Provenance::forwarded(Outcome::Miss, why, reply, storing);
                let came = AnswerSource {
                    bytes,
                    ..AnswerSource::bare(status)
                };
                self.answer(visit, waiting, provenance, came);
            }
            RehearsedResult::Failed(failure) => self.stale_or_error(visit, &miss, failure, waiting),
        }
        if let Some(key) = flight {
            self.tell_followers(&key, &news);
        }
    }

    /// Gives the followers of a fetch their turns.
    fn tell_followers(&self, key: &[u8], news: &FlightNews) {
        let followers = self.queue().followers.remove(key).unwrap_or_default();
        for follower in followers {
            let CollapsedRequest {
                visit,
                miss,
                mut ticket,
                waiting,
                ..
            } = follower;
            let visit = visit.visit();
            match ticket.turn_at(visit, news.clone()) {
                Some(Turn::Follow(filling, _)) => {
                    let provenance = Provenance {
                        forward: Some(miss.forward),
                        ..Provenance::collapsed()
                    };
                    self.answer(
                        visit,
                        waiting,
                        provenance,
                        AnswerSource::bare(filling.head.status),
                    );
                }
                Some(Turn::Stored) => match fresh_meanwhile(visit) {
                    Some(stored) => {
                        let came = AnswerSource::from_store(&stored);
                        self.answer(visit, waiting, Provenance::collapsed(), came);
                    }
                    None => self.fetch_alone(visit, miss, waiting),
                },
                Some(Turn::Alone | Turn::Lead(_)) => self.fetch_alone(visit, miss, waiting),
                Some(Turn::Failed(failure)) => self.stale_or_error(visit, &miss, failure, waiting),
                None => self.take_turn(visit, miss, ticket, waiting),
            }
        }
    }

    /// Begins a revalidation in the background.
    pub(super) fn begin_background(&self, turn: BackgroundTurn, stale: Arc<StoredResponse>) {
        let BackgroundTurn {
            visit,
            lead,
            breaker,
        } = turn;
        let turn = RevalidationTurn::Background { _breaker: breaker };
        self.begin_revalidation((visit, OriginAsker::Background), stale, lead, turn);
    }

    /// Begins a revalidation ahead.
    pub(super) fn begin_ahead(
        &self,
        turn: AheadTurn,
        stale: Arc<StoredResponse>,
        lead: Lead<FlightNews>,
    ) {
        let visit = (turn.visit.clone(), OriginAsker::Ahead);
        self.begin_revalidation(visit, stale, lead, RevalidationTurn::Ahead(turn));
    }

    fn begin_revalidation(
        &self,
        (visit, asker): (OwnedVisit, OriginAsker),
        stale: Arc<StoredResponse>,
        lead: Lead<FlightNews>,
        turn: RevalidationTurn,
    ) {
        let visit = visit.visit();
        let fetch = Fetch::new(visit, Some(stale), Extent::Whole).led_by(Some(lead));
        let if_changed = fetch.begin_rehearsed();
        let (reply, until) = self.ask(visit, (asker, None), if_changed.as_ref());
        let revalidating = RevalidationUnderWay {
            visit: visit.to_owned(),
            fetch,
            reply,
            key: visit.exchange.key.as_slice().into(),
            turn,
        };
        let event = FetchEvent::Revalidated(Box::new(revalidating));
        self.queue().add(until, event);
    }

    fn end_revalidation(&self, revalidating: RevalidationUnderWay) {
        let RevalidationUnderWay {
            visit,
            fetch,
            reply,
            key,
            turn,
        } = revalidating;
        let bytes = reply.length;
        let RehearsedEnd {
            result,
            reply,
            news,
        } = fetch.end_rehearsed(reply);
        let asker = match &turn {
            RevalidationTurn::Background { .. } => OriginAsker::Background,
            RevalidationTurn::Ahead(_) => OriginAsker::Ahead,
        };
        self.tell_origin_answered(visit.visit(), asker, bytes, result.stored());
        if let RevalidationTurn::Ahead(turn) = &turn {
            turn.end(&match result {
                RehearsedResult::Stored(_) => RevalidationResult::Stored,
                RehearsedResult::Revalidated(_, storing) if storing.is_stored() => {
                    RevalidationResult::Stored
                }
                RehearsedResult::Revalidated(..) | RehearsedResult::NotStored(..) => {
                    RevalidationResult::NotStored(reply.status, reply.retry_after)
                }
                RehearsedResult::Failed(_) => RevalidationResult::Failed(reply.retry_after),
            });
        }
        drop(turn);
        self.tell_followers(&key, &news);
    }

    /// A request goes past the store.
    pub(super) fn pass(
        &self,
        visit: Visit<'_>,
        why: Forward,
        storing: Storing,
        waiting: WaitingClient,
    ) {
        self.pass_as(visit, (why, outcome_of_pass(why)), storing, waiting, None);
    }

    fn pass_as(
        &self,
        visit: Visit<'_>,
        (why, outcome): (Forward, Outcome),
        storing: Storing,
        waiting: WaitingClient,
        head: Option<HeadUnderWay>,
    ) {
        let asked = (waiting.asker(), waiting.sent());
        let (reply, until) = self.ask(visit, asked, None);
        let passing = PassUnderWay {
            visit: visit.to_owned(),
            why,
            outcome,
            storing,
            reply,
            waiting,
            head,
        };
        let event = FetchEvent::Passed(Box::new(passing));
        self.queue().add(until, event);
    }

    fn end_pass(&self, passing: PassUnderWay) {
        let PassUnderWay {
            visit,
            why,
            outcome,
            storing,
            reply,
            waiting,
            head,
        } = passing;
        let visit = visit.visit();
        let AssumedReply {
            status,
            headers,
            length,
            asked_at,
        } = reply;
        let took = visit.now().since(asked_at);
        visit.exchange.count_origin_status(Some(status), took);
        self.tell_origin_answered(visit, waiting.asker(), length, None);
        let next_hop = NextHopReply::of(status, &headers, &visit.edge.clock);
        let mut response = Response::new(());
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        pass::invalidate_at_once(visit, &response);
        if let Some(HeadUnderWay { miss, purges }) = &head {
            if is_bridged(visit, miss, status) {
                return self.stale_or_error(visit, miss, Failure::status(next_hop), waiting);
            }
            if let (Some(stored), Some(purges)) = (&miss.stale, purges) {
                revalidate::by_head(visit, stored, &response, asked_at, purges);
            }
        }
        let provenance = Provenance::forwarded(outcome, why, next_hop, storing);
        let came = AnswerSource {
            bytes: length,
            ..AnswerSource::bare(status)
        };
        self.answer(visit, waiting, provenance, came);
    }
}
