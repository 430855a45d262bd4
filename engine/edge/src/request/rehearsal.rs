//! A rehearsal: requests take the request path without sockets and without waiting, on a clock that
//! is turned by hand, and next hops give assumed answers.
//!
//! Rules, policies, keys, dispositions, routes, collapsing, storing and hits are those of the request
//! path. This file has its branches once more, since nothing is awaited here: a fetch ends when the
//! clock has come to its end. Content is not there ([`StoredBody::phantom`]), and nothing is
//! delivered. The fetches under way are in [`fetches`].
//!
//! [`StoredBody::phantom`]: crate::store::stored::StoredBody::phantom

mod fetches;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use tokio::sync::oneshot;

use super::admit::{self, RequestSource};
use super::body::EdgeBody;
use super::exchange::Exchange;
use super::failure::Failure;
use super::miss::Miss;
use super::provenance::{Answer, Provenance, StoreTier, Storing};
use super::refresh_ahead::AheadTurn;
use super::refusal::AdmissionRefusal;
use super::ruled::after_check;
use super::verdict::Verdict;
use super::visit::Visit;
use super::warm_lookup::WarmLookup;
use super::{Edge, NEW_KEY_VALUE, Route, is_bridged, only_if_cached, outcome_of_pass};
use super::{own_answer, purge_method, record, refresh_ahead, respond, revalidate, route_of};
use crate::run_id::RunId;
use crate::store::StoreUsage;
use crate::store::stored::StoredResponse;
use crate::telemetry::Outcome;
use fetches::FetchQueue;
use tero_semantics::cache_status::Forward;
use tero_semantics::disposition::Disposition;
use tero_semantics::timestamp::Timestamp;

/// What is around a rehearsed edge: next hops, and who hears what came of requests.
pub trait RehearsalWorld: Send {
    /// What a next hop answers. Each call is a request to the origin.
    fn ask_origin(&mut self, question: &OriginQuestion<'_>) -> OriginReply;

    /// A next hop's answer has come, and is stored if it may be.
    fn origin_answered(&mut self, _: &OriginAnswered<'_>) {}

    /// A visitor's request is answered.
    fn answered(&mut self, answer: &RehearsedAnswer<'_>);

    /// A visitor's request is not let in.
    fn refused(&mut self, refusal: AdmissionRefusal, sent: SentAnswer);
}

/// What a visitor was sent when the request really came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentAnswer {
    /// The status.
    pub status: StatusCode,
    /// Bytes of content; `None` if that is not known.
    pub bytes: Option<u64>,
    /// Whether the server answered by itself, with a redirect, a refusal or an error: the answer says
    /// nothing about a next hop.
    pub is_own: bool,
}

/// A request to a next hop.
#[derive(Debug)]
pub struct OriginQuestion<'q> {
    /// The request that goes forward.
    pub exchange: &'q Exchange,
    /// Who asks.
    pub asker: OriginAsker,
    /// What was really sent to the visitor who asks; `None` if no visitor waits.
    pub sent: Option<SentAnswer>,
    /// The fields of the stored response that is validated (RFC 9111 §4.3.1); `None` where the whole is
    /// asked for.
    pub if_changed: Option<&'q HeaderMap>,
    /// When.
    pub at: Timestamp,
}

/// Who asks a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginAsker {
    /// A visitor, who waits.
    Visitor,
    /// A revalidation in the background of a response that is used stale.
    Background,
    /// A revalidation before a response expires.
    Ahead,
    /// A run of a warming plan.
    Plan(RunId),
}

/// The assumed answer of a next hop.
#[derive(Clone, Debug)]
pub struct OriginReply {
    /// The status; 304 (Not Modified) if the response that is validated still holds.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    /// Bytes of content; 0 with a 304.
    pub bytes: u64,
    /// How long it takes, to the last byte.
    pub takes: Duration,
}

/// A request to a next hop whose answer has come.
#[derive(Debug)]
pub struct OriginAnswered<'a> {
    /// The request that went forward.
    pub exchange: &'a Exchange,
    /// Who asked.
    pub asker: OriginAsker,
    /// Bytes of content that came.
    pub bytes: u64,
    /// The response that is stored or validated by it; `None` if it isn't stored.
    pub stored: Option<&'a Arc<StoredResponse>>,
}

/// The answer to a visitor's request.
#[derive(Debug)]
pub struct RehearsedAnswer<'a> {
    /// The request.
    pub exchange: &'a Exchange,
    /// How the answer came about.
    pub provenance: &'a Provenance,
    /// Its status.
    pub status: StatusCode,
    /// The stored response that it comes from, or that its fetch has stored; `None` if there is none, or
    /// if another request's fetch is bringing it.
    pub stored: Option<&'a Arc<StoredResponse>>,
    /// What the visitor was really sent.
    pub sent: SentAnswer,
    /// How long the visitor has waited.
    pub waited: Duration,
}

/// The answer to a request of a warming plan.
#[derive(Clone, Copy, Debug)]
pub struct PlanAnswer {
    /// How it came about.
    pub provenance: Provenance,
    /// Its status.
    pub status: StatusCode,
    /// Bytes of content that the next hop has sent.
    pub bytes: u64,
}

/// Who waits for an answer.
enum WaitingClient {
    Visitor(SentAnswer),
    Plan(RunId, oneshot::Sender<PlanAnswer>),
}

impl WaitingClient {
    fn asker(&self) -> OriginAsker {
        match self {
            WaitingClient::Visitor(_) => OriginAsker::Visitor,
            WaitingClient::Plan(run, _) => OriginAsker::Plan(*run),
        }
    }

    fn sent(&self) -> Option<SentAnswer> {
        match self {
            WaitingClient::Visitor(sent) => Some(*sent),
            WaitingClient::Plan(..) => None,
        }
    }
}

/// An edge on whose request path requests are rehearsed. The caller turns its clock.
pub struct Rehearsal {
    edge: Arc<Edge>,
    world: Mutex<Box<dyn RehearsalWorld>>,
    queue: Mutex<FetchQueue>,
}

impl std::fmt::Debug for Rehearsal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Rehearsal").finish_non_exhaustive()
    }
}

impl Rehearsal {
    /// A rehearsal on an edge, in this world. Nothing else may use the edge for requests.
    pub fn new(edge: Arc<Edge>, world: Box<dyn RehearsalWorld>) -> Rehearsal {
        Rehearsal {
            edge,
            world: Mutex::new(world),
            queue: Mutex::default(),
        }
    }

    /// The edge.
    pub fn edge(&self) -> &Arc<Edge> {
        &self.edge
    }

    /// When the next fetch ends, or a request has waited long enough for another one; `None` if none
    /// is under way.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.queue().next_due()
    }

    /// Lets everything end whose time has come.
    pub fn run_due(&self) {
        loop {
            let now = self.edge.clock.now();
            let Some(event) = self.queue().take_due(now) else {
                return;
            };
            self.happen(event);
        }
    }

    /// Sends a visitor's request, now. It is answered at once, or when a fetch has ended.
    pub fn send(&self, head: Parts, source: RequestSource, sent: SentAnswer) {
        match admit::admit_visitor(&self.edge, head, source) {
            Ok((exchange, None)) => self.admitted(&exchange, sent),
            Ok((exchange, Some(verdict))) => self.ruled(exchange, *verdict, sent),
            Err(refused) => self.world().refused(refused.refusal, sent),
        }
    }

    /// Sends the request of a plan that has found what `found` says, and what is stored of it, wanting.
    pub fn fetch_for_plan(
        &self,
        visit: Visit<'_>,
        (found, stored): (WarmLookup, Option<Arc<StoredResponse>>),
        run: RunId,
    ) -> oneshot::Receiver<PlanAnswer> {
        let (sender, answer) = oneshot::channel();
        let waiting = WaitingClient::Plan(run, sender);
        if stored.is_none() && visit.has_too_many_key_values() {
            self.pass(visit, Forward::Bypass, NEW_KEY_VALUE, waiting);
        } else {
            self.fetch(visit, Miss::new(visit, stored, found.forward()), waiting);
        }
        answer
    }

    /// Carries out what the rules of its site decide about a request.
    fn ruled(&self, mut exchange: Arc<Exchange>, verdict: Verdict, sent: SentAnswer) {
        match verdict {
            Verdict::Admit => self.admitted(&exchange, sent),
            // No operator switches maintenance on, which gives what is stored.
            Verdict::Answer(answer) | Verdict::StoredOnly(answer) => {
                let visit = self.visit(&exchange);
                let answer = respond::by_rule(visit, *answer);
                self.record(visit, sent, &answer, None);
            }
            // A log doesn't tell passwords: those that were told are taken for good ones.
            Verdict::Check(pending) => {
                let own =
                    Arc::get_mut(&mut exchange).expect("nobody else has seen the request yet");
                let stage = pending.stage;
                let checked = pending.taken_for_good(own);
                let verdict = after_check(own, checked, stage);
                self.ruled(exchange, verdict, sent);
            }
        }
    }

    /// Carries out what becomes of a request that was let in.
    fn admitted(&self, exchange: &Arc<Exchange>, sent: SentAnswer) {
        let visit = self.visit(exchange);
        if let Some(exceeded) = &exchange.exceeded
            && exceeded.refuses()
        {
            return self.record(visit, sent, &respond::limited(visit, exceeded), None);
        }
        let waiting = WaitingClient::Visitor(sent);
        match visit.disposition(visit.look()) {
            Disposition::Answer => self.record(visit, sent, &own_answer(visit), None),
            Disposition::Serve(stored) => {
                self.serve(visit, waiting, &stored, Provenance::stored(Outcome::Hit));
            }
            Disposition::ServeWhileRevalidating(stored) => {
                self.revalidate(visit, &stored);
                self.serve(visit, waiting, &stored, Provenance::stored(Outcome::Stale));
            }
            Disposition::ServeWhileOriginIsTried(stored) => {
                self.revalidate(visit, &stored);
                let provenance = Provenance::stale_while_origin_is_tried();
                self.serve(visit, waiting, &stored, provenance);
            }
            Disposition::ServeWhileOriginRests(stored) => {
                let provenance = Provenance::stale_while_origin_rests();
                self.serve(visit, waiting, &stored, provenance);
            }
            unanswered => match route_of(visit, unanswered, StoreTier::Memory) {
                Some(route) => self.forward(visit, route, waiting),
                None => self.record(visit, sent, &only_if_cached(visit), None),
            },
        }
    }

    /// A request takes its route.
    fn forward(&self, visit: Visit<'_>, route: Route, waiting: WaitingClient) {
        match route {
            Route::Fetch(stale, forward) => {
                self.fetch(visit, Miss::new(visit, stale, forward), waiting);
            }
            // A rehearsed edge has no disk.
            Route::Disk => self.fetch(visit, Miss::new(visit, None, Forward::UriMiss), waiting),
            Route::Pass(forward, storing) => self.pass(visit, forward, storing, waiting),
            Route::Upgrade => self.pass(visit, Forward::Bypass, Storing::NotTried, waiting),
            Route::Purge => {
                if let WaitingClient::Visitor(sent) = waiting {
                    self.record(visit, sent, &purge_method::rehearsed(visit), None);
                }
            }
        }
    }

    /// Revalidates a stored response in the background.
    fn revalidate(&self, visit: Visit<'_>, stored: &Arc<StoredResponse>) {
        visit.note_key_value();
        if let Some(turn) = revalidate::begin_in_background(visit, stored) {
            let stale = Arc::clone(stored);
            self.begin_background(turn, stale);
        }
    }

    /// Answers with a stored response, and revalidates it ahead if its end is near.
    fn serve(
        &self,
        visit: Visit<'_>,
        waiting: WaitingClient,
        stored: &Arc<StoredResponse>,
        provenance: Provenance,
    ) {
        if record::count_use(visit, stored)
            && let Some((turn, lead)) = refresh_ahead::begin(visit, stored)
        {
            self.begin_ahead(turn, Arc::clone(stored), lead);
        }
        self.answer(visit, waiting, provenance, AnswerSource::from_store(stored));
    }

    /// The stored response stands in for an answer that failed, where that is allowed.
    fn stale_or_error(
        &self,
        visit: Visit<'_>,
        miss: &Miss,
        failure: Failure,
        waiting: WaitingClient,
    ) {
        match &miss.stale {
            Some(stored) if visit.may_stand_in(stored) => {
                let provenance = Provenance::stale_instead(miss.forward, failure);
                self.serve(visit, waiting, stored, provenance);
            }
            _ => {
                let provenance = Provenance::failed(Some(miss.forward), failure);
                self.answer(
                    visit,
                    waiting,
                    provenance,
                    AnswerSource::bare(failure.status),
                );
            }
        }
    }

    /// Tells who waits.
    fn answer(
        &self,
        visit: Visit<'_>,
        waiting: WaitingClient,
        provenance: Provenance,
        came: AnswerSource<'_>,
    ) {
        match waiting {
            WaitingClient::Visitor(sent) => {
                let mut response = Response::new(EdgeBody::Empty);
                *response.status_mut() = came.status;
                let answer = Answer {
                    response,
                    provenance,
                };
                self.record(visit, sent, &answer, came.stored);
            }
            WaitingClient::Plan(_, sender) => {
                // The run may have ended.
                let _ = sender.send(PlanAnswer {
                    provenance,
                    status: came.status,
                    bytes: came.bytes,
                });
            }
        }
    }

    /// Records what became of a visitor's request.
    fn record(
        &self,
        visit: Visit<'_>,
        sent: SentAnswer,
        answer: &Answer,
        stored: Option<&Arc<StoredResponse>>,
    ) {
        drop(record::record(visit, answer));
        self.world().answered(&RehearsedAnswer {
            exchange: visit.exchange,
            provenance: &answer.provenance,
            status: answer.response.status(),
            stored,
            sent,
            waited: visit.now().since(visit.exchange.at),
        });
    }

    fn visit<'v>(&'v self, exchange: &'v Arc<Exchange>) -> Visit<'v> {
        Visit {
            edge: &self.edge,
            exchange,
        }
    }

    fn world(&self) -> MutexGuard<'_, Box<dyn RehearsalWorld>> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, FetchQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an answer comes from.
#[derive(Clone, Copy)]
struct AnswerSource<'c> {
    status: StatusCode,
    stored: Option<&'c Arc<StoredResponse>>,
    /// Bytes of content that a next hop has sent for it.
    bytes: u64,
}

impl<'c> AnswerSource<'c> {
    fn bare(status: StatusCode) -> AnswerSource<'c> {
        AnswerSource {
            status,
            stored: None,
            bytes: 0,
        }
    }

    fn from_store(stored: &'c Arc<StoredResponse>) -> AnswerSource<'c> {
        AnswerSource {
            stored: Some(stored),
            ..AnswerSource::bare(stored.head.status)
        }
    }
}

/// How long nothing may be asked for before a rehearsal leaves out what would happen meanwhile: one
/// wrong time in a log would have it go on for ages. A long weekend is shorter.
pub const LONGEST_QUIET: Duration = Duration::from_secs(4 * 86_400);

/// An edge on which requests are rehearsed, with all that goes on beside them.
pub trait RehearsalStage {
    /// Turns the clock forward to `at`; what is due by then happens, in its order. If that is more than
    /// [`LONGEST_QUIET`] ahead, what is due later than that happens once, at `at`.
    fn turn_to(&mut self, at: Timestamp);

    /// Sends a visitor's request, now.
    fn send(&mut self, head: Parts, source: RequestSource, sent: SentAnswer);

    /// Lets all end that is under way.
    fn finish(&mut self);

    /// The memory in use.
    fn usage(&self) -> StoreUsage;

    /// What the warming plans have done, by name.
    fn plans(&self) -> Vec<PlanFigures>;
}

/// What a warming plan has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanFigures {
    /// Its name.
    pub name: String,
    /// How often it ran.
    pub runs: u64,
    /// Responses that it fetched and that were stored.
    pub fetched: u64,
    /// Responses that it fetched and that were not stored.
    pub not_stored: u64,
    /// Fetches that failed.
    pub failed: u64,
    /// Bytes of content that it fetched.
    pub bytes: u64,
    /// Fetched responses that visitors used.
    pub used: u64,
    /// Hits on them, in windows that have ended.
    pub hits_given: u64,
    /// Bytes of content that no visitor used, in windows that have ended.
    pub wasted_bytes: u64,
}
