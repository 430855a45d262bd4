//! What would become of a request, and why: the steps of the request path with nothing fetched,
//! stored, counted or remembered.
//!
//! Policies are consulted one by one, each in an instance of its own. About a response they are
//! asked as well: the one that is stored, the one that is given, or else a bare 200.

use std::sync::Arc;

use http::header::COOKIE;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Response, StatusCode};

use super::admit::{self, RequestSource};
use super::coding::{self, CodedBody, CodingChoice, Uncoded};
use super::decided;
use super::disk_lookup;
use super::edge::Edge;
use super::exchange::Exchange;
use super::fetch::judge::{TermsInput, terms};
use super::miss::Miss;
use super::provenance::StoreTier;
use super::refusal::AdmissionRefusal;
use super::verdict::{self, RuleForecast};
use super::visit::{Look, Visit};
use crate::store::Variants;
use crate::store::stored::StoredResponse;
use tero_config::WhenOff;
use tero_policy_host::compare::DecisionField;
use tero_policy_host::device::Device;
use tero_policy_host::{
    ChainTrace, MAX_TAGS, PolicyAnswer, PolicyResponse, Precedence, RequestAnswer, ResponseAnswer,
    Ruling,
};
use tero_semantics::authority::Scheme;
use tero_semantics::cache_control::ResponseDirectives;
use tero_semantics::cache_status::Forward;
use tero_semantics::coding_rules::CodingRefusal;
use tero_semantics::cookies::may_have_cookie;
use tero_semantics::decision::{
    LookupDecision, RequestDecision, ResponseDecision, StoringDecision,
};
use tero_semantics::disposition::{Disposition, FetchPlan, PassReason, StoredMatch};
use tero_semantics::freshness::{Freshness, LifetimeSource, browser_lifetime, header_lifetime};
use tero_semantics::key;
use tero_semantics::path::PathPattern;
use tero_semantics::reuse::ClientDirectives;
use tero_semantics::storability::{FloorExceptions, Refusal, Storability};
use tero_time::local_time::LocalDateTime;

/// Which request is meant.
#[derive(Debug)]
pub struct ExplainInput {
    /// Its head.
    pub parts: Parts,
    /// The scheme of its URL.
    pub scheme: Scheme,
    /// When it would come, by the clock of the site's zone; `None` is now.
    pub at: Option<LocalDateTime>,
    /// The class of the device that stands for the one that the fields tell.
    pub device: Option<Device>,
    /// The response that policies are asked about.
    pub response: Option<(StatusCode, HeaderMap)>,
}

/// Where the response comes from that policies were asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseSource {
    /// It was given with the question.
    Given,
    /// It is stored. Fields that are not stored, `Set-Cookie` among them, are not known any more.
    Stored,
    /// It is not known: a 200 without fields stands for it.
    Assumed,
}

impl ResponseSource {
    /// The name in explanations.
    pub fn as_str(self) -> &'static str {
        match self {
            ResponseSource::Given => "given",
            ResponseSource::Stored => "stored",
            ResponseSource::Assumed => "assumed",
        }
    }
}

/// A rule of the engine that had a say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleNote {
    /// Which.
    pub name: &'static str,
    /// Its effect, for people.
    pub text: String,
}

/// What would become of the request, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedOutcome {
    /// `hit`, `stale`, `revalidate`, `miss`, `pass`, `error` or `rule`.
    pub outcome: &'static str,
    /// Why, for people.
    pub why: String,
}

/// The answer.
#[derive(Debug)]
pub struct Explanation {
    /// The request as it was let in, with what the policies decided and its key.
    pub exchange: Arc<Exchange>,
    /// What each policy said about the request.
    pub on_request: ChainTrace<RequestAnswer, RequestDecision>,
    /// Where the response comes from that they were asked about, and its status.
    pub response: (ResponseSource, StatusCode),
    /// What each policy said about it.
    pub on_response: ChainTrace<ResponseAnswer, ResponseDecision>,
    /// How long such a response would be fresh, arriving then.
    pub freshness: Freshness,
    /// Whether it would be stored.
    pub storability: Storability,
    /// The responses that are stored under the key.
    pub stored: Option<Variants>,
    /// Which of it the request selects.
    pub selected: Option<Arc<StoredResponse>>,
    /// Whether the answer was not storable lately, so that requests do not wait for it.
    pub hit_for_miss: bool,
    /// The rules of the engine that had a say, in the order of the request path.
    pub rules: Vec<RuleNote>,
    /// What would become of it.
    pub disposition: Disposition<Arc<StoredResponse>>,
    /// The same, in words.
    pub would: ExpectedOutcome,
}

/// Explains a request.
///
/// # Errors
/// [`AdmissionRefusal`]: it would not be let in.
pub fn explain(edge: &Arc<Edge>, subject: ExplainInput) -> Result<Explanation, AdmissionRefusal> {
    let sent = subject.parts.headers.clone();
    let source = RequestSource {
        device: subject.device,
        scheme: subject.scheme,
        ..RequestSource::default()
    };
    let decide = |exchange: &mut Exchange| {
        if let Some(at) = subject.at {
            let at = at.in_zone(exchange.site.counters.zone());
            exchange.at = exchange.site.clock.of_wall(at);
        }
        let on_request = consult(exchange);
        if exchange.extended().is_some() {
            decided::apply_floor(exchange);
        }
        exchange.key = exchange.write_key();
        on_request
    };
    let (exchange, on_request) =
        admit::admit_to(edge, subject.parts, source, decide).map_err(|refused| refused.refusal)?;
    let visit = Visit {
        edge,
        exchange: &exchange,
    };
    let (disposition, stored, tier) = look(visit);
    let selected = match visit.selected(stored.clone()) {
        StoredMatch::Selected(selected) => Some(selected),
        StoredMatch::Nothing | StoredMatch::OtherVariants => None,
    };
    let (origin, status, headers) = match (subject.response, &selected) {
        (Some((status, headers)), _) => (ResponseSource::Given, status, headers),
        (None, Some(stored)) => (
            ResponseSource::Stored,
            stored.head.status,
            stored.head.fields.to_headers(0),
        ),
        (None, None) => (ResponseSource::Assumed, StatusCode::OK, HeaderMap::new()),
    };
    let (headers, is_ruled) = ruled(&exchange, origin, status, headers);
    let directives =
        ResponseDirectives::governing(&headers, &exchange.site.settings.targeted_fields);
    let header_ttl = header_lifetime(&headers, &directives, exchange.wall());
    let header_browser_ttl = browser_lifetime(&headers, &directives, exchange.wall());
    let length = headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    let answered = PolicyResponse {
        status,
        headers: &headers,
        length,
        header_ttl,
        header_browser_ttl,
        key: &exchange.key,
    };
    let on_response =
        exchange
            .policies()
            .consult_response(&exchange.ask(), &answered, exchange.wall());
    let weigh = |floor: FloorExceptions| {
        let input = TermsInput {
            status,
            headers: &headers,
            directives: &directives,
            decision: &on_response.decision,
            floor,
            request_time: exchange.at,
            response_time: exchange.at,
        };
        terms(&exchange, &input)
    };
    let floor = exchange.site.settings.policy_may_override;
    let (freshness, storability) = weigh(floor);
    let mut rules: Vec<RuleNote> = dropped_fields(&sent, &exchange).into_iter().collect();
    rules.extend(rules_of_request(&exchange, &on_request, &disposition));
    rules.extend(rules_of_response(
        &on_response,
        (&freshness, header_ttl),
        &storability,
        &weigh(FloorExceptions::default()).1,
    ));
    if is_ruled {
        let text = "cache_control of the site says what the response says of caching";
        rules.push(rule("cache-control", text.to_owned()));
    }
    rules.extend(default_rule(&freshness, &storability));
    rules.extend(bound_rule(&exchange, &freshness));
    rules.extend(crawler_rule(&storability));
    rules.extend(rule_of_coding(visit, selected.as_deref()));
    if tier == StoreTier::Disk {
        rules.push(rule(
            "disk",
            "a disk of the cache has it, and memory has not".to_owned(),
        ));
    }
    let hit_for_miss = visit.expects_not_storable();
    let would = match verdict::forecast(&exchange).answer {
        Some(answer) => expect("rule", format!("a rule of the site answers it: {answer}")),
        None => in_words(visit, &disposition),
    };
    Ok(Explanation {
        on_request,
        response: (origin, status),
        on_response,
        freshness,
        storability,
        stored,
        selected,
        hit_for_miss,
        rules,
        disposition,
        would,
        exchange,
    })
}

/// What becomes of the request, the stored responses of its key, and which tier decides: the disks are
/// asked for what memory doesn't have.
fn look(
    visit: Visit<'_>,
) -> (
    Disposition<Arc<StoredResponse>>,
    Option<Variants>,
    StoreTier,
) {
    let disposition = visit.disposition(Look::Peek);
    let stored = visit.edge.store.peek(&visit.exchange.key);
    let stored = stored.filter(|_| disposition.is_looked_up());
    if !disk_lookup::is_for_disk(visit, &disposition) {
        return (disposition, stored, StoreTier::Memory);
    }
    let on_disk = disk_lookup::peek(visit);
    if on_disk.is_empty() {
        return (disposition, stored, StoreTier::Memory);
    }
    let in_memory = stored.iter().flat_map(Variants::all).cloned();
    let all = Variants::new(in_memory.chain(on_disk).collect());
    let disposition = visit.disposition_of(|| visit.selected(Some(all.clone())));
    (disposition, Some(all), StoreTier::Disk)
}

/// Names the fields of the request that don't go on, and says whether cookies were left out.
fn dropped_fields(sent: &HeaderMap, exchange: &Exchange) -> Option<RuleNote> {
    let kept = &exchange.parts.headers;
    let mut dropped: Vec<&str> = sent.keys().map(HeaderName::as_str).collect();
    dropped.retain(|name| !kept.contains_key(*name));
    let lost_cookies =
        kept.contains_key(COOKIE) && !sent.get_all(COOKIE).iter().eq(kept.get_all(COOKIE).iter());
    let cookies = lost_cookies.then_some("some cookies (site.ignore_cookies)");
    dropped.extend(cookies);
    (!dropped.is_empty()).then(|| {
        let text = format!(
            "these don't go on and count for nothing: {}",
            dropped.join(", ")
        );
        rule("dropped-fields", text)
    })
}

/// Asks the policies about the request: those of the canary, if the key is of its share.
fn consult(exchange: &mut Exchange) -> ChainTrace<RequestAnswer, RequestDecision> {
    let site = Arc::clone(&exchange.site);
    let active = site
        .policies
        .consult_request(&exchange.ask(), exchange.wall());
    exchange.decision = Arc::new(active.decision.clone());
    let asked = exchange.chosen_canary().map(|canary| {
        canary
            .chain
            .consult_request(&exchange.ask(), exchange.wall())
    });
    match asked {
        None => active,
        Some(asked) => {
            exchange.is_canary = true;
            exchange.decision = Arc::new(asked.decision.clone());
            asked
        }
    }
}

fn rules_of_request(
    exchange: &Exchange,
    asked: &ChainTrace<RequestAnswer, RequestDecision>,
    disposition: &Disposition<Arc<StoredResponse>>,
) -> Vec<RuleNote> {
    let mut rules = Vec::new();
    if let Some(route) = exchange.route() {
        rules.push(rule("route", route.to_string()));
    }
    if let Some(limits) = &exchange.site.limits {
        let limits = limits.explained(exchange.limited(exchange.limit_class()));
        rules.extend(limits.map(|limit| rule("limit", limit.describe())));
    }
    let RuleForecast { notes, .. } = verdict::forecast(exchange);
    rules.extend(
        notes
            .into_iter()
            .map(|(kind, text)| rule(kind.as_str(), text)),
    );
    rules.extend(failures(asked));
    if let Some(by) = never_by(exchange) {
        let although = match exchange.decision.lookup {
            LookupDecision::Cache => "",
            LookupDecision::Pass => "; the policies pass it, too",
        };
        let text = format!(
            "{by} of site.never matches: nothing is looked up and nothing is stored, whatever policies and responses say{although}"
        );
        rules.push(rule("never", text));
    }
    rules.extend(forbidden_answer(exchange));
    if matches!(disposition, Disposition::Pass(PassReason::Content)) {
        rules.push(rule(
            "content",
            "a GET with content is passed: no key could tell such contents apart".to_owned(),
        ));
    }
    if matches!(disposition, Disposition::Pass(PassReason::Cookie)) {
        let named = &exchange.site.settings.pass_cookies;
        let text = match may_have_cookie(&exchange.parts.headers, named) {
            true => "a cookie of the request makes it a pass (site.pass_cookies)",
            false => "applications may read a cookie otherwise than the policies that are told it",
        };
        rules.push(rule("pass-cookies", text.to_owned()));
    }
    if matches!(disposition, Disposition::Pass(PassReason::Apart)) {
        let text = "a GET for the URL goes to other origins (origins of site.route), so what is stored for it doesn't count here";
        rules.push(rule("route-origins", text.to_owned()));
    }
    rules.extend(exchange.shields().map(|shields| {
        let (names, is_own) = shields.of_url(key::url_of(&exchange.key));
        let names = names.join(", ");
        let text = match is_own {
            true => {
                format!("this node is the URL's shield (site.shield); in order they are {names}")
            }
            false => format!("the URL's shields are asked (site.shield), in this order: {names}"),
        };
        rule("shields", text)
    }));
    let joined = exchange.decision.variant.as_deref().unwrap_or_default();
    let rulings = asked.rulings.iter();
    rules.extend(rulings.map(|ruling| note(ruling, asked, joined)));
    let directives = exchange.fields.directives;
    if directives && exchange.site.settings.client_directives == ClientDirectives::Ignore {
        let text = "what the request says about caching is not obeyed (site.client_directives), but for only-if-cached and no-store";
        rules.push(rule("client-directives", text.to_owned()));
    }
    rules
}

/// The pattern of the operator's floor that passes the request.
fn never_by(exchange: &Exchange) -> Option<&PathPattern> {
    let floor = exchange.site.floor.as_deref()?;
    exchange.paths().find_map(|path| floor.never_by(path))
}

/// The operator's floor, if it forbids what a policy answers.
fn forbidden_answer(exchange: &Exchange) -> Option<RuleNote> {
    exchange.extended()?.answer.as_ref()?;
    let floor = exchange.site.floor.as_deref()?;
    let by = exchange
        .paths()
        .find_map(|path| floor.never_answered_by(path))?;
    let text =
        format!("{by} of site.never matches: the answer that a policy gives by itself is not sent");
    Some(rule("never-respond", text))
}

/// The fields of the response with what the site says in their place, and whether that differs. What is
/// stored has it already.
fn ruled(
    exchange: &Exchange,
    source: ResponseSource,
    status: StatusCode,
    headers: HeaderMap,
) -> (HeaderMap, bool) {
    let mut response = Response::new(());
    *response.status_mut() = status;
    response.headers_mut().clone_from(&headers);
    if source != ResponseSource::Stored {
        exchange.apply_cache_control(&mut response, exchange.at);
    }
    let ruled = response.into_parts().0.headers;
    let is_ruled = ruled != headers;
    (ruled, is_ruled)
}

/// The site's default lifetime, if it counts, or would without cookies.
fn default_rule(freshness: &Freshness, storability: &Storability) -> Option<RuleNote> {
    let text = match (freshness.source(), storability) {
        (LifetimeSource::DefaultTtl, _) => format!(
            "the response gives no lifetime: default_ttl of the site gives {} s",
            freshness.lifetime().as_secs()
        ),
        (_, Storability::No(Refusal::DefaultTtlToCookie)) => {
            "default_ttl of the site doesn't count for a request with cookies (default_ttl_with_cookies)".to_owned()
        }
        _ => return None,
    };
    Some(rule("default-ttl", text))
}

/// The site's rule for crawlers, if it keeps the response out.
fn crawler_rule(storability: &Storability) -> Option<RuleNote> {
    (*storability == Storability::No(Refusal::Crawler)).then(|| {
        let text = "a crawler sent the request, and crawlers = \"serve\" of the site keeps its response out of the store; a policy could admit it";
        rule("crawlers", text.to_owned())
    })
}

/// The operator's bound, if it is less than what the response has otherwise.
fn bound_rule(exchange: &Exchange, freshness: &Freshness) -> Option<RuleNote> {
    let bound = exchange.floor.at_most?;
    let by = exchange.bound_reason()?;
    (freshness.source() == LifetimeSource::AtMost).then(|| {
        let (ttl, stale) = (bound.ttl.as_secs(), bound.stale.as_secs());
        let text = format!(
            "{by}: it is fresh for at most {ttl} s and served stale for at most {stale} s, whatever policies and responses say"
        );
        rule("at-most", text)
    })
}

fn rules_of_response(
    asked: &ChainTrace<ResponseAnswer, ResponseDecision>,
    (freshness, header_ttl): (&Freshness, Option<std::time::Duration>),
    storability: &Storability,
    without_exceptions: &Storability,
) -> Vec<RuleNote> {
    let mut rules = failures(asked);
    rules.extend(asked.rulings.iter().map(|ruling| note(ruling, asked, "")));
    let decision = &asked.decision;
    let wanted = decision.storing == StoringDecision::Always
        || (decision.storing != StoringDecision::Never && decision.ttl.is_some());
    match (storability, without_exceptions) {
        // A rule of its own says so.
        (Storability::No(Refusal::Crawler), _) => {}
        (Storability::No(refusal), _) if wanted => {
            let text = format!(
                "the policies would store it, but it may not be stored: {}",
                refusal.as_str()
            );
            rules.push(rule("safety-floor", text));
        }
        (Storability::Yes, Storability::No(refusal)) => {
            let text = format!(
                "policy_may_override of the site lets the policies store it although: {}",
                refusal.as_str()
            );
            rules.push(rule("floor-lifted", text));
        }
        _ => {}
    }
    if let (LifetimeSource::Policy, Some(fields)) = (freshness.source(), header_ttl)
        && fields != freshness.lifetime()
    {
        let (ttl, fields) = (freshness.lifetime().as_secs(), fields.as_secs());
        rules.push(rule(
            "policy-ttl",
            format!("the TTL of {ttl} s takes the place of the {fields} s that the response's fields give"),
        ));
    }
    if let Some(browser) = decision
        .browser_ttl
        .filter(|browser| *browser > freshness.lifetime())
    {
        let (browser, left) = (browser.as_secs(), freshness.lifetime().as_secs());
        rules.push(rule(
            "browser-ttl",
            format!(
                "browsers are told at most the {left} s that are left at the edge, not {browser} s"
            ),
        ));
    }
    rules
}

/// Which coding the answer from a stored response has, and why none.
fn rule_of_coding(visit: Visit<'_>, selected: Option<&StoredResponse>) -> Option<RuleNote> {
    let stored = selected?;
    let told = |coded: CodedBody<'_>| {
        let (coding, bytes) = (coded.coding.as_str(), coded.body.len());
        format!(
            "the answer is coded with {coding}: {bytes} of {} bytes",
            stored.body.len()
        )
    };
    let text = match coding::choice(visit, stored) {
        Err(Uncoded::Off) => return None,
        Err(Uncoded::Refused) => {
            let refusal = coding::refusal_of(visit, stored);
            let reason = refusal.map_or("it was stored before site.compress was set", CodingRefusal::reason);
            format!("the answer is not coded here: {reason}")
        }
        Err(Uncoded::Bytes) => {
            "the answer is not coded: the request has Range or If-Match, which are about the bytes of the origin".to_owned()
        }
        Err(Uncoded::NoTransform) => {
            "the answer is not coded: the request says no-transform".to_owned()
        }
        Err(Uncoded::NotAccepted) => {
            "the answer is not coded: the request accepts none of site.compress.codings, or wants identity more".to_owned()
        }
        Ok(CodingChoice { wanted, made }) => match made {
            Some(made) if made.coding == wanted => told(made),
            Some(made) => format!("{}; {} is not made", told(made), wanted.as_str()),
            None => format!("the answer is not coded: {} is not made", wanted.as_str()),
        },
    };
    Some(rule("compress", text))
}

fn rule(name: &'static str, text: String) -> RuleNote {
    RuleNote { name, text }
}

/// A ruling between policies, in words. `joined` is the variant that they decided together.
fn note<A, D>(ruling: &Ruling, asked: &ChainTrace<A, D>, joined: &str) -> RuleNote {
    let name = |place: usize| format!("`{}`", asked.answers[place].0.name());
    let by = name(ruling.by);
    let over = ruling
        .over
        .iter()
        .map(|place| name(*place))
        .collect::<Vec<_>>()
        .join(", ");
    let although = |what: &str| match over.as_str() {
        "" => String::new(),
        over => format!(", although {over} would {what}"),
    };
    match ruling.rule {
        Precedence::PassWins => rule(
            "pass-wins",
            format!(
                "{by} passes, and a pass wins over every other answer{}",
                although("look up")
            ),
        ),
        Precedence::NeverWins => rule(
            "never-wins",
            format!(
                "{by} says never, and that wins over every other answer{}",
                although("store")
            ),
        ),
        Precedence::FirstWins => rule(
            "first-wins",
            format!(
                "{by} comes first and decides {}; what {over} would have is not used",
                words_of(ruling.field)
            ),
        ),
        Precedence::AnswerWins => rule(
            "answer-wins",
            format!(
                "{by} answers by itself, and that wins over a pass{}",
                although("pass")
            ),
        ),
        Precedence::RefusalWins => rule(
            "refusal-wins",
            format!(
                "{by} refuses a place in the store, and that wins{}",
                although("admit")
            ),
        ),
        Precedence::EarliestWins => rule(
            "earliest-wins",
            format!(
                "{by} ends the stored response first; the end that {over} would have is not used"
            ),
        ),
        Precedence::NamesJoin => rule(
            "names-join",
            format!(
                "{by}, {over} name {}, which join; the first that names one decides it",
                words_of(ruling.field)
            ),
        ),
        Precedence::VariantsJoin => rule(
            "variants-join",
            format!("{by}, {over} name variants, which join to `{joined}`"),
        ),
        Precedence::TagsBounded => {
            rule("tags", format!("of all tags together {MAX_TAGS} are kept"))
        }
    }
}

fn words_of(field: DecisionField) -> &'static str {
    match field {
        DecisionField::Lookup => "the look-up",
        DecisionField::Query => "the query",
        DecisionField::KeyParts => "parts of the key",
        DecisionField::Rewrite => "the path and query that the origin is asked for",
        DecisionField::Origin => "the origin",
        DecisionField::RequestEdits => "fields of the request to the origin",
        DecisionField::ResponseEdits => "fields of the response to the client",
        DecisionField::Answer => "the answer",
        DecisionField::LogTag => "the word for the log",
        DecisionField::RateClass => "the class of the rate limit",
        DecisionField::Variant => "the variant",
        DecisionField::Storing => "storing",
        DecisionField::Ttl => "the TTL",
        DecisionField::BrowserTtl => "the browser's TTL",
        DecisionField::StaleWhileRevalidate => "stale-while-revalidate",
        DecisionField::StaleIfError => "stale-if-error",
        DecisionField::ErrorTtl => "the TTL of errors",
        DecisionField::Expiry => "when the stored response ends",
        DecisionField::Admit => "the place in the store",
        DecisionField::StoredEdits => "fields of the stored response",
        DecisionField::Tags => "the tags",
        DecisionField::Reason => "the reason",
    }
}

fn failures<A, D>(asked: &ChainTrace<A, D>) -> Vec<RuleNote> {
    let failed = asked
        .answers
        .iter()
        .filter_map(|(policy, word)| match word {
            PolicyAnswer::Failed { kind, reason } => {
                Some((policy, format!("failed ({}: {reason})", kind.as_str())))
            }
            PolicyAnswer::Off(reason) => Some((policy, format!("is switched off ({reason})"))),
            PolicyAnswer::Answer(_) | PolicyAnswer::NoHook => None,
        });
    failed
        .map(|(policy, how)| {
            let so = match policy.when_off() {
                WhenOff::Headers => "has decided nothing",
                WhenOff::Pass => "`when_off = \"pass\"` holds",
            };
            rule(
                "no-answer",
                format!("`{}` {how}, and so {so}", policy.name()),
            )
        })
        .collect()
}

/// What becomes of a request, in words.
fn in_words(visit: Visit<'_>, disposition: &Disposition<Arc<StoredResponse>>) -> ExpectedOutcome {
    let at = visit.exchange.at;
    match disposition {
        Disposition::Answer => {
            let status = visit.exchange.own_answer().map(|answer| answer.status);
            let status = status.map(|status| status.to_string()).unwrap_or_default();
            expect("rule", format!("a policy answers it: {status}"))
        }
        Disposition::Fetch(_) if visit.would_pass_new_value() => expect(
            "pass",
            "a part of its key has a new value, and the site has as many as max_key_values allows",
        ),
        Disposition::Pass(
            PassReason::Never
            | PassReason::Policy
            | PassReason::Cookie
            | PassReason::Content
            | PassReason::Apart,
        ) => expect(
            "pass",
            "it goes to the origin and back, nothing looked up and nothing stored",
        ),
        Disposition::Pass(PassReason::Method) => expect(
            "pass",
            format!(
                "a {} is never answered from what is stored",
                visit.exchange.parts.method
            ),
        ),
        Disposition::Upgrade => expect(
            "pass",
            "the connection is handed to the origin: the request asks for another protocol",
        ),
        Disposition::GatewayTimeout => expect(
            "error",
            "nothing stored will do, and the request says only-if-cached: 504",
        ),
        Disposition::Serve(stored) => expect(
            "hit",
            format!(
                "it is stored, and fresh for another {} s",
                stored.head.freshness.remaining_secs(at)
            ),
        ),
        Disposition::ServeWhileRevalidating(stored) => {
            let stale = stored.head.freshness.staleness(at).as_secs();
            expect(
                "stale",
                format!("it is stored, stale for {stale} s, and served while it is revalidated"),
            )
        }
        Disposition::ServeWhileOriginIsTried(stored) => {
            let stale = stored.head.freshness.staleness(at).as_secs();
            expect(
                "stale",
                format!(
                    "it is stored, stale for {stale} s, and served while the origin, which failed lately, is asked again"
                ),
            )
        }
        Disposition::ServeWhileOriginRests(stored) => {
            let stale = stored.head.freshness.staleness(at).as_secs();
            expect(
                "stale",
                format!(
                    "it is stored, stale for {stale} s, and served without asking: the origin failed lately"
                ),
            )
        }
        Disposition::Revalidate { why, .. } => expect(
            "revalidate",
            format!(
                "it is stored, and the origin is asked first: {}",
                why.as_str()
            ),
        ),
        Disposition::Fetch(forward) => miss_in_words(visit, *forward),
    }
}

/// A request for which no whole response is stored, in words: a part may hold all that it asks
/// for.
fn miss_in_words(visit: Visit<'_>, forward: Forward) -> ExpectedOutcome {
    let exchange = visit.exchange;
    let miss = Miss::new(visit, None, forward);
    match (miss.plan(visit), &miss.part) {
        (FetchPlan::FromPart, Some(part)) => expect(
            "hit",
            format!(
                "a part is stored that holds all that is asked for, and is fresh for another {} s",
                part.head.freshness.remaining_secs(exchange.at)
            ),
        ),
        (_, Some(_)) => expect(
            "miss",
            "a part is stored that does not hold all that is asked for, or is not fresh",
        ),
        (_, None) if forward == Forward::VaryMiss => expect(
            "miss",
            "what is stored under the key is for other request fields (Vary)",
        ),
        (_, None) if visit.expects_not_storable() => expect(
            "miss",
            "nothing is stored; the answer was not storable lately, so it is fetched without waiting",
        ),
        (_, None) => expect("miss", "nothing is stored under the key"),
    }
}

fn expect(outcome: &'static str, why: impl Into<String>) -> ExpectedOutcome {
    ExpectedOutcome {
        outcome,
        why: why.into(),
    }
}
