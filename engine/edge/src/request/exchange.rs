//! A request that was let in, with all that was found out about it. `admit` makes it; it does not
//! change afterwards.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, Version};

use super::basic_auth::ProvenCredentials;
use super::canary::Canary;
use super::client::{ClientHandle, TunnelOffer};
use super::rate_limits::{ExceededLimit, LimitClass, LimitedRequest};
use super::request_id::RequestId;
use super::route_table::{CompiledRoute, RouteIndex};
use super::site::Site;
use crate::origin::{OriginError, OriginResponse};
use crate::run_id::RunId;
use crate::telemetry::spans::RequestTrace;
use tero_config::{Compress, RouteCompress};
use tero_policy_host::device::{self, Device, DeviceFields, DeviceSource};
use tero_policy_host::{Chain, ClientFacts, PolicyRequest};
use tero_semantics::authority::{Authority, Scheme};
use tero_semantics::cache_control::RequestDirectives;
use tero_semantics::cache_control_rule::{CacheControlRule, RuledResponse};
use tero_semantics::country::Country;
use tero_semantics::decision::{LookupDecision, QueryRule, RequestDecision};
use tero_semantics::key::{self, KeyParts};
use tero_semantics::operator_floor::FloorRuling;
use tero_semantics::path::PathPattern;
use tero_semantics::storability::CrawlerAdmission;
use tero_semantics::tier::TierRequest;
use tero_semantics::timestamp::Timestamp;
use tero_semantics::upgrade::{is_meant, only_protocol};

/// A request that was let in.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The site that it is for.
    pub site: Arc<Site>,
    /// The route of the site that its path and method select.
    pub route: Option<RouteIndex>,
    /// Whether it goes to other next hops than a GET for its URL, since the routes of the two
    /// differ: then it has no part in what is stored for the URL.
    pub is_apart: bool,
    /// Whether rules of the site keep some clients from what is asked for.
    pub is_restricted: bool,
    /// The head of the request: as it came, without the fields that don't go on.
    pub parts: Parts,
    /// By which scheme the client asks.
    pub scheme: Scheme,
    /// For which authority. `Host` says the same.
    pub authority: Authority,
    /// The class of the client's device; unknown where no policy asks.
    pub device: Device,
    /// How that was found out; by nothing where no policy asks.
    pub device_source: DeviceSource,
    /// Where the client is; `None` where no policy asks.
    pub country: Option<Country>,
    /// Whether the canary answers in the place of the active version.
    pub is_canary: bool,
    /// What the policies decided.
    pub decision: Arc<RequestDecision>,
    /// What the operator's floor says of its path.
    pub floor: FloorRuling,
    /// The key, as `semantics::key` writes it.
    pub key: Vec<u8>,
    /// What the client says about caching.
    pub directives: RequestDirectives,
    /// Which of the fields that matter for the answer are present.
    pub fields: FieldPresence,
    /// Whether who opened the connection is told the surrogate keys of responses.
    pub is_told_keys: bool,
    /// When it was received, by the time that never goes back.
    pub at: Timestamp,
    /// The client's address; `None` for a plan.
    pub client: Option<IpAddr>,
    /// The trusted proxies between the client and us, the nearest last.
    pub proxies: Box<[IpAddr]>,
    /// What the edge in front has decided; `None` if the request doesn't come from a trusted edge.
    pub edge: Option<Box<TierRequest>>,
    /// The connection that waits for the answer; `None` for a plan.
    pub connection: Option<ClientHandle>,
    /// Who asks.
    pub requester: Requester,
    /// Its id, once something has asked for it: see [`Exchange::request_id`].
    pub(super) id: OnceLock<RequestId>,
    /// Credentials that were good for the path as it came; `None` without policies.
    pub(super) proven: Option<Box<ProvenCredentials>>,
    /// Its trace, if it is sampled.
    pub(super) trace: Option<Box<RequestTrace>>,
    /// The limit that it is over.
    pub(super) exceeded: Option<Box<ExceededLimit>>,
    /// What the policies gave as a reason when the stored response that answers was judged. Only for
    /// an access log that tells it.
    pub(super) told_reason: OnceLock<Box<str>>,
    /// The origin that answered it last.
    pub(super) contact: OriginContact,
}

/// Which of its next hops answered a request, and how long that took.
#[derive(Debug, Default)]
pub struct OriginContact {
    /// One more than the place of the hop; 0 if none has answered.
    hop: AtomicUsize,
    took_micros: AtomicU64,
}

impl Clone for OriginContact {
    /// The copy of a request has not been answered.
    fn clone(&self) -> OriginContact {
        OriginContact::default()
    }
}

impl OriginContact {
    fn note(&self, hop: usize, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.took_micros.store(micros, Ordering::Relaxed);
        self.hop.store(hop + 1, Ordering::Relaxed);
    }

    /// The place of the hop among those of [`Exchange::origin`], and the time to the head of its response in
    /// microseconds; `None` if none has answered.
    pub(super) fn latest(&self) -> Option<(usize, u64)> {
        let hop = self.hop.load(Ordering::Relaxed).checked_sub(1)?;
        Some((hop, self.took_micros.load(Ordering::Relaxed)))
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Requester {
    /// A visitor.
    #[default]
    Visitor,
    /// A run of a warming plan.
    Plan(RunId),
    /// A warming plan of an edge in front.
    PlanOfEdge,
}

impl Requester {
    /// Whether a warming plan asks.
    #[inline]
    pub fn is_plan(self) -> bool {
        self != Requester::Visitor
    }

    /// The run that asks; `None` for a visitor, and for a run of another edge.
    pub fn run(self) -> Option<RunId> {
        match self {
            Requester::Visitor | Requester::PlanOfEdge => None,
            Requester::Plan(run) => Some(run),
        }
    }
}

/// Which request fields are present, found in one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldPresence {
    /// One of the fields of RFC 9110 §13.1.
    pub conditional: bool,
    /// `Range`
    pub range: bool,
    /// `Authorization`
    pub authorization: bool,
    /// `Cookie`, with one that counts on the site.
    pub cookie: bool,
    /// A cookie that makes the request a pass on the site.
    pub pass_cookie: bool,
    /// `Cache-Control` or `Pragma`
    pub directives: bool,
    /// Content of some length.
    pub content: bool,
    /// `Expect` or `Upgrade`
    pub unusual: bool,
    /// A client that is not trusted says with fields of proxies that it came by https; noted on
    /// sites that redirect to it.
    pub claims_https: bool,
}

impl Exchange {
    /// When it was received, as the system's clock shows it.
    #[inline]
    pub fn wall(&self) -> Timestamp {
        self.site.clock.wall_of(self.at)
    }

    /// The id that log, origin and client know the request by. It is drawn when it is first asked for,
    /// unless a trusted proxy has told one.
    pub fn request_id(&self) -> &RequestId {
        self.id.get_or_init(RequestId::draw)
    }

    /// Takes over from the edge in front that one of its plans asks. A plan has no address.
    #[cold]
    pub(super) fn take_over_requester(&mut self) {
        if self.edge.as_ref().is_some_and(|edge| edge.is_plan) {
            (self.requester, self.client) = (Requester::PlanOfEdge, None);
        }
    }

    /// Takes over the variant that the edge in front has decided, in the place of what this tier's
    /// policies say of it. Whatever else policies change in a request or an answer, the edge has done:
    /// the same policies here would do it twice. What passes there passes here, and what the operator says
    /// there of the URL's lifetime holds: the edge may ask for another URL than its client did. Beyond as
    /// many variants as may be known, the request passes.
    #[cold]
    pub(super) fn take_over_decision(&mut self) {
        let Some(edge) = &self.edge else { return };
        self.floor = self.floor.and(FloorRuling {
            never: edge.passes,
            at_most: edge.at_most,
            ..FloorRuling::default()
        });
        let variants = &self.site.edge_variants;
        let is_known = edge
            .variant
            .as_ref()
            .is_none_or(|told| variants.learn(told));
        let is_as_decided =
            self.decision.variant == edge.variant && self.decision.extended.is_none();
        if is_known && is_as_decided {
            return;
        }
        let mut decision = RequestDecision::clone(&self.decision);
        decision.variant = edge.variant.clone();
        decision.extended = None;
        if !is_known {
            decision.lookup = LookupDecision::Pass;
            let why = "edges tell more variants than max_policy_variants";
            let reason = joined_reasons(decision.reason.as_deref(), Some(why));
            decision.reason = reason.map(|reason| Arc::from(&*reason));
        }
        self.decision = Arc::new(decision);
    }

    /// The request, as limits of this class see it.
    pub(super) fn limited<'e>(&'e self, class: LimitClass<'e>) -> LimitedRequest<'e> {
        LimitedRequest {
            class,
            client: self.client,
            method: &self.parts.method,
            path: self.parts.uri.path(),
            at: self.at,
            wall: self.wall(),
        }
    }

    /// Takes what the request costs of the limits of its site. Whether one refuses it. Called once.
    #[cold]
    pub(super) fn take_allowance(&mut self) -> bool {
        self.take(LimitClass::None);
        self.is_refused_by_limit()
    }

    /// Takes what the request costs of the limits of the class that policies chose.
    #[cold]
    pub(super) fn take_allowance_of(&mut self, class: &str) {
        self.take(LimitClass::Only(class));
    }

    fn take(&mut self, class: LimitClass<'_>) {
        let limits = self.site.limits.as_ref();
        let limited = self.limited(class);
        let Some(exceeded) = limits.and_then(|limits| limits.take(limited)) else {
            return;
        };
        exceeded.tell(&self.site.settings.name, limited);
        self.exceeded = Some(Box::new(exceeded));
    }

    /// The class that policies chose, and the limits without one.
    pub(super) fn limit_class(&self) -> LimitClass<'_> {
        let class = self.extended().and_then(|it| it.rate_class.as_deref());
        class.map_or(LimitClass::None, LimitClass::With)
    }

    /// Whether a limit refuses it.
    pub(super) fn is_refused_by_limit(&self) -> bool {
        self.exceeded
            .as_ref()
            .is_some_and(|exceeded| exceeded.refuses())
    }

    /// The route of the site that its path and method select.
    #[inline]
    pub fn route(&self) -> Option<&CompiledRoute> {
        let index = self.route?;
        Some(self.site.routes.as_ref()?.at(index))
    }

    /// How its stored response is compressed; `None` if it isn't.
    #[inline]
    pub(super) fn compress(&self) -> Option<&Compress> {
        match self.route {
            None => self.site.settings.compress.as_ref(),
            Some(_) => self.compress_of_route(),
        }
    }

    fn compress_of_route(&self) -> Option<&Compress> {
        match &self.route()?.settings.compress {
            RouteCompress::OfSite => self.site.settings.compress.as_ref(),
            RouteCompress::Off => None,
            RouteCompress::Own(own) => Some(own),
        }
    }

    /// The policies that answer for this request, from its beginning to its end.
    pub fn policies(&self) -> &Chain {
        match &self.site.canary {
            Some(canary) if self.is_canary => &canary.chain,
            _ => &self.site.policies,
        }
    }

    /// The site's canary, if this request is of its share. The share goes by the key before any
    /// variant: which of the query counts is what the active version says, which must have decided
    /// by now.
    pub(super) fn chosen_canary(&self) -> Option<&Canary> {
        let canary = self.site.canary.as_ref()?;
        let uri = &self.parts.uri;
        let query = key::canonical_query(uri.query(), self.query_rule());
        canary
            .takes(self.authority.host(), uri.path(), query.as_deref())
            .then_some(canary)
    }

    /// Counts a request to the origin that ended with `answer` after `took`.
    pub(super) fn count_origin(
        &self,
        answer: &Result<OriginResponse, OriginError>,
        took: Duration,
    ) {
        let status = answer.as_ref().ok().map(|answer| answer.response.status());
        if let Ok(answer) = answer {
            self.contact.note(answer.hop, took);
        }
        self.count_origin_status(status, took);
    }

    /// The same by the status of the answer; `None` if there was no answer.
    pub(super) fn count_origin_status(&self, status: Option<StatusCode>, took: Duration) {
        self.site.counters.record_origin(status, took);
        if let Some(canary) = &self.site.canary {
            canary.record_origin(self.is_canary);
        }
    }

    /// Which of the query counts: as the policies decided, or as the site says where they decided
    /// nothing.
    #[inline]
    pub fn query_rule(&self) -> &QueryRule {
        let route = self.route().map(|route| &route.settings);
        let site = &self.site.settings;
        site.query_rule(route, &self.decision.query)
    }

    /// Has a response of the next hop say of caching what the site says in its place.
    pub(super) fn apply_cache_control<B>(&self, response: &mut Response<B>, now: Timestamp) {
        let site = &self.site;
        let of_route = self.route().map(|route| &route.settings);
        let rule = CacheControlRule {
            replacement: of_route
                .and_then(|route| route.cache_control.clone())
                .or_else(|| site.settings.cache_control.clone()),
            at_most: of_route
                .and_then(|route| route.cache_control_at_most)
                .or(site.settings.cache_control_at_most),
        };
        if rule.is_empty() {
            return;
        }
        let of = RuledResponse {
            method: &self.parts.method,
            has_cookies: self.fields.cookie,
            status: response.status(),
            targets: &site.settings.targeted_fields,
            lifted: site.settings.policy_may_override,
            now: site.clock.wall_of(now),
        };
        rule.apply(&of, response.headers_mut());
    }

    /// The question to the policies.
    pub fn ask(&self) -> PolicyRequest<'_> {
        PolicyRequest {
            method: &self.parts.method,
            scheme: self.scheme.as_str(),
            host: self.authority.host(),
            path: self.parts.uri.path(),
            query: self.parts.uri.query(),
            headers: &self.parts.headers,
            device: self.device,
            device_source: self.device_source,
            client: ClientFacts {
                address: self.client,
                country: self.country.as_ref().map(Country::code),
                region: self.country.as_ref().and_then(Country::region),
                bucket: None,
            },
            route: self
                .route()
                .and_then(|route| route.settings.name.as_deref()),
            variant: self.decision.variant.as_deref(),
        }
    }

    /// Whether a crawler sent it and the site keeps nothing for crawlers. Costs more than a look-up
    /// where no policy asks for devices: for what is fetched.
    pub(super) fn is_of_unkept_crawler(&self) -> bool {
        if self.site.settings.crawlers == CrawlerAdmission::Admit || self.requester.run().is_some()
        {
            return false;
        }
        let device = match self.device {
            Device::Unknown => device::class_of(
                DeviceFields::of(&self.parts.headers),
                &self.site.device_models,
            ),
            known => known,
        };
        device == Device::Bot
    }

    /// Why it is handled so: what the policies gave as a reason, and the operator's floor if that
    /// passes it.
    pub(super) fn reason(&self) -> Option<Cow<'_, str>> {
        let of_policies = self.decision.reason.as_deref();
        if !self.floor.never {
            return of_policies.map(Cow::Borrowed);
        }
        let floor = self.site.floor.as_deref();
        let pattern = floor.and_then(|floor| self.paths().find_map(|path| floor.never_by(path)));
        joined_reasons(of_policies, pattern.map(|by| format!("site.never: {by}")))
    }

    /// The operator's rules that bound the lifetime of its response, as a reason.
    pub(super) fn bound_reason(&self) -> Option<String> {
        let floor = self.site.floor.as_deref()?;
        let by = self.paths().flat_map(|path| floor.at_most_by(path));
        let mut by: Vec<&str> = by.map(PathPattern::as_str).collect();
        by.sort_unstable();
        by.dedup();
        Some(format!("site.at_most: {}", by.join(", ")))
    }

    /// The protocol that the request asks for, if the site passes it on (RFC 9110 §7.8). Content
    /// would stand in the way of the tunnel. A request that is explained has no connection, and
    /// stands for one that has.
    pub(super) fn wanted_protocol(&self) -> Option<&HeaderValue> {
        let parts = &self.parts;
        let is_plain = parts.version >= Version::HTTP_11
            && parts.method == Method::GET
            && !self.fields.content;
        let protocol = only_protocol(&parts.headers)?;
        let is_allowed = self
            .site
            .settings
            .upgrades
            .iter()
            .any(|own| own.as_bytes().eq_ignore_ascii_case(protocol.as_bytes()));
        let can_upgrade = self.connection.is_none() || TunnelOffer::of(&parts.extensions).is_some();
        (is_plain && is_allowed && can_upgrade && is_meant(&parts.headers)).then_some(protocol)
    }

    /// Whether the request is an extended CONNECT (RFC 8441 §4) for a protocol that the site does
    /// not pass on. As it wants nothing but a tunnel, it can't be answered as usual.
    #[inline]
    pub(super) fn is_vain_connect(&self) -> bool {
        self.fields.unusual && self.parts.version == Version::HTTP_2 && self.wants_in_vain()
    }

    #[cold]
    fn wants_in_vain(&self) -> bool {
        self.parts.extensions.get::<TunnelOffer>().is_some() && self.wanted_protocol().is_none()
    }

    /// The absolute URL, with the query that counts.
    pub fn url(&self) -> Option<http::Uri> {
        http::Uri::try_from(key::url_of(&self.key)).ok()
    }

    /// Path and the query that counts.
    pub fn counting_target(&self) -> String {
        let path = self.parts.uri.path();
        match key::canonical_query(self.parts.uri.query(), self.query_rule()) {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }
    }

    /// The key that the policies' decision gives the request.
    pub(super) fn write_key(&self) -> Vec<u8> {
        let uri = &self.parts.uri;
        let query = key::canonical_query(uri.query(), self.query_rule());
        let mut written = Vec::with_capacity(
            self.authority.as_str().len() + uri.path().len() + uri.query().map_or(0, str::len) + 32,
        );
        let parts = KeyParts {
            scheme: self.scheme.as_str(),
            authority: self.authority.as_str(),
            path: uri.path(),
            query: query.as_deref(),
            variant: self.decision.variant.as_deref(),
        };
        key::write_key(&mut written, &parts);
        if let Some(extended) = &self.decision.extended {
            key::write_suffix(&mut written, &extended.key_suffix());
        }
        if let Some(told) = self.edge.as_ref().and_then(|edge| edge.key.as_ref()) {
            key::write_suffix(&mut written, format!("e{}:{told}", told.len()).as_bytes());
        }
        written
    }

    /// Path and query that the origin is asked for: the query as it came, or as policies chose.
    pub(super) fn asked_target(&self) -> (&str, Option<&str>) {
        let uri = &self.parts.uri;
        let Some(extended) = self.extended() else {
            return (uri.path(), uri.query());
        };
        let query = match &extended.origin.query {
            Some(query) => Some(&**query).filter(|query| !query.is_empty()),
            None => uri.query(),
        };
        (extended.origin.path.as_deref().unwrap_or(uri.path()), query)
    }
}

/// Two reasons as one.
pub(super) fn joined_reasons<'a>(
    first: Option<&'a str>,
    second: Option<impl Into<Cow<'a, str>>>,
) -> Option<Cow<'a, str>> {
    match (first, second.map(Into::into)) {
        (Some(first), Some(second)) => Some(format!("{first}; {second}").into()),
        (first, second) => second.or(first.map(Cow::Borrowed)),
    }
}
