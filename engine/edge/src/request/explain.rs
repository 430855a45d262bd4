//! What would become of a request, and why: the steps of the request path with nothing fetched,
//! stored, counted or remembered.
//!
//! Policies are consulted one by one, each in an instance of its own. About a response they are
//! asked as well: the one that is stored, the one that is given, or else a bare 200.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::admit::{self, RequestSource};
use super::edge::Edge;
use super::exchange::{Exchange, Handling};
use super::fetch;
use super::refusal::AdmissionRefusal;
use crate::store::Variants;
use crate::store::stored::StoredResponse;
use tero_policy_host::device::Device;
use tero_policy_host::{ChainTrace, PolicyAnswer, PolicyResponse, RequestAnswer, ResponseAnswer};
use tero_semantics::cache_control::ResponseDirectives;
use tero_semantics::decision::{
    LookupDecision, RequestDecision, ResponseDecision, StoringDecision,
};
use tero_semantics::freshness::{Freshness, LifetimeSource, browser_lifetime, header_lifetime};
use tero_semantics::reuse::{self, Absent, ClientDirectives, Reuse, reuse};
use tero_semantics::storability::{FloorExceptions, Storability};
use tero_time::local_time::LocalDateTime;

/// Tags of all policies together; what is beyond is left out.
const MAX_TAGS: usize = 128;

/// Which request is meant.
#[derive(Debug)]
pub struct ExplainInput {
    /// Its head.
    pub parts: Parts,
    /// When it would come, by the clock of the site's zone; now where it is none.
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
    /// Nobody knows: a 200 without fields.
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
pub struct Ruling {
    /// Which.
    pub name: &'static str,
    /// What it did, for people.
    pub text: String,
}

/// What would become of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Would {
    /// `hit`, `stale`, `revalidate`, `miss`, `pass` or `error`.
    pub outcome: &'static str,
    /// Why, for people.
    pub why: String,
}

/// The answer.
#[derive(Debug)]
pub struct Explanation {
    /// The request as it was let in, with what the policies decided and its key.
    pub exchange: Exchange,
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
    /// What is stored under the key.
    pub stored: Option<Variants>,
    /// Which of it the request selects.
    pub selected: Option<Arc<StoredResponse>>,
    /// Whether the answer was not storable lately, so that nobody waits for it.
    pub hit_for_miss: bool,
    /// The rules of the engine that had a say, in the order of the request path.
    pub rules: Vec<Ruling>,
    /// What would become of it.
    pub would: Would,
}

/// Explains a request.
///
/// # Errors
/// [`AdmissionRefusal`]: it would not be let in.
pub fn explain(edge: &Edge, subject: ExplainInput) -> Result<Explanation, AdmissionRefusal> {
    let source = RequestSource {
        device: subject.device,
        ..RequestSource::default()
    };
    let mut exchange =
        admit::admit_without_policies(edge, subject.parts, source).map_err(|refused| refused.0)?;
    if let Some(at) = subject.at {
        exchange.at = at.in_zone(exchange.site.counters.zone());
    }
    let on_request = consult(&mut exchange);
    exchange.key = exchange.write_key();
    let stored = edge
        .store
        .peek(&exchange.key)
        .filter(|_| exchange.handling() == Handling::Cache);
    let selected = stored
        .as_ref()
        .and_then(|variants| variants.select(&exchange.parts.headers))
        .cloned();
    let (origin, status, headers) = match (subject.response, &selected) {
        (Some((status, headers)), _) => (ResponseSource::Given, status, headers),
        (None, Some(stored)) => (
            ResponseSource::Stored,
            stored.head.status,
            stored.head.fields.to_headers(0),
        ),
        (None, None) => (ResponseSource::Assumed, StatusCode::OK, HeaderMap::new()),
    };
    let directives =
        ResponseDirectives::governing(&headers, &exchange.site.settings.targeted_fields);
    let header_ttl = header_lifetime(&headers, &directives, exchange.at);
    let header_browser_ttl = browser_lifetime(&headers, &directives, exchange.at);
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
    let on_response = exchange
        .policies()
        .consult_response(&exchange.ask(), &answered, exchange.at);
    let weigh = |floor: FloorExceptions| {
        fetch::judge(
            &exchange,
            status,
            &headers,
            (&directives, &on_response.decision, floor),
            (exchange.at, exchange.at),
        )
    };
    let floor = exchange.site.settings.policy_may_override;
    let (freshness, storability) = weigh(floor);
    let mut rules = rules_of_request(&exchange, &on_request);
    rules.extend(rules_of_response(
        &on_response,
        (&freshness, header_ttl),
        &storability,
        &weigh(FloorExceptions::default()).1,
    ));
    let hit_for_miss = edge.hit_for_miss.expects(&exchange.key, exchange.at);
    let would = would(
        &exchange,
        stored.is_some(),
        selected.as_deref(),
        hit_for_miss,
    );
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
        would,
        exchange,
    })
}

/// Asks the policies about the request: those of the canary, if the key is of its share.
fn consult(exchange: &mut Exchange) -> ChainTrace<RequestAnswer, RequestDecision> {
    let site = Arc::clone(&exchange.site);
    let active = site.policies.consult_request(&exchange.ask(), exchange.at);
    exchange.decision = Arc::new(active.decision.clone());
    let asked = exchange
        .chosen_canary()
        .map(|canary| canary.chain.consult_request(&exchange.ask(), exchange.at));
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
) -> Vec<Ruling> {
    let mut rules = failures(asked);
    let says = |wanted: LookupDecision| {
        said(asked, move |answer| {
            (answer.lookup == Some(wanted)).then_some(())
        })
    };
    if let Some((passing, ())) = says(LookupDecision::Pass).first() {
        let others: Vec<&str> = says(LookupDecision::Cache)
            .iter()
            .map(|(name, ())| *name)
            .collect();
        let over = if others.is_empty() {
            String::new()
        } else {
            format!(", although {} would look up", others.join(", "))
        };
        rules.push(rule(
            "pass-wins",
            format!("`{passing}` passes, and a pass wins over every other answer{over}"),
        ));
    } else if exchange.handling() == Handling::Pass {
        rules.push(rule(
            "content",
            "a GET with content is passed: no key could tell such contents apart".to_owned(),
        ));
    }
    first_wins(&mut rules, asked, "the query", |answer| {
        answer.query.clone()
    });
    let variants = said(asked, |answer| answer.variant.clone());
    if variants.len() > 1 {
        let joined = exchange.decision.variant.as_deref().unwrap_or_default();
        rules.push(rule(
            "variants-join",
            format!(
                "{} name variants, which join to `{joined}`",
                names(&variants)
            ),
        ));
    }
    let directives = exchange.fields.directives;
    if directives && exchange.site.settings.client_directives == ClientDirectives::Ignore {
        let text = "what the request says about caching is not obeyed (site.client_directives), but for only-if-cached and no-store";
        rules.push(rule("client-directives", text.to_owned()));
    }
    rules
}

fn rules_of_response(
    asked: &ChainTrace<ResponseAnswer, ResponseDecision>,
    (freshness, header_ttl): (&Freshness, Option<std::time::Duration>),
    storability: &Storability,
    without_exceptions: &Storability,
) -> Vec<Ruling> {
    let mut rules = failures(asked);
    let storing = |wanted: StoringDecision| {
        said(asked, move |answer| {
            (answer.storing == wanted).then_some(())
        })
    };
    let (never, always) = (
        storing(StoringDecision::Never),
        storing(StoringDecision::Always),
    );
    if let Some((name, ())) = never.first() {
        let over = if always.is_empty() {
            String::new()
        } else {
            format!(", although {} would store", names(&always))
        };
        rules.push(rule(
            "never-wins",
            format!("`{name}` says never, and that wins over every other answer{over}"),
        ));
    }
    first_wins(&mut rules, asked, "the TTL", |answer| answer.ttl);
    first_wins(&mut rules, asked, "the browser's TTL", |answer| {
        answer.browser_ttl
    });
    first_wins(&mut rules, asked, "stale-while-revalidate", |answer| {
        answer.stale_while_revalidate
    });
    first_wins(&mut rules, asked, "stale-if-error", |answer| {
        answer.stale_if_error
    });
    let tags = asked.answers.iter().map(|(_, word)| {
        if let PolicyAnswer::Answer(answer) = word {
            answer.tags.len()
        } else {
            0
        }
    });
    if tags.sum::<usize>() > MAX_TAGS {
        rules.push(rule(
            "tags",
            format!("of all tags together {MAX_TAGS} are kept"),
        ));
    }
    let decision = &asked.decision;
    let wanted =
        never.is_empty() && (decision.storing == StoringDecision::Always || decision.ttl.is_some());
    match (storability, without_exceptions) {
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

fn rule(name: &'static str, text: String) -> Ruling {
    Ruling { name, text }
}

/// What a part of the answers says, by policy.
fn said<A, D, T>(asked: &ChainTrace<A, D>, part: impl Fn(&A) -> Option<T>) -> Vec<(&str, T)> {
    let said = asked
        .answers
        .iter()
        .filter_map(|(policy, word)| match word {
            PolicyAnswer::Answer(answer) => Some((&**policy.name(), part(answer)?)),
            PolicyAnswer::Failed { .. } | PolicyAnswer::NoHook | PolicyAnswer::Off(_) => None,
        });
    said.collect()
}

fn names<T>(said: &[(&str, T)]) -> String {
    said.iter()
        .map(|(name, _)| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn failures<A, D>(asked: &ChainTrace<A, D>) -> Vec<Ruling> {
    let failed = asked
        .answers
        .iter()
        .filter_map(|(policy, word)| match word {
            PolicyAnswer::Failed { kind, reason } => Some((
                policy.name(),
                format!("failed ({}: {reason})", kind.as_str()),
            )),
            PolicyAnswer::Off(reason) => {
                Some((policy.name(), format!("is switched off ({reason})")))
            }
            PolicyAnswer::Answer(_) | PolicyAnswer::NoHook => None,
        });
    failed
        .map(|(name, how)| {
            rule(
                "no-answer",
                format!("`{name}` {how}, and so has decided nothing"),
            )
        })
        .collect()
}

fn first_wins<A, D, T: PartialEq>(
    rules: &mut Vec<Ruling>,
    asked: &ChainTrace<A, D>,
    what: &str,
    part: impl Fn(&A) -> Option<T>,
) {
    let said = said(asked, part);
    if let [(first, value), others @ ..] = said.as_slice()
        && others.iter().any(|(_, other)| other != value)
    {
        let text = format!(
            "`{first}` comes first and decides {what}; what {} would have is not used",
            names(others)
        );
        rules.push(rule("first-wins", text));
    }
}

fn would(
    exchange: &Exchange,
    any_stored: bool,
    selected: Option<&StoredResponse>,
    hit_for_miss: bool,
) -> Would {
    let because = |outcome, why: String| Would { outcome, why };
    match exchange.handling() {
        Handling::Pass => {
            return because(
                "pass",
                "it goes to the origin and back, nothing looked up and nothing stored".to_owned(),
            );
        }
        Handling::Method => {
            return because(
                "pass",
                format!(
                    "a {} is never answered from what is stored",
                    exchange.parts.method
                ),
            );
        }
        Handling::Upgrade => {
            return because(
                "pass",
                "the connection is handed to the origin: the request asks for another protocol"
                    .to_owned(),
            );
        }
        Handling::Cache => {}
    }
    let only_if_cached = || {
        because(
            "error",
            "nothing stored will do, and the request says only-if-cached: 504".to_owned(),
        )
    };
    let Some(stored) = selected else {
        return match (reuse::absent(&exchange.directives), any_stored) {
            (Absent::Unsatisfiable, _) => only_if_cached(),
            (Absent::Fetch, true) => {
                because("miss", "what is stored under the key is for other request fields (Vary)".to_owned())
            }
            (Absent::Fetch, false) if hit_for_miss => because(
                "miss",
                "nothing is stored; the answer was not storable lately, so it is fetched without waiting".to_owned(),
            ),
            (Absent::Fetch, false) => because("miss", "nothing is stored under the key".to_owned()),
        };
    };
    let freshness = &stored.head.freshness;
    let settings = &exchange.site.settings;
    match reuse(
        freshness,
        &exchange.directives,
        settings.client_directives,
        exchange.at,
    ) {
        Reuse::Fresh => because(
            "hit",
            format!(
                "it is stored, and fresh for another {} s",
                freshness.remaining_secs(exchange.at)
            ),
        ),
        Reuse::StaleWhileRevalidate => {
            let stale = freshness.staleness(exchange.at).as_secs();
            because(
                "stale",
                format!("it is stored, stale for {stale} s, and served while it is revalidated"),
            )
        }
        Reuse::Revalidate(why) => because(
            "revalidate",
            format!(
                "it is stored, and the origin is asked first: {}",
                why.as_str()
            ),
        ),
        Reuse::Unsatisfiable => only_if_cached(),
    }
}
