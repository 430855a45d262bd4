//! One request on its way: the edge that all share, and the exchange of this one.

use std::sync::Arc;
use std::time::Duration;

use super::edge::Edge;
use super::exchange::{Exchange, Requester};
use super::failure::Failure;
use super::response_edits::{EditedResponse, ResponseEdits};
use super::site::Site;
use crate::origin::BreakerPosition;
use crate::store::stored::StoredResponse;
use crate::store::{PurgeWatch, Variants};
use tero_config::{self as config, WhenBlind};
use tero_semantics::decision::ExtendedDecision;
use tero_semantics::disposition::{
    Disposition, OriginOutlook, RequestFacts, StoredMatch, disposition,
};
use tero_semantics::field_edits::FieldEdits;
use tero_semantics::operator_floor::LifetimeBound;
use tero_semantics::reuse::{RevalidationReason, stale_if_error};
use tero_semantics::timestamp::Timestamp;

/// One request on its way. Borrowed: a hit must not touch a reference count that workers share.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'v> {
    /// What all requests share.
    pub edge: &'v Arc<Edge>,
    /// The request.
    pub exchange: &'v Arc<Exchange>,
}

/// Whether a look at a stored response counts as a use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// A visitor's does.
    Count,
    /// A plan's and an explanation's do not.
    Peek,
}

const _: () = {
    const fn assert_copy<T: Copy>() {}
    assert_copy::<Visit<'static>>();
};

/// A visit that a task holds.
#[derive(Clone, Debug)]
pub struct OwnedVisit {
    edge: Arc<Edge>,
    exchange: Arc<Exchange>,
}

impl<'v> Visit<'v> {
    /// The time.
    #[inline]
    pub fn now(self) -> Timestamp {
        self.edge.clock.now()
    }

    /// The site that the request is for.
    #[inline]
    pub fn site(self) -> &'v Arc<Site> {
        &self.exchange.site
    }

    /// The site's configuration.
    #[inline]
    pub fn settings(self) -> &'v config::Site {
        &self.exchange.site.settings
    }

    /// The longest time between two pieces of a body.
    pub(super) fn body_timeout(self) -> Duration {
        let route = self.exchange.route();
        let own = route.and_then(|route| route.settings.body_timeout);
        own.unwrap_or(self.settings().body_timeout)
    }

    /// What the rules of the site change in responses.
    #[inline]
    pub(super) fn response_edits(self) -> Option<&'v ResponseEdits> {
        let exchange = self.exchange;
        let table = exchange.site.rules.as_ref()?.responses.as_ref()?;
        if exchange.is_as_shield() {
            return None;
        }
        table.of(EditedResponse {
            route: exchange.route,
            scheme: exchange.scheme,
            is_restricted: exchange.is_restricted,
        })
    }

    /// What policies change in the fields of responses to the client.
    #[inline]
    pub(super) fn decided_fields(self) -> Option<&'v FieldEdits> {
        let edits = &self.exchange.extended()?.response_fields;
        (!edits.is_empty()).then_some(edits)
    }

    /// What becomes of the request, before anything is done about it.
    #[inline]
    pub fn disposition(self, look: Look) -> Disposition<Arc<StoredResponse>> {
        self.disposition_of(|| self.stored(look))
    }

    /// The same with what `look_up` finds.
    #[inline]
    pub(super) fn disposition_of(
        self,
        look_up: impl FnOnce() -> StoredMatch<Arc<StoredResponse>>,
    ) -> Disposition<Arc<StoredResponse>> {
        let exchange = self.exchange;
        let facts = RequestFacts {
            method: &exchange.parts.method,
            has_content: exchange.fields.content,
            asks_for_upgrade: exchange.fields.unusual && exchange.wanted_protocol().is_some(),
            is_answered: exchange.own_answer().is_some(),
            is_never: exchange.floor.never,
            is_apart: exchange.is_apart,
            lookup: exchange.decision.lookup,
            has_pass_cookie: exchange.fields.pass_cookie,
            directives: &exchange.directives,
            client: self.settings().client_directives,
            at: exchange.at,
        };
        let found = disposition(&facts, look_up, || self.outlook());
        match self.may_miss_purges() {
            true => self.distrusting(found),
            false => found,
        }
    }

    /// Whether purges of what is stored may have been missed, and the site wants to know.
    #[inline]
    pub(super) fn may_miss_purges(self) -> bool {
        self.edge.fleet.distrusts(self.settings().when_blind) || self.is_behind_edge()
    }

    /// Whether a stored response must not be used before it was validated, since a purge of it may have
    /// been missed: it was stored before the request came.
    #[inline]
    pub(super) fn is_distrusted(self, stored: &StoredResponse) -> bool {
        self.may_miss_purges() && !stored.head.freshness.age(self.exchange.at).is_zero()
    }

    /// The same while purges may have been missed: what is stored is validated first, unless that has
    /// happened since the request came.
    #[cold]
    fn distrusting(
        self,
        found: Disposition<Arc<StoredResponse>>,
    ) -> Disposition<Arc<StoredResponse>> {
        let stored = match found {
            Disposition::Serve(stored) if !self.is_distrusted(&stored) => {
                return Disposition::Serve(stored);
            }
            Disposition::Serve(stored) | Disposition::ServeWhileRevalidating(stored) => stored,
            Disposition::ServeWhileOriginRests(stored)
            | Disposition::ServeWhileOriginIsTried(stored)
                if self.trusts_nothing_stored() =>
            {
                stored
            }
            found => return found,
        };
        if self.exchange.directives.only_if_cached {
            return Disposition::GatewayTimeout;
        }
        let why = RevalidationReason::Blind;
        Disposition::Revalidate { stored, why }
    }

    /// Whether nothing stored may stand in for what the origin does not answer, since purges may have
    /// been missed.
    #[inline]
    pub(super) fn trusts_nothing_stored(self) -> bool {
        let when_blind = self.settings().when_blind;
        when_blind == WhenBlind::Revalidate && self.edge.fleet.distrusts(when_blind)
            || self.is_behind_edge()
    }

    /// Whether the edge in front is further in the log of purges.
    #[inline]
    pub(super) fn is_behind_edge(self) -> bool {
        let edge = self.exchange.edge.as_ref();
        edge.is_some_and(|edge| self.edge.fleet.is_behind(edge))
    }

    /// Whether the origin is expected to answer, by what happened to this key and to others lately.
    #[cold]
    fn outlook(self) -> OriginOutlook {
        let Visit { edge, exchange } = self;
        let now = self.now();
        let of_key = edge.failing_keys.outlook(&exchange.key, now);
        match self.exchange.origin().breaker().position(now) {
            _ if of_key == OriginOutlook::Resting => of_key,
            BreakerPosition::Open => OriginOutlook::Resting,
            BreakerPosition::HalfOpen => OriginOutlook::Doubtful,
            BreakerPosition::Closed => of_key,
        }
    }

    /// The failure of this key that is remembered for `error_ttl`. Plans try again by themselves.
    pub(super) fn remembered_failure(self) -> Option<Failure> {
        let Visit { edge, exchange } = self;
        if exchange.requester.is_plan() {
            return None;
        }
        let error_ttl = self.settings().error_ttl;
        edge.failing_keys
            .remembered(&exchange.key, error_ttl, self.now())
    }

    /// The stored response that the request selects.
    #[inline]
    pub(super) fn stored(self, look: Look) -> StoredMatch<Arc<StoredResponse>> {
        let (store, exchange) = (&self.edge.store, self.exchange);
        let variants = match look {
            Look::Count => store.lookup(&exchange.key),
            Look::Peek => store.peek(&exchange.key),
        };
        self.selected(variants)
    }

    /// Which of these responses the request selects.
    #[inline]
    pub(super) fn selected(self, variants: Option<Variants>) -> StoredMatch<Arc<StoredResponse>> {
        match variants {
            None => StoredMatch::Nothing,
            Some(variants) => variants
                .into_selected(&self.exchange.parts.headers)
                .map_or(StoredMatch::OtherVariants, |stored| {
                    StoredMatch::Selected(self.within_floor(stored))
                }),
        }
    }

    /// A stored response, within the operator's floor: it may have been stored before that was set.
    #[inline]
    fn within_floor(self, stored: Arc<StoredResponse>) -> Arc<StoredResponse> {
        match self.exchange.floor.at_most {
            Some(bound) if !stored.head.freshness.is_within(bound) => bounded(&stored, bound),
            _ => stored,
        }
    }

    /// Whether the answer is expected not to be storable (hit-for-miss).
    pub(super) fn expects_not_storable(self) -> bool {
        let Visit { edge, exchange } = self;
        let has_cookies = exchange.fields.cookie;
        edge.hit_for_miss
            .expects(&exchange.key, has_cookies, exchange.at)
    }

    /// Whether the parts of the key have a new value, for which the site has no room. Else the value is
    /// noted as in use.
    pub(super) fn has_too_many_key_values(self) -> bool {
        match self.exchange.extended() {
            None => false,
            Some(extended) => self.is_refused_value(extended),
        }
    }

    #[cold]
    fn is_refused_value(self, decided: &ExtendedDecision) -> bool {
        let most = self.settings().max_key_values;
        let (parts, at) = (&decided.key_parts, self.exchange.at);
        !parts.is_empty() && !self.site().key_values.admit(parts, most, at)
    }

    /// Whether a request that goes forward would pass for such a value. Notes nothing.
    pub(super) fn would_pass_new_value(self) -> bool {
        let Some(extended) = self.exchange.extended() else {
            return false;
        };
        let most = self.settings().max_key_values;
        let (parts, values) = (&extended.key_parts, &self.site().key_values);
        !parts.is_empty() && !values.would_admit(parts, most, self.exchange.at)
    }

    /// Notes the value that the parts of the key have as in use.
    pub(super) fn note_key_value(self) {
        if let Some(extended) = self.exchange.extended()
            && !extended.key_parts.is_empty()
        {
            let most = self.settings().max_key_values;
            let values = &self.site().key_values;
            values.touch(&extended.key_parts, most, self.exchange.at);
        }
    }

    /// Whether a stored response may stand in for an answer that failed (RFC 5861 §4).
    pub(super) fn may_stand_in(self, stored: &StoredResponse) -> bool {
        let (client, now) = (self.settings().client_directives, self.now());
        let freshness = &stored.head.freshness;
        !self.trusts_nothing_stored()
            && stale_if_error(freshness, &self.exchange.directives, client, now)
    }

    /// Watches the purges of the request's key from now on.
    pub(super) fn watch_purges(self) -> PurgeWatch {
        let exchange = self.exchange;
        let site = exchange.site.index;
        self.edge.store.watch_purges(&exchange.key, site)
    }

    /// How this request looks at stored responses.
    #[inline]
    pub(super) fn look(self) -> Look {
        match self.exchange.requester {
            Requester::Visitor => Look::Count,
            Requester::Plan(_) | Requester::PlanOfEdge => Look::Peek,
        }
    }

    /// The same, for a task.
    pub fn to_owned(self) -> OwnedVisit {
        OwnedVisit {
            edge: Arc::clone(self.edge),
            exchange: Arc::clone(self.exchange),
        }
    }
}

#[cold]
fn bounded(stored: &StoredResponse, bound: LifetimeBound) -> Arc<StoredResponse> {
    let freshness = stored.head.freshness.bounded(bound);
    // It stands for the stored one where that is replaced or dropped.
    let mut bounded = stored.with_freshness(freshness);
    bounded.id = stored.id;
    Arc::new(bounded)
}

impl OwnedVisit {
    /// A visit of this exchange.
    pub(super) fn new(edge: Arc<Edge>, exchange: Arc<Exchange>) -> OwnedVisit {
        OwnedVisit { edge, exchange }
    }

    /// The visit, borrowed.
    pub fn visit(&self) -> Visit<'_> {
        Visit {
            edge: &self.edge,
            exchange: &self.exchange,
        }
    }
}
