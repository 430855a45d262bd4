//! The life of a stored response: a request and its response are judged and stored, a second
//! request may select the stored response, and then the next hop's answer freshens or replaces it.
//! The steps are those of the request path, without sockets.
//!
//! ```text
//! GET http://www.example/a delay=200
//! accept-encoding: gzip
//!
//! 200 always ttl=60 lift
//! cache-control: max-age=60
//!
//! GET http://www.example/a after=60000 obey
//! accept-encoding: gzip
//!
//! 304
//! etag: "a"
//! ```
//!
//! Times are in milliseconds.

use std::time::Duration;

use http::header::{CONTENT_RANGE, HeaderMap, IF_NONE_MATCH, SET_COOKIE, VARY};
use http::{Method, StatusCode};
use tero_semantics::cache_control::{RequestDirectives, ResponseDirectives};
use tero_semantics::decision::{ResponseDecision, StoringDecision};
use tero_semantics::default_ttl::DefaultTtl;
use tero_semantics::forwarding;
use tero_semantics::freshness::{
    Freshness, FreshnessInput, LifetimeSource, SiteDefaults, age_value,
};
use tero_semantics::precondition::{Precondition, not_modified_headers, precondition};
use tero_semantics::range::{MAX_RANGES, Selection, SelectionInput, selection};
use tero_semantics::reuse::{ClientDirectives, Reuse, reuse, stale_if_error};
use tero_semantics::storability::{
    FloorExceptions, Storability, StorabilityInput, storability, stored_fields,
};
use tero_semantics::timestamp::Timestamp;
use tero_semantics::validation::{self, HeadUpdate};
use tero_semantics::vary::Vary;

use super::fields::targets;
use super::script::{Block, blocks};

/// The time of the first request: `Tue, 24 Nov 2026 13:00:00 GMT`.
const START: Timestamp = Timestamp::from_unix_secs(1_795_525_200);
/// The longest step of time: a hundred years.
const MAX_STEP_MILLIS: i64 = 100 * 366 * 24 * 60 * 60 * 1_000;
/// The length of the stored body.
const LENGTH: u64 = 1_000;

/// Stores, selects, reuses and validates, and asserts properties of each step.
pub fn exchange(bytes: &[u8]) {
    let [first, answer, second, update] = blocks(bytes);
    let asked = START;
    let came = later(asked, first.number("delay"));
    let Some(stored) = Stored::of(&first, &answer, asked, came) else {
        return;
    };
    stored.check(came);
    let now = later(came, second.number("after"));
    let nominated = stored.vary.nominated(&first.headers);
    assert!(stored.vary.selects(&nominated, &first.headers));
    if !stored.vary.selects(&nominated, &second.headers) {
        return;
    }
    stored.reuse(&second, now);
    stored.validate(&second, &update, now);
}

fn later(than: Timestamp, millis: Option<i64>) -> Timestamp {
    let millis = millis.unwrap_or(0).clamp(0, MAX_STEP_MILLIS);
    than.saturating_add(Duration::from_millis(millis.unsigned_abs()))
}

/// The decision of policies, as the first line of the response says.
fn decision(block: &Block<'_>) -> ResponseDecision {
    let secs = |name: &str| {
        block
            .number(name)
            .and_then(|secs| u32::try_from(secs).ok())
            .map(|secs| Duration::from_secs(secs.into()))
    };
    let storing = match () {
        () if block.has("never") => StoringDecision::Never,
        () if block.has("always") => StoringDecision::Always,
        () => StoringDecision::ByHeaders,
    };
    ResponseDecision {
        storing,
        ttl: secs("ttl"),
        stale_while_revalidate: secs("swr"),
        stale_if_error: secs("sie"),
        ..ResponseDecision::default()
    }
}

fn floor(block: &Block<'_>) -> FloorExceptions {
    let lift = block.has("lift");
    FloorExceptions {
        set_cookie: lift,
        authorization: lift,
        private: lift,
        no_store: lift,
        no_cache: lift,
    }
}

struct Stored<'a> {
    answer: &'a Block<'a>,
    status: StatusCode,
    /// The fields, as received.
    received: HeaderMap,
    /// The fields, as stored.
    headers: HeaderMap,
    directives: ResponseDirectives,
    decision: ResponseDecision,
    freshness: Freshness,
    vary: Vary,
}

impl<'a> Stored<'a> {
    /// The stored form of a response; `None` if it must not be stored. Checks the safety floor.
    fn of(
        request: &Block<'_>,
        answer: &'a Block<'a>,
        asked: Timestamp,
        came: Timestamp,
    ) -> Option<Stored<'a>> {
        let mut received = answer.headers.clone();
        forwarding::strip_response_hop_by_hop(&mut received);
        forwarding::ensure_date(&mut received, came);
        Stored::weighed(request, answer, answer.status(), received, asked, came)
    }

    fn weighed(
        request: &Block<'_>,
        answer: &'a Block<'a>,
        status: StatusCode,
        received: HeaderMap,
        asked: Timestamp,
        came: Timestamp,
    ) -> Option<Stored<'a>> {
        let (decision, floor) = (decision(answer), floor(answer));
        let (method, target) = (request.method(), request.target());
        let directives = ResponseDirectives::governing(&received, &targets());
        let said = RequestDirectives::of(&request.headers);
        let weighed = storability(
            &StorabilityInput {
                method: &method,
                target: &target,
                request_headers: &request.headers,
                request: &said,
                status,
                response_headers: &received,
                directives: &directives,
                decision: &decision,
                default_ttl: DefaultTtl::Given(std::time::Duration::from_secs(60)),
            },
            floor,
        );
        match weighed {
            Storability::Yes => assert!(
                status != StatusCode::PARTIAL_CONTENT,
                "a part is stored as a whole"
            ),
            Storability::Part(_) => assert!(
                status == StatusCode::PARTIAL_CONTENT,
                "a whole is stored as a part"
            ),
            Storability::No(_) => return None,
        }
        let lifted = |exception: bool| exception && decision.storing == StoringDecision::Always;
        assert!(
            !received.contains_key(SET_COOKIE) || lifted(floor.set_cookie),
            "a cookie is shared"
        );
        assert!(
            !directives.private.is_all() || lifted(floor.private),
            "what is private is shared"
        );
        assert!(
            !directives.no_store || directives.must_understand || lifted(floor.no_store),
            "no-store is stored"
        );
        let authorised = request.headers.contains_key("authorization");
        assert!(
            !authorised || directives.allows_authorized() || lifted(floor.authorization),
            "what one user may see is shared"
        );
        assert!(!said.no_store && decision.storing != StoringDecision::Never);
        assert!(status.as_u16() >= 200 && status != StatusCode::NOT_MODIFIED);
        let freshness = Freshness::of(&FreshnessInput {
            status,
            response_headers: &received,
            directives: &directives,
            decision: &decision,
            defaults: SiteDefaults::default(),
            request_time: asked,
            response_time: came,
        });
        let fields = stored_fields(&received, &directives)
            .map(|(name, value)| (name.clone(), value.clone()));
        let (headers, vary) = (fields.collect::<HeaderMap>(), Vary::of(&received));
        Some(Stored {
            answer,
            status,
            received,
            headers,
            directives,
            decision,
            freshness,
            vary,
        })
    }

    /// Checks properties of every stored response on arrival.
    fn check(&self, came: Timestamp) {
        for name in [
            "set-cookie",
            "age",
            "content-length",
            "connection",
            "transfer-encoding",
            "proxy-authenticate",
        ] {
            assert!(!self.headers.contains_key(name), "{name} is stored");
        }
        for name in self
            .directives
            .no_cache
            .fields()
            .iter()
            .chain(self.directives.private.fields())
        {
            assert!(
                !self.headers.contains_key(name),
                "{name} is stored against the response's word"
            );
        }
        assert!(
            self.headers.iter().all(|(name, value)| self
                .received
                .get_all(name)
                .iter()
                .any(|line| line == value))
        );
        assert!(
            self.vary != Vary::Everything
                && (self.vary == Vary::Nothing || self.received.contains_key(VARY))
        );
        // Its age is at least that from the inner cache (§4.2.3).
        assert!(self.freshness.age(came) >= age_value(&self.received));
        if self.decision.ttl.is_none() {
            let fresh_for = self.freshness.fresh_until().since(came);
            assert!(
                fresh_for <= self.freshness.lifetime(),
                "fresh for {fresh_for:?}"
            );
            assert!(!self.directives.no_cache.is_all() || !self.freshness.is_fresh(came));
            assert!(
                self.freshness.source() != LifetimeSource::None || !self.freshness.is_fresh(came)
            );
        }
    }

    fn reuse(&self, request: &Block<'_>, now: Timestamp) {
        let said = RequestDirectives::of(&request.headers);
        let client = if request.has("obey") {
            ClientDirectives::Obey
        } else {
            ClientDirectives::Ignore
        };
        let decided = reuse(&self.freshness, &said, client, now);
        match decided {
            Reuse::Fresh => {
                assert!(self.freshness.is_fresh(now) && self.freshness.remaining_secs(now) > 0);
                assert!(client == ClientDirectives::Ignore || !said.no_cache);
            }
            Reuse::StaleWhileRevalidate => {
                let by_policy = self.decision.stale_while_revalidate.is_some();
                assert!(
                    !self.freshness.is_fresh(now)
                        && (by_policy || !self.directives.forbids_stale()),
                    "stale against its word"
                );
            }
            Reuse::Revalidate(_) => assert!(!said.only_if_cached),
            Reuse::Unsatisfiable => assert!(said.only_if_cached),
        }
        let by_policy = self.decision.stale_if_error.is_some() || self.freshness.is_fresh(now);
        if stale_if_error(&self.freshness, &said, client, now) {
            assert!(
                by_policy || !self.directives.forbids_stale(),
                "stale on an error against its word"
            );
        }
        if matches!(decided, Reuse::Fresh | Reuse::StaleWhileRevalidate) {
            self.deliver(&request.method(), &request.headers);
        }
    }

    fn deliver(&self, method: &Method, request: &HeaderMap) {
        match precondition(method, request, self.status, &self.headers) {
            Precondition::NotModified => {
                assert!(
                    self.status.is_success() && (*method == Method::GET || *method == Method::HEAD)
                );
                let told = not_modified_headers(&self.headers);
                assert!(!told.contains_key("content-length") && !told.contains_key(CONTENT_RANGE));
                assert_eq!(told.get("etag"), self.headers.get("etag"));
            }
            Precondition::Failed => assert!(self.status.is_success()),
            Precondition::Proceed => {}
        }
        let input = SelectionInput {
            method,
            request,
            status: self.status,
            response: &self.headers,
            length: LENGTH,
            max_ranges: MAX_RANGES,
        };
        if let Selection::Single(range) = selection(&input) {
            assert!(
                self.status == StatusCode::OK && range.start < range.end && range.end <= LENGTH
            );
        }
    }

    /// Reads the second response: a 304, a response to HEAD, or another one.
    fn validate(&self, request: &Block<'_>, update: &Block<'_>, now: Timestamp) {
        let mut conditional = request.headers.clone();
        let is_conditional = validation::add_conditions(&self.headers, &mut conditional);
        assert_eq!(
            conditional.get(IF_NONE_MATCH),
            self.headers.get("etag").filter(|etag| !etag.is_empty())
        );
        let answered = later(now, update.number("delay"));
        let mut fields = update.headers.clone();
        forwarding::ensure_date(&mut fields, answered);
        if let HeadUpdate::Freshened(merged) =
            validation::head_updates(&self.headers, LENGTH, StatusCode::OK, &fields)
        {
            assert_eq!(merged, validation::updated_fields(&self.headers, &fields));
        }
        if !is_conditional
            || update.status() != StatusCode::NOT_MODIFIED
            || !validation::applies_to(&self.headers, &fields)
        {
            return;
        }
        let merged = validation::updated_fields(&self.headers, &fields);
        for name in ["content-encoding", "content-range", "content-length"] {
            assert_eq!(
                merged.get(name),
                self.headers.get(name),
                "{name} no longer tells how the stored bytes are to be read"
            );
        }
        let get = Block::default();
        let Some(fresh) = Stored::weighed(&get, self.answer, self.status, merged, now, answered)
        else {
            return;
        };
        fresh.check(answered);
        // The age may fall here, but not below that of the 304.
        assert!(fresh.freshness.age(answered) >= age_value(&fields));
    }
}
