//! What the rules of a site decide about a request, before policies are asked: in the order network,
//! limit, redirect, credentials, maintenance, own content.
//!
//! A rule that protects something holds for every path that an origin may read as one that it is for
//! ([`tero_semantics::path`]): of two routes that two readings select, both protect.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::basic_auth::{
    CredentialStatus, FAILURE_WINDOW, PasswordCheckers, ProvenCredentials, UserPassword, UserRealm,
};
use super::exchange::Exchange;
use super::maintenance::MaintenanceOrder;
use super::route_table::CompiledRoute;
use super::site::Site;
use super::site_rules::{SiteRules, is_restricting};
use crate::telemetry::rule_counters::RuleKind;
use tero_config as config;
use tero_config::{IpNet, RedirectQuery};
use tero_semantics::authority::Scheme;
use tero_semantics::purge_request::is_purge;
use tero_semantics::redirect::{https_url, rest_of};
use tero_semantics::timestamp::Timestamp;

/// Where ACME asks for the proof that a host is ours (RFC 8555 §8.3).
const ACME_CHALLENGE: &str = "/.well-known/acme-challenge/";

/// What the rules decide.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The request goes on to the policies.
    Admit,
    /// It is answered.
    Answer(Box<RuleAnswer>),
    /// Policies are asked, and the request gets what is stored for it, or else this answer.
    StoredOnly(Box<RuleAnswer>),
    /// The client's credentials have to be checked first.
    Check(Box<PendingCredentials>),
}

/// Credentials that have to be checked before a request goes on.
#[derive(Debug)]
pub(super) struct PendingCredentials {
    credentials: UserPassword,
    /// Those that have to be checked.
    realms: Vec<Arc<UserRealm>>,
    /// All that the request needs.
    all: Vec<Arc<UserRealm>>,
    /// For which path they are needed.
    pub(super) stage: CheckStage,
}

/// For which path of a request credentials are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckStage {
    /// The client's: policies are asked afterwards.
    Own,
    /// The one that policies chose.
    Decided,
}

/// The answer of a rule.
#[derive(Debug)]
pub(super) struct RuleAnswer {
    pub(super) rule: RuleKind,
    pub(super) status: StatusCode,
    /// Fields beside those that every such answer has.
    pub(super) headers: HeaderMap,
    /// The content with its media type; `None` for a line that says the reason.
    pub(super) content: Option<(Bytes, HeaderValue)>,
    /// How long others may keep it, in seconds; `None` for not at all.
    pub(super) max_age_secs: Option<u64>,
}

impl RuleAnswer {
    pub(super) fn new(rule: RuleKind, status: StatusCode) -> Box<RuleAnswer> {
        Box::new(RuleAnswer {
            rule,
            status,
            headers: HeaderMap::new(),
            content: None,
            max_age_secs: None,
        })
    }
}

/// Decides about a visitor's request.
#[cold]
pub(super) fn verdict(exchange: &mut Exchange) -> Verdict {
    let site = Arc::clone(&exchange.site);
    // Who may purge is said where the site takes purges at all.
    let is_purge = site.purge.is_some() && is_purge(&exchange.parts.method);
    match &site.rules {
        Some(rules) if rules.is_decisive && !is_purge => by_rules(rules, &site, exchange),
        _ if is_over_limit(exchange) || is_purge => Verdict::Admit,
        _ => after_credentials(exchange),
    }
}

/// Whether a limit refuses a request, which takes from its limits. The request path answers it.
fn is_over_limit(exchange: &mut Exchange) -> bool {
    exchange.site.limits.is_some() && exchange.take_allowance()
}

/// Decides by the rules of a site.
fn by_rules(rules: &SiteRules, site: &Site, exchange: &mut Exchange) -> Verdict {
    let protecting = rules.protecting(&site.routes, target_of(exchange));
    if let Some(refused) = by_network(&site.settings, &protecting, exchange.client) {
        return Verdict::Answer(refused);
    }
    exchange.is_restricted = !site.settings.allow.is_empty()
        || protecting
            .iter()
            .any(|route| is_restricting(&route.settings));
    if is_over_limit(exchange) {
        return Verdict::Admit;
    }
    if let Some(moved) = to_https(&site.settings, exchange).or_else(|| redirect(exchange)) {
        return Verdict::Answer(moved);
    }
    let realms = rules.realms_of(&site.routes, &protecting);
    if !realms.is_empty() {
        match by_credentials(exchange, realms, CheckStage::Own) {
            Verdict::Admit => {}
            other => return other,
        }
    }
    after_credentials(exchange)
}

/// What rules go by: the method and the path.
fn target_of(exchange: &Exchange) -> (&Method, &str) {
    (&exchange.parts.method, exchange.parts.uri.path())
}

/// Decides about a request whose client may use what it asks for.
fn after_credentials(exchange: &Exchange) -> Verdict {
    match exchange.site.maintenance.current(exchange.wall()) {
        Some(order) if !order.exempts(exchange.client) => {
            let answer = in_maintenance(&order, exchange.wall());
            match order.serves_stored {
                true => Verdict::StoredOnly(answer),
                false => Verdict::Answer(answer),
            }
        }
        _ => respond(exchange).map_or(Verdict::Admit, Verdict::Answer),
    }
}

/// The answer while a site is being worked on.
fn in_maintenance(order: &MaintenanceOrder, now: Timestamp) -> Box<RuleAnswer> {
    let mut answer = RuleAnswer::new(RuleKind::Maintenance, StatusCode::SERVICE_UNAVAILABLE);
    let wait = order.retry_after_secs(now);
    answer.headers.insert(RETRY_AFTER, wait.into());
    if !order.message.is_empty() {
        let text = format!("{}\n", order.message);
        answer.content = Some((
            text.into(),
            HeaderValue::from_static("text/plain; charset=utf-8"),
        ));
    }
    answer
}

/// What the rules of a site would decide about a request, as far as that doesn't depend on its client.
#[derive(Debug, Default)]
pub(super) struct RuleForecast {
    /// The rules that have a say, each with a text for people.
    pub(super) notes: Vec<(RuleKind, String)>,
    /// How the request is answered without policies; `None` if it isn't.
    pub(super) answer: Option<String>,
}

/// Forecasts the verdict on a request.
pub(super) fn forecast(exchange: &Exchange) -> RuleForecast {
    let site = &exchange.site;
    let mut notes = Vec::new();
    if site.maintenance.current(exchange.wall()).is_some() {
        let text = "the site is in maintenance: visitors get 503, or what is stored";
        notes.push((RuleKind::Maintenance, text.to_owned()));
    }
    let Some(rules) = site.rules.as_ref().filter(|rules| rules.is_decisive) else {
        return RuleForecast {
            notes,
            answer: None,
        };
    };
    let method = &exchange.parts.method;
    let protecting = exchange
        .paths()
        .map(|path| rules.protecting(&site.routes, (method, path)));
    let protecting: Vec<_> = protecting.flatten().collect();
    let of_site = (&site.settings.allow, &site.settings.deny);
    let of_routes = protecting
        .iter()
        .map(|route| (&route.settings.allow, &route.settings.deny));
    let mut networks = std::iter::once(of_site).chain(of_routes);
    if networks.any(|(allow, deny)| !allow.is_empty() || !deny.is_empty()) {
        let text = "clients of some networks get 403 (allow, deny)";
        notes.push((RuleKind::Network, text.to_owned()));
    }
    if protecting.iter().any(|route| route.settings.auth.is_some()) {
        let text = "clients need a name and a password, or get 401 (site.route.auth)";
        notes.push((RuleKind::Auth, text.to_owned()));
    }
    let answer = to_https(&site.settings, exchange)
        .or_else(|| redirect(exchange))
        .or_else(|| respond(exchange));
    let answer = answer.map(|answer| {
        let location = answer.headers.get(LOCATION);
        let location =
            location.map(|value| format!(" to {}", String::from_utf8_lossy(value.as_bytes())));
        let text = format!("{}{}", answer.status, location.unwrap_or_default());
        notes.push((answer.rule, format!("{}: {text}", answer.rule.reason())));
        text
    });
    RuleForecast { notes, answer }
}

/// The refusal of a client whose network may not use what it asks for.
pub(super) fn by_network(
    site: &config::Site,
    routes: &[&CompiledRoute],
    client: Option<IpAddr>,
) -> Option<Box<RuleAnswer>> {
    let client = client?.to_canonical();
    let has = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&client));
    let refuses = |allow: &[IpNet], deny: &[IpNet]| has(deny) || (!allow.is_empty() && !has(allow));
    let mut of_routes = routes.iter().map(|route| &route.settings);
    let is_refused = refuses(&site.allow, &site.deny)
        || of_routes.any(|route| refuses(&route.allow, &route.deny));
    is_refused.then(|| RuleAnswer::new(RuleKind::Network, StatusCode::FORBIDDEN))
}

/// Whether the credentials of a request are good for all these realms. Then they are used up: the
/// origin is not told them, and the response is one for all who may have it.
pub(super) fn by_credentials(
    exchange: &mut Exchange,
    realms: Vec<Arc<UserRealm>>,
    stage: CheckStage,
) -> Verdict {
    let proven = exchange.proven.as_ref();
    let Some(credentials) = proven
        .map(|proven| proven.credentials.clone())
        .or_else(|| UserPassword::of(&exchange.parts.headers))
    else {
        return Verdict::Answer(challenge(&realms));
    };
    let (client, now) = (exchange.client, exchange.at);
    let status = |realm: &UserRealm| realm.status(&credentials, client, now);
    let mut pending = Vec::new();
    for realm in &realms {
        match status(realm) {
            CredentialStatus::Verified => {}
            CredentialStatus::Unknown => pending.push(Arc::clone(realm)),
            CredentialStatus::Limited => return Verdict::Answer(limited()),
        }
    }
    if pending.is_empty() {
        use_up_credentials(exchange, credentials, realms);
        return Verdict::Admit;
    }
    Verdict::Check(Box::new(PendingCredentials {
        credentials,
        realms: pending,
        all: realms,
        stage,
    }))
}

fn use_up_credentials(
    exchange: &mut Exchange,
    credentials: UserPassword,
    realms: Vec<Arc<UserRealm>>,
) {
    exchange.parts.headers.remove(AUTHORIZATION);
    exchange.fields.authorization = false;
    if !exchange.site.policies.is_empty() {
        exchange.proven = Some(Box::new(ProvenCredentials {
            credentials,
            realms,
        }));
    }
}

fn challenge(realms: &[Arc<UserRealm>]) -> Box<RuleAnswer> {
    let mut answer = RuleAnswer::new(RuleKind::Auth, StatusCode::UNAUTHORIZED);
    if let Some(realm) = realms.first() {
        let challenge = realm.challenge.clone();
        answer.headers.insert(WWW_AUTHENTICATE, challenge);
    }
    answer
}

fn limited() -> Box<RuleAnswer> {
    let mut answer = RuleAnswer::new(RuleKind::AuthLimit, StatusCode::TOO_MANY_REQUESTS);
    answer
        .headers
        .insert(RETRY_AFTER, FAILURE_WINDOW.as_secs().into());
    answer
}

impl PendingCredentials {
    /// Has the credentials of a request checked, and decides on.
    pub(super) async fn verdict(
        self,
        checkers: &PasswordCheckers,
        exchange: &mut Exchange,
    ) -> Verdict {
        for realm in &self.realms {
            let Some(result) = checkers.check(realm, &self.credentials) else {
                let mut busy = RuleAnswer::new(RuleKind::AuthBusy, StatusCode::SERVICE_UNAVAILABLE);
                busy.headers.insert(RETRY_AFTER, 1.into());
                return Verdict::Answer(busy);
            };
            if !result.await.unwrap_or(false) {
                realm.record_failure(exchange.client, exchange.at);
                return Verdict::Answer(challenge(std::slice::from_ref(realm)));
            }
        }
        self.taken_for_good(exchange)
    }

    /// Decides on as if all credentials were good.
    pub(super) fn taken_for_good(self, exchange: &mut Exchange) -> Verdict {
        use_up_credentials(exchange, self.credentials, self.all);
        match self.stage {
            CheckStage::Own => after_credentials(exchange),
            CheckStage::Decided => Verdict::Admit,
        }
    }
}

/// The redirect of a request over http. A client that says that it came by https is believed so far:
/// behind a proxy that is not trusted, the redirect would lead to itself.
fn to_https(site: &config::Site, exchange: &Exchange) -> Option<Box<RuleAnswer>> {
    let parts = &exchange.parts;
    let status = site.redirect_to_https.status(&parts.method)?;
    if exchange.scheme == Scheme::Https || is_acme_challenge(&parts.method, parts.uri.path()) {
        return None;
    }
    if exchange.fields.claims_https {
        let repeats = &exchange.site.counters.repeats;
        let message = "a client says that it came by https";
        if let Some(left_out) = repeats.due(message, "untrusted", exchange.at) {
            tracing::warn!(site = %site.name, client = ?exchange.client, left_out, "{message}, and is not redirected to it: name its proxy in server.trusted_proxies");
        }
        return None;
    }
    let host = exchange.authority.host();
    let location = https_url(host, site.https_port, parts.uri.path(), parts.uri.query());
    moved(RuleKind::Https, status, &location)
}

fn is_acme_challenge(method: &Method, path: &str) -> bool {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let token = path.strip_prefix(ACME_CHALLENGE);
    matches!(*method, Method::GET | Method::HEAD)
        && token.is_some_and(|token| !token.is_empty() && token.bytes().all(is_of_token))
}

/// The redirect of the route.
fn redirect(exchange: &Exchange) -> Option<Box<RuleAnswer>> {
    let route = &exchange.route()?.settings;
    let redirect = route.redirect.as_ref()?;
    let (path, query) = (exchange.parts.uri.path(), exchange.parts.uri.query());
    let mut patterns = route.paths.iter().filter(|pattern| pattern.matches(path));
    let rest = patterns.find_map(|pattern| rest_of(pattern.as_str(), path));
    let kept = query.filter(|_| redirect.query == RedirectQuery::Keep);
    let location = redirect.to.location(path, rest.unwrap_or_default(), kept);
    if leads_to_itself(exchange, &location) {
        return Some(RuleAnswer::new(
            RuleKind::Redirect,
            StatusCode::LOOP_DETECTED,
        ));
    }
    moved(RuleKind::Redirect, redirect.status, &location)
}

/// Whether a redirect names the URL that was asked for.
fn leads_to_itself(exchange: &Exchange, location: &str) -> bool {
    let scheme = exchange.scheme.as_str();
    let own = format!("{scheme}://{}", exchange.authority.as_str());
    let target = exchange.parts.uri.path_and_query();
    let target = target.map_or("/", |target| target.as_str());
    location.strip_prefix(&own).unwrap_or(location) == target
}

fn moved(rule: RuleKind, status: StatusCode, location: &str) -> Option<Box<RuleAnswer>> {
    let mut answer = RuleAnswer::new(rule, status);
    let location = HeaderValue::from_str(location).ok()?;
    answer.headers.insert(LOCATION, location);
    Some(answer)
}

/// The content that the configuration has for the route.
fn respond(exchange: &Exchange) -> Option<Box<RuleAnswer>> {
    let respond = exchange.route()?.settings.respond.as_ref()?;
    let mut answer = RuleAnswer::new(RuleKind::Respond, respond.status);
    answer.content = Some((respond.content.clone(), respond.content_type.clone()));
    answer.max_age_secs = Some(respond.max_age.as_secs()).filter(|secs| *secs > 0);
    Some(answer)
}

/// Changes the fields of a request to the origin.
#[cold]
pub(super) fn edit_request(exchange: &Exchange, headers: &mut HeaderMap) {
    let of_route = exchange.route().map(|route| &route.settings.request_fields);
    let edits = [Some(&exchange.site.settings.request_fields), of_route];
    for edits in edits.into_iter().flatten() {
        edits.apply(headers);
    }
}
