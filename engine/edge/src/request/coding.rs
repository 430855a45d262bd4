//! Stored responses in other codings: which one an answer gets, and when one is made (RFC 9110 §8.4,
//! §12.5.3).
//!
//! `zstd` or `gzip` is made when a response is stored, `br` from its second hit on, and with the most
//! effort for a warming plan. A coding that is missing is made in the background for the first
//! request that wants it; until then, that client gets another coding or none. Ranges are of the
//! content as it came: a request for one gets no coding.

use std::sync::Arc;

use http::StatusCode;
use http::header::{HeaderMap, IF_MATCH};

use super::edge::Edge;
use super::hits;
use super::provenance::AnswerCoding;
use super::site::Site;
use super::visit::Visit;
use crate::coding::{CodingJob, Encoded, Encoding, NotEncoded, encode};
use crate::store::Key;
use crate::store::stored::{StoredBody, StoredHead, StoredResponse};
use crate::telemetry::coding_counters::SkippedCoding;
use tero_config::{Compress, OriginCodings};
use tero_semantics::cache_control::ResponseDirectives;
use tero_semantics::coding_rules::{
    CodingInput, CodingRefusal, add_vary, coding_refusal, describe_coded,
};
use tero_semantics::content_coding::{AcceptedCodings, ContentCoding};

/// The longest content, in bytes, that a worker codes by itself when it is stored: that takes less
/// than a millisecond.
const CODED_AT_ONCE: u64 = 128 * 1024;
/// The hit from which on `br` is made, which takes ten times as long as the others.
const HITS_FOR_BR: u32 = 2;

/// The content of a stored response in a coding.
#[derive(Clone, Copy, Debug)]
pub(super) struct CodedBody<'s> {
    pub(super) coding: ContentCoding,
    pub(super) body: &'s StoredBody,
    /// How much shorter it is, in bytes.
    saved: u64,
}

impl CodedBody<'_> {
    /// What is told and counted of it.
    pub(super) fn facts(self) -> AnswerCoding {
        AnswerCoding {
            coding: self.coding,
            saved: self.saved,
        }
    }
}

/// The head of a response that may be coded.
#[derive(Clone, Copy, Debug)]
pub(super) struct CodableHead<'h> {
    pub(super) status: StatusCode,
    pub(super) headers: &'h HeaderMap,
    /// The length of its content in bytes, where it is known.
    pub(super) length: Option<u64>,
}

/// Why the answer from a stored response has no coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uncoded {
    /// The site has no codings made.
    Off,
    /// The response may not be coded.
    Refused,
    /// The client asks for a range, or for the very bytes of the origin.
    Bytes,
    /// The client says `no-transform`.
    NoTransform,
    /// The client accepts none of the site's codings, or wants `identity` more.
    NotAccepted,
}

/// The codings between which an answer is chosen.
#[derive(Clone, Copy, Debug)]
pub(super) struct CodingChoice<'s> {
    /// The one that the client wants most.
    pub(super) wanted: ContentCoding,
    /// Of those that were made, the one that it wants most.
    pub(super) made: Option<CodedBody<'s>>,
}

/// The coding of the answer from a stored response; asks for the one that the client wants if it is
/// not there.
pub(super) fn chosen<'s>(
    visit: Visit<'_>,
    stored: &'s Arc<StoredResponse>,
) -> Option<CodedBody<'s>> {
    let choice = choice(visit, stored).ok()?;
    if choice.made.map(|made| made.coding) != Some(choice.wanted) {
        want(visit, stored, choice.wanted);
    }
    choice.made
}

/// What an answer from a stored response has to choose from.
#[inline]
pub(super) fn choice<'s>(
    visit: Visit<'_>,
    stored: &'s StoredResponse,
) -> Result<CodingChoice<'s>, Uncoded> {
    let settings = visit.exchange.compress().ok_or(Uncoded::Off)?;
    let coded = stored.coded().ok_or(Uncoded::Refused)?;
    let exchange = visit.exchange;
    let asked = &exchange.parts.headers;
    // A strong condition is about the bytes that the origin's validator stands for.
    if exchange.fields.range || (exchange.fields.conditional && asked.contains_key(IF_MATCH)) {
        return Err(Uncoded::Bytes);
    }
    if exchange.directives.no_transform {
        return Err(Uncoded::NoTransform);
    }
    let accepted = AcceptedCodings::of(asked);
    let codings = || settings.codings.iter().copied();
    let wanted = accepted.preferred(codings()).ok_or(Uncoded::NotAccepted)?;
    let made = match coded.body(wanted) {
        Some(_) => Some(wanted),
        None => accepted.preferred(codings().filter(|coding| coded.body(*coding).is_some())),
    };
    let made = made.and_then(|coding| {
        let body = coded.body(coding)?;
        Some(CodedBody {
            coding,
            body,
            saved: stored.body.len().saturating_sub(body.len()),
        })
    });
    Ok(CodingChoice { wanted, made })
}

/// Makes the fields of a stored response those of an answer: with what its coding says, and `Vary`.
/// Does nothing where the response may not be coded.
pub(super) fn describe(
    visit: Visit<'_>,
    head: &StoredHead,
    coded: Option<CodedBody<'_>>,
    headers: &mut HeaderMap,
) {
    if !head.may_be_coded || visit.exchange.compress().is_none() {
        return;
    }
    add_vary(headers);
    if let Some(coded) = coded {
        describe_coded(headers, coded.coding, coded.body.len());
    }
}

/// Whether a response to a request may be coded.
pub(super) fn may_be_coded(
    visit: Visit<'_>,
    response: &CodableHead<'_>,
    directives: &ResponseDirectives,
) -> bool {
    let refusal = |compress| refusal(compress, response, directives);
    let compress = visit.exchange.compress();
    compress.is_some_and(|compress| refusal(compress).is_none())
}

/// Why a stored response is not coded; `None` if it may be.
pub(super) fn refusal_of(visit: Visit<'_>, stored: &StoredResponse) -> Option<CodingRefusal> {
    let compress = visit.exchange.compress()?;
    let headers = stored.head.fields.to_headers(0);
    let targets = &visit.settings().targeted_fields;
    let directives = ResponseDirectives::governing(&headers, targets);
    let response = CodableHead {
        status: stored.head.status,
        headers: &headers,
        length: Some(stored.body.len()),
    };
    refusal(compress, &response, &directives)
}

fn refusal(
    compress: &Compress,
    response: &CodableHead<'_>,
    directives: &ResponseDirectives,
) -> Option<CodingRefusal> {
    coding_refusal(&CodingInput {
        status: response.status,
        headers: response.headers,
        directives,
        length: response.length,
        types: &compress.types,
        lengths: &compress.lengths(),
    })
}

/// Whether a stored response is whole, and of a length that is coded.
pub(super) fn fits(visit: Visit<'_>, stored: &StoredResponse) -> bool {
    let compress = visit.exchange.compress();
    stored.parts().is_none()
        && compress.is_some_and(|compress| compress.lengths().contains(&stored.body.len()))
}

/// Whether the next hop is asked for no coding, whatever the client accepts.
pub(super) fn asks_for_identity(visit: Visit<'_>) -> bool {
    let compress = visit.exchange.compress();
    compress.is_some_and(|compress| compress.ask_origin == OriginCodings::Identity)
        // What isn't stored can't be coded here.
        && !visit.expects_not_storable()
}

/// A response that is about to be stored, with the coding that is made at once.
pub(super) fn stored_with_coding(
    visit: Visit<'_>,
    mut head: StoredHead,
    body: StoredBody,
) -> StoredResponse {
    let Some(compress) = visit.exchange.compress() else {
        return StoredResponse::new(head, body);
    };
    if head.may_be_coded && !compress.lengths().contains(&body.len()) {
        head.may_be_coded = false;
    }
    let stored = StoredResponse::new(head, body);
    if !stored.head.may_be_coded {
        count_refusal(visit, &stored);
        return stored;
    }
    // What is not there can't be coded.
    if stored.body.is_phantom() {
        return stored;
    }
    match quick_coding(visit, compress) {
        Some(coding) if stored.body.len() <= CODED_AT_ONCE => coded_at_once(visit, stored, coding),
        _ => stored,
    }
}

/// Has made in the background what is to be made of a response that was just stored.
pub(super) fn make_after_storing(visit: Visit<'_>, stored: &Arc<StoredResponse>) {
    let Some(compress) = visit.exchange.compress() else {
        return;
    };
    if !stored.head.may_be_coded || stored.body.is_phantom() {
        return;
    }
    let length = stored.body.len();
    if let Some(coding) = quick_coding(visit, compress).filter(|_| length > CODED_AT_ONCE) {
        offer(visit, stored, Encoding::usual(coding));
    }
    if visit.exchange.requester.is_plan() && compress.codings.contains(&ContentCoding::Br) {
        offer(visit, stored, Encoding::best(ContentCoding::Br, length));
    }
}

/// The coding that is made at once for the request that fetched a response; none if it wants none.
fn quick_coding(visit: Visit<'_>, compress: &Compress) -> Option<ContentCoding> {
    let quick = compress.codings.iter().copied();
    let quick = quick.filter(|coding| *coding != ContentCoding::Br);
    AcceptedCodings::of(&visit.exchange.parts.headers).preferred(quick)
}

fn coded_at_once(
    visit: Visit<'_>,
    stored: StoredResponse,
    coding: ContentCoding,
) -> StoredResponse {
    if !stored.coded().is_some_and(|coded| coded.claim(coding)) {
        return stored;
    }
    let result = encode(stored.body.pieces(), Encoding::usual(coding), |_| true);
    let Some(encoded) = counted(visit.site(), coding, result) else {
        return stored;
    };
    let body = visit.edge.store.body(vec![encoded.content]);
    stored.with_coded(coding, body)
}

#[cold]
fn count_refusal(visit: Visit<'_>, stored: &StoredResponse) {
    if let Some(refusal) = refusal_of(visit, stored) {
        let counters = &visit.site().counters.coding;
        counters.skipped(SkippedCoding::Refused(refusal));
    }
}

/// Has a coding made that a visitor wants and that isn't there.
#[cold]
fn want(visit: Visit<'_>, stored: &Arc<StoredResponse>, coding: ContentCoding) {
    let is_due = coding != ContentCoding::Br || hits::hits_so_far(stored) >= HITS_FOR_BR;
    if is_due && !visit.exchange.requester.is_plan() {
        offer(visit, stored, Encoding::usual(coding));
    }
}

/// Puts the making of a coding into the queue, unless another request has.
fn offer(visit: Visit<'_>, stored: &Arc<StoredResponse>, encoding: Encoding) {
    let claims = stored.coded();
    let Some(claims) = claims.filter(|coded| coded.claim(encoding.coding)) else {
        return;
    };
    let Visit { edge, exchange } = visit;
    let making = CodingInBackground {
        edge: Arc::clone(edge),
        site: Arc::clone(&exchange.site),
        key: Key::new(&exchange.key),
        stored: Arc::clone(stored),
        coding: encoding.coding,
    };
    let job = CodingJob {
        pieces: stored.body.pieces().to_vec(),
        encoding,
        done: Box::new(move |result| making.end(result)),
    };
    if !edge.coder.offer(job) {
        claims.give_back(encoding.coding);
        let counters = &exchange.site.counters.coding;
        counters.skipped(SkippedCoding::QueueFull);
    }
}

/// A coding that is made in the background.
struct CodingInBackground {
    edge: Arc<Edge>,
    site: Arc<Site>,
    key: Key,
    /// Held, so that its content stays where it is.
    stored: Arc<StoredResponse>,
    coding: ContentCoding,
}

impl CodingInBackground {
    /// Adds what was made to the stored response, under whatever head it has by now.
    fn end(self, result: Result<Encoded, NotEncoded>) {
        let Some(encoded) = counted(&self.site, self.coding, result) else {
            return;
        };
        let (edge, site) = (&self.edge, &self.site);
        let body = edge.store.body(vec![encoded.content]);
        let added = edge
            .store
            .add_coded(&self.key, &self.stored, self.coding, &body);
        match added {
            // The watchlist knows the response by its place in memory.
            Some(new) => edge.watchlist.watch_expiry(site, &new, edge.clock.now()),
            None => site.counters.coding.skipped(SkippedCoding::Gone),
        }
    }
}

/// Counts what came of coding.
fn counted(
    site: &Site,
    coding: ContentCoding,
    result: Result<Encoded, NotEncoded>,
) -> Option<Encoded> {
    let counters = &site.counters.coding;
    match result {
        Ok(encoded) => {
            counters.made(coding, encoded.took);
            Some(encoded)
        }
        Err(NotEncoded::NotSmaller) => {
            counters.skipped(SkippedCoding::NotSmaller);
            None
        }
        Err(NotEncoded::Failed | NotEncoded::Stopped) => {
            counters.skipped(SkippedCoding::Failed);
            None
        }
    }
}
