//! What a fetch keeps: a whole response as it streams, the rest of one of which a part is stored, or
//! a part. Each gives the news of it, and the content that is to be stored.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_RANGE;
use http::{Method, Response, StatusCode};

use super::judge::{self, ResponseTerms};
use super::pump::{BodyToStore, PartGoal, StoreGoal};
use super::{Fetch, FetchResult, News, ReceivedResponse, TimedResponse, WholeOfPart, partial};
use crate::origin::OriginResponse;
use crate::request::body::EdgeBody;
use crate::request::news::{FlightNews, ResponseInFlight};
use crate::request::visit::Visit;
use crate::store::fill::Fill;
use tero_semantics::range::Partial;

impl Fetch {
    /// Stores the whole: the beginning that was there, and what came now.
    pub(super) fn store_rest(
        &self,
        timed: TimedResponse,
        whole: WholeOfPart,
    ) -> (News, Option<BodyToStore>) {
        let WholeOfPart {
            part,
            headers,
            terms,
        } = whole;
        let OriginResponse {
            response, permit, ..
        } = timed.response;
        let (mut parts, body) = response.into_parts();
        (parts.status, parts.headers) = (StatusCode::OK, headers);
        terms.edit(&mut parts.headers);
        let received = ReceivedResponse {
            parts,
            body,
            permit,
            length: Some(part.length()),
        };
        self.store_whole(received, &terms, partial::beginning(&part))
    }

    /// Stores a response as it streams, after the bytes of `beginning`.
    pub(super) fn store_whole(
        &self,
        received: ReceivedResponse,
        terms: &ResponseTerms,
        beginning: Vec<Bytes>,
    ) -> (News, Option<BodyToStore>) {
        let (visit, parts) = (self.visit(), received.parts);
        let head = judge::stored_head(visit, parts.status, &parts.headers, terms);
        let limits = visit.edge.store.fill_limits();
        let spool = received
            .length
            .filter(|length| *length > limits.max_object)
            .and_then(|length| {
                let disk = visit.edge.store.disk()?;
                disk.spool(&visit.exchange.key, Some(length))
            });
        let may_outgrow_memory =
            received.length.is_none() && self.goes_to_disk(limits.max_object + 1);
        let fill = Fill::new(received.length, limits, head.weight());
        // The first reader is there before the first byte, so that the fill does not take itself
        // for abandoned.
        let reader = fill.reader();
        let filling = Arc::new(ResponseInFlight {
            head,
            fill: Arc::clone(&fill),
            purges: Arc::clone(&self.purges),
        });
        let followers = self.news_of(&filling);
        let result =
            |reader| FetchResult::Filling(Arc::clone(&filling), reader, Box::new(parts.headers));
        let news = News {
            requester: reader.map(result),
            followers: Some(followers),
        };
        let body = BodyToStore {
            body: received.body,
            permit: received.permit,
            beginning,
            fill,
            spool,
            may_outgrow_memory,
            goal: StoreGoal::Whole(filling),
        };
        (news, Some(body))
    }

    /// What followers hear of a response that is being stored. They may have it if it is fresh, or
    /// may be used stale while it is revalidated. One that must be validated before each use is not
    /// theirs (§4), and requests for it don't queue again.
    pub(super) fn news_of(&self, filling: &Arc<ResponseInFlight>) -> FlightNews {
        let Visit { edge, exchange } = self.visit();
        let (freshness, now) = (&filling.head.freshness, edge.clock.now());
        if freshness.is_fresh(now) || freshness.allows_while_revalidate(now) {
            edge.hit_for_miss
                .forget(&exchange.key, exchange.fields.cookie);
            FlightNews::Filling(Arc::clone(filling))
        } else {
            edge.hit_for_miss.remember(&exchange.key, now);
            FlightNews::NotStorable
        }
    }

    /// Passes a part on to its client, and keeps it as it comes. Its place is where it says that it
    /// begins; how long it is tells its content, whatever it says of its end.
    pub(super) fn store_part(
        &self,
        received: ReceivedResponse,
        terms: &ResponseTerms,
        place: Partial,
    ) -> (News, Option<BodyToStore>) {
        let (visit, parts) = (self.visit(), received.parts);
        let Visit { edge, exchange } = visit;
        if exchange.parts.method != Method::POST {
            edge.hit_for_miss.remember(&exchange.key, visit.now());
        }
        let mut fields = parts.headers.clone();
        fields.remove(CONTENT_RANGE);
        let head = judge::stored_head(visit, StatusCode::OK, &fields, terms);
        let length = http_body::Body::size_hint(&received.body).exact();
        let fill = Fill::new(length, visit.edge.store.fill_limits(), head.weight());
        let result = |reader| {
            let body = EdgeBody::fill(reader);
            FetchResult::Part(Box::new(Response::from_parts(parts, body)))
        };
        let news = News {
            requester: fill.reader().map(result),
            followers: Some(FlightNews::NotStorable),
        };
        let part = PartGoal {
            head,
            place,
            purges: Arc::clone(&self.purges),
        };
        let body = BodyToStore {
            body: received.body,
            permit: received.permit,
            beginning: Vec::new(),
            fill,
            spool: None,
            may_outgrow_memory: false,
            goal: StoreGoal::Part(Box::new(part)),
        };
        (news, Some(body))
    }
}
