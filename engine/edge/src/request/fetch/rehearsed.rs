//! The end of a fetch whose answer is only assumed: everything is decided and stored as for one that
//! came from a next hop, but the content is not there.

use std::sync::Arc;

use http::{HeaderMap, Response, StatusCode};

use super::{Fetch, News, NotModified, freshen, judge, pump};
use crate::request::failure::{Failure, NextHopReply};
use crate::request::news::{FlightNews, ResponseInFlight};
use crate::request::provenance::{NotStored, Storing};
use crate::request::record;
use crate::store::fill::Fill;
use crate::store::stored::{StoredBody, StoredResponse};
use tero_semantics::timestamp::Timestamp;

/// The assumed answer of a next hop.
#[derive(Debug)]
pub(in crate::request) struct AssumedReply {
    pub(in crate::request) status: StatusCode,
    pub(in crate::request) headers: HeaderMap,
    /// Bytes of content.
    pub(in crate::request) length: u64,
    /// When it was asked for.
    pub(in crate::request) asked_at: Timestamp,
}

/// What came of a rehearsed fetch.
#[derive(Debug)]
pub(in crate::request) enum RehearsedResult {
    /// A new response, which is stored.
    Stored(Arc<StoredResponse>),
    /// The stored response holds, under a new head (RFC 9111 §4.3.4).
    Revalidated(Arc<StoredResponse>, Storing),
    /// A response that is not stored, and why.
    NotStored(StatusCode, NotStored),
    /// Nothing that can be served.
    Failed(Failure),
}

impl RehearsedResult {
    /// The response that is stored, or that holds.
    pub(in crate::request) fn stored(&self) -> Option<&Arc<StoredResponse>> {
        match self {
            RehearsedResult::Stored(stored) | RehearsedResult::Revalidated(stored, _) => {
                Some(stored)
            }
            RehearsedResult::NotStored(..) | RehearsedResult::Failed(_) => None,
        }
    }
}

/// What came of a rehearsed fetch, for all that wait for it.
#[derive(Debug)]
pub(in crate::request) struct RehearsedEnd {
    /// For the request that began it.
    pub(in crate::request) result: RehearsedResult,
    /// What the next hop is assumed to have said.
    pub(in crate::request) reply: NextHopReply,
    /// For its followers.
    pub(in crate::request) news: FlightNews,
}

impl Fetch {
    /// Does what is to be done before the next hop is asked. Returns the fields of the stored response
    /// that is validated; `None` where the whole is asked for.
    pub(in crate::request) fn begin_rehearsed(&self) -> Option<HeaderMap> {
        let stale = self.stale.as_ref()?;
        record::flush_hits(self.visit().edge, &self.key(), stale);
        self.is_conditional.then(|| stale.head.fields.to_headers(0))
    }

    /// Ends the fetch with an assumed answer.
    pub(in crate::request) fn end_rehearsed(mut self, assumed: AssumedReply) -> RehearsedEnd {
        let visit = self.visit.clone();
        let (visit, now) = (visit.visit(), visit.visit().now());
        let exchange = visit.exchange;
        exchange.count_origin_status(Some(assumed.status), now.since(assumed.asked_at));
        let mut response = Response::new(());
        (*response.status_mut(), *response.headers_mut()) = (assumed.status, assumed.headers);
        exchange.apply_cache_control(&mut response, now);
        let (status, headers) = (response.status(), response.headers());
        self.note_reply(status, headers);
        let reply = NextHopReply::of(status, headers, &visit.edge.clock);
        let (result, news) = match self.holds(headers, status, assumed.asked_at) {
            Some(freshened) => freshened,
            None => self.take_in_rehearsed(response, assumed.length, assumed.asked_at),
        };
        self.announce(News {
            requester: None,
            followers: Some(news.clone()),
        });
        RehearsedEnd {
            result,
            reply,
            news,
        }
    }

    /// What a 304 makes of the stored response; `None` for another answer.
    fn holds(
        &self,
        headers: &HeaderMap,
        status: StatusCode,
        asked_at: Timestamp,
    ) -> Option<(RehearsedResult, FlightNews)> {
        let stale = self.stale.as_ref().filter(|_| self.is_conditional)?;
        if status != StatusCode::NOT_MODIFIED {
            return None;
        }
        let merged = &freshen::merged_fields(self.visit(), stale, headers)?;
        let not_modified = NotModified {
            headers,
            merged,
            asked_at,
        };
        let freshened = freshen::freshen(self.visit(), stale, &not_modified, &self.purges);
        let result = RehearsedResult::Revalidated(freshened.response, freshened.storing);
        Some((result, freshened.followers))
    }

    /// Takes a new response: stores it, or not.
    fn take_in_rehearsed(
        &self,
        response: Response<()>,
        length: u64,
        asked_at: Timestamp,
    ) -> (RehearsedResult, FlightNews) {
        let visit = self.visit();
        let (mut parts, ()) = response.into_parts();
        let status = parts.status;
        if let Some(failure) = self.failure_instead(status, &parts.headers) {
            return (
                RehearsedResult::Failed(failure),
                FlightNews::Failed(failure),
            );
        }
        let failure = self.failure_of_origin(status, &parts.headers);
        let (terms, place) = self.judge_new(&mut parts, Some(length), asked_at);
        // A rehearsal never asks for a part.
        if let Err(refusal) = place {
            self.remember_not_storable(status, refusal);
            let news = failure.map_or(FlightNews::not_stored(refusal), FlightNews::Failed);
            return (RehearsedResult::NotStored(status, refusal), news);
        }
        let head = judge::stored_head(visit, status, &parts.headers, &terms);
        let fill = Fill::new(Some(length), visit.edge.store.fill_limits(), 0);
        fill.complete(Some(&[]));
        let filling = Arc::new(ResponseInFlight {
            head,
            fill,
            purges: Arc::clone(&self.purges),
        });
        let news = self.news_of(&filling);
        let body = StoredBody::phantom(length);
        let stored = pump::keep(visit, &filling, body, self.stale.as_ref());
        (RehearsedResult::Stored(stored), news)
    }
}
